//! An event that cannot be taken parks its key; nothing else stops, nothing is skipped silently.

use eventstore::testing::{TestLog, each_backend};
use projections::customer::OrderStatus;
use projections::{Cause, View};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::story::{Life, late_message, life, order_of};
use crate::world::{World, append, stream_append};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

#[tokio::test]
async fn a_poison_event_parks_its_order_and_no_other() {
    for (event_type, version, data, cause) in [
        ("OrderTeleported", 1, "{}", Cause::Unknown),
        ("OrderPaid", 99, "{}", Cause::Unknown),
        ("OrderPaid", 1, "{\"lines\":7}", Cause::Unreadable),
    ] {
        each_backend(async |at: TestLog| {
            let world = World::open(at).await;
            let sick = life(1, Life::Delivered);
            append(&world.log, sick.order_id, &sick.appends[0]).await;
            let poison = stream_append("order", sick.order_id, event_type, version, raw(data));
            let poisoned = world.log.append(vec![poison]).await.unwrap().last;
            for events in &sick.appends[1..] {
                append(&world.log, sick.order_id, events).await;
            }
            world.live(2, Life::Delivered).await;
            world.catch_up().await;

            let row = world
                .views
                .customer_row(order_of(1))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                row.status,
                OrderStatus::Pending,
                "as it was before the poison"
            );
            let healthy = world
                .views
                .customer_row(order_of(2))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(healthy.status, OrderStatus::Delivered);
            let status = world.views.status_of(View::Customer).await.unwrap();
            assert_eq!((status.lag, status.parked_keys), (0, 1));
            assert_eq!(status.parked[0].key, order_of(1));
            let first = &status.parked[0].first;
            assert_eq!(first.position, poisoned);
            assert!(first.reason.contains(event_type), "{first:?}");
            assert_eq!(first.cause, Some(cause));
            assert!(status.parked[0].events > 5, "what follows is parked too");
            let saga = world.saga(order_of(1)).await;
            assert_eq!(saga.status.as_str(), "completed", "other views do not care");
        })
        .await;
    }
}

#[tokio::test]
async fn a_parked_key_stays_parked_for_the_next_projector_and_in_a_rebuild() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let sick = life(1, Life::Delivered);
        // The order's payment comes before the order.
        append(&world.log, sick.order_id, &sick.appends[1]).await;
        world.catch_up().await;
        append(&world.log, sick.order_id, &sick.appends[0]).await;
        world.catch_up().await;
        let before = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!((before.parked_keys, before.parked[0].events), (1, 3));
        assert_eq!(before.parked[0].first.cause, Some(Cause::Refused));
        assert!(
            world
                .views
                .customer_row(order_of(1))
                .await
                .unwrap()
                .is_none()
        );

        let report = world.views.rebuild(View::Customer, |_| {}).await.unwrap();
        assert_eq!(report.parked_events, 3);
        let after = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(after.parked, before.parked);
    })
    .await;
}

#[tokio::test]
async fn an_undecodable_message_parks_that_message_and_not_its_order() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let message = Uuid::now_v7();
        let poison = stream_append("kakao", message, "MessageSung", 1, raw("{}"));
        world.log.append(vec![poison]).await.unwrap();
        world.live(1, Life::Delivered).await;
        world.catch_up().await;
        for view in [View::Customer, View::Message] {
            let status = world.views.status_of(view).await.unwrap();
            assert_eq!(status.parked[0].key, message);
        }
        let row = world
            .views
            .customer_row(order_of(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.status, OrderStatus::Delivered);
    })
    .await;
}

#[tokio::test]
async fn what_follows_an_undecodable_message_parks_with_it_and_never_its_order() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        let late = late_message(1);
        let message = late.head().unwrap().id;
        let poison = stream_append("kakao", message, "MessageSung", 1, raw("{}"));
        world.log.append(vec![poison]).await.unwrap();
        // In the same page of the log as the poison, and then in a page of its own.
        for follower in 1..=2 {
            append(&world.log, message, std::slice::from_ref(&late)).await;
            world.catch_up().await;
            let status = world.views.status_of(View::Customer).await.unwrap();
            let parked = (status.parked[0].key, status.parked[0].events);
            assert_eq!((status.parked_keys, parked), (1, (message, 1 + follower)));
        }
    })
    .await;
}
