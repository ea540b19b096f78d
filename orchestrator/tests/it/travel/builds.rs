//! Two builds on one log, of which one knows a saga that the other does not.

use std::sync::Arc;

use orchestrator::bus::attendant;
use orchestrator::bus::wakeups::Wakeups;
use orchestrator::saga::definition::Saga;
use orchestrator::saga::dispatch::{Begins, Wakeup};
use orchestrator::saga::engine::{Engine, Options};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::desk::Desk;
use super::trip::Trip;
use crate::town::{STUCK, until};

/// An engine of the build before, which knows the first version only, on the log of an agency that books by the second.
async fn old_and_new() -> (Desk, Engine, Engine) {
    let desk = Desk::open().await;
    let old = Desk::engine(&desk.store, &desk.agency);
    let both: Vec<Arc<dyn Saga>> = vec![
        Arc::new(Trip::new(Arc::clone(&desk.agency))),
        Arc::new(Trip::second(Arc::clone(&desk.agency))),
    ];
    let new = Engine::new(desk.store.clone(), both, Options::default()).unwrap();
    (desk, old, new)
}

/// A trip by the second version that nobody works on.
async fn left_lying(desk: &Desk) -> Uuid {
    let second: Arc<dyn Saga> = Arc::new(Trip::second(Arc::clone(&desk.agency)));
    let options = Options {
        begins: Begins::Only(&[]),
        ..Options::default()
    };
    let front = Engine::new(desk.store.clone(), vec![second], options).unwrap();
    let id = Uuid::now_v7();
    let started = front.start("trip", id, Value::Null, Vec::new()).await;
    drop(started.expect("it starts"));
    front.halt();
    id
}

async fn left_alone(engine: &Engine) {
    until("what it does not understand", STUCK, async || {
        (engine.left_alone() > 0).then_some(())
    })
    .await;
}

/// Booked once, by an engine that can.
async fn booked_by(desk: &Desk, new: &Engine, id: Uuid) {
    let agency = Arc::clone(&desk.agency);
    until("everything is booked", STUCK, async || {
        (agency.dossier(id).count("mail") > 0).then_some(())
    })
    .await;
    let mut running = new.follow(id).await.expect("it is there");
    let booked = running.wait_for(|now| now.state.step("board").is_some());
    let booked = tokio::time::timeout(STUCK, booked).await;
    assert!(booked.expect("it is booked").is_some());
    for effect in ["insurance", "deposit", "hotel", "seat", "flight", "mail"] {
        assert_eq!(desk.agency.dossier(id).count(effect), 1, "{effect}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wakeup_that_comes_to_a_build_that_does_not_know_the_saga_is_left_to_one_that_does() {
    let (desk, old, new) = old_and_new().await;
    let wakeups = Wakeups::local();
    let attend = |engine: &Engine| {
        let (engine, wakeups) = (engine.clone(), wakeups.clone());
        tokio::spawn(attendant::attend(
            engine,
            wakeups,
            4,
            CancellationToken::new(),
        ))
    };
    attend(&old);
    let id = left_lying(&desk).await;
    // Once, and nobody sweeps.
    assert!(wakeups.publish(Wakeup::of(id)));
    left_alone(&old).await;
    attend(&new);
    booked_by(&desk, &new, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweeper_that_does_not_know_a_saga_lets_one_that_does_have_its_turn() {
    let (desk, old, new) = old_and_new().await;
    let stop = CancellationToken::new();
    let id = left_lying(&desk).await;
    let first = desk.sweep(&old, stop.clone());
    left_alone(&old).await;
    let second = desk.sweep(&new, stop.clone());
    booked_by(&desk, &new, id).await;
    stop.cancel();
    first.await.expect("no panic");
    second.await.expect("no panic");
}
