//! Many may relay, one does, and who comes late is not heard.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eventstore::testing::{TestDatabase, TestLog};
use orchestrator::bus::relay::status::Phase;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::world::{Running, World, settings};
use crate::broker::nats::{NatsServer, Release};
use crate::broker::proxy::{Proxy, Weather};
use crate::broker::published::Tally;
use crate::broker::{eventually, on_each_release};
use crate::soak::size;

#[tokio::test(flavor = "multi_thread")]
async fn of_three_relays_one_publishes_and_another_takes_over_when_it_ends() {
    let server = NatsServer::start(Release::New);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(world.relay(settings()).await);
    }
    let active = |relays: &[Running]| {
        let phases = relays.iter().map(|relay| relay.status.report().phase);
        phases.filter(|phase| *phase == Phase::Active).count()
    };
    while !relays.is_empty() {
        world.append(100).await;
        world.caught_up().await;
        eventually("one knows that it relays", async || active(&relays) == 1).await;
        let at = relays
            .iter()
            .position(|relay| relay.status.report().phase == Phase::Active);
        relays.swap_remove(at.expect("one of them")).stop().await;
    }
    let messages = world.is_the_log().await;
    let mut tokens: Vec<_> = messages.iter().map(|message| message.relay).collect();
    tokens.dedup();
    assert_eq!(tokens, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_has_sent_and_arrives_after_its_turn_is_refused() {
    on_each_release(async |release| {
        let server = NatsServer::start(release);
        let world = World::new(TestLog::postgres(), &server.url()).await;
        let proxy = Proxy::start(server.address()).await;
        let through = format!("nats://{}", proxy.address());
        let former = world.relay_through(&through, settings()).await;
        world.append(100).await;
        world.caught_up().await;

        proxy.set(Weather::Held);
        world.append(100).await;
        world.give_the_turn_away();
        let present = world.relay(settings()).await;
        world.caught_up().await;
        world.append(20).await;
        world.caught_up().await;
        proxy.set(Weather::Fair);
        world.append(20).await;
        let messages = world.is_the_log().await;
        assert!(
            messages[100].relay > messages[99].relay,
            "the former was heard"
        );
        present.stop().await;
        former.stop().await;
        world.is_the_log().await;
    })
    .await;
}

/// The lease of the one that is frozen, the moment after which the next one asks, and what a busy machine adds.
const REPLACED_WITHIN: Duration = Duration::from_secs(12);

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_process_is_replaced_within_its_lease_and_publishes_nothing_stale_when_it_wakes() {
    let server = NatsServer::start(Release::New);
    let database = TestDatabase::create();
    let url = database.url();
    let world = World::new(TestLog::Postgres(database), &server.url()).await;
    let process = Process::relaying(&url, &world.url);
    world.append(100).await;
    world.caught_up().await;
    let (rounds, mut slowest, mut tally) = (size(10).max(2), Duration::ZERO, Tally::default());
    for _ in 0..rounds {
        // Frozen with its hands full.
        world.append(300).await;
        process.signal(Signal::STOP);
        let since = Instant::now();
        let stand_in = world.relay(settings()).await;
        world.append(300).await;
        eventually("another relays", async || {
            stand_in.status.report().phase == Phase::Active
        })
        .await;
        slowest = slowest.max(since.elapsed());
        world.is_the_log().await;
        process.signal(Signal::CONT);
        world.append(300).await;
        world.is_the_log().await;
        stand_in.stop().await;
        // Back to the process.
        world.append(10).await;
        tally = world.tally().await;
    }
    println!(
        "figure: relay-frozen rounds={rounds} events={} missing={} double={} stale-publishes={} replaced-within={slowest:.1?}",
        tally.events, tally.missing, tally.double, tally.stale
    );
    assert!(slowest < REPLACED_WITHIN, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_cut_off_from_the_broker_is_replaced_by_one_that_is_not() {
    // At once: most of it is waiting.
    tokio::join!(
        Box::pin(is_replaced_in(Weather::Cut)),
        Box::pin(is_replaced_in(Weather::HalfOpen))
    );
}

async fn is_replaced_in(weather: Weather) {
    let server = NatsServer::start(Release::New);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let proxy = Proxy::start(server.address()).await;
    let through = format!("nats://{}", proxy.address());
    let former = world.relay_through(&through, settings()).await;
    let is_active = |relay: &Running| relay.status.report().phase == Phase::Active;
    world.append(100).await;
    world.caught_up().await;
    eventually("it knows that it relays", async || is_active(&former)).await;
    let other = world.relay(settings()).await;
    proxy.set(weather);
    let since = Instant::now();
    world.append(300).await;
    eventually("the other relays", async || is_active(&other)).await;
    let took = since.elapsed();
    assert!(took < REPLACED_WITHIN, "{weather:?}: {took:?}");
    world.append(100).await;
    world.is_the_log().await;
    // What it sent and nobody answered changes nothing when it is back.
    proxy.set(Weather::Fair);
    world.append(100).await;
    world.is_the_log().await;
    former.stop().await;
    other.stop().await;
    world.is_the_log().await;
}

/// The time that a relay which does not get on keeps its turn, the moment after which the next one asks, and what a busy machine adds.
const LEFT_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_broker_is_of_no_use_leaves_its_turn_to_one_whose_is() {
    let server = NatsServer::start(Release::New);
    let mut useless = NatsServer::stopped(Release::New);
    useless.launch_with_jetstream(false);
    let world = World::new(TestLog::postgres(), &server.url()).await;
    let former = world.relay_through(&useless.url(), settings()).await;
    world.append(100).await;
    former.troubled("no-jetstream").await;
    let (other, since) = (world.relay(settings()).await, Instant::now());
    world.is_the_log().await;
    let took = since.elapsed();
    assert!(took < LEFT_WITHIN, "{took:?}");
    assert_eq!(former.status.report().trouble, Some("no-jetstream"));
    former.stop().await;
    other.stop().await;
}

/// The product as a process of its own; killed with this.
pub(super) struct Process {
    child: Child,
    _dir: TempDir,
}

impl Process {
    /// One that relays, and nothing else.
    pub(super) fn relaying(database: &str, broker: &str) -> Process {
        let dir = tempfile::tempdir().expect("a directory");
        let ours = std::env::vars_os()
            .filter(|(name, _)| name.to_string_lossy().starts_with("BOOKMARKET_"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bookmarket"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--roles", "relay", "--listen", "127.0.0.1:0"])
            // Asked nothing by a relay.
            .args(["--simulator-url", "http://127.0.0.1:9", "--data-dir"])
            .arg(dir.path())
            .env("DATABASE_URL", database)
            .env("NATS_URL", broker)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Process {
            child: child.expect("it starts"),
            _dir: dir,
        }
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        kill_process(process, signal).expect("it can be told");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
