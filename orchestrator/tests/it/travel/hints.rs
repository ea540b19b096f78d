//! What is worth a look before its time, at an engine that leaves looks to others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use orchestrator::saga::definition::{Definition, Probe, Saga};
use orchestrator::saga::dispatch::Begins;
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::step::{Class, RetryPolicy, StepSpec};
use serde_json::Value;
use uuid::Uuid;

use super::desk::Desk;
use super::errands::Errands;
use crate::town::STUCK;

const HOUR: Duration = Duration::from_hours(1);

/// How long nobody can be asked.
const AWAY: chrono::Duration = chrono::Duration::seconds(1);

#[tokio::test]
async fn a_hint_that_nobody_else_can_be_told_of_is_followed_also_when_whom_to_ask_is_back() {
    let desk = Desk::open().await;
    let scan = StepSpec::awaiting("scan", Class::Retriable, RetryPolicy::new(HOUR, HOUR));
    let definition = Definition {
        forward: vec![scan],
        branches: Vec::new(),
        unwind: Vec::new(),
    };
    let mut errands = Errands::new(definition, &[]);
    errands.looks = |_| Probe::Done(Value::Null);
    errands.away_until = Mutex::new(Some(Utc::now() + HOUR));
    let errands = Arc::new(errands);
    let engine = |begins| {
        let saga = Arc::clone(&errands) as Arc<dyn Saga>;
        let options = Options {
            begins,
            ..Options::default()
        };
        Engine::new(desk.store.clone(), vec![saga], options).unwrap()
    };
    let back = engine(Begins::All);
    let id = Uuid::now_v7();
    let started = back.start("errands", id, Value::Null, Vec::new()).await;
    started.unwrap();
    assert!(back.drain(STUCK).await);
    let front = engine(Begins::Only(&[]));
    *errands.away_until.lock().unwrap() = Some(Utc::now() + AWAY);
    front.hint(id, "scan");
    // Whoever followed it would wake it.
    desk.comes_to("SagaCompleted").await;
    assert!(front.drain(STUCK).await);
}
