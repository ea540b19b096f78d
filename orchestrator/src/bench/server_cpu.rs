//! CPU time of a Postgres server on this machine, from `/proc`: what an event costs where it is stored.
//! Throughput falls when other work shares the cores; CPU per event does not.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;
use tokio_postgres::Client;

/// Ticks per second in `/proc/<pid>/stat`; Linux tells user space 100 whatever the kernel's own clock.
const TICKS_PER_SECOND: u64 = 100;

/// Where the fields of `/proc/<pid>/stat` lie behind the command's closing parenthesis.
const PARENT: usize = 1;
const CHILDREN_USER: usize = 13;
const CHILDREN_SYSTEM: usize = 14;

/// The postmaster of a server whose processes this process can see.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerCpu {
    postmaster: u32,
}

/// CPU time so far, by process.
#[derive(Debug)]
pub(super) struct Sample {
    live: HashMap<u32, Duration>,
    /// Of backends that have ended.
    ended: Duration,
}

impl ServerCpu {
    /// `None` where the server runs on another machine or in another process namespace.
    pub(super) async fn find(client: &Client) -> anyhow::Result<Option<Self>> {
        let row = client
            .query_one("SELECT pg_backend_pid(), inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr()", &[])
            .await
            .context("asking for the backend's process")?;
        let (backend, local): (i32, bool) = (row.get(0), row.get(1));
        let Ok(backend) = u32::try_from(backend) else {
            return Ok(None);
        };
        if !local || command_of(backend).as_deref() != Some("postgres") {
            return Ok(None);
        }
        let postmaster = stat_fields(backend).and_then(|fields| fields.get(PARENT).copied());
        Ok(postmaster
            .and_then(|pid| u32::try_from(pid).ok())
            .map(|postmaster| Self { postmaster }))
    }

    /// The server's first process, which starts all others.
    pub(super) fn postmaster(self) -> u32 {
        self.postmaster
    }

    /// All of its processes.
    pub(super) fn processes(self) -> Vec<u32> {
        let children = processes().filter(|pid| {
            stat_fields(*pid).and_then(|fields| fields.get(PARENT).copied())
                == Some(u64::from(self.postmaster))
        });
        // The first one first: what it starts from then on is like it.
        [self.postmaster].into_iter().chain(children).collect()
    }

    pub(super) fn sample(self) -> Sample {
        let live = self
            .processes()
            .into_iter()
            .filter_map(|pid| Some((pid, run_time(pid)?)))
            .collect();
        let ended = stat_fields(self.postmaster).map_or(Duration::ZERO, |fields| {
            let ticks = |at: usize| fields.get(at).copied().unwrap_or(0);
            Duration::from_millis(
                (ticks(CHILDREN_USER) + ticks(CHILDREN_SYSTEM)) * 1000 / TICKS_PER_SECOND,
            )
        });
        Sample { live, ended }
    }
}

impl Sample {
    /// What the server has used since `earlier`. Backends that were already there then and have ended since are
    /// counted whole by the kernel, so the part that lies before `earlier` is taken off again.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        let live: Duration = self
            .live
            .iter()
            .map(|(pid, now)| {
                now.saturating_sub(earlier.live.get(pid).copied().unwrap_or_default())
            })
            .sum();
        let gone_before: Duration = earlier
            .live
            .iter()
            .filter(|(pid, _)| !self.live.contains_key(pid))
            .map(|(_, used)| *used)
            .sum();
        live + self
            .ended
            .saturating_sub(earlier.ended)
            .saturating_sub(gone_before)
    }
}

/// Resident memory of a process, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes.
pub(super) fn peak_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmHWM:")
}

fn memory_bytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn command_of(pid: u32) -> Option<String> {
    Some(
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .ok()?
            .trim()
            .to_owned(),
    )
}

/// The fields behind the command's name, which may itself hold spaces; fields that are no numbers count as 0.
fn stat_fields(pid: u32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = stat.rsplit_once(") ")?;
    Some(
        behind
            .split(' ')
            .map(|field| field.parse().unwrap_or(0))
            .collect(),
    )
}

/// Nanoseconds on a CPU, from `schedstat`: `stat` counts in hundredths of a second, which over 64 backends adds up
/// to more than what is measured.
fn run_time(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split(' ')
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(live: &[(u32, u64)], ended_ms: u64) -> Sample {
        Sample {
            live: live
                .iter()
                .map(|(pid, ms)| (*pid, Duration::from_millis(*ms)))
                .collect(),
            ended: Duration::from_millis(ended_ms),
        }
    }

    #[test]
    fn a_backend_that_came_later_counts_whole_and_an_older_one_by_its_growth() {
        let used = sample(&[(1, 150), (2, 40)], 0).since(&sample(&[(1, 100)], 0));
        assert_eq!(used, Duration::from_millis(90));
    }

    #[test]
    fn a_backend_that_ended_in_between_counts_only_what_it_used_in_between() {
        let used = sample(&[], 530).since(&sample(&[(7, 100)], 400));
        assert_eq!(used, Duration::from_millis(30));
    }

    #[test]
    fn this_process_has_a_parent_memory_and_run_time() {
        let pid = std::process::id();
        assert!(stat_fields(pid).is_some_and(|fields| fields[PARENT] > 0));
        assert!(resident_bytes(pid).is_some_and(|bytes| bytes > 0));
        assert!(run_time(pid).is_some());
    }
}
