//! Whether the queue works, as this process sees it: for whoever publishes, for `/readyz`, metrics and log lines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

/// What has to work for a wake-up to get from one process to another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Stream and consumer are there and as they should be.
    Setup,
    /// The stream takes wake-ups.
    Sending,
    /// The consumer gives them out.
    Asking,
}

/// A worker asks all the time. One that does not, because it has its hands full, knows nothing of the queue.
const ASKED_LATELY: Duration = Duration::from_secs(10);

/// A wake-up of another shop is told for so long.
const SHARED_LATELY: Duration = Duration::from_secs(60);

/// What is told then.
const SHARED: &str = "another shop uses this broker, or this log had another label until lately: \
     wake-ups of another log are in the queue, and are left to whoever has that; one broker, or one account of it, is for one shop";

/// How the queue of wake-ups does
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueReport {
    /// Whether wake-ups go through it. Where they do not, workers find work by looking for it
    pub usable: bool,
    /// What is in the way, or should not be in the queue
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Settings that the broker did not take
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// The standing as it is now; clones share it.
#[derive(Clone, Debug)]
pub struct Standing(Arc<Mutex<Parts>>);

#[derive(Debug)]
struct Parts {
    troubles: [Option<String>; 3],
    /// When asking was found not to work.
    asked: Option<Instant>,
    differences: Vec<String>,
    /// When something of another shop was found.
    shared: Option<Instant>,
    /// What was told last; nothing is told twice in a row.
    told: Option<String>,
}

impl Parts {
    fn trouble(&self) -> Option<&String> {
        let asked = |at: Instant| at.elapsed() < ASKED_LATELY;
        let current = |part: usize| part != Part::Asking as usize || self.asked.is_some_and(asked);
        let parts = self.troubles.iter().enumerate();
        parts
            .filter(|(part, _)| current(*part))
            .find_map(|(_, trouble)| trouble.as_ref())
    }
}

impl Parts {
    fn is_shared(&self) -> bool {
        self.shared.is_some_and(|at| at.elapsed() < SHARED_LATELY)
    }
}

impl Standing {
    /// Nothing is known to work before it was set up.
    pub(super) fn new() -> Self {
        let unknown = "the broker was not reached yet".to_owned();
        Self(Arc::new(Mutex::new(Parts {
            troubles: [Some(unknown.clone()), None, None],
            asked: None,
            differences: Vec::new(),
            shared: None,
            told: Some(unknown),
        })))
    }

    /// Whether everything works.
    pub(super) fn is_clear(&self) -> bool {
        self.parts().trouble().is_none()
    }

    /// How it is now; sets the gauge as well, for whoever is about to read it.
    #[must_use]
    pub fn report(&self) -> QueueReport {
        let parts = self.parts();
        let usable = parts.trouble().is_none();
        metrics::gauge!("bookmarket_wakeups_usable").set(f64::from(u8::from(usable)));
        let shared = parts.is_shared();
        metrics::gauge!("bookmarket_wakeups_shared").set(f64::from(u8::from(shared)));
        let told = || shared.then(|| SHARED.to_owned());
        QueueReport {
            usable,
            trouble: parts.trouble().cloned().or_else(told),
            differences: parts.differences.clone(),
        }
    }

    /// This part works.
    pub(super) fn clear(&self, part: Part) {
        self.change(part, None);
    }

    /// This part does not.
    pub(super) fn trouble(&self, part: Part, why: impl std::fmt::Display) {
        self.change(part, Some(why.to_string()));
    }

    /// Something of another shop is in the queue. Our own gets through all the same.
    pub(super) fn found_foreign(&self) {
        let mut parts = self.parts();
        if !parts.is_shared() {
            tracing::warn!(trouble = SHARED, "the queue of wake-ups is not ours alone");
        }
        parts.shared = Some(Instant::now());
    }

    fn change(&self, part: Part, trouble: Option<String>) {
        let mut parts = self.parts();
        parts.troubles[part as usize] = trouble;
        if matches!(part, Part::Asking) {
            parts.asked = Some(Instant::now());
        }
        let now = parts.trouble().cloned();
        if parts.told == now {
            return;
        }
        match &now {
            Some(trouble) => tracing::warn!(
                trouble,
                "wake-ups do not get through the broker; workers look for work instead"
            ),
            None => tracing::info!("wake-ups go through the broker"),
        }
        parts.told = now;
    }

    /// The broker did not take these settings.
    pub(super) fn differences(&self, lines: Vec<String>) {
        let mut parts = self.parts();
        if parts.differences != lines {
            for line in &lines {
                tracing::warn!(setting = line, "the queue of wake-ups is not as configured");
            }
            parts.differences = lines;
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // No code that holds the lock can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_works_again_does_not_hide_one_that_does_not() {
        let standing = Standing::new();
        assert!(!standing.is_clear(), "nothing is known yet");
        standing.trouble(Part::Sending, "full");
        standing.clear(Part::Setup);
        assert_eq!(standing.report().trouble.as_deref(), Some("full"));
        standing.clear(Part::Asking);
        assert!(!standing.is_clear());
        standing.clear(Part::Sending);
        assert!(standing.is_clear() && standing.report().usable);
    }

    #[test]
    fn what_another_shop_has_put_into_the_queue_is_told_and_in_the_way_of_nothing() {
        let standing = Standing::new();
        standing.clear(Part::Setup);
        standing.found_foreign();
        let report = standing.report();
        assert!(standing.is_clear() && report.usable);
        assert_eq!(report.trouble.as_deref(), Some(SHARED));
        standing.trouble(Part::Sending, "full");
        let trouble = standing.report().trouble;
        assert_eq!(
            trouble.as_deref(),
            Some("full"),
            "what is in the way is worse"
        );
    }
}
