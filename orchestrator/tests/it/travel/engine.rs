//! What the engine promises besides: sweeping, stopping, verbs, and what it does not touch.

use std::sync::Arc;
use std::time::Duration;

use aggregates::saga::{Phase, Status, Verdict};
use eventstore::Position;
use orchestrator::saga::RECORD_FAILED;
use orchestrator::saga::engine::{Engine, Options, StartError};
use orchestrator::saga::index::LogIndex;
use orchestrator::saga::sweeper::{Pace, Sweeper};
use orchestrator::saga::verbs::{Cancel, Finding, VerbError};
use orchestrator::saga::view::{LeftAlone, LoadError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::desk::{Desk, request};
use super::trip::Trip;
use crate::town::STUCK;

#[tokio::test]
async fn a_saga_costs_one_append_per_outcome() {
    let desk = Desk::open().await;
    let before = desk.store.stats().appends;
    desk.booked().await;
    // The start, and one for each of deposit, hotel, seat, flight and mail.
    assert_eq!(desk.store.stats().appends - before, 6);
}

#[tokio::test]
async fn the_sweeper_wakes_what_a_stopped_engine_left_behind() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    assert!(desk.engine.drain(STUCK).await);
    desk.engine.cancel(id, &request()).await.unwrap();

    let other = Desk::engine(&desk.store, &desk.agency);
    let index = Arc::new(LogIndex::new(desk.store.clone(), Position::ZERO));
    let pace = Pace {
        grace: Duration::ZERO,
        ..Pace::default()
    };
    let mut sweeper = Sweeper::new(desk.store.clone(), other.clone(), index, pace);
    let sweep = sweeper.sweep().await.unwrap();
    assert_eq!((sweep.woken, sweep.wedged), (vec![id], 0));
    let mut running = other.follow(id).await.unwrap();
    let rest = running.wait_for(|now| now.state.is_finished()).await;
    assert_eq!(rest.unwrap().state.phase, Phase::Unwound);
    assert!(sweeper.sweep().await.unwrap().woken.is_empty());
}

#[tokio::test]
async fn a_wakeup_is_heeded_also_while_somebody_starts_the_saga_once_more() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    assert!(desk.engine.drain(STUCK).await);
    desk.engine.cancel(id, &request()).await.unwrap();
    let other = Desk::engine(&desk.store, &desk.agency);
    let again = other.start("trip", id, Value::Null, Vec::new());
    // The start has its place among those who run by then, and has not seen the log yet.
    let (again, ()) = tokio::join!(again, async { other.wake(id) });
    assert!(matches!(again, Err(StartError::Exists)), "{again:?}");
    // Whoever followed it would wake it.
    desk.comes_to("SagaUnwound").await;
}

#[tokio::test]
async fn a_hint_is_looked_at_before_it_is_due() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    let mut running = desk.engine.follow(id).await.unwrap();
    desk.engine.hint(id, "board");
    desk.engine.hint(id, "board");
    let mut hints = tokio::time::interval(Duration::from_millis(20));
    let end = loop {
        tokio::select! {
            end = running.wait_for(|now| now.state.is_finished()) => break end.unwrap(),
            _ = hints.tick() => desk.engine.hint(id, "board"),
        }
    };
    assert_eq!(end.state.phase, Phase::Completed);
    let late = desk.engine.cancel(id, &request()).await.unwrap();
    assert!(matches!(late, Cancel::Refused { .. }));
}

#[tokio::test]
async fn verbs_are_refused_where_they_do_not_apply() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    let engine = &desk.engine;
    let skip = engine.skip(id, "hotel", &request()).await;
    assert!(matches!(skip, Err(VerbError::NotApplicable { .. })));
    let retry = engine.retry(id, "hotel", &request()).await;
    assert!(matches!(retry, Err(VerbError::NotApplicable { .. })));
    let unknown = engine.retry(id, "yacht", &request()).await;
    assert_eq!(unknown, Err(VerbError::NoSuchStep("yacht".to_owned())));
    let boarded = Finding {
        outcome: Verdict::Done,
        evidence: json!({ "gate": 7 }),
        force: false,
    };
    let resolve = engine.resolve(id, "board", boarded, &request()).await;
    assert!(matches!(resolve, Err(VerbError::NotConfirmed(_))));
}

#[tokio::test]
async fn what_a_person_resolves_by_force_counts() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    let boarded = Finding {
        outcome: Verdict::Done,
        evidence: json!({ "gate": 7 }),
        force: true,
    };
    let request = request();
    let resolved = desk.engine.resolve(id, "board", boarded, &request);
    resolved.await.unwrap();
    let mut running = desk.engine.follow(id).await.unwrap();
    let end = running
        .wait_for(|now| now.state.is_finished())
        .await
        .unwrap();
    assert_eq!(end.state.status(), Status::Completed);
    assert_eq!(end.state.output("board"), Some(&json!({ "gate": 7 })));
}

#[tokio::test]
async fn a_saga_that_this_build_does_not_know_is_left_alone() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    let stranger = Engine::new(desk.store.clone(), Vec::new(), Options::default()).unwrap();
    let left = stranger.follow(id).await;
    assert!(matches!(
        left,
        Err(LoadError::LeftAlone(LeftAlone::UnknownSaga { .. }))
    ));
    let nobody = stranger.cancel(Uuid::now_v7(), &request()).await;
    assert_eq!(nobody, Err(VerbError::LeftAlone(LeftAlone::NotFound)));
}

#[tokio::test]
async fn an_effect_whose_events_cannot_be_made_is_kept_and_left_to_a_person() {
    let desk = Desk::open().await;
    let trip = Trip::new(Arc::clone(&desk.agency)).unrecordable("hotel");
    let engine = Engine::new(desk.store.clone(), vec![Arc::new(trip)], Options::default());
    let id = Uuid::now_v7();
    let started = engine
        .unwrap()
        .start("trip", id, Value::Null, Vec::new())
        .await;
    let mut running = started.unwrap();
    let rest = running
        .wait_for(|now| now.state.is_at_rest())
        .await
        .unwrap();
    let hotel = rest.state.step("hotel").unwrap();
    assert!(hotel.is_done());
    assert_eq!(hotel.parked.as_ref().unwrap().code, RECORD_FAILED);
    assert_eq!(rest.state.status(), Status::Parked);
    assert_eq!(desk.agency.dossier(id).count("seat"), 0);
}
