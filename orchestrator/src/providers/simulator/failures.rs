//! The failures that providers keep as the answer under a key: nothing happened, and whoever asks again with that key hears
//! the same again.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// Keys whose failure is remembered; the oldest go first.
const KEPT: usize = 100_000;

/// Failures by the call's id.
#[derive(Debug, Default)]
pub(super) struct Failures {
    codes: HashMap<Uuid, String>,
    order: VecDeque<Uuid>,
}

impl Failures {
    /// The failure under that key.
    pub(super) fn get(&self, call: Uuid) -> Option<&str> {
        self.codes.get(&call).map(String::as_str)
    }

    /// Keeps the first failure under a key.
    pub(super) fn keep(&mut self, call: Uuid, code: String) {
        if self.codes.contains_key(&call) {
            return;
        }
        if self.order.len() >= KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.codes.remove(&oldest);
        }
        self.order.push_back(call);
        self.codes.insert(call, code);
    }

    /// The key is as good as new.
    pub(super) fn forget(&mut self, call: Uuid) {
        if self.codes.remove(&call).is_some() {
            self.order.retain(|kept| *kept != call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_until_its_key_is_forgotten() {
        let mut failures = Failures::default();
        let key = Uuid::from_u128(1);
        failures.keep(key, "FIRST".to_owned());
        failures.keep(key, "SECOND".to_owned());
        assert_eq!(failures.get(key), Some("FIRST"));
        failures.forget(key);
        assert_eq!(failures.get(key), None);
        failures.keep(key, "THIRD".to_owned());
        assert_eq!(failures.get(key), Some("THIRD"));
        assert_eq!(failures.order.len(), 1);
    }
}
