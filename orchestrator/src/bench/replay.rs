//! `bookmarket bench replay`: the customer view folded anew from the whole log, against reading the same events raw.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use eventstore::{EventStore, Location, Options};
use futures_util::TryStreamExt;
use projections::{Projections, View};
use secrecy::SecretString;
use tokio_postgres::Client;

use super::figures::{Latencies, Pair, Run};
use super::fill::{EVENTS_PER_ORDER, fill};
use super::report::{Note, Report};
use super::scratch::{Scratch, connect, with_scratch};
use super::server_cpu::ServerCpu;
use super::{PAIRS_MIN, note, raw};

/// All columns of all events, in the format that costs the server least, to nowhere.
const COPY: &str = "COPY events TO STDOUT (FORMAT binary)";

/// How to measure rebuilds.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Pairs of baseline and figure; the result is the median.
    #[arg(long, default_value_t = PAIRS_MIN, value_parser = clap::value_parser!(u32).range(i64::from(PAIRS_MIN)..))]
    pairs: u32,
    /// Delivered orders in the log, ten events each.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
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

async fn measure(scratch: &Scratch, args: &ReplayArgs) -> anyhow::Result<Report> {
    let location = Location::Postgres {
        url: scratch.url.clone(),
    };
    EventStore::migrate(&location)
        .await
        .context("creating the log")?;
    Projections::migrate(&location)
        .await
        .context("creating the views")?;
    let store = EventStore::open(&location, Options::default())
        .await
        .context("opening the log")?;
    let views = Projections::open(&location, store.clone())
        .await
        .context("opening the views")?;
    let events = args.orders * EVENTS_PER_ORDER;
    note(&format!("filling the log with {events} events"))?;
    fill(&store, args.orders).await?;
    let admin = connect(&scratch.url).await?;
    // What autovacuum would do sooner or later, in the middle of a run: better before the first.
    admin
        .batch_execute("VACUUM ANALYZE")
        .await
        .context("tidying up after the fill")?;

    let mut pairs = Vec::new();
    for pair in 1..=args.pairs {
        let baseline = timed(&admin, events, copy_out(&admin)).await?;
        let figure = timed(&admin, events, rebuild(&views, events)).await?;
        note(&format!(
            "pair {pair}: {:.0} events/s against {:.0} copied",
            figure.per_second(),
            baseline.per_second()
        ))?;
        pairs.push(Pair { baseline, figure });
    }
    let size = admin
        .query_one(
            "SELECT pg_total_relation_size('events')::float8 / 1048576",
            &[],
        )
        .await
        .context("asking for the log's size")?;
    let notes = vec![
        Note::new("log", super::figures::count(events), "events"),
        Note::new("log on disk", size.get(0), "MiB"),
    ];
    Ok(Report::new("replay", "events/s", &pairs, notes))
}

async fn timed(
    admin: &Client,
    events: u64,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Run> {
    raw::settle(admin).await?;
    let cpu = ServerCpu::find(admin).await?;
    let before = cpu.map(ServerCpu::sample);
    let began = Instant::now();
    work.await?;
    let elapsed: Duration = began.elapsed();
    let postgres_cpu = cpu
        .zip(before)
        .map(|(cpu, before)| cpu.sample().since(&before));
    Ok(Run {
        done: events,
        events,
        elapsed,
        latencies: Latencies::default(),
        postgres_cpu,
    })
}

async fn copy_out(client: &Client) -> anyhow::Result<()> {
    let stream = client.copy_out(COPY).await.context("copying the log")?;
    stream
        .try_for_each(|_| async { Ok(()) })
        .await
        .context("copying the log")
}

async fn rebuild(views: &Projections, events: u64) -> anyhow::Result<()> {
    let report = views
        .rebuild(View::Customer, |_| ())
        .await
        .context("rebuilding the customer view")?;
    let folded = u64::try_from(report.events).context("a count of events")?;
    anyhow::ensure!(folded == events, "{folded} of {events} events were folded");
    anyhow::ensure!(
        report.parked_events == 0,
        "{} events could not be folded",
        report.parked_events
    );
    Ok(())
}
