//! Work for other engines: which steps an engine begins itself, and how it tells others of the rest.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Which steps an engine begins. Whatever it begins or not, it reads, folds and writes down decisions like any other: the log
/// arbitrates between engines, not this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begins {
    /// Every step.
    #[default]
    All,
    /// These, by name. A process that only answers requests begins what its customers wait for and leaves the rest to others.
    Only(&'static [&'static str]),
}

impl Begins {
    /// Whether that step is one of them.
    #[must_use]
    pub fn includes(self, step: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(steps) => steps.contains(&step),
        }
    }

    /// Whether no step is left to others.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::All
    }
}

/// Look at this saga, something may have happened to it. Twice, late, reordered or lost, it changes no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wakeup {
    /// The saga.
    pub saga: Uuid,
    /// A step that only waits, and is worth a look before its time.
    pub step: Option<String>,
}

impl Wakeup {
    /// Look at the saga as a whole.
    #[must_use]
    pub fn of(saga: Uuid) -> Self {
        Self { saga, step: None }
    }
}

/// How a saga was left when it had nothing more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It is to be looked at again then, for which there is a timer; if ever.
    Until(Option<DateTime<Utc>>),
    /// As it was: this build does not understand it. Another one may.
    LeftAlone,
    /// This log has no such saga.
    Missing,
}

impl Default for Rest {
    fn default() -> Self {
        Self::Until(None)
    }
}

/// Carries wake-ups to engines that begin every step, of this process or of others.
pub trait Dispatch: Send + Sync {
    /// Passes it on, without waiting for anything. `false`: it cannot be passed on now; the sweeper finds the saga.
    fn dispatch(&self, wakeup: Wakeup) -> bool;
}
