//! Resident memory of a process over time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::figures::count;
use super::server_cpu::resident_bytes;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks at a process until stopped or dropped.
pub(super) struct MemoryWatch {
    seen: Arc<Mutex<Vec<u64>>>,
    task: JoinHandle<()>,
}

/// In MiB; zero where the process cannot be seen.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) first: f64,
    pub(super) most: f64,
    pub(super) last: f64,
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
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mib = |bytes: Option<&u64>| count(bytes.copied().unwrap_or(0)) / f64::from(1 << 20);
        Memory {
            first: mib(seen.first()),
            most: mib(seen.iter().max()),
            last: mib(seen.last()),
        }
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
