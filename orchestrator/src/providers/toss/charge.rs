//! Confirming a payment that its customer has authenticated.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Serialize;
use uuid::Uuid;

use super::codes::CONFIRM;
use super::wire::{Amount, Payment};
use super::{Step, Toss, flat, refused, settle, verdict};
use crate::providers::ports::{Answer, Charge, Found, MoneyMoved};

/// The longest payment key there is.
const KEY_MAX: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Confirm<'a> {
    payment_key: &'a str,
    order_id: String,
    amount: serde_json::Number,
}

impl Toss {
    /// What became of an order's charge. A customer may have begun to pay more than once: that another session came to nothing, or
    /// is still open, says nothing of the one that we were given.
    pub(super) async fn look(&self, order_id: Uuid, token: Option<&str>) -> Found<MoneyMoved> {
        let until = self.http.until();
        let order = order_id.to_string();
        let path = ["v1", "payments", "orders", &order];
        let shown = self.payment(&path, until).await;
        let another = match (&shown, token.filter(|token| is_usable(token))) {
            (Found::Done(shown), Some(token)) => (shown.payment_key != token).then_some(token),
            _ => None,
        };
        let judge = |payment: Payment| verdict::found(&payment, order_id, None);
        match (flat(shown, judge), another) {
            (Found::Done(moved), _) => Found::Done(moved),
            (_, Some(token)) => {
                let own = self.payment(&["v1", "payments", token], until).await;
                flat(own, judge)
            }
            (found, None) => found,
        }
    }

    pub(super) async fn confirm(&self, charge: Charge) -> Answer<MoneyMoved> {
        if let Some(answer) = unsendable(&charge, Utc::now()) {
            return answer;
        }
        let Some(amount) = Amount::of(charge.amount).to_wire() else {
            return refused(
                "amount-out-of-range",
                "The amount is too large to be charged.",
            );
        };
        let until = self.http.until();
        let body = Confirm {
            payment_key: &charge.token,
            order_id: charge.order_id.to_string(),
            amount,
        };
        let request = self
            .request(Method::POST, &["v1", "payments", "confirm"], &[])
            .header("Idempotency-Key", &charge.key)
            .json(&body);
        let step = match self.http.send(request, until).await {
            Ok(reply) => self.judge(&reply, CONFIRM, |payment| {
                verdict::confirmed(&payment, &charge)
            }),
            Err(failure) => Step::of(failure),
        };
        match step {
            Step::Final(answer) => answer,
            Step::Locked(reason) => Answer::NotSent(reason),
            Step::Look(otherwise) => {
                let payment = self
                    .payment(&["v1", "payments", &charge.token], until)
                    .await;
                settle(
                    otherwise,
                    flat(payment, |it| {
                        verdict::found(&it, charge.order_id, Some(charge.amount))
                    }),
                )
            }
        }
    }
}

/// What is not sent at all: there is no token, or it is too late for it.
fn unsendable(charge: &Charge, now: DateTime<Utc>) -> Option<Answer<MoneyMoved>> {
    let token = charge.token.as_str();
    if token.is_empty() {
        return Some(refused(
            "payment-token-missing",
            "The order names no payment that could be charged.",
        ));
    }
    if !is_usable(token) {
        return Some(refused(
            "payment-token-malformed",
            "The payment token is not one of the payment provider's.",
        ));
    }
    (now >= charge.not_after)
        .then(|| Answer::NotSent("the time in which the payment could be confirmed is over".into()))
}

/// Whether it can be one of the provider's payment keys. "." and ".." are no names in an address.
fn is_usable(token: &str) -> bool {
    let plain = token.len() <= KEY_MAX && token.bytes().all(|byte| byte.is_ascii_graphic());
    plain && !token.bytes().all(|byte| byte == b'.')
}
