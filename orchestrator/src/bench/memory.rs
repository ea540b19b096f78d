//! Resident memory of a process over time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::figures::{count, median};
use super::server_cpu::resident_bytes;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks at a process until stopped or dropped.
pub(super) struct MemoryWatch {
    seen: Arc<Mutex<Vec<u64>>>,
    task: JoinHandle<()>,
}

/// In MiB. Not a number where the process could not be seen, which keeps no bound.
#[derive(Debug)]
pub(super) struct Memory {
    /// The median over the first quarter of the time.
    pub(super) early: f64,
    pub(super) most: f64,
    /// The median over the last quarter.
    pub(super) late: f64,
}

impl MemoryWatch {
    pub(super) fn start(pid: u32) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let samples = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                if let Some(bytes) = resident_bytes(pid) {
                    samples
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(bytes);
                }
            }
        });
        Self { seen, task }
    }

    pub(super) fn stop(self) -> Memory {
        Memory::of(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Memory {
    fn of(seen: &[u64]) -> Self {
        let quarter = seen.len().div_ceil(4);
        let typical = |some: &[u64]| median(some.iter().map(|bytes| mib(*bytes)).collect());
        Self {
            early: typical(&seen[..quarter]),
            most: seen.iter().max().map_or(f64::NAN, |bytes| mib(*bytes)),
            late: typical(&seen[seen.len() - quarter..]),
        }
    }
}

fn mib(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_quarter_is_held_against_the_first() {
        let seen: Vec<u64> = (1..=8).map(|mib| mib << 20).collect();
        let memory = Memory::of(&seen);
        assert_eq!((memory.early, memory.most, memory.late), (1.5, 8.0, 7.5));
    }

    #[test]
    fn a_process_that_was_not_seen_has_no_memory_to_speak_of() {
        let memory = Memory::of(&[]);
        assert!(memory.early.is_nan() && memory.most.is_nan() && memory.late.is_nan());
    }
}
