//! How one step changes.

use chrono::{DateTime, Utc};

use super::event::{AttemptEnded, AttemptResult};
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
            tried_since: at,
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

    /// What waits goes on now. Only an attempt under another key still waits for the last moment at which somebody may send the
    /// old one, where it did.
    pub(super) fn hurry(&mut self, at: DateTime<Utc>) {
        self.stop_waiting_for_people();
        let open_until = self.open_until;
        match &mut self.standing {
            Standing::Backoff {
                next_at,
                result: AttemptResult::Spent,
                ..
            } => {
                let floor = open_until.filter(|until| until <= next_at);
                *next_at = floor.map_or(at, |until| at.max(until)).min(*next_at);
            }
            Standing::Backoff { next_at, .. } | Standing::Polling { next_at } => {
                *next_at = at.min(*next_at);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    /// When a step goes on that was to go on at that second and is hurried at 5.
    fn hurried(result: AttemptResult, next_at: i64) -> DateTime<Utc> {
        let mut step = Step::new("pay", false, at(0));
        step.open_until = Some(at(10));
        step.standing = Standing::Backoff {
            next_at: at(next_at),
            result,
            reason: String::new(),
        };
        step.hurry(at(5));
        step.timer().expect("it waits")
    }

    #[test]
    fn a_hurry_does_not_undo_the_wait_for_those_who_may_still_send_the_old_key() {
        assert_eq!(hurried(AttemptResult::Spent, 300), at(10));
        assert_eq!(hurried(AttemptResult::Spent, 10), at(10));
        // Nobody else had the key: its wait was no longer than the pause.
        assert_eq!(hurried(AttemptResult::Spent, 7), at(5));
        assert_eq!(hurried(AttemptResult::Unknown, 300), at(5));
        assert_eq!(hurried(AttemptResult::Unknown, 3), at(3));
    }
}
