//! What one saga has in flight, and the permits it may begin more with.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::definition::Saga;
use super::engine::Inner;

pub(super) struct Desk {
    inner: Arc<Inner>,
    saga: Arc<dyn Saga>,
    id: Uuid,
    busy: Vec<&'static str>,
    held: Vec<(&'static str, OwnedSemaphorePermit)>,
    /// Steps that could begin if they had a permit.
    starved: Vec<&'static str>,
    /// Steps that could begin, but not here.
    foreign: Vec<&'static str>,
    /// Steps of others, none of whom can be told that they are worth a look.
    lent: Vec<String>,
    /// The earliest time at which a participant that is away may be tried again.
    paused_until: Option<DateTime<Utc>>,
}

impl Desk {
    pub(super) fn new(inner: Arc<Inner>, saga: Arc<dyn Saga>, id: Uuid) -> Self {
        Self {
            inner,
            saga,
            id,
            busy: Vec::new(),
            held: Vec::new(),
            starved: Vec::new(),
            foreign: Vec::new(),
            lent: Vec::new(),
            paused_until: None,
        }
    }

    /// Forgets what was in the way last time.
    pub(super) fn clear(&mut self) {
        self.starved.clear();
        self.foreign.clear();
        self.paused_until = None;
    }

    /// Whether a call of this step may begin now; keeps its permit until it does.
    pub(super) fn admit(&mut self, step: &'static str) -> bool {
        if self.busy.contains(&step) {
            return false;
        }
        // An engine that stops leaves what it does not begin to those that go on.
        if self.inner.stopping.is_cancelled() || !self.begins(step) {
            self.foreign.push(step);
            return false;
        }
        let held = self.held.iter().any(|(held, _)| *held == step);
        let free = self
            .semaphore(step)
            .and_then(|permits| permits.try_acquire_owned().ok());
        if !held && free.is_none() {
            self.starved.push(step);
            return false;
        }
        // Asked last: leave to try a participant is given to few, and only to those who can begin.
        if let Some(until) = self.saga.paused_until(self.id, step) {
            self.paused_until = Some(self.paused_until.map_or(until, |before| before.min(until)));
            return false;
        }
        if let (false, Some(permit)) = (held, free) {
            self.held.push((step, permit));
        }
        true
    }

    /// Calls of these may begin here as well, once each.
    pub(super) fn lend(&mut self, steps: Vec<String>) {
        self.lent.extend(steps);
    }

    /// Takes back what is not worth a look any more.
    pub(super) fn keep_lent(&mut self, is_hinted: impl Fn(&str) -> bool) {
        self.lent.retain(|lent| is_hinted(lent));
    }

    /// Whether calls of this step begin here.
    pub(super) fn begins(&self, step: &str) -> bool {
        self.inner.begins.includes(step) || self.lent.iter().any(|lent| lent == step)
    }

    /// The call begins: it takes the permit along.
    pub(super) fn begin(&mut self, step: &'static str) -> Option<OwnedSemaphorePermit> {
        let index = self.held.iter().position(|(held, _)| *held == step)?;
        self.busy.push(step);
        self.lent.retain(|lent| lent != step);
        Some(self.held.swap_remove(index).1)
    }

    /// Whether a call of this step is in flight.
    pub(super) fn is_busy(&self, step: &str) -> bool {
        self.busy.contains(&step)
    }

    pub(super) fn ended(&mut self, step: &'static str) {
        self.busy.retain(|busy| *busy != step);
    }

    /// Gives back what was not begun with.
    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    pub(super) fn is_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    /// Whether there is work that only others begin.
    pub(super) fn has_foreign(&self) -> bool {
        !self.foreign.is_empty()
    }

    pub(super) fn paused_until(&self) -> Option<DateTime<Utc>> {
        self.paused_until
    }

    /// Resolves when one of the starved steps has its permit; for ever pending if none is starved. Each kind is waited for: one that
    /// is used up must not keep another from going on.
    pub(super) fn permit(
        &self,
    ) -> impl Future<Output = (&'static str, OwnedSemaphorePermit)> + use<> {
        let wanted = self.starved.iter();
        let mut permits: FuturesUnordered<_> = wanted
            .filter_map(|step| Some((*step, self.semaphore(step)?)))
            .map(|(step, permits)| async move { (step, permits.acquire_owned().await) })
            .collect();
        async move {
            while let Some((step, permit)) = permits.next().await {
                if let Ok(permit) = permit {
                    return (step, permit);
                }
            }
            std::future::pending().await
        }
    }

    pub(super) fn hold(&mut self, step: &'static str, permit: OwnedSemaphorePermit) {
        self.held.push((step, permit));
    }

    fn semaphore(&self, step: &'static str) -> Option<Arc<Semaphore>> {
        self.inner.permits(self.saga.as_ref(), step).cloned()
    }
}
