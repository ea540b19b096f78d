//! More workers, more work.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;

use super::crew::{Crew, SLOW_IS_NOT_AWAY, measurements, sum};
use crate::broker::nats::Release;
use crate::soak;
use crate::storm::{MENDED, crowd};
use crate::town::{Process, Setup, order, until};

/// What a call of a provider takes. Where the cores are shared with other tests, fewer orders wait for longer calls: the providers take as
/// long, and everything else less.
fn latency() -> Duration {
    Duration::from_millis(if soak::is_on() { 50 } else { 200 })
}

/// How many orders wait.
fn orders() -> usize {
    if soak::is_on() { 4800 } else { 60 }
}

/// Unit of the times in `/proc`, the same on every Linux.
const TICKS_A_SECOND: u32 = 100;

/// Calls of one step that one worker has in flight: what it has by default. Where the cores are shared with other tests it is less, so that the
/// provider is what is waited for there as well.
fn concurrency() -> u8 {
    if soak::is_on() { 8 } else { 2 }
}

/// What part of the calls that its workers may have a crew has in flight, as long as there is enough to do. With less, something else is
/// what it waits for, and the factor says nothing.
const IN_FLIGHT_MIN: f64 = 0.75;

/// Between two looks at what has been done, each of which costs the workers a few queries.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a second worker has to add.
const FACTOR_MIN: f64 = 1.8;

/// What a crew of so many workers does with a backlog.
struct Pace {
    /// Sagas completed in a second.
    rate: f64,
    /// How many cores its workers took.
    cores: f64,
    /// How much of the machine was in use, by whomever.
    machine: f64,
    /// Calls in flight of the step that had most of them, of those that its workers may have of each.
    in_flight: f64,
}

/// How far some workers are.
struct Look {
    /// Sagas that they have completed.
    completed: f64,
    /// Calls in flight of the step that has most of them.
    in_flight: f64,
}

impl Look {
    async fn at(http: &reqwest::Client, workers: &[Process]) -> Self {
        let asked = workers.iter().map(|worker| measurements(http, &worker.url));
        let all = futures_util::future::join_all(asked).await.concat();
        let steps = ["ship", "notify", "handover", "track"].map(|step| format!("step=\"{step}\""));
        let of_step = |step: &String| sum(&all, "saga_in_flight{", &["fulfilment", step]);
        Self {
            completed: sum(&all, "saga_finished_total{", &["fulfilment", "completed"]),
            in_flight: steps.iter().map(of_step).fold(0.0, f64::max),
        }
    }
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

/// What all cores together have done so far: work, and work and idling.
fn machine_time() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").expect("it is Linux");
    let all = stat.lines().next().expect("the sum of all cores");
    let ticks: Vec<f64> = all
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(|ticks| ticks.parse().expect("ticks"))
        .collect();
    let (total, idle) = (ticks.iter().sum::<f64>(), ticks[3] + ticks[4]);
    (total - idle, total)
}

/// A shop with so many orders that are paid and wait for workers; parcels leave as soon as they are ready, and every call of the carrier and of
/// Kakao takes its time. Two scans of a parcel are so far apart that no two workers have it in hand, and would both look at it.
async fn backlog(release: Release, orders: usize) -> Crew {
    let mut setup = Setup::default().shop(&["--log", "warn"]).world(&[
        "--simulated-handover-after",
        "100ms",
        "--simulated-delivery-after",
        "2s",
    ]);
    if !soak::is_on() {
        setup = setup.shop(&SLOW_IS_NOT_AWAY);
    }
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
    let slow = |port: &str, op: &str| json!({ "port": port, "op": op, "fault": "delay", "rate": 1.0, "delayMs": latency().as_millis() });
    let slow = json!([
        slow("carrier", "ship"),
        slow("carrier", "query"),
        slow("kakao", "send")
    ]);
    crew.town.faults(&slow).await;
    crew
}

/// How so many workers work off a backlog.
async fn completed(release: Release, workers: usize, orders: usize) -> Pace {
    let crew = backlog(release, orders).await;
    let mut started = Vec::new();
    for _ in 0..workers {
        let mut process = crew.process("worker");
        if !soak::is_on() {
            process = process.argument("--step-concurrency", &concurrency().to_string());
        }
        started.push(process);
    }
    let starting = started
        .iter_mut()
        .map(|worker| worker.start(&crew.town.http));
    futures_util::future::join_all(starting).await;
    let look = async || Look::at(&crew.town.http, &started).await;
    // What starting takes is not measured.
    until("the first call", MENDED, async || {
        (look().await.in_flight > 0.0).then_some(())
    })
    .await;
    let since = Instant::now();
    let before: Duration = started.iter().map(processor_time).sum();
    let machine_before = machine_time();
    let mut looks = Vec::new();
    until("the last", MENDED, async || {
        tokio::time::sleep(LOOK_EVERY).await;
        let look = look().await;
        looks.push(look.in_flight);
        (look.completed >= orders as f64).then_some(())
    })
    .await;
    let took = since.elapsed().as_secs_f64();
    let after: Duration = started.iter().map(processor_time).sum();
    let machine_after = machine_time();
    // Towards the end there is not enough left to do for all.
    let busy = &looks[..(looks.len() * 3).div_ceil(4)];
    Pace {
        rate: orders as f64 / took,
        cores: (after - before).as_secs_f64() / took,
        machine: (machine_after.0 - machine_before.0) / (machine_after.1 - machine_before.1),
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
    let orders = orders();
    let one = completed(release, 1, orders).await;
    let two = completed(release, 2, orders).await;
    let factor = two.rate / one.rate;
    println!(
        "figure: second-worker broker={release} latency={}ms step-concurrency={} orders={orders} one={:.1}/s two={:.1}/s factor={factor:.2} \
         in-flight={:.1},{:.1} workers-cores={:.2},{:.2} machine-busy={:.0}%,{:.0}% machine-cores={}",
        latency().as_millis(),
        concurrency(),
        one.rate,
        two.rate,
        one.in_flight,
        two.in_flight,
        one.cores,
        two.cores,
        100.0 * one.machine,
        100.0 * two.machine,
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
        let share = pace.in_flight / (workers * f64::from(concurrency()));
        assert!(
            share <= 1.0,
            "{workers} workers: {share:.2} of their limits"
        );
        assert!(
            !soak::is_on() || share >= IN_FLIGHT_MIN,
            "{workers} workers: {share:.2} of their limits"
        );
    }
    assert!(!soak::is_on() || factor >= FACTOR_MIN, "{factor}");
}
