//! How one step changes.

use chrono::{DateTime, Utc};

use super::event::AttemptEnded;
use super::evolve::OVERDUE;
use super::state::{Standing, Step};

impl Step {
    pub(super) fn new(name: &str, unwinding: bool, at: DateTime<Utc>) -> Self {
        Self {
            name: name.to_owned(),
            branch: false,
            asking: false,
            unwinding,
            attempt: 0,
            round: 0,
            polls: 0,
            standing: Standing::Idle,
            in_doubt: false,
            doubted: 0,
            open_until: None,
            first_at: at,
            output: None,
            repeats: 0,
            parked: None,
            resolved: None,
        }
    }

    pub(super) fn back_off(&mut self, event: &AttemptEnded) {
        self.standing = Standing::Backoff {
            next_at: event.next_at,
            result: event.result,
            reason: event.reason.clone(),
        };
    }

    pub(super) fn settle(&mut self, standing: Standing) {
        self.standing = standing;
        self.in_doubt = false;
    }

    /// A fresh start under a new key; attempts keep counting.
    pub(super) fn renew(&mut self) {
        self.standing = Standing::Idle;
        self.round += 1;
        self.in_doubt = false;
        self.parked = None;
        self.resolved = None;
    }

    /// The participant's failure is the answer under this key: nothing is in doubt, and only another key can have an effect.
    pub(super) fn use_up_key(&mut self) {
        self.round += 1;
        self.in_doubt = false;
    }

    /// What was parked only for taking long goes on by itself.
    pub(super) fn stop_waiting_for_people(&mut self) {
        self.parked.take_if(|parked| parked.code == OVERDUE);
    }

    pub(super) fn hurry(&mut self, at: DateTime<Utc>) {
        self.stop_waiting_for_people();
        if let Standing::Backoff { next_at, .. } | Standing::Polling { next_at } =
            &mut self.standing
        {
            *next_at = at.min(*next_at);
        }
    }
}
