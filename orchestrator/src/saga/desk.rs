//! What one saga has in flight, and the permits it may begin more with.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::definition::Saga;
use super::engine::Inner;

pub(super) struct Desk {
    inner: Arc<Inner>,
    saga: Arc<dyn Saga>,
    busy: Vec<&'static str>,
    held: Vec<(&'static str, OwnedSemaphorePermit)>,
    /// A step that could begin if it had a permit.
    starved: Option<&'static str>,
    /// The earliest time at which a participant that is away may be tried again.
    paused_until: Option<DateTime<Utc>>,
}

impl Desk {
    pub(super) fn new(inner: Arc<Inner>, saga: Arc<dyn Saga>) -> Self {
        Self {
            inner,
            saga,
            busy: Vec::new(),
            held: Vec::new(),
            starved: None,
            paused_until: None,
        }
    }

    /// Forgets what was in the way last time.
    pub(super) fn clear(&mut self) {
        self.starved = None;
        self.paused_until = None;
    }

    /// Whether a call of this step may begin now; keeps its permit until it does.
    pub(super) fn admit(&mut self, step: &'static str) -> bool {
        if self.inner.stopping.is_cancelled() || self.busy.contains(&step) {
            return false;
        }
        if let Some(until) = self.saga.paused_until(step) {
            self.paused_until = Some(self.paused_until.map_or(until, |before| before.min(until)));
            return false;
        }
        if self.held.iter().any(|(held, _)| *held == step) {
            return true;
        }
        let free = self
            .semaphore(step)
            .and_then(|permits| permits.try_acquire_owned().ok());
        match free {
            Some(permit) => self.held.push((step, permit)),
            None => self.starved = Some(step),
        }
        free_or_starved(&self.held, step)
    }

    /// The call begins: it takes the permit along.
    pub(super) fn begin(&mut self, step: &'static str) -> Option<OwnedSemaphorePermit> {
        let index = self.held.iter().position(|(held, _)| *held == step)?;
        self.busy.push(step);
        Some(self.held.swap_remove(index).1)
    }

    pub(super) fn ended(&mut self, step: &'static str) {
        self.busy.retain(|busy| *busy != step);
    }

    /// Gives back what was not begun with.
    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    pub(super) fn is_starved(&self) -> bool {
        self.starved.is_some()
    }

    pub(super) fn paused_until(&self) -> Option<DateTime<Utc>> {
        self.paused_until
    }

    /// Resolves when the starved step has its permit; for ever pending if none is starved.
    pub(super) fn permit(
        &self,
    ) -> impl Future<Output = (&'static str, OwnedSemaphorePermit)> + use<> {
        let wanted = self
            .starved
            .and_then(|step| Some((step, self.semaphore(step)?)));
        async move {
            if let Some((step, permits)) = wanted
                && let Ok(permit) = permits.acquire_owned().await
            {
                return (step, permit);
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

fn free_or_starved(held: &[(&'static str, OwnedSemaphorePermit)], step: &str) -> bool {
    held.iter().any(|(held, _)| *held == step)
}
