//! Processes held to single cores, so that the database and a rebuild do not take each other's.

use anyhow::Context;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::server_cpu::ServerCpu;

/// The cores that this thread may use.
pub(super) fn cores() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

/// A Postgres server on one core, and what it starts meanwhile; back on all of them when dropped.
pub(super) struct PinnedServer {
    server: ServerCpu,
    before: CpuSet,
}

impl PinnedServer {
    /// `None` where the server is not ours to move, or where there is only one core.
    pub(super) fn to(server: ServerCpu, core: usize) -> Option<PinnedServer> {
        let before = sched_getaffinity(pid(server.postmaster())).ok()?;
        let pinned = PinnedServer { server, before };
        // Should it fail half-way, dropping it puts back what was moved.
        pinned.set(&only(core)).then_some(pinned)
    }

    fn set(&self, cores: &CpuSet) -> bool {
        let all = self.server.processes();
        all.into_iter().all(|process| {
            // One that has ended meanwhile needs no core.
            let set = sched_setaffinity(pid(process), cores);
            set.is_ok() || set == Err(rustix::io::Errno::SRCH)
        })
    }
}

impl Drop for PinnedServer {
    fn drop(&mut self) {
        self.set(&self.before);
    }
}

/// Does something on this thread with one core only. Processes that it starts inherit that.
pub(super) fn on_core<T>(core: usize, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let before = sched_getaffinity(None).context("asking for this thread's cores")?;
    sched_setaffinity(None, &only(core)).context("keeping to one core")?;
    let done = work();
    sched_setaffinity(None, &before).context("using all cores again")?;
    Ok(done)
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

fn pid(process: u32) -> Option<Pid> {
    i32::try_from(process).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_to_one_core_only_for_as_long_as_it_was_told() {
        let all = cores();
        let core = *all.last().expect("a core");
        assert_eq!(on_core(core, cores).expect("pinned"), [core]);
        assert_eq!(cores(), all);
    }
}
