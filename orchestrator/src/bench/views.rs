//! `bookmarket bench views`: what the customer and the message view cost those who order, and how far behind they are.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use eventstore::{Access, EventStore, Location, Options, Position};
use projections::Projections;
use secrecy::SecretString;

use super::announcements::Announcements;
use super::figures::{Latencies, Pair, Percentiles, count, median, per};
use super::http::HttpClient;
use super::open_loop::{Connections, OpenLoop, open_loop};
use super::ordering::Bench;
use super::report::{Bound, Note, Report};
use super::scratch::{Scratch, with_scratch};
use super::server::Server;
use super::shop::Shop;
use super::view_lag::{LagWatch, WATCHED};
use super::{Pairs, note, raw};

/// Both views together take at most a quarter of the orders.
const RATIO_MIN: f64 = 0.75;

/// Share of the highest rate at which the lag is measured: a shop that is busy, not one that is full.
const BUSY: f64 = 0.8;

/// Before the first pair: connections, caches and the customers' keys exist.
const WARM_UP: Duration = Duration::from_secs(2);

const LAG_P99_MAX_MS: f64 = 250.0;

/// A shop that refuses its customers has views that keep up with the rest, so the lag counts only where nearly all have ordered.
const PAID_MIN: f64 = 0.98;

/// A view that was paused for a run has caught up long before.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How to measure views.
#[derive(Debug, Args)]
pub struct ViewsArgs {
    #[command(flatten)]
    pairs: Pairs,
    /// Customers that wait for their message before they order again.
    #[arg(long, default_value_t = raw::CONNECTIONS)]
    customers: usize,
    /// Length of the run at 80 % of the measured rate.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    open_length: Duration,
}

pub(super) async fn run(
    database: &SecretString,
    args: &ViewsArgs,
    json: bool,
) -> anyhow::Result<()> {
    let report = with_scratch(database, async |scratch: &Scratch| {
        let location = Location::Postgres {
            url: scratch.url.clone(),
        };
        EventStore::migrate(&location)
            .await
            .context("creating the log")?;
        let server = Server::start(&scratch.url).await?;
        let options = Options {
            access: Access::ReadOnly,
            ..Options::default()
        };
        let store = EventStore::open(&location, options)
            .await
            .context("opening the log")?;
        let views = Projections::open(&location, store.clone())
            .await
            .context("opening the views")?;
        let report = measure(scratch, &server, &store, &views, args).await?;
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
    views: &Projections,
    args: &ViewsArgs,
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
    let mut pairs = Vec::new();
    for pair in 1..=args.pairs.count() {
        tell_both(&shop, "pause").await?;
        let (baseline, _) = bench.order_for(args.pairs.length()).await?;
        tell_both(&shop, "resume").await?;
        caught_up(views, bench.head().await?).await?;
        let (figure, _) = bench.order_for(args.pairs.length()).await?;
        note(&format!(
            "pair {pair}: {:.0} orders/s with both views, {:.0} without",
            figure.per_second(),
            baseline.per_second()
        ))?;
        caught_up(views, bench.head().await?).await?;
        pairs.push(Pair { baseline, figure });
    }
    let rate = BUSY * median(pairs.iter().map(|pair| pair.figure.per_second()).collect());
    note(&format!("{rate:.0} orders/s for {:?}", args.open_length))?;
    let watch = LagWatch::start(store.clone(), views.clone());
    let open = open_loop(&Connections::new(shop.clone()), rate, args.open_length).await?;
    let lags = watch.stop().await?;
    Ok(report(&pairs, rate, &open, &lags))
}

fn report(pairs: &[Pair], rate: f64, open: &OpenLoop, lags: &[Latencies; 2]) -> Report {
    let [customer, message]: [Percentiles; 2] = lags.each_ref().map(Latencies::percentiles);
    let notes = vec![
        Note::new("open loop", rate, "orders/s"),
        Note::new("open loop, paid", open.goodput(), "orders/s"),
        Note::new("open loop, refused", count(open.refused), "orders"),
        Note::new("customer view, lag p50", customer.p50, "ms"),
        Note::new("customer view, lag max", customer.max, "ms"),
        Note::new("message view, lag p50", message.p50, "ms"),
        Note::new("message view, lag max", message.max, "ms"),
        Note::new("events", count(lags[0].len() as u64), "events"),
    ];
    Report::new("views", "orders/s", pairs, notes)
        .must("ratio", |it| Some(it.ratio()), Bound::AtLeast(RATIO_MIN))
        .must(
            "open loop, paid / offered",
            |_| Some(per(open.goodput(), rate)),
            Bound::AtLeast(PAID_MIN),
        )
        .must(
            "customer view, lag p99, ms",
            |_| Some(customer.p99),
            Bound::AtMost(LAG_P99_MAX_MS),
        )
        .must(
            "message view, lag p99, ms",
            |_| Some(message.p99),
            Bound::AtMost(LAG_P99_MAX_MS),
        )
}

/// Has both views stand still, or go on.
async fn tell_both(shop: &Shop, verb: &str) -> anyhow::Result<()> {
    let mut client: HttpClient = shop.connect().await?;
    for view in WATCHED {
        let path = format!("/projections/{view}/{verb}");
        let reply = client
            .post(&path, "bench", r#"{"reason":"bench"}"#)
            .await
            .with_context(|| path.clone())?;
        ensure!(reply.status == 200, "{path} answered {}", reply.status);
    }
    Ok(())
}

async fn caught_up(views: &Projections, head: Position) -> anyhow::Result<()> {
    let until = Instant::now() + CAUGHT_UP_WITHIN;
    for view in WATCHED {
        while views.position(view).await? < head {
            ensure!(
                Instant::now() < until,
                "the view {view} did not catch up within {CAUGHT_UP_WITHIN:?}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
