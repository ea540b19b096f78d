//! What a sweeper remembers of those that it woke, so that none is woken all the time and none is left to a queue that gives it to
//! nobody. Pure.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};

use crate::saga::index::Due;

/// About 10 MB: as many as may stay due at once, while a participant is away, without keeping others from their turn. Each sweep lists all
/// of them, in pages of 500, which costs the view a few seconds when it is full. What comes anew then stays due and has its turn when others
/// are forgotten.
const KNOWN_MAX: usize = 100_000;

/// Whether a saga that is due is to be woken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has just been.
    Later,
    /// By whoever gets to it first.
    Anywhere,
    /// By nobody else: it was passed on, and is as due as before.
    Here,
}

/// How a saga was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A queue took its wake-up.
    PassedOn,
    /// It was given a task here.
    Here,
}

/// When each was woken last, and how. One that is due anew, because somebody wants something of it, is another one.
#[derive(Debug)]
pub(super) struct Memory {
    again_after: Duration,
    woken: HashMap<Due, (DateTime<Utc>, Way)>,
}

impl Memory {
    pub(super) fn new(again_after: Duration) -> Self {
        Self {
            again_after,
            woken: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.woken.len()
    }

    /// When it was woken last; `None`: it never was, as far as is remembered.
    pub(super) fn last(&self, due: &Due) -> Option<DateTime<Utc>> {
        self.woken.get(due).map(|(at, _)| *at)
    }

    /// By turns: where waking it here does not help either, perhaps another one can do what this one cannot.
    pub(super) fn turn(&self, due: &Due, now: DateTime<Utc>) -> Turn {
        match self.woken.get(due) {
            None if self.woken.len() >= KNOWN_MAX => Turn::Later,
            None => Turn::Anywhere,
            Some((at, _)) if now < *at + self.again_after => Turn::Later,
            Some((_, Way::PassedOn)) => Turn::Here,
            Some((_, Way::Here)) => Turn::Anywhere,
        }
    }

    pub(super) fn note(&mut self, due: Due, now: DateTime<Utc>, way: Way) {
        self.woken.insert(due, (now, way));
    }

    /// Forgets what is due no more. `whole`: all that is due is on the list; otherwise nothing is known of what follows its last.
    pub(super) fn forget(&mut self, list: &[Due], whole: bool, now: DateTime<Utc>) {
        let end = list.last().filter(|_| !whole).map(|last| last.at);
        let listed: HashSet<&Due> = list.iter().collect();
        self.woken.retain(|due, (at, _)| {
            let recent = now < *at + self.again_after;
            let beyond = end.is_some_and(|end| end <= due.at);
            recent || beyond || listed.contains(due)
        });
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn second(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn due(at: i64) -> Due {
        Due {
            at: second(at),
            id: Uuid::now_v7(),
        }
    }

    fn memory() -> Memory {
        Memory::new(Duration::seconds(30))
    }

    #[test]
    fn one_that_was_passed_on_in_vain_is_woken_here_and_after_that_anywhere() {
        let (mut memory, saga) = (memory(), due(0));
        assert_eq!(memory.turn(&saga, second(5)), Turn::Anywhere);
        memory.note(saga, second(5), Way::PassedOn);
        assert_eq!(memory.turn(&saga, second(34)), Turn::Later);
        assert_eq!(memory.turn(&saga, second(35)), Turn::Here);
        // For as long as there is no place for it.
        assert_eq!(memory.turn(&saga, second(500)), Turn::Here);
        memory.note(saga, second(500), Way::Here);
        assert_eq!(memory.turn(&saga, second(529)), Turn::Later);
        assert_eq!(memory.turn(&saga, second(530)), Turn::Anywhere);
    }

    #[test]
    fn one_that_is_due_anew_was_not_passed_on_in_vain() {
        let (mut memory, saga) = (memory(), due(0));
        memory.note(saga, second(5), Way::PassedOn);
        let anew = Due {
            at: second(6),
            ..saga
        };
        assert_eq!(memory.turn(&anew, second(7)), Turn::Anywhere);
        assert_eq!(memory.turn(&anew, second(60)), Turn::Anywhere);
    }

    #[test]
    fn one_that_stays_due_is_remembered_for_as_long_as_it_is() {
        let (mut memory, stays, goes) = (memory(), due(0), due(1));
        memory.note(stays, second(5), Way::PassedOn);
        memory.note(goes, second(5), Way::PassedOn);
        // The list may be behind, or ahead of what follows.
        memory.forget(&[], true, second(34));
        assert_eq!(memory.len(), 2);
        memory.forget(&[stays], true, second(500));
        assert_eq!(memory.len(), 1);
        assert_eq!(memory.turn(&stays, second(500)), Turn::Here);
        memory.forget(&[], true, second(501));
        assert_eq!(memory.len(), 0);
    }

    #[test]
    fn a_list_that_ends_early_says_nothing_of_what_follows() {
        let (mut memory, before, last, after) = (memory(), due(0), due(10), due(20));
        memory.note(before, second(25), Way::PassedOn);
        memory.note(after, second(25), Way::PassedOn);
        memory.forget(&[last], false, second(60));
        assert_eq!(memory.turn(&after, second(60)), Turn::Here);
        assert_eq!(memory.turn(&before, second(60)), Turn::Anywhere);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for_and_the_rest_stays_due() {
        let mut memory = memory();
        let first = due(0);
        memory.note(first, second(5), Way::PassedOn);
        let others: Vec<Due> = (1..).take(KNOWN_MAX - 1).map(due).collect();
        for other in &others {
            memory.note(*other, second(30), Way::PassedOn);
        }
        let late = due(60);
        assert_eq!(memory.turn(&late, second(35)), Turn::Later);
        assert_eq!(memory.turn(&first, second(35)), Turn::Here);
        memory.forget(&others, true, second(35));
        assert_eq!(memory.turn(&late, second(35)), Turn::Anywhere);
    }
}
