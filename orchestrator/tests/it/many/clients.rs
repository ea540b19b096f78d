//! Clients who order and read again and again, and count what fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::checker::{Asked, Reply};
use crate::soak::size;
use crate::town::{Customers, STUCK, order, reply, until};

/// How many there are.
const CLIENTS: usize = 100;

/// Between two orders of one client, so that this machine is busy but not drowned.
const THINK: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Count {
    asked: AtomicUsize,
    failed: AtomicUsize,
    over: AtomicBool,
}

/// All of them, each asking as soon as it was answered and has thought.
pub(super) struct Clients {
    count: Arc<Count>,
    asking: JoinSet<Vec<Reply>>,
}

/// What they asked and heard.
pub(super) struct Heard {
    clients: usize,
    asked: usize,
    orders: usize,
    pub(super) failed: usize,
}

impl Clients {
    /// Lets them come to this address.
    pub(super) fn come(http: &reqwest::Client, url: &str) -> Self {
        let (count, mut asking) = (Arc::<Count>::default(), JoinSet::new());
        for nth in 0..size(CLIENTS) {
            let count = Arc::clone(&count);
            asking.spawn(client(http.clone(), url.to_owned(), nth, count));
        }
        Self { count, asking }
    }

    /// Waits until each of them can have asked once more.
    pub(super) async fn business(&self) {
        let enough = self.count.asked.load(Ordering::Relaxed) + self.asking.len();
        until("some business", STUCK, async || {
            (self.count.asked.load(Ordering::Relaxed) > enough).then_some(())
        })
        .await;
    }

    /// Sends them home.
    pub(super) async fn leave(self) -> (Vec<Reply>, Heard) {
        let clients = self.asking.len();
        self.count.over.store(true, Ordering::Relaxed);
        let replies = self.asking.join_all().await.concat();
        let heard = Heard {
            clients,
            asked: self.count.asked.load(Ordering::Relaxed),
            orders: replies.len(),
            failed: self.count.failed.load(Ordering::Relaxed),
        };
        (replies, heard)
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "clients={} requests={} orders={} failed={} availability={:.2}%",
            self.clients,
            self.asked,
            self.orders,
            self.failed,
            100.0 * (self.asked - self.failed) as f64 / self.asked as f64,
        )
    }
}

/// Orders again and again, and reads what was ordered.
async fn client(http: reqwest::Client, url: String, nth: usize, count: Arc<Count>) -> Vec<Reply> {
    let customers = Customers::of(&http, &url);
    let mut replies = Vec::new();
    for round in 0.. {
        if count.over.load(Ordering::Relaxed) {
            break;
        }
        count.asked.fetch_add(1, Ordering::Relaxed);
        let answer = customers
            .place(&format!("{nth}-{round}"), &order("ok"))
            .await;
        let placed = answer.filter(|answer| answer.status == 201);
        let Some(placed) = placed else {
            count.failed.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        replies.push(reply(&placed.order(), Asked::Place, &placed));
        count.asked.fetch_add(1, Ordering::Relaxed);
        let shown = http
            .get(format!("{url}/orders/{}", placed.order()))
            .send()
            .await;
        if !shown.is_ok_and(|shown| shown.status() == 200) {
            count.failed.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(THINK).await;
    }
    replies
}
