//! `bookmarket bench append`: events through the library, against raw inserts.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use eventstore::{
    Category, EventStore, Expected, Location, NewEvent, Options, StreamAppend, StreamId,
};
use secrecy::SecretString;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::closed_loop::{Caller, closed_loop};
use super::figures::{Pair, Run};
use super::report::{Bound, Report};
use super::scratch::{Scratch, connect, with_scratch};
use super::server_cpu::ServerCpu;
use super::{Pairs, note, payload, raw};

const ORDER: Category = Category::from_static("order");

/// How to measure appends.
#[derive(Debug, Args)]
pub struct AppendArgs {
    #[command(flatten)]
    pairs: Pairs,
    /// Callers that wait for their append before the next one.
    #[arg(long, default_value_t = raw::CONNECTIONS)]
    callers: usize,
}

struct Appender {
    store: EventStore,
}

impl Caller for Appender {
    async fn call(&mut self) -> anyhow::Result<()> {
        let id = Uuid::now_v7();
        let json = |text: String| RawValue::from_string(text).context("the payload is JSON");
        let event = NewEvent {
            event_id: Uuid::now_v7(),
            event_type: Cow::Borrowed("Ordered"),
            schema_version: 1,
            data: json(payload::data(id))?,
            metadata: json(payload::METADATA.to_owned())?,
        };
        let append = StreamAppend {
            stream: StreamId {
                category: ORDER,
                id,
            },
            expected: Expected::NoStream,
            events: vec![event],
        };
        self.store.append(vec![append]).await.context("appending")?;
        Ok(())
    }
}

pub(super) async fn run(
    database: &SecretString,
    args: &AppendArgs,
    json: bool,
) -> anyhow::Result<()> {
    let report = with_scratch(database, async |scratch: &Scratch| {
        measure(scratch, args).await
    })
    .await?;
    report.print(json)?;
    Ok(())
}

async fn measure(scratch: &Scratch, args: &AppendArgs) -> anyhow::Result<Report> {
    let location = Location::Postgres {
        url: scratch.url.clone(),
    };
    EventStore::migrate(&location)
        .await
        .context("creating the log")?;
    raw::prepare(&scratch.url).await?;
    let store = EventStore::open(&location, Options::default())
        .await
        .context("opening the log")?;
    let mut pairs = Vec::new();
    for pair in 1..=args.pairs.count() {
        let baseline = raw::insert_for(&scratch.url, raw::CONNECTIONS, args.pairs.length()).await?;
        let figure = append_for(&store, &scratch.url, args.callers, args.pairs.length()).await?;
        note(&format!(
            "pair {pair}: {:.0} events/s against {:.0} rows/s",
            figure.per_second(),
            baseline.per_second()
        ))?;
        pairs.push(Pair { baseline, figure });
    }
    let report = Report::new("append", "events/s", &pairs, Vec::new())
        .must("ratio", |it| Some(it.ratio()), Bound::AtLeast(1.9))
        .must("postgres cpu", Report::postgres_cpu, Bound::AtMost(25.0))
        .must("p99 / raw p99", Report::p99_ratio, Bound::AtMost(1.0));
    Ok(report)
}

async fn append_for(
    store: &EventStore,
    url: &SecretString,
    callers: usize,
    length: Duration,
) -> anyhow::Result<Run> {
    let admin = connect(url).await?;
    raw::settle(&admin).await?;
    let cpu = ServerCpu::find(&admin).await?;
    let head = store.head().await.context("reading the head")?;
    let before = cpu.map(ServerCpu::sample);
    let appenders = (0..callers)
        .map(|_| Appender {
            store: store.clone(),
        })
        .collect();
    let rounds = closed_loop(appenders, length).await?;
    let postgres_cpu = cpu
        .zip(before)
        .map(|(cpu, before)| cpu.sample().since(&before));
    let stored = store.head().await.context("reading the head")?.0 - head.0;
    let done = rounds.latencies.len() as u64;
    anyhow::ensure!(
        u64::try_from(stored) == Ok(done),
        "{done} appends were acknowledged, {stored} events are stored"
    );
    Ok(Run {
        done,
        events: done,
        elapsed: rounds.elapsed,
        latencies: rounds.latencies,
        postgres_cpu,
    })
}
