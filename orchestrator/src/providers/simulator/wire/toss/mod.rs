//! Toss Payments' core API, version 2022-11-16: confirm, query, cancel, and the list of transactions.

mod cancel;
mod confirm;
mod errors;
mod payment;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Front;
use super::clock::local_micros;
use super::reply::Reply;
use super::webhooks::{Hook, Service};
use crate::providers::simulator::call;
use crate::providers::simulator::ledger::Op;
use crate::providers::simulator::names::{order_key, seq_of};
use crate::providers::simulator::rules::{Fate, Kind};
use crate::providers::simulator::{lock, now};
use errors::error;
use payment::Payment;
pub(super) use payment::pending_cancel;

/// An idempotency key may be as long as this.
const MAX_KEY: usize = 300;

pub(super) fn routes() -> Router<Arc<Front>> {
    Router::new()
        .route("/v1/payments/confirm", post(confirm::handle))
        .route("/v1/payments/{payment_key}", get(query::by_key))
        .route("/v1/payments/orders/{order_id}", get(query::by_order))
        .route("/v1/payments/{payment_key}/cancel", post(cancel::handle))
        .route("/v1/transactions", get(query::transactions))
}

/// Lets in whoever has a secret key, in the form that the real one wants it.
fn admit(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(Box::new(error("UNAUTHORIZED_KEY")));
    };
    let secret = value
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded.trim()).ok())
        .and_then(|decoded| String::from_utf8(decoded).ok());
    match secret.as_deref().and_then(|secret| secret.split_once(':')) {
        None => Err(Box::new(error("INCORRECT_BASIC_AUTH_FORMAT"))),
        Some(("", _)) => Err(Box::new(error("UNAUTHORIZED_KEY"))),
        Some(_) => test_code(headers),
    }
}

/// The sandbox's header by which a test orders an error.
fn test_code(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let code = headers.get("tosspayments-test-code");
    match code.and_then(|code| code.to_str().ok()) {
        Some(code) => Err(Box::new(error(code))),
        None => Ok(()),
    }
}

/// The caller's idempotency key; one of our own where there is none, so that the call has a name in the ledger.
fn key_of(headers: &HeaderMap) -> Result<String, Box<Response>> {
    match headers.get("idempotency-key").map(|key| key.to_str()) {
        None => Ok(format!("unkeyed-{}", Uuid::now_v7())),
        Some(Ok(key)) if (1..=MAX_KEY).contains(&key.len()) => Ok(key.to_owned()),
        Some(_) => Err(Box::new(error("INVALID_IDEMPOTENCY_KEY"))),
    }
}

fn text<'a>(body: &'a Value, field: &str, least: usize, most: usize) -> Option<&'a str> {
    let text = body.get(field)?.as_str()?;
    (least..=most)
        .contains(&text.chars().count())
        .then_some(text)
}

/// A positive whole number; Toss takes `1000.0` for one as well.
fn amount(value: &Value) -> Option<i64> {
    let whole = value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    });
    whole.filter(|amount| *amount > 0)
}

impl Front {
    /// The order and the charge that a payment key names.
    async fn payment_at(&self, payment_key: &str) -> Option<(Uuid, Option<u64>)> {
        let named = lock(&self.core.world).order_of_payment(payment_key);
        if let Some(order) = named {
            let mut world = lock(&self.core.world);
            let account = world.account(order)?;
            let own = |key: Option<&str>| key == Some(payment_key);
            let charge = account
                .charges
                .iter()
                .find(|it| own(it.payment_key.as_deref()));
            return Some((order, charge.map(|charge| charge.seq)));
        }
        // A charge that was not made here goes by its reference.
        let seq = seq_of(Op::Charge, payment_key)?;
        let line = self.line(seq).await.filter(|line| line.op == Op::Charge)?;
        Some((order_key(&line.order_id), Some(seq)))
    }

    /// The payment as it stood after line `upto`; that of the first charge where none is named.
    fn payment(&self, order: Uuid, charge: Option<u64>, upto: u64) -> Option<Payment> {
        let mut world = lock(&self.core.world);
        let pending: Vec<_> = world.pending_of(order).cloned().collect();
        let account = world.account(order)?;
        let mut charges = account.charges.iter();
        let charge = match charge {
            Some(seq) => charges.find(|it| it.seq == seq),
            None => charges.next(),
        }?;
        Some(Payment::of(
            order,
            account,
            charge,
            pending.into_iter(),
            upto,
        ))
    }

    /// The failure that is the answer under this key, if there is one.
    fn failure(&self, op: Op, key: &str, drawn: Option<&str>) -> Option<String> {
        let drawn = drawn.filter(|code| !errors::is_final(code));
        let kept = drawn.is_some_and(errors::is_kept);
        self.core.failure(op, key, drawn, kept)
    }

    /// The world as it is, in money.
    fn payment_now(&self, order: Uuid, charge: Option<u64>) -> Option<Payment> {
        self.payment(order, charge, u64::MAX)
    }

    /// The document of a payment as it is now.
    pub(super) fn payment_document(&self, order: Uuid, charge: u64) -> Option<Value> {
        Some(self.payment_now(order, Some(charge))?.document())
    }

    /// Tells the shop that a payment's status has changed.
    pub(super) fn tell_payment(&self, order_id: &str, document: &Value, fate: &Fate) {
        let hook = |data: &Value| Hook {
            service: Service::Toss,
            order_id: order_id.to_owned(),
            body: json!({
                "eventType": "PAYMENT_STATUS_CHANGED",
                "createdAt": local_micros(now()),
                "data": data,
            }),
        };
        self.teller.tell(hook(document), fate);
        if fate.is(Kind::WebhookContradictory) {
            // Seen in the wild: a payment that is done is reported as aborted within the same second.
            let mut other = document.clone();
            let aborted = document["status"] == "DONE";
            other["status"] = json!(if aborted { "ABORTED" } else { "DONE" });
            self.teller.tell(hook(&other), &Fate::default());
        }
    }
}

/// What the ledger did not take.
fn broken() -> Reply {
    error("COMMON_ERROR").into()
}

/// The answer to a refusal.
fn refused(reply: &call::Reply) -> Option<&str> {
    reply
        .result
        .as_ref()
        .err()
        .map(|code| errors::code_of(code))
}
