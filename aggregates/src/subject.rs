//! Customers as subjects of data protection.

mod event;

use chrono::{DateTime, Utc};

pub use event::*;

use crate::decider::{Decider, IllegalTransition};
use crate::instant::to_millis;

/// A customer whose data was erased at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who.
    pub customer_id: String,
    /// When it was last erased.
    pub erased_at: DateTime<Utc>,
}

/// The wish to erase a customer's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erase {
    /// Whose.
    pub customer_id: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// Whether there is a key to delete. A customer who was erased and came back has a new one, and
    /// is erased once more.
    pub key_exists: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// Erasing is never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {}

impl Decider for Subject {
    /// `None` until the first erasure.
    type State = Option<Subject>;
    type Command = Erase;
    type Event = SubjectEvent;
    type Rejection = Rejection;

    /// The caller appends first and deletes the key then: a crash between the two leaves a key, and
    /// the repeat finds it.
    fn decide(state: &Option<Subject>, erase: &Erase) -> Result<Vec<SubjectEvent>, Rejection> {
        if state.is_some() && !erase.key_exists {
            return Ok(vec![]);
        }
        Ok(vec![
            SubjectErased {
                customer_id: erase.customer_id.clone(),
                occurred_at: to_millis(erase.at),
                reason: erase.reason.clone(),
                actor: erase.actor.clone(),
            }
            .into(),
        ])
    }

    fn evolve(
        _: Option<Subject>,
        event: &SubjectEvent,
    ) -> Result<Option<Subject>, IllegalTransition> {
        let SubjectEvent::SubjectErased(erased) = event;
        Ok(Some(Subject {
            customer_id: erased.customer_id.clone(),
            erased_at: erased.occurred_at,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, now, now_in_events};

    fn erase(key_exists: bool) -> Erase {
        let [customer_id, reason, actor] = ["33", "request 9", "dpo"].map(str::to_owned);
        Erase {
            customer_id,
            reason,
            actor,
            key_exists,
            at: now(),
        }
    }

    fn erased() -> SubjectEvent {
        let [customer_id, reason, actor] = ["33", "request 9", "dpo"].map(str::to_owned);
        SubjectErased {
            customer_id,
            occurred_at: now_in_events(),
            reason,
            actor,
        }
        .into()
    }

    #[test]
    fn an_erasure_is_recorded_even_where_no_key_was_left() {
        given::<Subject>(vec![])
            .when(erase(false))
            .then(vec![erased()]);
    }

    #[test]
    fn a_repeated_erasure_records_nothing() {
        given::<Subject>(vec![erased()])
            .when(erase(false))
            .then_nothing();
    }

    #[test]
    fn a_customer_who_came_back_can_be_erased_again() {
        let outcome = Subject::decide(&given::<Subject>(vec![erased()]).state(), &erase(true));
        assert_eq!(outcome, Ok(vec![erased()]));
    }
}
