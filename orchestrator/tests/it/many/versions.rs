//! Two releases side by side: the present one, as processes, and the one to come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use orchestrator::app::{App, Ended};
use rustix::process::Signal;
use serde_json::json;

use super::crew::{
    Crew, SLOW_IS_NOT_AWAY, all_told, at_most_once, counted, effects, lost, ordering, setup,
};
use super::next::{Wrapped, start};
use crate::broker::nats::Release;
use crate::checker::Reply;
use crate::soak::{self, size};
use crate::storm::{MENDED, crowd, judged};
use crate::town::{Customers, until};

/// Customers who order one after another.
const CUSTOMERS: usize = 8;

/// Orders that the next release takes and leaves unfinished when it is taken back.
const LEFT: usize = 10;

/// Who takes orders now, and how many were taken.
#[derive(Default)]
struct Street {
    doors: Mutex<Vec<Customers>>,
    taken: AtomicUsize,
    over: AtomicBool,
}

impl Street {
    fn open(&self, doors: &[Customers]) {
        *self.doors.lock().expect("no panic") = doors.to_vec();
    }

    async fn customer(self: Arc<Self>, nth: usize) -> Vec<Reply> {
        let mut replies = Vec::new();
        for round in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let doors = self.doors.lock().expect("no panic").clone();
            replies.extend(ordering(doors, nth + CUSTOMERS * round, nth + round).await);
            self.taken.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        replies
    }

    /// Waits until there has been some more business.
    async fn business(&self) {
        let enough = self.taken.load(Ordering::Relaxed) + size(30 * CUSTOMERS);
        until("some business", MENDED, async || {
            (self.taken.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    }
}

fn door(crew: &Crew, app: &App) -> Customers {
    Customers::of(&crew.town.http, &app.url())
}

/// Ends the processes of the present release, but for the door that everybody knows.
async fn send_home(crew: &mut Crew) {
    for member in &crew.members {
        member.process.signal(Signal::TERM);
    }
    for member in &mut crew.members {
        let code = member.process.ended().await;
        assert_eq!(code, Some(0), "{}", member.process.lines());
    }
}

/// The next release takes orders that nobody ships before it ends, and is taken back.
async fn take_back(crew: &Crew, next: App) -> Vec<Reply> {
    let down = json!([{ "port": "carrier", "op": "ship", "fault": "down", "rate": 1.0 }]);
    crew.town.faults(&down).await;
    let doors = vec![door(crew, &next)];
    let taking = crowd(LEFT, move |nth| ordering(doors.clone(), 1_000_000 + nth, 0));
    let left = taking.concat().await;
    assert_eq!(next.stop().await, Ended::InOrder);
    crew.town.heal().await;
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_release_comes_and_goes_beside_the_present_one_and_nothing_is_lost_or_doubled() {
    for broker in soak::brokers(Release::Old) {
        comes_and_goes(broker).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn comes_and_goes(broker: Release) {
    let setup = setup().shop(&SLOW_IS_NOT_AWAY);
    let mut crew = Crew::with_nats(broker, setup).await;
    for roles in ["worker", "projector", "relay"] {
        crew.hire(roles).await;
    }
    let (street, wrapped, present) = (
        Arc::<Street>::default(),
        Wrapped::default(),
        crew.town.customers.clone(),
    );
    street.open(std::slice::from_ref(&present));
    let coming = Arc::clone(&street);
    let everybody = crowd(CUSTOMERS, move |nth| Arc::clone(&coming).customer(nth));
    let everybody = tokio::spawn(everybody.concat());
    street.business().await;
    // Side by side, then alone.
    let next = start(&crew, &wrapped).await;
    street.open(&[present.clone(), door(&crew, &next)]);
    street.business().await;
    send_home(&mut crew).await;
    street.open(&[door(&crew, &next)]);
    street.business().await;
    // The present release comes back, and the next one goes.
    for member in &mut crew.members {
        member.process.start(&crew.town.http).await;
    }
    street.open(std::slice::from_ref(&present));
    street.business().await;
    let mut replies = take_back(&crew, next).await;
    let left: Vec<String> = replies.iter().map(|reply| reply.order.clone()).collect();
    let url = crew.members[0].process.url.clone();
    until("what is not for this release", MENDED, async || {
        let seen = counted(&crew.town.http, &url, "saga_left_alone_total", &[]).await;
        (seen > 0.0).then_some(())
    })
    .await;
    street.business().await;
    let shipped = crew.town.ledger().await;
    let shipped = effects(&shipped, "ship");
    assert!(
        left.iter()
            .all(|order| !shipped.contains_key(order.as_str()))
    );
    // And comes again, for good.
    let next = start(&crew, &wrapped).await;
    street.open(&[present, door(&crew, &next)]);
    street.business().await;
    street.over.store(true, Ordering::Relaxed);
    replies.extend(everybody.await.expect("everybody went home"));
    let orders = replies.len();
    all_told(&crew, orders).await;
    let evidence = judged(&crew.town, replies).await;
    let stream = crew.published().await;
    let (by_next, wrapped_twice) = wrapped.count();
    println!(
        "figure: two-releases broker={broker} orders={orders} by-the-next={by_next} left-to-it={LEFT} lost={} double={} stream-missing={}",
        lost(orders, &evidence.ledger),
        at_most_once(&evidence.ledger) + wrapped_twice,
        stream.missing,
    );
    assert_eq!(at_most_once(&evidence.ledger) + wrapped_twice, 0);
    assert_eq!(effects(&evidence.ledger, "ship").len(), orders);
    assert_eq!(lost(orders, &evidence.ledger), 0);
    assert!(by_next > LEFT && by_next < orders, "{by_next} of {orders}");
    assert_eq!(next.stop().await, Ended::InOrder);
}
