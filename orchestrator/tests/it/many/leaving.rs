//! What a process that is told to go leaves to the others at once: its turns, and the wake-ups in its hands.

use std::time::{Duration, Instant};

use orchestrator::bus::jetstream::{CONSUMER, STREAM};
use orchestrator::bus::wakeups::{ACK_WAIT, Delivery, Limits, Wakeups};
use orchestrator::saga::dispatch::Wakeup;
use rustix::process::Signal;
use serde_json::json;
use uuid::Uuid;

use super::crew::{Crew, NOBODY_IS_AWAY, counted, effects, held, setup};
use super::stopping::slow_order;
use crate::broker::nats::Release;
use crate::soak;
use crate::town::{Customers, STUCK, until};
use crate::wakeups::{connected, takes};

/// Everything that processes without `api` do.
const ALL: &str = "worker,projector,relay";

/// The turns that they take.
const TURNS: usize = 3;

/// Those who stand by ask every second or two, and on a busy machine somewhat later; the leases of sweeper and reconciler last 15 s.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);

/// With one call of a step in flight.
const HANDS: usize = 4;

/// Left unsaid, a wake-up would come again 7 s after its holder has gone, which said every 3 s that it was still at it.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(ACK_WAIT.as_secs() / 2);

/// Tells the first member to go, which it does in order.
async fn leaves(crew: &mut Crew) {
    let mut leaving = crew.members.remove(0).process;
    leaving.signal(Signal::TERM);
    assert_eq!(leaving.ended().await, Some(0), "{}", leaving.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_goes_gives_its_turns_back_and_another_has_them_at_once() {
    for release in soak::brokers(Release::Old) {
        gives_its_turns_back(release).await;
    }
}

async fn gives_its_turns_back(release: Release) {
    let setup = setup().shop(&["--reconcile-every", "1s"]);
    let mut crew = Crew::with_nats(release, setup).await;
    let (log, driver) = crew.log().await;
    crew.hire(ALL).await;
    let first = until("every turn is taken", STUCK, async || {
        let held = held(&log).await;
        (held.len() == TURNS).then_some(held)
    })
    .await;
    crew.town.shipped("before").await;
    crew.hire(ALL).await;
    leaves(&mut crew).await;
    let since = Instant::now();
    // Free, or another's by now.
    let after = held(&log).await;
    for (turn, owner) in &first {
        assert_ne!(after.get(turn), Some(owner), "{turn} was not given back");
    }
    until("every turn is taken over", STUCK, async || {
        (held(&log).await.len() == TURNS).then_some(())
    })
    .await;
    let took = since.elapsed();
    assert!(took < TAKEN_OVER_WITHIN, "{took:?}");
    // What the turns are for is done, and the views go on as well, for which there is no turn.
    let id = crew.town.shipped("after").await;
    crew.town
        .eventually(&format!("/mypages/{id}"), |row| {
            row["delivery"]["status"] == "Shipped"
        })
        .await;
    crew.published().await;
    driver.abort();
    crew.town.close(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_gives_back_the_wakeups_that_it_has_in_hand() {
    for release in Release::EACH {
        gives_back_what_it_has(release).await;
    }
}

async fn gives_back_what_it_has(release: Release) {
    // What waits for a provider that counts as away is put off, and in nobody's hands.
    let setup = setup()
        .shop(&NOBODY_IS_AWAY)
        .shop(&["--provider-concurrency", "1"]);
    let mut crew = Crew::with_nats(release, setup).await;
    // One parcel under way keeps all others of the worker waiting.
    let slow = json!([{ "port": "carrier", "op": "ship", "fault": "delay", "rate": 1.0, "delayMs": 3_000 }]);
    crew.town.faults(&slow).await;
    crew.hire(ALL).await;
    let mut orders = Vec::new();
    for nth in 0..HANDS + 2 {
        orders.push(crew.town.paid(&nth.to_string()).await);
    }
    let broker = connected(&crew.nats.url()).await;
    let stream = broker.jetstream().get_stream(STREAM).await;
    let stream = stream.expect("a stream");
    until("the worker has its hands full", STUCK, async || {
        let consumer = stream.consumer_info(CONSUMER).await.expect("a consumer");
        (consumer.num_ack_pending == HANDS).then_some(())
    })
    .await;
    leaves(&mut crew).await;
    // Nobody else is there: whoever comes now gets what the worker had.
    let next = Wakeups::jetstream(broker, None, Limits::default());
    takes(&next).await;
    let mut pulled: Vec<Delivery> = Vec::new();
    let given_back = async {
        while pulled.iter().filter(|it| it.attempt > 1).count() < HANDS {
            pulled.extend(next.pull(HANDS).await);
        }
    };
    let given_back = tokio::time::timeout(GIVEN_BACK_WITHIN, given_back).await;
    let attempts: Vec<u32> = pulled.iter().map(|it| it.attempt).collect();
    let consumer = stream.consumer_info(CONSUMER).await.expect("a consumer");
    assert!(
        given_back.is_ok(),
        "only {attempts:?} came in time; {} are in somebody's hands and {} wait",
        consumer.num_ack_pending,
        consumer.num_pending
    );
    for delivery in pulled {
        assert!(delivery.later(Duration::ZERO).await);
    }
    next.close().await;
    crew.town.heal().await;
    crew.hire(ALL).await;
    for order in &orders {
        crew.town.becomes(order, "Shipped").await;
    }
    let ledger = crew.town.ledger().await;
    let once = |count: &usize| *count == 1;
    assert!(effects(&ledger, "ship").values().all(once));
    crew.town.close(Vec::new()).await;
}

/// A broker that says nothing is given up on, several times, long before the grace is over.
const GONE_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_goes_does_not_wait_for_a_broker_that_says_nothing() {
    for release in soak::brokers(Release::Old) {
        leaves_a_silent_broker(release).await;
    }
}

async fn leaves_a_silent_broker(release: Release) {
    let mut crew = Crew::with_nats(release, setup()).await;
    crew.hire(ALL).await;
    crew.town.shipped("before").await;
    crew.nats.freeze();
    // Something to publish, to wake for and to relay.
    let order = crew.town.paid("meanwhile").await;
    let since = Instant::now();
    leaves(&mut crew).await;
    crew.town.shop.signal(Signal::TERM);
    let code = crew.town.shop.ended().await;
    assert_eq!(code, Some(0), "{}", crew.town.shop.lines());
    let took = since.elapsed();
    assert!(took < GONE_WITHIN, "{took:?}");
    crew.nats.thaw();
    crew.town.shop.start(&crew.town.http).await;
    crew.hire(ALL).await;
    crew.town.becomes(&order, "Shipped").await;
    crew.published().await;
    crew.town.close(Vec::new()).await;
}

/// Long enough that what comes before its end did not wait for it, and no reason for the one that goes to be cut off.
const SLOW: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_keeps_nothing_but_the_step_in_its_hand() {
    for release in soak::brokers(Release::New) {
        keeps_the_step_in_its_hand(release).await;
    }
}

async fn keeps_the_step_in_its_hand(release: Release) {
    let setup = setup().shop(&["--provider-concurrency", "1", "--provider-timeout", "20s"]);
    let mut crew = Crew::with_nats(release, setup).await;
    let slow = json!([{ "port": "carrier", "op": "ship", "fault": "delay", "rate": 1.0, "delayMs": SLOW.as_millis() }]);
    crew.town.faults(&slow).await;
    crew.hire(ALL).await;
    let order = crew.town.paid("slow").await;
    let mut leaving = crew.members.remove(0).process;
    until("a step in its hand", STUCK, async || {
        let name = "bookmarket_provider_calls_in_flight{";
        let calls = counted(&crew.town.http, &leaving.url, name, &["carrier"]).await;
        (calls > 0.0).then_some(())
    })
    .await;
    let since = Instant::now();
    let broker = connected(&crew.nats.url()).await;
    let stream = broker.jetstream().get_stream(STREAM).await;
    let stream = stream.expect("a stream");
    let next = Wakeups::jetstream(broker, None, Limits::default());
    takes(&next).await;
    leaving.signal(Signal::TERM);
    // Its last question is still open when it takes no more, and is answered with as much as it asked for.
    until("more than it asked for", STUCK, async || {
        assert!(next.publish(Wakeup::of(Uuid::now_v7())));
        let consumer = stream.consumer_info(CONSUMER).await.expect("a consumer");
        (consumer.num_pending > 1).then_some(())
    })
    .await;
    let mut pulled: Vec<Delivery> = Vec::new();
    until(
        "all but the one in its hand",
        GIVEN_BACK_WITHIN,
        async || {
            let pulling = next.pull(HANDS);
            pulled.extend(
                tokio::time::timeout(Duration::from_secs(1), pulling)
                    .await
                    .unwrap_or_default(),
            );
            let consumer = stream.consumer_info(CONSUMER).await.expect("a consumer");
            (consumer.num_pending == 0 && consumer.num_ack_pending == pulled.len() + 1)
                .then_some(())
        },
    )
    .await;
    let took = since.elapsed();
    assert!(took < SLOW, "{took:?}");
    assert_eq!(leaving.ended().await, Some(0), "{}", leaving.lines());
    for delivery in pulled {
        assert!(delivery.ack().await);
    }
    next.close().await;
    crew.hire(ALL).await;
    crew.town.becomes(&order, "Shipped").await;
    crew.town.close(Vec::new()).await;
}

/// Longer than another order takes from its door to its parcel, and no reason to be cut off.
const PAYING: Duration = Duration::from_secs(12);

/// What it is given to go.
const GRACE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_goes_pulls_on_until_its_last_command_is_answered() {
    for release in soak::brokers(Release::New) {
        pulls_on_until_the_last_answer(release).await;
    }
}

async fn pulls_on_until_the_last_answer(release: Release) {
    let setup = setup().shop(&["--provider-timeout", "15s", "--shutdown-grace", "20s"]);
    let mut crew = Crew::with_nats(release, setup).await;
    crew.hire("api,worker,projector,relay").await;
    let mut leaving = crew.members.remove(0).process;
    let http = crew.town.http.clone();
    let door = Customers::of(&http, &leaving.url);
    let token = format!("slow-{}", PAYING.as_millis());
    let paying = slow_order(&crew.town, &door, &token).await;
    leaving.signal(Signal::TERM);
    let told = Instant::now();
    let health = format!("{}/livez", leaving.url);
    until("a closed door", STUCK, async || {
        let answer = http.get(&health).send().await;
        answer.is_err().then_some(())
    })
    .await;
    // Taken by the other one, which ships nothing: it gets to the only worker through the queue.
    let order = crew.town.paid("meanwhile").await;
    until("a parcel of the order", PAYING, async || {
        let effects = crew.town.effects(&order).await;
        effects.iter().any(|op| op == "ship").then_some(())
    })
    .await;
    assert!(
        !paying.is_finished(),
        "the payment was to take longer than another order"
    );
    assert_eq!(paying.await.expect("no panic"), 201);
    // Nothing keeps it now, least of all what others take.
    let later = crew.town.paid("later").await;
    assert_eq!(leaving.ended().await, Some(0), "{}", leaving.lines());
    let took = told.elapsed();
    assert!(took < GRACE, "{took:?}");
    crew.hire(ALL).await;
    crew.town.becomes(&later, "Shipped").await;
    crew.town.close(Vec::new()).await;
}
