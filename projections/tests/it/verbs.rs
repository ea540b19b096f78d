//! What operators do about a view: retry, skip, pause and resume, as they stand in the log.

use aggregates::projection::{
    ParkedRetried, ParkedSkipped, ProjectionEvent, ProjectionPaused, ProjectionResumed,
};
use aggregates::{Event, codec, ids};
use chrono::{DateTime, Utc};
use eventstore::testing::{TestLog, each_backend};
use eventstore::{EventStore, Position};
use projections::customer::OrderStatus;
use projections::{Cause, LagReason, ParkedEvent, ProjectionState, Projections, View};
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::oracle::expected_without;
use crate::story::{Life, late_message, life, order_of};
use crate::world::{SOON, World, append, shown, stream_append};

/// Writes a verb to the log.
pub(crate) async fn say(log: &EventStore, view: View, verb: ProjectionEvent) -> Position {
    let event = Event::Projection(verb);
    let encoded = codec::encode(&event);
    let stream = ids::projection_id(view.as_str());
    let append = stream_append(
        "projection",
        stream,
        encoded.event_type,
        encoded.schema_version,
        encoded.data,
    );
    log.append(vec![append]).await.unwrap().last
}

fn now() -> DateTime<Utc> {
    aggregates::instant::to_millis(Utc::now())
}

fn words(view: View) -> [String; 3] {
    [view.as_str(), "because", "kim"].map(str::to_owned)
}

pub(crate) fn skipped(view: View, key: Uuid, position: Position) -> ProjectionEvent {
    let [view, reason, actor] = words(view);
    ProjectionEvent::Skipped(ParkedSkipped {
        view,
        key,
        position: position.0,
        reason,
        actor,
        at: now(),
    })
}

pub(crate) fn retried(view: View, key: Option<Uuid>) -> ProjectionEvent {
    let [view, reason, actor] = words(view);
    ProjectionEvent::Retried(ParkedRetried {
        view,
        key,
        reason,
        actor,
        at: now(),
    })
}

fn paused(view: View) -> ProjectionEvent {
    let [view, reason, actor] = words(view);
    ProjectionEvent::Paused(ProjectionPaused {
        view,
        reason,
        actor,
        at: now(),
    })
}

fn resumed(view: View) -> ProjectionEvent {
    let [view, reason, actor] = words(view);
    ProjectionEvent::Resumed(ProjectionResumed {
        view,
        reason,
        actor,
        at: now(),
    })
}

/// An event that no build knows.
async fn poison(log: &EventStore, category: &str, stream: Uuid) -> Position {
    let data = RawValue::from_string(String::from("{}")).unwrap();
    let event = stream_append(category, stream, "OrderTeleported", 1, data);
    log.append(vec![event]).await.unwrap().last
}

async fn parked(views: &Projections, view: View, key: Uuid) -> Vec<ParkedEvent> {
    views.parked_events(view, key, 1_000).await.unwrap()
}

/// A delivered order with a poison event in the middle of its life.
async fn sick_order(log: &EventStore, number: u64) -> (Uuid, Position) {
    let story = life(number, Life::Delivered);
    let (before, after) = story.appends.split_at(2);
    for events in before {
        append(log, story.order_id, events).await;
    }
    let poisoned = poison(log, "order", story.order_id).await;
    for events in after {
        append(log, story.order_id, events).await;
    }
    (story.order_id, poisoned)
}

/// Runs all views until `until` says so.
pub(crate) async fn running(views: &Projections, until: impl AsyncFn() -> bool) {
    let stop = CancellationToken::new();
    let runs = View::ALL.map(|view| {
        let (views, stop) = (views.clone(), stop.clone());
        tokio::spawn(async move { views.run(view, stop).await })
    });
    let reached = timeout(SOON, async {
        while !until().await {
            tokio::task::yield_now().await;
        }
    });
    reached.await.expect("it comes to that");
    stop.cancel();
    for run in runs {
        run.await.unwrap();
    }
}

#[tokio::test]
async fn a_skip_leaves_out_one_event_and_takes_what_follows_in_order_as_a_fresh_replay_does() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let (order, poisoned) = sick_order(&world.log, 1).await;
        world.live(2, Life::Delivered).await;
        world.catch_up().await;
        let row = world.views.customer_row(order).await.unwrap().unwrap();
        assert_eq!(row.status, OrderStatus::Paid, "as it was before the poison");

        say(
            &world.log,
            View::Customer,
            skipped(View::Customer, order, poisoned),
        )
        .await;
        world.catch_up().await;
        assert_eq!(parked(&world.views, View::Customer, order).await, []);
        let whole = expected_without(&world.log, &[poisoned]).await;
        assert_eq!(world.shown().await, whole);
        world.live(3, Life::Delivered).await;
        append(&world.log, order, &[late_message(1)]).await;
        world.catch_up().await;
        let whole = expected_without(&world.log, &[poisoned]).await;
        assert_eq!(world.shown().await, whole, "it goes on");

        let report = world.views.rebuild(View::Customer, |_| {}).await.unwrap();
        assert_eq!(report.parked_events, 0);
        assert_eq!(world.shown().await, whole, "rebuilt");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_set_free_although_a_stream_of_its_events_was_broken_later_on() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Open).await;
        let (order, told) = (order_of(1), late_message(1));
        // Placed twice, so its row stands still; what is told of it stands behind that.
        append(&world.log, order, &life(1, Life::Open).appends[0]).await;
        let stream = told.head().unwrap().id;
        append(&world.log, stream, &[told]).await;
        poison(&world.log, "kakao", stream).await;
        world.catch_up().await;
        let standing = parked(&world.views, View::Customer, order).await;
        let causes: Vec<_> = standing.iter().map(|it| it.cause).collect();
        assert_eq!(causes, [Some(Cause::Refused), Some(Cause::Follows)]);

        let verb = skipped(View::Customer, order, standing[0].position);
        say(&world.log, View::Customer, verb).await;
        world.catch_up().await;
        assert_eq!(parked(&world.views, View::Customer, order).await, []);
        let live = world.shown().await;
        world.views.rebuild(View::Customer, |_| {}).await.unwrap();
        assert_eq!(world.shown().await, live, "rebuilt");
    })
    .await;
}

#[tokio::test]
async fn a_skip_of_what_is_not_parked_or_of_another_view_does_nothing() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let (order, poisoned) = sick_order(&world.log, 1).await;
        world.catch_up().await;
        let before = parked(&world.views, View::Customer, order).await;
        let far = Position(poisoned.0 + 1_000);
        for (key, position) in [
            (order, far),
            (order_of(2), poisoned),
            (Uuid::nil(), Position(1)),
        ] {
            let verb = skipped(View::Customer, key, position);
            say(&world.log, View::Customer, verb).await;
        }
        let verb = skipped(View::Message, order, poisoned);
        say(&world.log, View::Message, verb).await;
        world.catch_up().await;
        assert_eq!(parked(&world.views, View::Customer, order).await, before);
        for view in View::ALL {
            let status = world.views.status_of(view).await.unwrap();
            assert_eq!(status.rebuild_wanted, None, "{view}");
            world.views.rebuild(view, |_| {}).await.unwrap();
        }
        assert_eq!(parked(&world.views, View::Customer, order).await, before);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_was_taken_before_it_was_left_out_is_left_out_by_folding_anew() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let story = life(1, Life::Delivered);
        world.live(1, Life::Delivered).await;
        append(&world.log, story.order_id, &[late_message(1)]).await;
        let taken = world.log.head().await.unwrap();
        world.catch_up().await;
        // A newer build had released it by the time that an operator said so.
        let verb = skipped(View::Customer, story.order_id, taken);
        say(&world.log, View::Customer, verb).await;
        world.catch_up().await;
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert!(status.rebuild_wanted.is_some());
        world.views.rebuild(View::Customer, |_| {}).await.unwrap();
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(status.rebuild_wanted, None);
        let whole = expected_without(&world.log, &[taken]).await;
        assert_eq!(world.shown().await.customers, whole.customers);
    })
    .await;
}

#[tokio::test]
async fn a_retry_that_cannot_help_leaves_all_parked_and_says_so_by_its_reason() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let (order, poisoned) = sick_order(&world.log, 1).await;
        let second = poison(&world.log, "payment", order).await;
        world.catch_up().await;
        let before = parked(&world.views, View::Customer, order).await;
        for key in [Some(order), None] {
            say(&world.log, View::Customer, retried(View::Customer, key)).await;
            world.catch_up().await;
            assert_eq!(parked(&world.views, View::Customer, order).await, before);
        }
        // Past the first one it goes up to the second, and no further.
        say(
            &world.log,
            View::Customer,
            skipped(View::Customer, order, poisoned),
        )
        .await;
        world.catch_up().await;
        let left = parked(&world.views, View::Customer, order).await;
        assert_eq!((left.len(), left[0].position), (1, second));
        assert_eq!(left[0].cause, Some(Cause::Unknown));
        let row = world.views.customer_row(order).await.unwrap().unwrap();
        assert_eq!(row.status, OrderStatus::Delivered);
        append(&world.log, order, &[late_message(1)]).await;
        world.catch_up().await;
        assert_eq!(parked(&world.views, View::Customer, order).await.len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_row_that_went_on_is_set_right_by_folding_the_view_anew() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let late = late_message(1);
        let message = late.head().unwrap().id;
        world.live(1, Life::Open).await;
        let poisoned = poison(&world.log, "kakao", message).await;
        append(&world.log, message, &[late]).await;
        // The order goes on, so the message is too late for its row.
        for events in &life(2, Life::Delivered).appends {
            append(&world.log, order_of(2), events).await;
        }
        world.catch_up().await;
        for view in [View::Customer, View::Message] {
            say(&world.log, view, skipped(view, message, poisoned)).await;
        }
        world.catch_up().await;
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert!(status.rebuild_wanted.is_some(), "{status:?}");
        assert_eq!(status.parked_keys, 1, "until then it stays parked");
        let status = world.views.status_of(View::Message).await.unwrap();
        assert_eq!((status.rebuild_wanted, status.parked_keys), (None, 0));

        running(&world.views, async || {
            let status = world.views.status_of(View::Customer).await.unwrap();
            status.rebuild_wanted.is_none() && status.parked_keys == 0
        })
        .await;
        let whole = expected_without(&world.log, &[poisoned]).await;
        assert_eq!(world.shown().await, whole);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_view_stands_still_shows_what_it_has_and_goes_on_when_resumed() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        let pause = say(&world.log, View::Customer, paused(View::Customer)).await;
        world.catch_up().await;
        let head = world.live(2, Life::Delivered).await;
        let is_paused = async || {
            let status = world.views.status_of(View::Customer).await.unwrap();
            status.state == ProjectionState::Paused && status.position == pause
        };
        running(&world.views, async || {
            is_paused().await && world.views.position(View::Message).await.unwrap() >= head
        })
        .await;
        // Whoever does not project it can tell, too; and a restart does not resume it.
        let status = world.views.status_of(View::Customer).await.unwrap();
        assert_eq!(status.lag_reason, Some(LagReason::Paused));
        assert_eq!(status.reason.as_deref(), Some("paused by kim: because"));
        running(&world.views, is_paused).await;
        assert!(
            world
                .views
                .customer_row(order_of(1))
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            world
                .views
                .customer_row(order_of(2))
                .await
                .unwrap()
                .is_none()
        );

        let resume = say(&world.log, View::Customer, resumed(View::Customer)).await;
        running(&world.views, async || {
            world.views.position(View::Customer).await.unwrap() == resume
        })
        .await;
        assert_eq!(
            shown(&world.views).await,
            expected_without(&world.log, &[]).await
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_of_a_newer_build_is_left_to_that_build() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let before = world.live(1, Life::Delivered).await;
        let data = RawValue::from_string(String::from("{}")).unwrap();
        let stream = ids::projection_id("customer");
        let verb = stream_append("projection", stream, "ParkedForgiven", 1, data);
        world.log.append(vec![verb]).await.unwrap();
        world.live(2, Life::Delivered).await;
        running(&world.views, async || {
            let status = world.views.status_of(View::Customer).await.unwrap();
            status.position == before
                && status.lag_reason == Some(LagReason::Failing)
                && status
                    .reason
                    .is_some_and(|why| why.contains("ParkedForgiven"))
        })
        .await;
    })
    .await;
}
