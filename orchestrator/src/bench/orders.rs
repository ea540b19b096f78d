//! `bookmarket bench orders`: whole orders over HTTP, from `POST /orders` to the message in the log.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use eventstore::{Access, EventStore, Location, Options};
use secrecy::SecretString;

use super::announcements::Announcements;
use super::commit_probe::CommitProbe;
use super::figures::{Latencies, Pair, Percentiles, count, median, per};
use super::memory::{Memory, MemoryWatch};
use super::open_loop::{Arrivals, Connections, OpenLoop, one_upon_the_other, open_loop};
use super::ordering::Bench;
use super::report::{Bound, Note, Report};
use super::scratch::{Scratch, with_scratch};
use super::server::Server;
use super::shop::Shop;
use super::{Pairs, note, raw};

/// An answer to `POST /orders` waits for two commits of the log and one of the provider, each behind the one before it.
const TAIL_MAX: f64 = 15.0;
/// The same against a commit that has the machine to itself: between the two lies what a loaded machine costs anybody.
const IDLE_TAIL_MAX: f64 = 60.0;

/// 200 MB.
const MEMORY_MAX_MIB: f64 = 190.7;
/// How much more memory late in the open loop than early in it still counts as flat.
const GROWTH_MAX: f64 = 1.1;

/// A generator that shares the machine does not always get as far as it should.
const OFFERED_MIN: f64 = 9.9;
/// Whoever is taken in the overload is served within this.
const OVERLOAD_P99_MAX_MS: f64 = 2_000.0;

/// Customers order for so long before it is looked whether the server is warm.
const WARM_UP_ROUND: Duration = Duration::from_secs(1);

/// How many times what the server can serve arrives in the overload.
const OVERLOADED: f64 = 10.0;

/// How to measure orders.
#[derive(Debug, Args)]
pub struct OrdersArgs {
    #[command(flatten)]
    pairs: Pairs,
    /// Customers that wait for their message before they order again.
    #[arg(long, default_value_t = raw::CONNECTIONS)]
    customers: usize,
    /// Orders before the first pair: enough to fill every cache of the server, so that memory is flat from there on.
    #[arg(long, value_name = "ORDERS", default_value_t = 20_000)]
    warm_up: u64,
    /// Length of the run at half of the measured rate, in which latencies and memory are watched.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    open_length: Duration,
    /// Length of the overload with ten times what the server can serve.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    overload_length: Duration,
    /// How long the server is watched afterwards at half of its rate; when the last order was in trouble is when it had recovered.
    #[arg(long, default_value = "12s", value_parser = humantime::parse_duration)]
    recovery_length: Duration,
}

pub(super) async fn run(
    database: &SecretString,
    args: &OrdersArgs,
    json: bool,
) -> anyhow::Result<()> {
    let report = with_scratch(database, async |scratch: &Scratch| {
        let location = Location::Postgres {
            url: scratch.url.clone(),
        };
        EventStore::migrate(&location)
            .await
            .context("creating the log")?;
        raw::prepare(&scratch.url).await?;
        let server = Server::start(&scratch.url).await?;
        let options = Options {
            access: Access::ReadOnly,
            ..Options::default()
        };
        let store = EventStore::open(&location, options)
            .await
            .context("opening the log")?;
        let report = measure(scratch, &server, &store, args).await?;
        server.stop().await?;
        Ok(report)
    })
    .await?;
    report.print(json)?;
    Ok(())
}

async fn measure(
    scratch: &Scratch,
    server: &Server,
    store: &EventStore,
    args: &OrdersArgs,
) -> anyhow::Result<Report> {
    let head = store.head().await.context("reading the head")?;
    let (announcements, _watcher) = Announcements::watch(store.clone(), head);
    let shop = Shop::new(server.address, announcements);
    let bench = Bench {
        scratch,
        store,
        shop: &shop,
        customers: args.customers,
    };
    note(&format!("warming up with {} orders", args.warm_up))?;
    let mut done = 0;
    while done < args.warm_up {
        done += bench.order_for(WARM_UP_ROUND).await?.0.done;
    }

    let memory = MemoryWatch::start(server.pid());
    let mut pairs = Vec::new();
    let mut answered = Latencies::default();
    let mut events_per_order = Vec::new();
    for pair in 1..=args.pairs.count() {
        let baseline = raw::insert_for(&scratch.url, raw::CONNECTIONS, args.pairs.length()).await?;
        let (figure, posts) = bench.order_for(args.pairs.length()).await?;
        note(&format!(
            "pair {pair}: {:.0} orders/s against {:.0} rows/s",
            figure.per_second(),
            baseline.per_second()
        ))?;
        events_per_order.push(count(figure.events) / count(figure.done.max(1)));
        answered.merge(posts);
        pairs.push(Pair { baseline, figure });
    }
    let rate = median(pairs.iter().map(|pair| pair.figure.per_second()).collect()) / 2.0;
    let commit = raw::insert_for(&scratch.url, 1, args.pairs.length())
        .await?
        .latencies
        .percentiles();
    let connections = Connections::new(shop.clone());
    let probe = CommitProbe::start(&scratch.url).await?;
    let steady = MemoryWatch::start(server.pid());
    let open = open_loop(&connections, rate, args.open_length).await?;
    let (steady, whole) = (steady.stop(), memory.stop());
    let commit_beside = probe.stop().await?.percentiles();
    // What it can serve now: a machine that is one of many on its host is not as fast as minutes ago.
    let peak = bench.order_for(args.pairs.length()).await?.0.per_second();
    let flood = Arrivals {
        rate: peak * OVERLOADED,
        length: args.overload_length,
    };
    note(&format!(
        "{:.0} orders/s for {:?}",
        flood.rate, flood.length
    ))?;
    let after = Arrivals {
        rate,
        length: args.recovery_length,
    };
    let (overload, after) = one_upon_the_other(&connections, flood, after).await?;
    let side = Beside {
        peak,
        events_per_order: median(events_per_order),
        closed: answered.percentiles(),
        commit,
        commit_beside,
        open,
        steady,
        memory_most: whole.most,
        overload,
        after,
    };
    Ok(side.report(&pairs))
}

/// What is measured beside the rate.
struct Beside {
    /// What the closed loop came to right before the overload.
    peak: f64,
    events_per_order: f64,
    closed: Percentiles,
    /// On the idle server, right before the open loop.
    commit: Percentiles,
    /// While the open loop ran.
    commit_beside: Percentiles,
    open: OpenLoop,
    /// While the open loop ran.
    steady: Memory,
    /// From the first pair to the end of the open loop.
    memory_most: f64,
    overload: OpenLoop,
    after: OpenLoop,
}

impl Beside {
    fn report(&self, pairs: &[Pair]) -> Report {
        let posts = self.open.answered.percentiles();
        let flood = &self.overload;
        let musts = [
            (
                "refused or pending at half rate",
                self.left_out(),
                Bound::AtMost(0.0),
            ),
            (
                "POST p99 / commit p99, beside it",
                per(posts.p99, self.commit_beside.p99),
                Bound::AtMost(TAIL_MAX),
            ),
            (
                "POST p99 / commit p99, idle",
                per(posts.p99, self.commit.p99),
                Bound::AtMost(IDLE_TAIL_MAX),
            ),
            (
                "memory, most, MiB",
                self.memory_most,
                Bound::AtMost(MEMORY_MAX_MIB),
            ),
            (
                "memory, late / early",
                per(self.steady.late, self.steady.early),
                Bound::AtMost(GROWTH_MAX),
            ),
            (
                "overload, offered / peak",
                per(flood.offered(), self.peak),
                Bound::AtLeast(OFFERED_MIN),
            ),
            (
                "overload, paid / peak",
                per(flood.goodput(), self.peak),
                Bound::AtLeast(0.7),
            ),
            (
                "overload, neither paid nor refused",
                count(flood.pending),
                Bound::AtMost(0.0),
            ),
            (
                "overload, POST p99, ms",
                flood.answered.percentiles().p99,
                Bound::AtMost(OVERLOAD_P99_MAX_MS),
            ),
            (
                "overload, recovered after, s",
                self.after.troubled_until.as_secs_f64(),
                Bound::AtMost(10.0),
            ),
        ];
        let report = Report::new("orders", "orders/s", pairs, self.notes(&posts)).must(
            "ratio",
            |it| Some(it.ratio()),
            Bound::AtLeast(0.06),
        );
        musts
            .into_iter()
            .fold(report, |report, (name, value, bound)| {
                report.must(name, |_| Some(value), bound)
            })
    }

    fn left_out(&self) -> f64 {
        count(self.open.refused + self.open.pending)
    }

    fn notes(&self, posts: &Percentiles) -> Vec<Note> {
        let messages = self.open.announced.percentiles();
        vec![
            Note::new("events per order", self.events_per_order, "events"),
            Note::new("POST p50, closed loop", self.closed.p50, "ms"),
            Note::new("POST p99, closed loop", self.closed.p99, "ms"),
            Note::new("open loop", self.open.offered(), "orders/s"),
            Note::new("POST p50, open loop", posts.p50, "ms"),
            Note::new("POST p99, open loop", posts.p99, "ms"),
            Note::new("POST p99.9, open loop", posts.p999, "ms"),
            Note::new("message p50, open loop", messages.p50, "ms"),
            Note::new("message p99, open loop", messages.p99, "ms"),
            Note::new("one commit p50, open loop", self.commit_beside.p50, "ms"),
            Note::new("one commit p99, open loop", self.commit_beside.p99, "ms"),
            Note::new("one commit p50, idle", self.commit.p50, "ms"),
            Note::new("one commit p99, idle", self.commit.p99, "ms"),
            Note::new("memory, early", self.steady.early, "MiB"),
            Note::new("memory, late", self.steady.late, "MiB"),
            Note::new("peak before the overload", self.peak, "orders/s"),
            Note::new("overload, offered", self.overload.offered(), "orders/s"),
            Note::new("overload, paid", self.overload.goodput(), "orders/s"),
            Note::new("overload, refused", count(self.overload.refused), "orders"),
        ]
    }
}
