//! `POST /v1/payments/confirm`: the charge.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;
use uuid::Uuid;

use super::errors::{MANNER, error, is_final};
use super::{admit, amount, broken, key_of, payment, refused, text};
use crate::providers::simulator::call::Ask;
use crate::providers::simulator::faults::{Fault, Faults};
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::names::order_key;
use crate::providers::simulator::notes::Detail;
use crate::providers::simulator::rules::{Fate, Kind, On};
use crate::providers::simulator::wire::Front;
use crate::providers::simulator::wire::reply::{Reply, carry_out, json};
use crate::providers::simulator::wire::socket::Cut;
use crate::providers::simulator::{lock, now, sessions};

#[derive(Debug)]
struct Confirm {
    key: String,
    /// As it was sent.
    token: String,
    /// What the payment is called here.
    payment_key: String,
    order_id: String,
    amount: i64,
}

impl Confirm {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Box<Response>> {
        admit(headers)?;
        let key = key_of(headers)?;
        Self::fields(key, body).ok_or_else(|| Box::new(error("INVALID_REQUEST")))
    }

    fn fields(key: String, body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let token = text(&body, "paymentKey", 1, 200)?.to_owned();
        let order_id = text(&body, "orderId", 6, 64)?.to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        let payment_key = if Faults::is_word(&token) {
            format!("{token}:{order_id}")
        } else {
            token.clone()
        };
        order_id.chars().all(plain).then_some(())?;
        Some(Self {
            key,
            token,
            payment_key,
            order_id,
            amount: amount(body.get("amount")?)?,
        })
    }
}

pub(super) async fn handle(
    State(front): State<Arc<Front>>,
    cut: Cut,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match Confirm::read(&headers, &body) {
        Ok(confirm) => carry_out(cut, front.confirm(confirm)).await,
        Err(response) => *response,
    }
}

impl Front {
    async fn confirm(self: Arc<Self>, confirm: Confirm) -> Reply {
        let order = confirm.order_id.clone();
        let front = Arc::clone(&self);
        self.with_faults(
            (Port::Payment, On::Charge, &order),
            &MANNER,
            |fate| async move {
                let word = lock(&front.core.faults).of_token(&confirm.token, &confirm.key);
                match word {
                    Some(Fault::Unreachable) => Reply::Cut,
                    Some(Fault::LoseRequest) => Reply::Hang,
                    Some(Fault::LoseReply) => {
                        front.charge(&confirm, &fate, None).await;
                        Reply::Hang
                    }
                    Some(Fault::Slow(delay)) => {
                        tokio::time::sleep(delay).await;
                        front.charge(&confirm, &fate, None).await
                    }
                    Some(Fault::Refuse(code)) => front.charge(&confirm, &fate, Some(code)).await,
                    None => front.charge(&confirm, &fate, None).await,
                }
            },
        )
        .await
    }

    async fn charge(&self, confirm: &Confirm, fate: &Fate, word: Option<&str>) -> Reply {
        if fate.is(Kind::ForgetKey) {
            lock(&self.core.world).forget(Op::Charge, &confirm.order_id, &confirm.key);
        }
        let payment = Uuid::new_v5(&Uuid::NAMESPACE_OID, confirm.payment_key.as_bytes());
        let Some(first_seen) = self.core.first_seen(payment) else {
            return broken();
        };
        let drawn = fate.refusal(&[Kind::Decline, Kind::Refuse], "REJECT_CARD_PAYMENT");
        if let Some(code) = self.failure(Op::Charge, &confirm.key, drawn.as_deref()) {
            return error(&code).into();
        }
        let authenticated = Faults::authenticated(&confirm.token);
        let asked = (Uuid::try_parse(&confirm.order_id).ok(), confirm.amount);
        let objection = sessions::objection(authenticated, first_seen, asked, now());
        let ask = Ask {
            money: Some((confirm.amount, "KRW".to_owned())),
            refusal: drawn
                .filter(|code| is_final(code))
                .or_else(|| word.map(str::to_owned))
                .or_else(|| objection.map(str::to_owned)),
            detail: Some(Detail::Payment {
                payment_key: confirm.payment_key.clone(),
            }),
            ..Ask::new(
                Port::Payment,
                Op::Charge,
                confirm.key.clone(),
                confirm.order_id.clone(),
            )
        };
        let Ok(reply) = self.core.commit(&ask).await else {
            return broken();
        };
        if let Some(code) = refused(&reply) {
            if !reply.is_repeat() && code != "ALREADY_PROCESSED_PAYMENT" {
                self.tell_aborted(confirm, fate);
            }
            return error(code).into();
        }
        // A key that was used for another order gets that order's answer: Toss compares keys, not bodies.
        let paid = lock(&self.core.world).lookup_anywhere(Op::Charge, &confirm.key);
        let order = paid.map_or_else(|| order_key(&confirm.order_id), |(order, _)| order);
        let Some(payment) = self.payment(order, Some(reply.origin), reply.origin) else {
            return broken();
        };
        let document = payment.document();
        if !reply.is_repeat() {
            self.tell_payment(&confirm.order_id, &document, fate);
        }
        json(StatusCode::OK, &document).into()
    }

    fn tell_aborted(&self, confirm: &Confirm, fate: &Fate) {
        let declined = lock(&self.core.world)
            .account(order_key(&confirm.order_id))
            .and_then(|account| account.declined.clone());
        if let Some(declined) = declined {
            let document = payment::aborted(&confirm.order_id, &declined, &confirm.payment_key);
            self.tell_payment(&confirm.order_id, &document, fate);
        }
    }
}
