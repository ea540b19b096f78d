//! A saga whose steps do as they are told: held until somebody lets them go, or never answered.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::StreamAppend;
use futures_util::future::BoxFuture;
use orchestrator::saga::definition::{
    Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use orchestrator::saga::history::History;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::town::STUCK;

pub(super) struct Errands {
    definition: Definition,
    /// Held until they are let go, one call at a time; all others are done at once.
    held: HashMap<&'static str, Semaphore>,
    /// Nobody ever answers these.
    pub(super) silent: Vec<&'static str>,
    /// What a look finds, by how long the saga has run.
    pub(super) looks: fn(Duration) -> Probe,
    /// Nobody is asked before.
    pub(super) away_until: Mutex<Option<DateTime<Utc>>>,
    /// Calls that have begun.
    begun: watch::Sender<Vec<(Uuid, &'static str)>>,
}

impl Errands {
    pub(super) fn new(definition: Definition, held: &[&'static str]) -> Self {
        Self {
            definition,
            held: held.iter().map(|step| (*step, Semaphore::new(0))).collect(),
            silent: Vec::new(),
            looks: |_| Probe::NotFound,
            away_until: Mutex::default(),
            begun: watch::Sender::default(),
        }
    }

    /// Lets one call of that step go on.
    pub(super) fn let_go(&self, step: &str) {
        self.held[step].add_permits(1);
    }

    /// Waits until so many calls of that step have begun; whose.
    pub(super) async fn begun(&self, step: &str, count: usize) -> Vec<Uuid> {
        let of = |begun: &Vec<(Uuid, &'static str)>| {
            let own = begun.iter().filter(|(_, name)| *name == step);
            own.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let mut seen = self.begun.subscribe();
        let enough = seen.wait_for(|begun| of(begun).len() >= count);
        let found = tokio::time::timeout(STUCK, enough).await;
        of(&found.expect("it never began").expect("errands are there"))
    }

    /// How many calls of that step have begun so far.
    pub(super) fn count(&self, step: &str) -> usize {
        let begun = self.begun.borrow();
        begun.iter().filter(|(_, name)| *name == step).count()
    }
}

impl Saga for Errands {
    fn name(&self) -> &'static str {
        "errands"
    }

    fn version(&self) -> u32 {
        1
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        self.begun
            .send_modify(|begun| begun.push((call.saga_id, call.step)));
        Box::pin(async move {
            if self.silent.contains(&call.step) {
                let reason = "nobody answers".to_owned();
                return Outcome::Unknown { reason };
            }
            if let Some(held) = self.held.get(call.step) {
                held.acquire().await.expect("it is never closed").forget();
            }
            Outcome::Done(Value::Null)
        })
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        let runs_until = call.deadline - call.state.started_at;
        let found = (self.looks)(runs_until.to_std().unwrap_or_default());
        Box::pin(async move { found })
    }

    fn paused_until(&self, _saga_id: Uuid, _step: &'static str) -> Option<DateTime<Utc>> {
        let until = *self.away_until.lock().expect("not poisoned");
        until.filter(|until| Utc::now() < *until)
    }

    fn record(
        &self,
        _history: &History,
        _transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        Ok(Vec::new())
    }
}
