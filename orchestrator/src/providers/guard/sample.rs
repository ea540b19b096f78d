//! Which calls the breaker looks at.
//!
//! At each call it goes through all that it remembers. Every call of a busy shop would make that a second's work per
//! second at some thousand calls a second; an even share of them says the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Parts of the window. Each has its share of calls, so that the end of a busy window is seen as well as its beginning.
const PARTS: u32 = 40;

/// Calls of each part: 4,000 in a window, which take the breaker about 6 us each.
const EACH: usize = 100;

/// Counts calls of the part of the window that it is.
#[derive(Debug)]
pub(super) struct Sample {
    born: Instant,
    part: Duration,
    each: usize,
    taken: Mutex<(u128, usize)>,
}

impl Sample {
    /// Of a window, as large as the breaker needs to say anything at all.
    pub(super) fn of(window: Duration, min_calls: usize) -> Self {
        Self {
            born: Instant::now(),
            part: (window / PARTS).max(Duration::from_nanos(1)),
            each: EACH.max(min_calls / PARTS as usize + 1),
            taken: Mutex::default(),
        }
    }

    /// Whether this call is looked at.
    pub(super) fn takes(&self) -> bool {
        self.takes_at(self.born.elapsed())
    }

    fn takes_at(&self, age: Duration) -> bool {
        let part = age.as_nanos() / self.part.as_nanos();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.0 != part {
            *taken = (part, 0);
        }
        taken.1 += 1;
        taken.1 <= self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_window_is_seen_whole_and_a_busy_one_in_even_shares() {
        let sample = Sample::of(Duration::from_secs(10), 20);
        let quiet = (0..1000).map(|call| sample.takes_at(Duration::from_millis(call * 10)));
        assert_eq!(quiet.filter(|taken| *taken).count(), 1000);
        let sample = Sample::of(Duration::from_secs(10), 20);
        let busy = (0..100_000).map(|call| sample.takes_at(Duration::from_micros(call * 100)));
        let taken: Vec<_> = busy.collect();
        let count = |calls: &[bool]| calls.iter().filter(|taken| **taken).count();
        assert_eq!(count(&taken), 4000);
        assert_eq!(count(&taken[..50_000]), count(&taken[50_000..]));
    }
}
