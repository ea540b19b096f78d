//! `bookmarket bench orders`: whole orders over HTTP, from `POST /orders` to the message in the log.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use eventstore::{Access, EventStore, Location, Options, Position};
use secrecy::SecretString;

use super::announcements::Announcements;
use super::closed_loop::closed_loop;
use super::figures::{Latencies, Pair, Percentiles, Run, count, median, per};
use super::memory::{Memory, MemoryWatch};
use super::open_loop::{OpenLoop, open_loop};
use super::report::{Note, Report};
use super::scratch::{Scratch, connect, with_scratch};
use super::server::Server;
use super::server_cpu::ServerCpu;
use super::shop::{Customer, Shop};
use super::{Pairs, note, raw};

/// Before the first pair: connections, caches and the customers' keys exist.
const WARM_UP: Duration = Duration::from_secs(2);

/// How many times the measured rate arrives in the overload.
const OVERLOADED: f64 = 10.0;
const OVERLOAD: Duration = Duration::from_secs(5);
/// How long the server is watched afterwards at half of its rate; the last refusal in it is when it had recovered.
const RECOVERY: Duration = Duration::from_secs(12);

/// How to measure orders.
#[derive(Debug, Args)]
pub struct OrdersArgs {
    #[command(flatten)]
    pairs: Pairs,
    /// Customers that wait for their message before they order again.
    #[arg(long, default_value_t = raw::CONNECTIONS)]
    customers: usize,
    /// Length of the run at half of the measured rate.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration)]
    open_length: Duration,
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
    bench.order_for(WARM_UP).await?;

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
    let open = open_loop(&shop, rate, args.open_length).await?;
    let memory = memory.stop();
    anyhow::ensure!(
        open.refused == 0,
        "{} orders were refused at half of the rate",
        open.refused
    );
    note(&format!(
        "{:.0} orders/s for {:?}",
        rate * 2.0 * OVERLOADED,
        OVERLOAD
    ))?;
    let overload = open_loop(&shop, rate * 2.0 * OVERLOADED, OVERLOAD).await?;
    let after = open_loop(&shop, rate, RECOVERY).await?;
    let side = Beside {
        rate,
        events_per_order: median(events_per_order),
        closed: answered.percentiles(),
        commit,
        posts: open.answered.percentiles(),
        messages: open.announced.percentiles(),
        memory,
        overload,
        after,
    };
    Ok(Report::new("orders", "orders/s", &pairs, side.notes()))
}

/// What is measured beside the rate.
struct Beside {
    rate: f64,
    events_per_order: f64,
    closed: Percentiles,
    commit: Percentiles,
    posts: Percentiles,
    messages: Percentiles,
    memory: Memory,
    overload: OpenLoop,
    after: OpenLoop,
}

impl Beside {
    fn notes(&self) -> Vec<Note> {
        vec![
            Note::new("events per order", self.events_per_order, "events"),
            Note::new("POST p50, closed loop", self.closed.p50, "ms"),
            Note::new("POST p99, closed loop", self.closed.p99, "ms"),
            Note::new("open loop", self.rate, "orders/s"),
            Note::new("POST p50, open loop", self.posts.p50, "ms"),
            Note::new("POST p99, open loop", self.posts.p99, "ms"),
            Note::new("POST p99.9, open loop", self.posts.p999, "ms"),
            Note::new("message p50, open loop", self.messages.p50, "ms"),
            Note::new("message p99, open loop", self.messages.p99, "ms"),
            Note::new("one commit p50", self.commit.p50, "ms"),
            Note::new("one commit p99", self.commit.p99, "ms"),
            Note::new(
                "POST p99 / commit p99",
                per(self.posts.p99, self.commit.p99),
                "times",
            ),
            Note::new("memory, first", self.memory.first, "MiB"),
            Note::new("memory, most", self.memory.most, "MiB"),
            Note::new("memory, last", self.memory.last, "MiB"),
            Note::new("overload, paid", self.overload.goodput(), "orders/s"),
            Note::new(
                "overload, paid / rate",
                per(self.overload.goodput(), 2.0 * self.rate),
                "times",
            ),
            Note::new("overload, refused", count(self.overload.refused), "orders"),
            Note::new("overload, pending", count(self.overload.pending), "orders"),
            Note::new(
                "overload, recovered after",
                self.after.last_refused.as_secs_f64(),
                "s",
            ),
        ]
    }
}

struct Bench<'a> {
    scratch: &'a Scratch,
    store: &'a EventStore,
    shop: &'a Shop,
    customers: usize,
}

impl Bench<'_> {
    /// Orders in a closed loop; with the run come the latencies of the answers to `POST /orders` alone.
    async fn order_for(&self, length: Duration) -> anyhow::Result<(Run, Latencies)> {
        let mut customers = Vec::with_capacity(self.customers);
        for _ in 0..self.customers {
            customers.push(Customer::new(self.shop.clone()).await?);
        }
        let admin = connect(&self.scratch.url).await?;
        raw::settle(&admin).await?;
        let cpu = ServerCpu::find(&admin).await?;
        let head = self.head().await?;
        let before = cpu.map(ServerCpu::sample);
        let rounds = closed_loop(customers, length).await?;
        let postgres_cpu = cpu
            .zip(before)
            .map(|(cpu, before)| cpu.sample().since(&before));
        let stored = self.head().await?.0 - head.0;
        let mut answered = Latencies::default();
        for customer in rounds.callers {
            answered.merge(customer.answered);
        }
        let run = Run {
            done: rounds.latencies.len() as u64,
            events: u64::try_from(stored).context("the log became shorter")?,
            elapsed: rounds.elapsed,
            latencies: rounds.latencies,
            postgres_cpu,
        };
        Ok((run, answered))
    }

    async fn head(&self) -> anyhow::Result<Position> {
        self.store.head().await.context("reading the head")
    }
}
