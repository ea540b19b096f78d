//! More workers, more work.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::Mutex;

use super::crew::{Crew, counted, effects};
use crate::broker::nats::Release;
use crate::soak::{self, size};
use crate::storm::{MENDED, crowd};
use crate::town::{Process, Setup, order, until};

/// What a call of a provider takes.
const LATENCY: Duration = Duration::from_millis(50);

/// Unit of the times in `/proc`, the same on every Linux.
const TICKS_A_SECOND: u32 = 100;

/// Calls of one provider that one worker has in flight. By default it is 256, and at 50 ms a call that would be 5,000 sagas a
/// second: no machine of a few cores has the provider for its limit then. So few, and it is what is waited for.
const CONCURRENCY: u8 = 2;

/// What part of the calls that its workers may have a crew has in flight, as long as there is enough to do. With less, something else is
/// what it waits for, and the factor says nothing.
const IN_FLIGHT_MIN: f64 = 0.75;

/// Between two looks at what has been done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a second worker has to add.
const FACTOR_MIN: f64 = 1.8;

/// What a crew of so many workers does with a backlog.
struct Pace {
    /// Sagas completed in a second.
    rate: f64,
    /// How much of one core its workers took.
    cores: f64,
    /// Calls of the carrier that were in flight, of those that its workers may have.
    in_flight: f64,
}

/// Processor time that a process has taken so far.
fn processor_time(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()));
    let stat = stat.expect("it runs");
    // After the name, which may hold anything but this.
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    let ticks: u64 = [11, 12]
        .map(|at| fields[at].parse::<u64>().expect("ticks"))
        .iter()
        .sum();
    Duration::from_secs(ticks) / TICKS_A_SECOND
}

/// Sagas that a crew of so many workers completes in a second, from a backlog.
async fn completed(release: Release, workers: usize, orders: usize) -> Pace {
    let setup = Setup::default().shop(&["--log", "warn"]).world(&[
        "--simulated-handover-after",
        "1h",
        "--simulated-delivery-after",
        "1h",
    ]);
    let mut crew = Crew::with_nats(release, setup).await;
    crew.hire("projector").await;
    let customers = crew.town.customers.clone();
    let placing = crowd(orders, move |nth| {
        let customers = customers.clone();
        async move {
            vec![
                customers
                    .insist(&nth.to_string(), &order("ok"))
                    .await
                    .order(),
            ]
        }
    });
    assert_eq!(placing.concat().await.len(), orders);
    let slow = |port: &str, op: &str| json!({ "port": port, "op": op, "fault": "delay", "rate": 1.0, "delayMs": LATENCY.as_millis() });
    crew.town
        .faults(&json!([slow("carrier", "ship"), slow("kakao", "send")]))
        .await;
    let mut started = Vec::new();
    for _ in 0..workers {
        let process = crew
            .process("worker")
            .argument("--provider-concurrency", &CONCURRENCY.to_string());
        started.push(process);
    }
    let starting = started
        .iter_mut()
        .map(|worker| worker.start(&crew.town.http));
    futures_util::future::join_all(starting).await;
    // Asked for all of its books all the time, the world outside would do nothing else.
    let books = Mutex::new(Vec::new());
    let told = async || {
        let mut books = books.lock().await;
        crew.town.read_on(&mut books).await;
        effects(&books, "send").len()
    };
    // From the first that is done with to the last: what starting takes is not measured.
    let first = until("the first", MENDED, async || {
        Some(told().await).filter(|told| *told > 0)
    })
    .await;
    let since = Instant::now();
    let before: Duration = started.iter().map(processor_time).sum();
    let mut looks = Vec::new();
    until("the last", MENDED, async || {
        let in_flight = "bookmarket_provider_calls_in_flight{";
        let mut all = 0.0;
        for worker in &started {
            all += counted(&crew.town.http, &worker.url, in_flight, &["carrier"]).await;
        }
        looks.push(all);
        tokio::time::sleep(LOOK_EVERY).await;
        (told().await >= orders).then_some(())
    })
    .await;
    let took = since.elapsed().as_secs_f64();
    let after: Duration = started.iter().map(processor_time).sum();
    // Towards the end there is not enough left to do for all.
    let busy = &looks[..(looks.len() * 3).div_ceil(4)];
    Pace {
        rate: (orders - first) as f64 / took,
        cores: (after - before).as_secs_f64() / took,
        in_flight: busy.iter().sum::<f64>() / busy.len() as f64,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_carries_its_share() {
    for release in soak::brokers(Release::New) {
        one_and_two(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn one_and_two(release: Release) {
    let orders = size(2400);
    let one = completed(release, 1, orders).await;
    let two = completed(release, 2, orders).await;
    println!(
        "figure: second-worker broker={release} latency={}ms concurrency={CONCURRENCY} orders={orders} one={:.1}/s two={:.1}/s factor={:.2} \
         in-flight={:.1},{:.1} workers-cores={:.2},{:.2} machine-cores={}",
        LATENCY.as_millis(),
        one.rate,
        two.rate,
        two.rate / one.rate,
        one.in_flight,
        two.in_flight,
        one.cores,
        two.cores,
        std::thread::available_parallelism().map_or(0, usize::from),
    );
    // A busy machine takes the rate away, but not that two have more in hand than one.
    assert!(
        two.in_flight > one.in_flight,
        "{} and {}",
        two.in_flight,
        one.in_flight
    );
    for (workers, pace) in [(1.0, &one), (2.0, &two)] {
        let share = pace.in_flight / (workers * f64::from(CONCURRENCY));
        assert!(
            share <= 1.0,
            "{workers} workers: {share:.2} of their limits"
        );
        assert!(
            !soak::is_on() || share >= IN_FLIGHT_MIN,
            "{workers} workers: {share:.2} of their limits"
        );
    }
    let factor = two.rate / one.rate;
    assert!(!soak::is_on() || factor >= FACTOR_MIN, "{factor}");
}
