//! Everything goes wrong at once, and in the end it is as if nothing had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;

use super::crew::{
    Crew, all_told, at_most_once, counted, effects, more_than_once, ordering, setup,
};
use crate::soak::size;
use crate::storm::{crowd, dice, judged_but_for_repeats};

/// A process of the crew is killed this often.
const KILL_EVERY: Duration = Duration::from_secs(2);

/// What shows that a process took work, by its role.
const WORK: [(&str, &str, &[&str]); 2] = [
    ("api", "saga_started_total", &[]),
    ("worker", "saga_attempts_total", &["ship"]),
];

/// The most work that each process of the crew was seen to have done in one of its lives, the town's own door last.
struct Worked(Vec<f64>);

impl Worked {
    async fn look(&mut self, crew: &Crew) {
        let members = crew.members.iter();
        let all = members.map(|member| (member.roles, &member.process.url));
        let all = all.chain([("api", &crew.town.shop.url)]);
        self.0.resize(crew.members.len() + 1, 0.0);
        for ((roles, url), most) in all.zip(&mut self.0) {
            let Some((_, name, words)) = WORK.iter().find(|(role, ..)| *role == roles) else {
                continue;
            };
            *most = most.max(counted(&crew.town.http, url, name, words).await);
        }
    }

    /// How many of those with that role did any, and how many there are.
    fn of(&self, crew: &Crew, role: &str) -> (usize, usize) {
        let roles = crew
            .members
            .iter()
            .map(|member| member.roles)
            .chain(["api"]);
        let own = roles.zip(&self.0).filter(|(own, _)| *own == role);
        let own: Vec<_> = own.map(|(_, most)| *most).collect();
        (own.iter().filter(|most| **most > 0.0).count(), own.len())
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
#[tokio::test(flavor = "multi_thread")]
async fn three_workers_and_two_doors_that_are_killed_again_and_again_lose_and_double_nothing() {
    let mut crew = Crew::with_nats(setup()).await;
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
    let (mut kills, mut chance, mut worked) = (0, dice(7, 0), Worked(Vec::new()));
    while done.load(Ordering::Relaxed) < orders {
        tokio::time::sleep(KILL_EVERY).await;
        worked.look(&crew).await;
        let victim = chance.usize(0..=crew.members.len());
        let process = match crew.members.get_mut(victim) {
            Some(member) => &mut member.process,
            None => &mut crew.town.shop,
        };
        process.kill();
        process.start(&crew.town.http).await;
        kills += 1;
    }
    let replies = everybody.await.expect("everybody went home");
    all_told(&crew, orders).await;
    worked.look(&crew).await;
    let evidence = judged_but_for_repeats(&crew.town, replies).await;
    let stream = crew.published().await;
    let (workers, doors) = (worked.of(&crew, "worker"), worked.of(&crew, "api"));
    println!(
        "figure: many-killed orders={orders} kills={kills} lost={} double={} unkeyed-double={} workers-that-worked={}/{} \
         doors-that-worked={}/{} stream-events={} stream-missing={} stream-double={}",
        orders - evidence.customers.len(),
        at_most_once(&evidence.ledger),
        more_than_once(&evidence.ledger, "send"),
        workers.0,
        workers.1,
        doors.0,
        doors.1,
        stream.events,
        stream.missing,
        stream.double,
    );
    assert_eq!(at_most_once(&evidence.ledger), 0);
    for op in ["charge", "ship"] {
        assert_eq!(effects(&evidence.ledger, op).len(), orders, "{op}");
    }
    assert_eq!((workers.0, doors.0), (workers.1, doors.1), "{:?}", worked.0);
    assert!(kills > 0);
}
