//! Customers that order books over HTTP, in a closed loop or at a fixed rate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::announcements::Announcements;
use super::closed_loop::Caller;
use super::figures::{Latencies, count};
use super::http::HttpClient;

/// Customers come back; so many are enough that no two orders in flight are the same customer's.
const CUSTOMERS: u64 = 1000;
/// Below this the timer itself is too coarse to space requests.
const ARRIVALS_EVERY: Duration = Duration::from_millis(1);

/// Where orders go and how it is known that they have arrived.
#[derive(Clone)]
pub(super) struct Shop {
    pub(super) address: SocketAddr,
    pub(super) announcements: Announcements,
    /// Makes every order and its idempotency key its own.
    orders: Arc<AtomicU64>,
}

/// How long one order took.
struct Placed {
    answered: Duration,
    announced: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    order_id: String,
}

impl Shop {
    pub(super) fn new(address: SocketAddr, announcements: Announcements) -> Self {
        Self {
            address,
            announcements,
            orders: Arc::default(),
        }
    }

    /// Orders one book and waits for the answer, then for the message to the customer. The connection is given back
    /// in between through `free`.
    async fn order(
        &self,
        mut client: HttpClient,
        free: impl FnOnce(HttpClient),
    ) -> anyhow::Result<Placed> {
        let number = self.orders.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let reply = client
            .post("/orders", &format!("bench-{number}"), &order_body(number))
            .await
            .context("placing an order")?;
        let answered = began.elapsed();
        free(client);
        if reply.status != 201 {
            bail!(
                "POST /orders answered {}: {}",
                reply.status,
                String::from_utf8_lossy(&reply.body)
            );
        }
        let answer: Answer =
            serde_json::from_slice(&reply.body).context("the answer to POST /orders")?;
        let announced = self
            .announcements
            .of(&answer.order_id)
            .await?
            .saturating_duration_since(began);
        Ok(Placed {
            answered,
            announced,
        })
    }

    /// Sends `rate` orders a second for `length`, whether or not earlier ones have been answered.
    pub(super) async fn open_loop(&self, rate: f64, length: Duration) -> anyhow::Result<OpenLoop> {
        let idle = Arc::new(Mutex::new(Vec::new()));
        let mut placing = JoinSet::new();
        let mut ticks = interval(ARRIVALS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let mut sent = 0_u64;
        while began.elapsed() < length {
            ticks.tick().await;
            while count(sent) < began.elapsed().as_secs_f64() * rate {
                placing.spawn(order_on_an_idle_connection(
                    self.clone(),
                    Arc::clone(&idle),
                    Instant::now(),
                ));
                sent += 1;
            }
        }
        let mut result = OpenLoop::default();
        while let Some(ended) = placing.join_next().await {
            let placed = ended.context("an order panicked")??;
            result.answered.record(placed.answered);
            result.announced.record(placed.announced);
        }
        Ok(result)
    }
}

/// Latencies at a fixed rate of arrivals.
#[derive(Debug, Default)]
pub(super) struct OpenLoop {
    pub(super) answered: Latencies,
    pub(super) announced: Latencies,
}

/// The time to get a connection counts: a customer waits for it too.
async fn order_on_an_idle_connection(
    shop: Shop,
    idle: Arc<Mutex<Vec<HttpClient>>>,
    arrived: Instant,
) -> anyhow::Result<Placed> {
    let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let client = match taken {
        Some(client) => client,
        None => HttpClient::connect(shop.address)
            .await
            .context("connecting to the server")?,
    };
    let waited = arrived.elapsed();
    let give_back = |client| {
        idle.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(client)
    };
    let placed = shop.order(client, give_back).await?;
    Ok(Placed {
        answered: placed.answered + waited,
        announced: placed.announced + waited,
    })
}

/// One of many customers that wait for their message before they order again.
pub(super) struct Customer {
    shop: Shop,
    client: Option<HttpClient>,
    pub(super) answered: Latencies,
}

impl Customer {
    pub(super) async fn new(shop: Shop) -> anyhow::Result<Self> {
        let client = HttpClient::connect(shop.address)
            .await
            .context("connecting to the server")?;
        Ok(Self {
            shop,
            client: Some(client),
            answered: Latencies::default(),
        })
    }
}

impl Caller for Customer {
    async fn call(&mut self) -> anyhow::Result<()> {
        let client = self
            .client
            .take()
            .context("the connection was lost with the last order")?;
        let placed = self
            .shop
            .order(client, |client| self.client = Some(client))
            .await?;
        self.answered.record(placed.answered);
        Ok(())
    }
}

/// An order as a shop sends it: one book, paid by card, with a name and an address to send it to.
fn order_body(number: u64) -> String {
    let customer = number % CUSTOMERS;
    format!(
        concat!(
            r#"{{"customerId":"customer-{customer:06}","lines":[{{"bookId":"9781501124020","qty":1,"unitPrice":33000,"#,
            r#""title":"Principles: Life and Work"}}],"shippingFee":3000,"currency":"KRW","#,
            r#""payment":{{"method":"card","token":"tok-{number}"}},"#,
            r#""contact":{{"name":"Kim Minji","phone":"+82-10-1234-5678"}},"#,
            r#""address":{{"country":"KR","city":"Seoul","street":"Sejong-daero 175"}}}}"#
        ),
        customer = customer,
        number = number
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_json_with_a_customer_a_line_and_a_payment() {
        let body: serde_json::Value = serde_json::from_str(&order_body(1017)).expect("JSON");
        assert_eq!(body["customerId"], "customer-000017");
        assert_eq!(body["lines"][0]["qty"], 1);
        assert_eq!(body["payment"]["token"], "tok-1017");
    }
}
