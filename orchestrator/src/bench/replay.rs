//! `bookmarket bench replay`: the customer view folded anew from the whole log, by a process of its own, against
//! reading the same events raw.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use eventstore::{EventStore, Location, Options};
use futures_util::TryStreamExt;
use projections::Projections;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio_postgres::Client;

use super::figures::{Latencies, Pair, Run, count, median, per};
use super::fill::{EVENTS_PER_ORDER, fill};
use super::pinned::{PinnedServer, cores, on_core};
use super::report::{Bound, Note, Report};
use super::scratch::{Scratch, connect, with_scratch};
use super::server_cpu::{ServerCpu, peak_bytes};
use super::{PAIRS_MIN, note, raw};

/// All columns of all events, in the format that costs the server least, to nowhere.
const COPY: &str = "COPY events TO STDOUT (FORMAT binary)";

/// The log is first filled to this part of it: what a rebuild of that takes in memory, the whole may not exceed by much.
const FIRST_PART: u64 = 10;

/// Megabytes of memory that a rebuild may take, as MiB: 300.
const MEMORY_MAX_MIB: f64 = 286.0;

/// How often the memory of a rebuild is looked at; the system remembers its peak.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asking for two workers makes nothing slower, as far as two runs of the same can be told apart. On one core they are one.
const NO_SLOWER: f64 = 0.98;

/// How to measure rebuilds.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Pairs of baseline and figure; the result is the median.
    #[arg(long, default_value_t = PAIRS_MIN, value_parser = clap::value_parser!(u32).range(i64::from(PAIRS_MIN)..))]
    pairs: u32,
    /// Delivered orders in the log, ten events each.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..))]
    orders: u64,
}

pub(super) async fn run(
    database: &SecretString,
    args: &ReplayArgs,
    json: bool,
) -> anyhow::Result<()> {
    let report = with_scratch(database, async |scratch: &Scratch| {
        measure(scratch, args).await
    })
    .await?;
    report.print(json)?;
    Ok(())
}

async fn empty_log(scratch: &Scratch) -> anyhow::Result<EventStore> {
    let location = Location::Postgres {
        url: scratch.url.clone(),
    };
    EventStore::migrate(&location)
        .await
        .context("creating the log")?;
    Projections::migrate(&location)
        .await
        .context("creating the views")?;
    EventStore::open(&location, Options::default())
        .await
        .context("opening the log")
}

async fn measure(scratch: &Scratch, args: &ReplayArgs) -> anyhow::Result<Report> {
    let store = empty_log(scratch).await?;
    let admin = connect(&scratch.url).await?;
    let bench = Bench {
        scratch,
        admin,
        cores: cores(),
    };
    let first = args.orders / FIRST_PART;
    bench.fill(&store, 0..first).await?;
    let small = bench.rebuild(first, 1, None).await?;
    bench.fill(&store, first..args.orders).await?;
    drop(store);

    let events = args.orders * EVENTS_PER_ORDER;
    let (mut pairs, mut peak) = (Vec::new(), 0.0_f64);
    for pair in 1..=args.pairs {
        let baseline = bench.copy(events).await?;
        let figure = bench.rebuild(args.orders, 1, None).await?;
        note(&format!(
            "pair {pair}: {:.0} events/s against {:.0} copied, {:.0} MiB",
            figure.run.per_second(),
            baseline.per_second(),
            figure.peak
        ))?;
        peak = peak.max(figure.peak);
        pairs.push(Pair {
            baseline,
            figure: figure.run,
        });
    }
    let gain = bench.gain(args).await?;
    let size = bench.log_size().await?;
    let growth = per(peak, small.peak);
    let mut notes = vec![
        Note::new("log", count(events), "events"),
        Note::new("log on disk", size, "MiB"),
        Note::new("memory for a tenth", small.peak, "MiB"),
    ];
    let (name, gain, least) = match gain {
        Gain::OnOneCore(gain) => ("--parallel 2 / 1, on one core", Some(gain), NO_SLOWER),
        Gain::OnManyCores(gain) => ("--parallel 2 / 1", Some(gain), 1.5),
        Gain::NotMeasured => ("--parallel 2 / 1", None, NO_SLOWER),
    };
    if let Some(gain) = &gain {
        notes.push(Note::new(
            "workers that --parallel 2 came to",
            count(gain.workers),
            "",
        ));
    }
    let report = Report::new("replay", "events/s", &pairs, notes)
        .must("ratio", |it| Some(it.ratio()), Bound::AtLeast(0.6))
        .must(
            "memory (MiB)",
            |_| Some(peak),
            Bound::AtMost(MEMORY_MAX_MIB),
        )
        .must(
            "memory with --parallel 2 (MiB)",
            |_| gain.as_ref().map(|gain| gain.peak),
            Bound::AtMost(MEMORY_MAX_MIB),
        )
        .must("memory / a tenth's", |_| Some(growth), Bound::AtMost(1.25));
    let ratio = gain.as_ref().map(|gain| gain.ratio);
    Ok(report.must(name, |_| ratio, Bound::AtLeast(least)))
}

/// What a second worker brings.
enum Gain {
    /// With the database on one core and the rebuild on another.
    OnOneCore(TwoToOne),
    /// With four cores or more for both.
    OnManyCores(TwoToOne),
    /// The database cannot be held to a core from here, which is said in the place of the figure.
    NotMeasured,
}

/// Two workers against one.
struct TwoToOne {
    ratio: f64,
    /// Those that there were when two were asked for.
    workers: u64,
    /// The most memory that two had, in MiB.
    peak: f64,
}

/// A rebuild, and the most memory that its process had, in MiB.
struct Rebuild {
    run: Run,
    /// Those that there were, however many were asked for.
    workers: u64,
    peak: f64,
}

struct Bench<'a> {
    scratch: &'a Scratch,
    admin: Client,
    cores: Vec<usize>,
}

impl Bench<'_> {
    async fn fill(&self, store: &EventStore, orders: std::ops::Range<u64>) -> anyhow::Result<()> {
        let events = (orders.end - orders.start) * EVENTS_PER_ORDER;
        note(&format!("filling the log with {events} events"))?;
        fill(store, orders).await?;
        // What autovacuum would do sooner or later, in the middle of a run: better before the first.
        self.admin
            .batch_execute("VACUUM ANALYZE")
            .await
            .context("tidying up after the fill")
    }

    async fn log_size(&self) -> anyhow::Result<f64> {
        let size = "SELECT pg_total_relation_size('events')::float8 / 1048576";
        let row = self.admin.query_one(size, &[]).await;
        Ok(row.context("asking for the log's size")?.get(0))
    }

    async fn gain(&self, args: &ReplayArgs) -> anyhow::Result<Gain> {
        let server = ServerCpu::find(&self.admin).await?;
        let (database, rebuild) = match (server, &*self.cores) {
            (_, [_, _, _, _, ..]) => {
                note("two workers against one, on all cores")?;
                return Ok(Gain::OnManyCores(self.two_to_one(args, None).await?));
            }
            (Some(server), [database, rebuild, ..]) => ((server, *database), *rebuild),
            _ => {
                note("two workers against one is not measured: the database is not within reach")?;
                return Ok(Gain::NotMeasured);
            }
        };
        let Some(_pinned) = PinnedServer::to(database.0, database.1) else {
            note("two workers against one is not measured: the database cannot be moved")?;
            return Ok(Gain::NotMeasured);
        };
        note("two workers against one, on one core beside that of the database")?;
        let gain = self.two_to_one(args, Some(rebuild)).await?;
        Ok(Gain::OnOneCore(gain))
    }

    async fn two_to_one(&self, args: &ReplayArgs, core: Option<usize>) -> anyhow::Result<TwoToOne> {
        let (mut ratios, mut workers, mut peak) = (Vec::new(), 0, 0.0_f64);
        for pair in 1..=args.pairs {
            let one = self.rebuild(args.orders, 1, core).await?;
            let two = self.rebuild(args.orders, 2, core).await?;
            let [one_run, two_run] = [&one, &two].map(|it| it.run.per_second());
            note(&format!(
                "pair {pair}: {one_run:.0} events/s and {:.0} MiB with --parallel 1, \
                 {two_run:.0} and {:.0} MiB with --parallel 2, which came to {}",
                one.peak, two.peak, two.workers
            ))?;
            ratios.push(per(two_run, one_run));
            (workers, peak) = (two.workers, peak.max(two.peak));
        }
        Ok(TwoToOne {
            ratio: median(ratios),
            workers,
            peak,
        })
    }

    async fn copy(&self, events: u64) -> anyhow::Result<Run> {
        raw::settle(&self.admin).await?;
        let cpu = ServerCpu::find(&self.admin).await?;
        let before = cpu.map(ServerCpu::sample);
        let began = Instant::now();
        let stream = self.admin.copy_out(COPY).await.context("copying the log")?;
        stream
            .try_for_each(|_| async { Ok(()) })
            .await
            .context("copying the log")?;
        let elapsed = began.elapsed();
        let used = cpu.zip(before);
        Ok(run_of(
            events,
            elapsed,
            used.map(|(cpu, before)| cpu.sample().since(&before)),
        ))
    }

    /// Rebuilds the customer view in a process of its own, on one core if one is named.
    async fn rebuild(
        &self,
        orders: u64,
        workers: u8,
        core: Option<usize>,
    ) -> anyhow::Result<Rebuild> {
        raw::settle(&self.admin).await?;
        let cpu = ServerCpu::find(&self.admin).await?;
        let before = cpu.map(ServerCpu::sample);
        let (result, peak) = self.replay(workers, core).await?;
        let used = cpu.zip(before);
        let used = used.map(|(cpu, before)| cpu.sample().since(&before));
        let done = &result["rebuilt"][0];
        let number = |field: &str| done[field].as_u64().unwrap_or_default();
        let events = orders * EVENTS_PER_ORDER;
        let (folded, parked) = (number("events"), number("parkedEvents"));
        anyhow::ensure!(folded == events, "{folded} of {events} events were folded");
        anyhow::ensure!(parked == 0, "{parked} events could not be folded");
        let seconds = done["seconds"]
            .as_f64()
            .context("it says how long it took")?;
        Ok(Rebuild {
            run: run_of(events, Duration::from_secs_f64(seconds), used),
            workers: number("workers"),
            peak,
        })
    }

    /// The last line of `replay`, and the most memory that it had.
    async fn replay(&self, workers: u8, core: Option<usize>) -> anyhow::Result<(Value, f64)> {
        let binary = std::env::current_exe().context("finding this binary")?;
        let mut command = Command::new(binary);
        command
            .args(["replay", "customer", "--output", "json", "--parallel"])
            .arg(workers.to_string())
            .env("DATABASE_URL", self.scratch.url.expose_secret())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = match core {
            Some(core) => on_core(core, || command.spawn())?,
            None => command.spawn(),
        };
        let child = child.context("starting a rebuild")?;
        let watch = Watch::start(&child);
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = ended.await.context("rebuilding")?.context("rebuilding")?;
        let peak = watch.peak();
        anyhow::ensure!(output.status.success(), "the rebuild failed");
        let text = String::from_utf8(output.stdout).context("its result is text")?;
        let result = text.lines().next_back().unwrap_or_default();
        Ok((
            serde_json::from_str(result).context("its result is JSON")?,
            peak,
        ))
    }
}

fn run_of(events: u64, elapsed: Duration, postgres_cpu: Option<Duration>) -> Run {
    Run {
        done: events,
        events,
        elapsed,
        latencies: Latencies::default(),
        postgres_cpu,
    }
}

/// Looks at the memory of a process until it ends.
struct Watch(thread::JoinHandle<u64>);

impl Watch {
    fn start(child: &Child) -> Watch {
        let pid = child.id();
        Watch(thread::spawn(move || {
            let mut peak = 0;
            // One that has ended shows none.
            while let Some(bytes) = peak_bytes(pid) {
                peak = peak.max(bytes);
                thread::sleep(LOOK_EVERY);
            }
            peak
        }))
    }

    fn peak(self) -> f64 {
        count(self.0.join().unwrap_or_default()) / f64::from(1 << 20)
    }
}
