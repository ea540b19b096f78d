//! Everything goes wrong at once, and in the end it is as if nothing had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::crew::{
    Crew, SLOW_IS_NOT_AWAY, all_told, at_most_once, counted, lost, more_than_once, ordering, setup,
};
use crate::broker::nats::Release;
use crate::soak::{self, size};
use crate::storm::{crowd, dice, judged_but_for_repeats};
use crate::town::Process;

/// A process of the crew is killed this often.
const KILL_EVERY: Duration = Duration::from_secs(2);

/// What may become of that on average, on a machine that does nothing else.
const KILLED_EVERY: Duration = Duration::from_millis(2200);

/// The same anywhere: where starting takes long, all of them may be on their way up at once.
const KILLED_EVERY_HERE: Duration = Duration::from_secs(4);

/// Fewer are no siege.
const KILLS_MIN: u32 = 5;

/// Between two looks at what each has done, which its end takes away.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What shows that a process took work, by its role.
const WORK: [(&str, &str, &[&str]); 2] = [
    ("api", "saga_started_total", &[]),
    ("worker", "saga_attempts_total", &["ship"]),
];

/// The most work that each process of the crew was seen to have done in one of its lives.
struct Worked {
    http: reqwest::Client,
    /// Role and address of each, and the most that it had done.
    all: Vec<(&'static str, String, f64)>,
}

impl Worked {
    fn of(crew: &Crew) -> Self {
        let members = crew.members.iter();
        let all = members.map(|member| (member.roles, member.process.url.clone(), 0.0));
        let door = ("api", crew.town.shop.url.clone(), 0.0);
        Self {
            http: crew.town.http.clone(),
            all: all.chain([door]).collect(),
        }
    }

    /// Looks beside whatever happens, so that it holds up nothing of it, and a last time when it is over.
    async fn watch(mut self, over: CancellationToken) -> Self {
        let pause = async || over.run_until_cancelled(sleep(LOOK_EVERY)).await;
        while pause().await.is_some() {
            self.look().await;
        }
        self.look().await;
        self
    }

    async fn look(&mut self) {
        for (roles, url, most) in &mut self.all {
            let Some((_, name, words)) = WORK.iter().find(|(role, ..)| role == roles) else {
                continue;
            };
            *most = most.max(counted(&self.http, url, name, words).await);
        }
    }

    /// How many of those with that role did any, and how many there are.
    fn count(&self, role: &str) -> (usize, usize) {
        let own = self.all.iter().filter(|(own, ..)| *own == role);
        let did = own.clone().filter(|(.., most)| *most > 0.0);
        (did.count(), own.count())
    }
}

/// How often somebody was killed, and how many seconds lay between two of them.
struct Siege {
    kills: u32,
    each: f64,
}

impl Siege {
    /// Kills one after another until it is over, at an even pace. A victim is started again at once and beside that; until it is up it is
    /// not chosen again.
    async fn lay(crew: &mut Crew, is_over: impl Fn() -> bool) -> Self {
        let http = &crew.town.http;
        let members = crew.members.iter_mut().map(|member| &mut member.process);
        let mut standing: Vec<&mut Process> = members.chain([&mut crew.town.shop]).collect();
        let mut rising = FuturesUnordered::new();
        let (mut kills, mut chance, began) = (0_u32, dice(7, 0), Instant::now());
        let (mut last, mut pace) = (began, interval_at(began + KILL_EVERY, KILL_EVERY));
        while !is_over() {
            tokio::select! {
                _ = pace.tick() => {
                    if standing.is_empty() {
                        continue;
                    }
                    let victim = standing.swap_remove(chance.usize(..standing.len()));
                    victim.kill();
                    (kills, last) = (kills + 1, Instant::now());
                    rising.push(async move {
                        victim.start(http).await;
                        victim
                    });
                }
                Some(up) = rising.next() => standing.push(up),
            }
        }
        while rising.next().await.is_some() {}
        Self {
            kills,
            each: (last - began).as_secs_f64() / f64::from(kills),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_and_two_doors_that_are_killed_again_and_again_lose_and_double_nothing() {
    for release in soak::brokers(Release::Old) {
        besieged(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn besieged(release: Release) {
    let setup = setup().shop(&SLOW_IS_NOT_AWAY);
    let mut crew = Crew::with_nats(release, setup).await;
    for roles in ["api", "worker", "worker", "worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let orders = size(10_000);
    let done = Arc::new(AtomicUsize::new(0));
    let (doors, counter) = (crew.doors(), Arc::clone(&done));
    let everybody = crowd(orders, move |nth| {
        let (ordering, counter) = (ordering(doors.clone(), nth, nth), Arc::clone(&counter));
        async move {
            let replies = ordering.await;
            counter.fetch_add(1, Ordering::Relaxed);
            replies
        }
    });
    let everybody = tokio::spawn(everybody.concat());
    let over = CancellationToken::new();
    let worked = tokio::spawn(Worked::of(&crew).watch(over.clone()));
    let siege = Siege::lay(&mut crew, || done.load(Ordering::Relaxed) >= orders).await;
    let replies = everybody.await.expect("everybody went home");
    all_told(&crew, orders).await;
    over.cancel();
    let worked = worked.await.expect("it was looked at");
    let evidence = judged_but_for_repeats(&crew.town, replies).await;
    let stream = crew.published().await;
    let (workers, doors) = (worked.count("worker"), worked.count("api"));
    let (lost, double) = (
        lost(orders, &evidence.ledger),
        at_most_once(&evidence.ledger),
    );
    println!(
        "figure: many-killed broker={release} orders={orders} kills={} seconds-per-kill={:.2} lost={lost} double={double} \
         unkeyed-double={} workers-that-worked={}/{} doors-that-worked={}/{} stream-events={} stream-missing={} stream-double={}",
        siege.kills,
        siege.each,
        more_than_once(&evidence.ledger, "send"),
        workers.0,
        workers.1,
        doors.0,
        doors.1,
        stream.events,
        stream.missing,
        stream.double,
    );
    assert_eq!((lost, double), (0, 0));
    assert_eq!(evidence.customers.len(), orders);
    assert_eq!(
        (workers.0, doors.0),
        (workers.1, doors.1),
        "{:?}",
        worked.all
    );
    assert!(siege.kills >= KILLS_MIN, "{}", siege.kills);
    let most = if soak::is_on() {
        KILLED_EVERY
    } else {
        KILLED_EVERY_HERE
    };
    assert!(siege.each <= most.as_secs_f64(), "{}", siege.each);
}
