//! Writes a saga's events. An outcome in its hands gets into the log, whatever it takes: it is held in memory while the store is
//! away, and decided on anew whenever somebody else was faster.

use std::sync::Arc;
use std::time::Duration;

use aggregates::saga::SagaStarted;
use eventstore::{AppendError, EventStore, StreamAppend};
use uuid::Uuid;

use super::definition::Saga;
use super::draft::Draft;
use super::engine::{Inner, StartError};
use super::finding::Ended;
use super::meter;
use super::observer::Point;
use super::plan::Plan;
use super::start::Start;
use super::view::{LeftAlone, LoadError, Snapshot};

/// The pauses between tries while the store is away double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// A conflict on the saga's own stream is gone after reading it again. One that stays this often is on another stream, and
/// reading does not help: then what happened is kept and the rest left to a person.
const CONFLICTS_MAX: u32 = 8;

/// Says of a step that the plan would begin whether it begins now.
pub(super) type Admit<'a> = &'a mut (dyn FnMut(&'static str) -> bool + Send);

/// What came of writing.
pub(super) struct Written {
    /// What the plan is now.
    pub(super) plan: Plan,
    /// Attempts that are in the log as this engine's and have not been made.
    pub(super) starts: Vec<Start>,
}

pub(super) struct Writer {
    inner: Arc<Inner>,
    saga: Arc<dyn Saga>,
    pub(super) view: Snapshot,
    /// Attempts whose start may or may not be in the log.
    unsure: Vec<Start>,
}

/// How a write has fared so far.
#[derive(Default)]
struct Trouble {
    tries: u32,
    conflicts: u32,
    spoiled: Option<String>,
    reread: bool,
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>, saga: Arc<dyn Saga>, view: Snapshot) -> Self {
        Self {
            inner,
            saga,
            view,
            unsure: Vec::new(),
        }
    }

    /// Appends the start of a saga, once.
    pub(super) async fn open(
        &mut self,
        started: SagaStarted,
        domain: Vec<StreamAppend>,
        admit: Admit<'_>,
    ) -> Result<Written, StartError> {
        let (saga, view) = (Arc::clone(&self.saga), self.view.clone());
        let mut draft = Draft::new(saga.as_ref(), &view, started.at, fastrand::f64());
        let opening = Uuid::now_v7();
        draft.push(opening, started.into());
        let plan = draft.settle();
        let starts = self.begin(&mut draft, &plan, admit);
        let mut streams = domain;
        streams.extend(draft.record()?);
        match self.append(draft, streams).await {
            Ok(()) => return Ok(Written { plan, starts }),
            Err(AppendError::Conflict { .. }) => return Err(StartError::Exists),
            Err(AppendError::Unknown) => {}
            Err(error) => return Err(StartError::Append(error)),
        }
        match Snapshot::load(&self.inner.store, self.view.id).await {
            Ok((view, ids)) if ids.contains(&opening) => {
                self.view = view;
                Ok(Written { plan, starts })
            }
            Ok(_) => Err(StartError::Exists),
            Err(_) => Err(StartError::Append(AppendError::Unknown)),
        }
    }

    /// Appends the outcome, what follows from it, and the attempts that are admitted; returns when it is in the log.
    pub(super) async fn write(
        &mut self,
        mut ended: Option<Ended>,
        admit: Admit<'_>,
    ) -> Result<Written, LeftAlone> {
        let mut trouble = Trouble::default();
        let mut found = Vec::new();
        loop {
            let (saga, view) = (Arc::clone(&self.saga), self.view.clone());
            let mut draft = Draft::new(
                saga.as_ref(),
                &view,
                self.inner.clock.now(),
                fastrand::f64(),
            );
            if let Some(ended) = &ended {
                draft.outcome(ended);
            }
            let (plan, starts) = self.settle(&mut draft, trouble.spoiled.as_deref(), admit);
            if draft.events.is_empty() && ended.is_some() && !trouble.reread {
                // It says nothing to what is known here; whether it does to what is in the log is another matter.
                trouble.reread = true;
                found.extend(self.read_again().await?.1);
                continue;
            }
            if draft.events.is_empty() {
                return Ok(Written {
                    plan,
                    starts: found,
                });
            }
            let domain = match trouble.spoiled {
                Some(_) => Vec::new(),
                None => match draft.record() {
                    Ok(domain) => domain,
                    Err(error) => {
                        trouble.spoiled = Some(error.reason);
                        continue;
                    }
                },
            };
            match self.append(draft, domain).await {
                Ok(()) => {
                    self.unsure.clear();
                    found.extend(starts);
                    if trouble.spoiled.is_some() {
                        // What happened is kept; now the rest of the saga, without it.
                        (ended, trouble) = (None, Trouble::default());
                        continue;
                    }
                    return Ok(Written {
                        plan,
                        starts: found,
                    });
                }
                Err(error) => {
                    self.unsure.extend(starts);
                    found.extend(self.recover(error, &mut trouble, &mut ended).await?);
                }
            }
        }
    }

    /// What follows from the outcome, and what begins; if its domain events cannot be stored, only that a person has to look at it.
    fn settle(
        &self,
        draft: &mut Draft<'_>,
        spoiled: Option<&str>,
        admit: Admit<'_>,
    ) -> (Plan, Vec<Start>) {
        if let Some(reason) = spoiled {
            draft.spoil(reason);
            return (Plan::default(), Vec::new());
        }
        let plan = draft.settle();
        let starts = self.begin(draft, &plan, admit);
        if starts.len() < plan.begin.len() && self.inner.stopping.is_cancelled() {
            draft.leave_to_others();
        }
        (plan, starts)
    }

    /// Reads the log again.
    pub(super) async fn reload(&mut self) -> Result<(), LeftAlone> {
        self.read_again().await?;
        Ok(())
    }

    async fn recover(
        &mut self,
        error: AppendError,
        trouble: &mut Trouble,
        ended: &mut Option<Ended>,
    ) -> Result<Vec<Start>, LeftAlone> {
        trouble.tries += 1;
        let version = self.view.version;
        let conflict = matches!(error, AppendError::Conflict { .. });
        match error {
            AppendError::Conflict { .. } => meter::conflict(self.saga.name()),
            AppendError::Invalid(invalid) if trouble.spoiled.is_none() => {
                trouble.spoiled = Some(invalid.to_string());
                return Ok(Vec::new());
            }
            error => {
                meter::append_retry(self.saga.name());
                tracing::warn!(saga = %self.view.id, tries = trouble.tries, %error, "holding what happened until it can be stored");
                pause(trouble.tries).await;
            }
        }
        let (ids, found) = self.read_again().await?;
        if ended
            .as_ref()
            .is_some_and(|ended| ids.contains(&ended.event_id))
        {
            *ended = None;
        }
        if conflict && self.view.version == version {
            trouble.conflicts += 1;
            pause(trouble.conflicts).await;
            if trouble.conflicts >= CONFLICTS_MAX && trouble.spoiled.is_none() {
                trouble.spoiled = Some(
                    "the domain events conflict with a stream that is not the saga's".to_owned(),
                );
            }
        }
        Ok(found)
    }

    async fn read_again(&mut self) -> Result<(Vec<Uuid>, Vec<Start>), LeftAlone> {
        let (view, ids) = load(&self.inner.store, self.view.id).await?;
        self.view = view;
        let (found, unsure) = std::mem::take(&mut self.unsure)
            .into_iter()
            .partition(|start| ids.contains(&start.event_id));
        self.unsure = unsure;
        Ok((ids, found))
    }

    fn begin(&self, draft: &mut Draft<'_>, plan: &Plan, admit: Admit<'_>) -> Vec<Start> {
        let mut starts = Vec::new();
        for begin in &plan.begin {
            if let Some(spec) = self.saga.definition().step(begin.step)
                && admit(spec.name)
            {
                starts.push(draft.begin(spec, *begin, self.inner.owner));
            }
        }
        starts
    }

    async fn append(
        &mut self,
        draft: Draft<'_>,
        domain: Vec<StreamAppend>,
    ) -> Result<(), AppendError> {
        let streams = draft.streams(domain);
        let (state, events) = (Arc::new(draft.state), draft.events);
        self.observe(|| Point::Appending(events.clone())).await;
        let appended = self.inner.store.append(streams.clone()).await?;
        self.observe(|| Point::Appended(events.clone())).await;
        meter::appended(self.saga.name(), &events);
        self.view.absorb(state, streams, &appended);
        Ok(())
    }

    async fn observe(&self, point: impl FnOnce() -> Point) {
        if let Some(observer) = &self.inner.observer {
            observer.reached(self.view.id, point()).await;
        }
    }
}

/// Reads a saga, however long the store is away; with the ids of its own events.
pub(super) async fn load(store: &EventStore, id: Uuid) -> Result<(Snapshot, Vec<Uuid>), LeftAlone> {
    let mut tries = 0;
    loop {
        match Snapshot::load(store, id).await {
            Ok(loaded) => return Ok(loaded),
            Err(LoadError::LeftAlone(left)) => return Err(left),
            Err(LoadError::Read(error)) => {
                tries += 1;
                tracing::warn!(saga = %id, tries, %error, "cannot read the saga's events");
                pause(tries).await;
            }
        }
    }
}

async fn pause(tries: u32) {
    let doubled = FIRST_PAUSE
        .saturating_mul(1 << tries.saturating_sub(1).min(16))
        .min(LAST_PAUSE);
    tokio::time::sleep(doubled.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
}
