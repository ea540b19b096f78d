//! What customers send and hear.

use std::time::Duration;

use serde_json::{Value, json};

use super::{STUCK, Town};
use crate::checker::{Asked, Reply};

/// Pause of a customer whom nobody answered.
const AGAIN: Duration = Duration::from_millis(50);

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    /// Null where the body is not JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        Self::whole(response).await.expect("a whole body")
    }

    /// Nothing where the connection breaks within the body.
    async fn whole(response: reqwest::Response) -> Option<Self> {
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Some(Self { status, text, body })
    }

    /// A final answer to a cancel. Other conflicts say nothing about the order, only that it moves too fast to be asked.
    pub(crate) fn is_final(&self) -> bool {
        let finally = ["past-point-of-no-return", "already-rejected"];
        let kind = self.body["type"].as_str().unwrap_or_default();
        match self.status {
            200 | 404 => true,
            409 => finally.iter().any(|word| kind.ends_with(word)),
            _ => false,
        }
    }

    pub(crate) fn order(&self) -> String {
        self.body["orderId"]
            .as_str()
            .unwrap_or_else(|| panic!("no order in {self:?}"))
            .to_owned()
    }

    /// A body of one JSON document a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}

/// A good order of one book. Real payment keys are unique, so every order gets one of its own behind the word, and a
/// dealer's books are searched by number, of which nobody has a thousand messages.
pub(crate) fn order(word: &str) -> Value {
    let phone = format!("010-1234-{:04}", fastrand::u16(0..10_000));
    let token = format!("{word}:{}", uuid::Uuid::new_v4());
    json!({
        "customerId": "33",
        "lines": [{ "bookId": "9788966261024", "qty": 1, "unitPrice": 30_000 }],
        "shippingFee": 3_000,
        "payment": { "method": "card", "token": token },
        "contact": { "name": "Hong Gil-dong", "phone": phone },
        "address": { "street": "1 Sejong-daero", "city": "Seoul" },
    })
}

/// Everybody who asks something of the shop. Cheap to clone, and goes on asking while the shop is down.
#[derive(Clone)]
pub(crate) struct Customers {
    http: reqwest::Client,
    shop: String,
}

impl Customers {
    pub(crate) fn of(http: &reqwest::Client, shop: &str) -> Self {
        Self {
            http: http.clone(),
            shop: shop.to_owned(),
        }
    }

    /// Asks once.
    pub(crate) async fn place(&self, key: &str, order: &Value) -> Option<Answer> {
        let request = self.http.post(format!("{}/orders", self.shop));
        let answer = request
            .header("idempotency-key", key)
            .json(order)
            .send()
            .await
            .ok()?;
        Answer::whole(answer).await
    }

    /// Asks until there is a first answer: a customer whose shop falls down and gets up again.
    pub(crate) async fn insist(&self, key: &str, order: &Value) -> Answer {
        loop {
            match self.place(key, order).await {
                Some(answer) if matches!(answer.status, 201 | 202 | 402) => return answer,
                Some(answer) if matches!(answer.status, 409 | 500..) => {}
                Some(answer) => panic!("{answer:?}"),
                None => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Asks once for an order to be canceled.
    pub(crate) async fn cancel(&self, order: &str) -> Option<Answer> {
        let answer = self
            .http
            .delete(format!("{}/orders/{order}", self.shop))
            .send()
            .await
            .ok()?;
        Answer::whole(answer).await
    }

    /// Asks until the answer is final.
    pub(crate) async fn insist_on_cancel(&self, order: &str) -> Answer {
        let deadline = tokio::time::Instant::now() + 2 * STUCK;
        loop {
            match self.cancel(order).await {
                Some(answer) if answer.is_final() => return answer,
                last => assert!(
                    tokio::time::Instant::now() < deadline,
                    "{order} is not canceled: {last:?}"
                ),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Town {
    /// Places an order and waits until it is paid, be that later than its customer waits.
    pub(crate) async fn paid(&self, key: &str) -> String {
        self.paid_with(key, "ok").await
    }

    /// The same with a token that begins so.
    pub(crate) async fn paid_with(&self, key: &str, word: &str) -> String {
        let answer = self.place(key, &order(word)).await.expect("an answer");
        assert!(matches!(answer.status, 201 | 202), "{answer:?}");
        let order = answer.order();
        if answer.status == 202 {
            let path = format!("/orders/{order}");
            let is_settled = |order: &Value| order["status"] != "Pending";
            let settled = self.eventually(&path, is_settled).await;
            assert_ne!(settled["status"], "Rejected", "{settled}");
        }
        order
    }

    /// Places an order and waits until the carrier has accepted it and the customer was told.
    pub(crate) async fn shipped(&self, key: &str) -> String {
        let order = self.paid(key).await;
        self.becomes(&order, "Shipped").await;
        self.eventually(&format!("/sagas/{order}"), |saga| is_done(saga, "notify"))
            .await;
        order
    }
}

/// Whether a step of a saga has had its effect.
pub(crate) fn is_done(saga: &Value, step: &str) -> bool {
    is_step(saga, step, "done")
}

/// Whether a step of a saga stands like this.
pub(crate) fn is_step(saga: &Value, step: &str, standing: &str) -> bool {
    let mut steps = saga["steps"].as_array().into_iter().flatten();
    steps.any(|it| it["step"] == step && it["standing"] == standing)
}

/// For the checker.
pub(crate) fn reply(order: &str, asked: Asked, answer: &Answer) -> Reply {
    Reply {
        order: order.to_owned(),
        asked,
        status: answer.status,
    }
}
