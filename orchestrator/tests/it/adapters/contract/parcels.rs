//! Parcels and messages, and answers that are none.

use super::*;

#[tokio::test]
async fn answers_that_are_none_are_unknown_from_every_provider() {
    for fault in ["garbage", "html", "huge", "drip"] {
        let world = World::with(Duration::from_hours(1), SHORT).await;
        let order = Uuid::now_v7();
        for (port, op) in [
            ("payment", "charge"),
            ("carrier", "ship"),
            ("kakao", "send"),
        ] {
            world.fault(port, op, fault, Value::Null).await;
            let answer = match port {
                "payment" => word(&world.toss.charge(charge(order, "pk_none")).await).to_owned(),
                "carrier" => word(&world.carrier.ship(shipment(order)).await).to_owned(),
                _ => word(&world.solapi.send(message()).await).to_owned(),
            };
            // What was charged all the same may be found by the look that follows.
            assert!(
                matches!(answer.as_str(), "unknown" | "done"),
                "{port} {fault}: {answer}"
            );
            assert!(
                port == "payment" || answer == "unknown",
                "{port} {fault}: {answer}"
            );
        }
        world.server.stop().await;
    }
}

#[tokio::test]
async fn a_parcel_is_accepted_held_and_canceled_under_its_keys_and_listed() {
    let (world, order) = (World::open().await, Uuid::now_v7());
    let carrier = &world.carrier;
    let ship = format!("{order}:ship");
    assert_eq!(carrier.probe(order, &ship).await, Found::Nothing);
    let label = world.label(order).await;
    assert_eq!(world.label(order).await, label);
    assert_eq!(
        carrier.probe(order, &ship).await,
        Found::Done(label.clone())
    );
    assert_eq!(carrier.hold(order, "h").await, Answer::Done(()));
    assert_eq!(carrier.probe_hold(order, "h").await, Found::Done(()));
    assert_eq!(carrier.cancel(order, "c").await, Answer::Done(()));
    assert_eq!(carrier.hold(order, "h").await, Answer::Done(()));
    assert_eq!(carrier.probe_cancel(order, "c").await, Found::Done(()));
    assert_eq!(
        word(&carrier.hold(Uuid::now_v7(), "other").await),
        "no-such-parcel"
    );
    assert_eq!(word(&carrier.hold(order, "later").await), "done");
    assert_eq!(carrier.probe_hold(order, "later").await, Found::Done(()));

    let since = Utc::now() - chrono::Duration::hours(1);
    let Found::Done(page) = carrier.records(since, None).await else {
        panic!("no list");
    };
    assert_eq!(page.records.len(), 1);
    let record = &page.records[0];
    assert_eq!(
        (&record.label, record.state),
        (&label, ParcelState::Canceled)
    );
    assert_eq!(record.order_id, order.to_string());
    world.server.stop().await;
}

#[tokio::test]
async fn scans_are_found_under_the_label_and_end_what_can_be_held() {
    let world = World::with(Duration::from_millis(50), PATIENCE).await;
    let order = Uuid::now_v7();
    let label = world.label(order).await;
    let delivered = async {
        loop {
            match world.carrier.track(order, &label, Utc::now()).await {
                Found::Done(seen) if seen.delivered_at.is_some() => return seen,
                Found::Done(_) | Found::Nothing => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, delivered)
        .await
        .expect("a van comes");
    assert!(seen.handed_over_at <= seen.delivered_at && seen.handed_over_at.is_some());
    assert_eq!(
        word(&world.carrier.hold(order, "late").await),
        "handed-over"
    );
    world.server.stop().await;
}

#[tokio::test]
async fn a_message_is_sent_found_by_its_number_and_by_our_id() {
    let world = World::open().await;
    let id = message().message_id;
    assert_eq!(
        world.solapi.lookup(id, message().phone.as_deref()).await,
        Found::Nothing
    );
    let Answer::Done(accepted) = world.solapi.send(message()).await else {
        panic!("it was not accepted");
    };
    for phone in [message().phone, None] {
        let found = world.solapi.lookup(id, phone.as_deref()).await;
        assert_eq!(found, Found::Done(accepted.clone()));
    }
    assert_eq!(
        world.solapi.lookup(Uuid::now_v7(), None).await,
        Found::Nothing
    );
    world.fault("kakao", "send", "refuse", json!("3104")).await;
    assert_eq!(word(&world.solapi.send(message()).await), "solapi-3104");
    world.server.stop().await;
}
