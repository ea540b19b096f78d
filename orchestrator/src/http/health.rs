//! Whether this process works: its loops, its readiness.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A loop that was not run for this long is stuck. Every loop that is watched has a timer of at most a few seconds, its own or
/// that of [`ticking`], and every call inside one has a time limit well below this.
pub const MAX_SILENCE: Duration = Duration::from_secs(90);

/// How often a loop without timers shows that its thread is not blocked.
const TICK: Duration = Duration::from_secs(1);

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet able to serve.
    Starting,
    /// Serving.
    Ready,
    /// Told to stop; finishing what is in flight.
    Draining,
}

/// The loops of this process and its phase.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    phase: AtomicU8,
    loops: Mutex<Vec<Arc<Pulse>>>,
}

/// When a loop was last run.
#[derive(Debug)]
struct Pulse {
    name: String,
    max_silence: Duration,
    last_run_ms: AtomicU64,
}

impl Health {
    /// A process that has just started.
    #[must_use]
    pub fn new() -> Arc<Health> {
        let loops = Mutex::new(Vec::new());
        Arc::new(Health {
            born: Instant::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            loops,
        })
    }

    /// Moves on to another phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// The phase it is in.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Watches a loop from outside: the executor runs a healthy one whenever its timers fire, so one that is not
    /// run any more waits for something that never comes or blocks its thread. The loop itself needs to know nothing.
    pub fn watch<F: Future>(self: &Arc<Self>, name: impl Into<String>, work: F) -> Watched<F> {
        self.watch_closely(name, MAX_SILENCE, work)
    }

    /// Watches a loop that is stuck after a silence of its own measure.
    pub fn watch_closely<F: Future>(
        self: &Arc<Self>,
        name: impl Into<String>,
        max_silence: Duration,
        work: F,
    ) -> Watched<F> {
        let pulse = Arc::new(Pulse {
            name: name.into(),
            max_silence,
            last_run_ms: AtomicU64::new(self.now_ms()),
        });
        self.loops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&pulse));
        Watched {
            work: Box::pin(work),
            health: Arc::clone(self),
            pulse,
        }
    }

    /// Names of the loops that were not run for longer than they may.
    #[must_use]
    pub fn stuck(&self) -> Vec<String> {
        let now = self.now_ms();
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |pulse: &&Arc<Pulse>| {
            let silence = now.saturating_sub(pulse.last_run_ms.load(Ordering::Relaxed));
            Duration::from_millis(silence) > pulse.max_silence
        };
        loops
            .iter()
            .filter(silent)
            .map(|pulse| pulse.name.clone())
            .collect()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn forget(&self, pulse: &Arc<Pulse>) {
        self.loops
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|known| !Arc::ptr_eq(known, pulse));
    }
}

/// A loop under observation.
pub struct Watched<F> {
    work: Pin<Box<F>>,
    health: Arc<Health>,
    pulse: Arc<Pulse>,
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let now = self.health.now_ms();
        self.pulse.last_run_ms.store(now, Ordering::Relaxed);
        self.work.as_mut().poll(context)
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        self.health.forget(&self.pulse);
    }
}

/// Runs a loop that has no timer of its own but only waits for others. Idle, it would look stuck; with this only a
/// blocked thread does.
pub async fn ticking<F: Future>(work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            output = &mut work => return output,
            _ = tick.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only something that is stuck takes this long.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A process that has been there for a while.
    fn old() -> Arc<Health> {
        let mut health = Arc::into_inner(Health::new()).expect("nobody else has it");
        health.born -= MAX_SILENCE * 3;
        Arc::new(health)
    }

    /// As if no loop had been run since the process began.
    fn silence(health: &Health) {
        for pulse in health.loops.lock().expect("no panic").iter() {
            pulse.last_run_ms.store(0, Ordering::Relaxed);
        }
    }

    async fn until_stuck_are(health: &Health, names: &[&str]) {
        let looking = async {
            while health.stuck() != names {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        assert!(found.is_ok(), "stuck: {:?}", health.stuck());
    }

    #[tokio::test]
    async fn a_loop_with_a_timer_is_not_stuck_and_one_without_is() {
        let health = old();
        let alive = tokio::spawn(health.watch("alive", async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
        let stuck = health.watch("stuck", std::future::pending::<()>());
        silence(&health);
        until_stuck_are(&health, &["stuck"]).await;
        drop(stuck);
        assert!(health.stuck().is_empty());
        alive.abort();
    }

    #[tokio::test]
    async fn a_loop_that_only_waits_for_others_shows_that_its_thread_is_free() {
        let health = old();
        let pending = ticking(std::future::pending::<()>());
        let idle = tokio::spawn(health.watch("idle", pending));
        silence(&health);
        until_stuck_are(&health, &[]).await;
        idle.abort();
    }
}
