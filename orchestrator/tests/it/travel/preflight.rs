//! An older version of a saga still runs when a new build comes.

use std::sync::Arc;
use std::time::Duration;

use aggregates::saga::{Phase, SagaCompleted, SagaEvent, StepSkipped, encode};
use chrono::Utc;
use eventstore::{Expected, NewEvent, Position, StreamAppend, StreamId};
use orchestrator::saga::definition::Saga;
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::preflight::{Cannot, Known, Progress, Report, preflight};
use orchestrator::saga::view::{LeftAlone, LoadError, SAGA};
use serde_json::Value;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::desk::Desk;
use super::trip::Trip;

async fn check(desk: &Desk, known: &[Known]) -> Report {
    preflight(&desk.store, known, |_| {}).await.unwrap()
}

fn first(desk: &Desk) -> Known {
    Known::of(&Trip::new(Arc::clone(&desk.agency)))
}

fn second(desk: &Desk) -> Known {
    Known::of(&Trip::second(Arc::clone(&desk.agency)))
}

/// Writes straight into a saga's log what its own rules would not.
async fn write(desk: &Desk, id: Uuid, event_type: &'static str, event: &SagaEvent) {
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: event_type.into(),
        schema_version: 1,
        data: encode(event).unwrap(),
        metadata: to_raw_value(&Value::Object(serde_json::Map::new())).unwrap(),
    };
    let append = StreamAppend {
        stream: StreamId::new(SAGA.clone(), id),
        expected: Expected::Any,
        events: vec![event],
    };
    desk.store.append(vec![append]).await.unwrap();
}

fn why(report: &Report) -> &Cannot {
    assert_eq!((report.running, report.stuck), (1, 1));
    &report.listed[0].why
}

#[tokio::test]
async fn a_build_without_the_version_that_runs_says_so_and_leaves_it_alone() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    desk.engine.drain(Duration::from_secs(5)).await;
    let report = check(&desk, &[second(&desk)]).await;
    let expected = LeftAlone::UnknownSaga {
        saga: "trip".to_owned(),
        version: 1,
    };
    assert_eq!(*why(&report), Cannot::Run(expected.clone()));
    assert_eq!(
        (report.listed[0].id, report.listed[0].step.as_deref()),
        (id, Some("board"))
    );

    let newer: Arc<dyn Saga> = Arc::new(Trip::second(Arc::clone(&desk.agency)));
    let engine = Engine::new(desk.store.clone(), vec![newer], Options::default()).unwrap();
    let left = engine.follow(id).await;
    assert!(matches!(left, Err(LoadError::LeftAlone(left)) if left == expected));
}

#[tokio::test]
async fn a_build_with_both_versions_finishes_the_old_one_and_starts_new_ones() {
    let desk = Desk::open().await;
    let id = desk.booked().await;
    desk.engine.drain(Duration::from_secs(5)).await;
    let report = check(&desk, &[second(&desk), first(&desk)]).await;
    assert_eq!((report.running, report.stuck), (1, 0));

    let both: Vec<Arc<dyn Saga>> = vec![
        Arc::new(Trip::new(Arc::clone(&desk.agency))),
        Arc::new(Trip::second(Arc::clone(&desk.agency))),
    ];
    let engine = Engine::new(desk.store.clone(), both, Options::default()).unwrap();
    let young = Uuid::now_v7();
    let started = engine.start("trip", young, Value::Null, Vec::new());
    drop(started.await.unwrap());
    for (trip, version) in [(id, 1), (young, 2)] {
        let mut running = engine.follow(trip).await.unwrap();
        let mut hints = tokio::time::interval(Duration::from_millis(5));
        let end = loop {
            tokio::select! {
                end = running.wait_for(|now| now.state.is_finished()) => break end.unwrap(),
                _ = hints.tick() => engine.hint(trip, "board"),
            }
        };
        assert_eq!(
            (end.state.phase, end.state.version),
            (Phase::Completed, version)
        );
        assert_eq!(desk.agency.dossier(trip).count("insurance"), version - 1);
    }
    let report = check(&desk, &[]).await;
    assert_eq!((report.running, report.stuck), (0, 0));
}

#[tokio::test]
async fn a_step_that_this_build_does_not_have_is_found() {
    let desk = Desk::open().await;
    desk.booked().await;
    let mut known = first(&desk);
    known.definition.branches.clear();
    let report = check(&desk, &[known]).await;
    let said = why(&report).to_string();
    assert_eq!(said, "saga trip version 1 has no step mail in this build");
}

#[tokio::test]
async fn events_that_this_build_cannot_read_are_found_whatever_they_are() {
    let skipped = || {
        SagaEvent::from(StepSkipped {
            step: "yacht".to_owned(),
            reason: String::new(),
            actor: String::new(),
            at: Utc::now(),
        })
    };
    let completed = SagaEvent::from(SagaCompleted { at: Utc::now() });
    for (name, event, says) in [
        ("StepHopped", skipped(), "does not know event StepHopped"),
        ("StepSkipped", skipped(), "cannot follow"),
        ("StepSkipped", completed, "cannot be read"),
    ] {
        let desk = Desk::open().await;
        let id = desk.booked().await;
        desk.engine.halt();
        write(&desk, id, name, &event).await;
        let report = check(&desk, &[first(&desk)]).await;
        let said = why(&report).to_string();
        assert!(said.contains(says), "{said}");
    }
}

#[tokio::test]
async fn domain_events_that_this_build_cannot_read_are_found() {
    let desk = Desk::open().await;
    desk.booked().await;
    let known = Known {
        reads: |history| {
            let reason = format!("{} notes in a strange hand", history.events().count());
            Err(orchestrator::saga::definition::RecordError { reason })
        },
        ..first(&desk)
    };
    let report = check(&desk, &[known]).await;
    let said = why(&report).to_string();
    assert!(said.ends_with("notes in a strange hand"), "{said}");
}

#[tokio::test]
async fn progress_goes_through_the_log_and_then_through_the_sagas() {
    let desk = Desk::open().await;
    desk.booked().await;
    let mut seen = Vec::new();
    let known = [first(&desk)];
    let report = preflight(&desk.store, &known, |progress| seen.push(progress));
    let head = report.await.unwrap().position;
    assert!(head > Position::ZERO);
    assert_eq!(
        seen,
        [
            Progress::Looking {
                position: head,
                head
            },
            Progress::Folding { done: 1, of: 1 },
        ]
    );
}
