//! Webhooks to the shop: sent in the background, tried again for a while, and, where a rule says so, twice, late, in the
//! wrong order. They are hints; what is lost with the process stays lost, as it does with real providers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shop;
use crate::providers::simulator::lock;
use crate::providers::simulator::rules::{Fate, Kind};

/// Webhooks that may wait to be sent. More are lost: the shop asks by itself.
const WAITING: usize = 10_000;

/// Webhooks under way at once.
const AT_ONCE: usize = 64;

/// How long the shop may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// When a webhook is tried again. Real ones are tried for days; this one is for tests that end today.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

/// How late a late one is, and how long one that is to be overtaken waits for that, unless the rule says otherwise.
const LATE: Duration = Duration::from_secs(5);

/// After the one that overtook it.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// Orders of which one webhook waits to be overtaken.
const HELD: usize = 1_000;

/// Whose webhook it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    Toss,
    /// To the address that was registered, if one was.
    Tracker {
        registered: Option<String>,
    },
    Solapi,
}

/// One webhook.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    pub(super) service: Service,
    /// The order, by which the next one overtakes.
    pub(super) order_id: String,
    pub(super) body: Value,
}

#[derive(Debug, Clone)]
struct Letter {
    hook: Hook,
    id: Uuid,
    at: DateTime<Utc>,
    wait: Duration,
}

/// Takes webhooks to be sent.
#[derive(Debug)]
pub(super) struct Teller {
    letters: Option<mpsc::Sender<Letter>>,
    held: Arc<Mutex<HashMap<String, Vec<Letter>>>>,
}

impl Teller {
    /// Has it sent as the fate of its call wants it.
    pub(super) fn tell(&self, hook: Hook, fate: &Fate) {
        let delay = fate.fault.as_ref().and_then(|fault| fault.delay);
        let mut letter = Letter {
            id: Uuid::now_v7(),
            at: Utc::now(),
            wait: Duration::ZERO,
            hook,
        };
        if fate.is(Kind::WebhookLate) {
            letter.wait = delay.unwrap_or(LATE);
        }
        if fate.is(Kind::WebhookReordered) {
            return self.hold(letter, delay.unwrap_or(LATE));
        }
        if fate.is(Kind::WebhookDuplicate) {
            self.post(letter.clone());
        }
        let overtaken = lock(&self.held).remove(&letter.hook.order_id);
        self.post(letter);
        for mut letter in overtaken.into_iter().flatten() {
            letter.wait = OVERTAKEN;
            self.post(letter);
        }
    }

    /// Keeps it back until the next of its order, or for so long.
    fn hold(&self, letter: Letter, at_most: Duration) {
        let Some(letters) = self.letters.clone() else {
            return;
        };
        let mut held = lock(&self.held);
        if held.len() >= HELD {
            drop(held);
            return self.post(letter);
        }
        let order = letter.hook.order_id.clone();
        held.entry(order.clone()).or_default().push(letter);
        drop(held);
        let held = Arc::clone(&self.held);
        tokio::spawn(async move {
            tokio::time::sleep(at_most).await;
            let left = lock(&held).remove(&order);
            for letter in left.into_iter().flatten() {
                let _ = letters.try_send(letter);
            }
        });
    }

    fn post(&self, letter: Letter) {
        if let Some(letters) = &self.letters
            && letters.try_send(letter).is_err()
        {
            tracing::warn!("a webhook was dropped: too many wait to be sent");
        }
    }
}

/// Starts sending to the shop. Without one, everything is dropped.
pub(super) fn start(shop: Option<Shop>, stop: CancellationToken) -> (Teller, JoinHandle<()>) {
    let (letters, queue) = mpsc::channel(WAITING);
    let wanted = shop.is_some();
    let work = tokio::spawn(async move {
        if let Some(shop) = shop {
            stop.run_until_cancelled(send_all(shop, queue)).await;
        }
    });
    let teller = Teller {
        letters: wanted.then_some(letters),
        held: Arc::default(),
    };
    (teller, work)
}

async fn send_all(shop: Shop, mut queue: mpsc::Receiver<Letter>) {
    let client = reqwest::Client::builder()
        .timeout(TIME_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no webhook can be sent");
            return;
        }
    };
    let (shop, slots) = (Arc::new(shop), Arc::new(Semaphore::new(AT_ONCE)));
    let mut under_way = JoinSet::new();
    while let Some(letter) = queue.recv().await {
        while under_way.try_join_next().is_some() {}
        under_way.spawn(send(
            client.clone(),
            Arc::clone(&shop),
            letter,
            Arc::clone(&slots),
        ));
    }
}

async fn send(client: reqwest::Client, shop: Arc<Shop>, letter: Letter, slots: Arc<Semaphore>) {
    tokio::time::sleep(letter.wait).await;
    let waits = AGAIN.iter().map(Some).chain([None]);
    for (retried, again) in waits.enumerate() {
        let taken = {
            let _slot = slots.acquire().await;
            attempt(&client, &shop, &letter, retried).await
        };
        match again {
            _ if taken => return,
            Some(wait) => tokio::time::sleep(*wait).await,
            None => tracing::debug!("a webhook was given up"),
        }
    }
}

async fn attempt(client: &reqwest::Client, shop: &Shop, letter: &Letter, retried: usize) -> bool {
    let own = |path: &str| {
        let (base, secret) = (shop.url.trim_end_matches('/'), shop.secret.expose_secret());
        format!("{base}/webhooks/{path}/{secret}")
    };
    let url = match &letter.hook.service {
        Service::Toss => own("payments/toss"),
        Service::Tracker { registered } => registered
            .clone()
            .unwrap_or_else(|| own("deliveries/tracker")),
        Service::Solapi => own("kakao/solapi"),
    };
    let mut request = client.post(url).json(&letter.hook.body);
    if letter.hook.service == Service::Toss {
        request = request
            .header(
                "tosspayments-webhook-transmission-id",
                letter.id.to_string(),
            )
            .header(
                "tosspayments-webhook-transmission-time",
                letter.at.to_rfc3339(),
            )
            .header("tosspayments-webhook-transmission-retried-count", retried);
    }
    // The error's text may hold the address, and that holds the secret.
    request
        .send()
        .await
        .is_ok_and(|response| response.status().is_success())
}
