//! Customers that order books over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::announcements::Announcements;
use super::closed_loop::Caller;
use super::figures::Latencies;
use super::http::{HttpClient, Reply};

/// Customers come back; so many are enough that no two orders in flight are the same customer's.
const CUSTOMERS: u64 = 1000;

/// Where orders go and how it is known that they have arrived.
#[derive(Clone)]
pub(super) struct Shop {
    pub(super) address: SocketAddr,
    announcements: Announcements,
    /// Makes every order and its idempotency key its own.
    orders: Arc<AtomicU64>,
}

/// What became of one order.
pub(super) enum Outcome {
    /// Paid, and the customer was told.
    Placed {
        answered: Duration,
        announced: Duration,
    },
    /// The payment's outcome was not known in time.
    Pending,
    /// Not taken: come again later.
    Refused,
    /// The customer left before the order could be sent.
    Unsent,
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

    pub(super) async fn connect(&self) -> anyhow::Result<HttpClient> {
        HttpClient::connect(self.address)
            .await
            .context("connecting to the server")
    }

    /// Orders one book and waits for the answer, then for the message to the customer. The connection is given back
    /// in between through `free`. Time counts from `began`.
    pub(super) async fn order(
        &self,
        mut client: HttpClient,
        began: Instant,
        free: impl FnOnce(HttpClient),
    ) -> anyhow::Result<Outcome> {
        let number = self.orders.fetch_add(1, Ordering::Relaxed);
        let reply = client
            .post("/orders", &format!("bench-{number}"), &order_body(number))
            .await
            .context("placing an order")?;
        let answered = began.elapsed();
        free(client);
        match reply {
            Reply {
                status: 201, body, ..
            } => {
                let answer: Answer =
                    serde_json::from_slice(&body).context("the answer to POST /orders")?;
                let told = self.announcements.of(&answer.order_id).await?;
                Ok(Outcome::Placed {
                    answered,
                    announced: told.saturating_duration_since(began),
                })
            }
            Reply { status: 202, .. } => Ok(Outcome::Pending),
            Reply {
                status: 503,
                retry_after: true,
                ..
            } => Ok(Outcome::Refused),
            Reply { status, body, .. } => {
                bail!(
                    "POST /orders answered {status}: {}",
                    String::from_utf8_lossy(&body)
                )
            }
        }
    }
}

/// One of many customers that wait for their message before they order again.
pub(super) struct Customer {
    shop: Shop,
    client: Option<HttpClient>,
    pub(super) answered: Latencies,
}

impl Customer {
    pub(super) async fn new(shop: Shop) -> anyhow::Result<Self> {
        let client = shop.connect().await?;
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
        let outcome = self
            .shop
            .order(client, Instant::now(), |client| self.client = Some(client))
            .await?;
        let Outcome::Placed { answered, .. } = outcome else {
            bail!("an order was not paid at once although the server was not overloaded");
        };
        self.answered.record(answered);
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
