//! Hints at steps whose participant is away. Nobody can look before it is back, and a saga has no task for so long.

use std::collections::HashMap;
use std::sync::Mutex;

use uuid::Uuid;

use super::registry::lock;

/// About 1 MB. What is hinted at beyond is looked at when it is due.
const SAGAS_MAX: usize = 10_000;

/// Of sagas that have no task here, until they have one.
#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<HashMap<Uuid, Vec<String>>>);

impl Hints {
    pub(super) fn keep(&self, id: Uuid, steps: Vec<String>) {
        let mut kept = lock(&self.0);
        if !steps.is_empty() && (kept.len() < SAGAS_MAX || kept.contains_key(&id)) {
            kept.insert(id, steps);
        }
    }

    pub(super) fn take(&self, id: Uuid) -> Vec<String> {
        lock(&self.0).remove(&id).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_kept_until_it_is_taken_and_no_more_than_there_is_room_for() {
        let hints = Hints::default();
        let id = Uuid::from_u128(1);
        hints.keep(id, vec!["track".to_owned()]);
        hints.keep(Uuid::from_u128(2), Vec::new());
        assert_eq!(hints.take(id), ["track"]);
        assert!(hints.take(id).is_empty());
        for id in 0..=SAGAS_MAX {
            hints.keep(Uuid::from_u128(id as u128), vec!["track".to_owned()]);
        }
        assert!(hints.take(Uuid::from_u128(SAGAS_MAX as u128)).is_empty());
        assert!(!hints.take(id).is_empty());
    }
}
