//! `POST /v1/payments/{paymentKey}/cancel`: the refund, full or partial, at once or later.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;
use uuid::Uuid;

use super::errors::{MANNER, error, is_final};
use super::payment::currency;
use super::{Payment, admit, amount, broken, key_of, refused, text};
use crate::providers::simulator::call::{self, Ask};
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::notes::{Detail, Pending};
use crate::providers::simulator::rules::{Fate, Kind, On};
use crate::providers::simulator::wire::Front;
use crate::providers::simulator::wire::reply::{Reply, carry_out, json};
use crate::providers::simulator::wire::socket::Cut;
use crate::providers::simulator::{lock, now};

/// How long a refund takes that is made later, unless the rule says otherwise.
const LATER: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Cancel {
    key: String,
    payment_key: String,
    reason: String,
    /// Nothing: all that is left.
    amount: Option<i64>,
}

impl Cancel {
    fn read(payment_key: String, headers: &HeaderMap, body: &[u8]) -> Result<Self, Box<Response>> {
        admit(headers)?;
        let key = key_of(headers)?;
        Self::fields(key, payment_key, body).ok_or_else(|| Box::new(error("INVALID_REQUEST")))
    }

    fn fields(key: String, payment_key: String, body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(Self {
            key,
            payment_key,
            reason: text(&body, "cancelReason", 1, 200)?.to_owned(),
            amount: match body.get("cancelAmount") {
                None | Some(Value::Null) => None,
                Some(value) => Some(amount(value)?),
            },
        })
    }
}

pub(super) async fn handle(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match Cancel::read(payment_key, &headers, &body) {
        Ok(cancel) => carry_out(cut, front.cancel(cancel)).await,
        Err(response) => *response,
    }
}

impl Front {
    async fn cancel(self: Arc<Self>, cancel: Cancel) -> Reply {
        let Some((order, charge)) = self.payment_at(&cancel.payment_key).await else {
            return error("NOT_FOUND_PAYMENT").into();
        };
        let Some(charge) = charge else {
            return error("NOT_CANCELABLE_PAYMENT").into();
        };
        let Some(payment) = self.payment_now(order, Some(charge)) else {
            return broken();
        };
        let order_id = payment.order_id.clone();
        let front = Arc::clone(&self);
        self.with_faults(
            (Port::Payment, On::Refund, &order_id),
            &MANNER,
            |fate| async move { front.give_back(order, payment, &cancel, &fate).await },
        )
        .await
    }

    async fn give_back(
        &self,
        order: Uuid,
        payment: Payment,
        cancel: &Cancel,
        fate: &Fate,
    ) -> Reply {
        if fate.is(Kind::ForgetKey) {
            lock(&self.core.world).forget(Op::Refund, &payment.order_id, &cancel.key);
        }
        let drawn = fate.refusal(&[Kind::Refuse], "REFUND_REJECTED");
        let begun = self.core.is_pending(order, &cancel.key);
        if !begun && let Some(code) = self.failure(Op::Refund, &cancel.key, drawn.as_deref()) {
            return error(&code).into();
        }
        let left = payment.balance();
        // Of a payment without a rest all is asked for, and refused.
        let rest = if left > 0 {
            left
        } else {
            payment.charge.amount
        };
        let ask = Ask {
            money: Some((cancel.amount.unwrap_or(rest), currency(&payment.charge))),
            refusal: drawn.filter(|code| is_final(code)),
            charge: Some(payment.charge.seq),
            detail: Some(Detail::Return {
                charge: payment.charge.seq,
                reason: cancel.reason.clone(),
            }),
            ..Ask::new(
                Port::Payment,
                Op::Refund,
                cancel.key.clone(),
                payment.order_id.clone(),
            )
        };
        let begun = begun || (fate.is(Kind::Async) && self.begin(&ask, fate).is_some());
        if begun {
            let now = self.payment_now(order, ask.charge);
            return now.map_or_else(broken, |it| json(StatusCode::OK, &it.document()).into());
        }
        let Ok(reply) = self.core.commit(&ask).await else {
            return broken();
        };
        self.answer(order, &ask, &reply, fate)
    }

    fn answer(&self, order: Uuid, ask: &Ask, reply: &call::Reply, fate: &Fate) -> Reply {
        let known = lock(&self.core.world).lookup_anywhere(Op::Refund, &ask.key);
        let order = known.map_or(order, |(order, _)| order);
        let Some(payment) = self.payment_now(order, self.charge_of(order, reply.origin, ask))
        else {
            return broken();
        };
        match refused(reply) {
            Some("NOT_CANCELABLE_AMOUNT") if payment.balance() == 0 => {
                error("ALREADY_CANCELED_PAYMENT").into()
            }
            Some(code) => error(code).into(),
            None => {
                let then = self.payment(order, Some(payment.charge.seq), reply.origin);
                let document = then.unwrap_or(payment).document();
                if !reply.is_repeat() {
                    self.tell_payment(&ask.order_id, &document, fate);
                }
                json(StatusCode::OK, &document).into()
            }
        }
    }

    /// The charge that the refund at line `seq` returns.
    fn charge_of(&self, order: Uuid, seq: u64, ask: &Ask) -> Option<u64> {
        let mut world = lock(&self.core.world);
        let mut returns = world.account(order)?.returns.iter();
        let own = returns.find(|it| it.seq == seq).map(|it| it.charge);
        own.or(ask.charge)
    }

    /// Accepts a refund that will be through later, if it may be made at all.
    fn begin(&self, ask: &Ask, fate: &Fate) -> Option<()> {
        let fault = fate.fault.as_ref()?;
        let (amount, currency) = ask.money.clone()?;
        let Some(Detail::Return { charge, reason }) = ask.detail.clone() else {
            return None;
        };
        let asked_at = now();
        self.core.begin_refund(
            ask,
            Pending {
                key: ask.key.clone(),
                order_id: ask.order_id.clone(),
                charge,
                amount,
                currency,
                reason,
                asked_at,
                due: asked_at + fault.delay.unwrap_or(LATER),
                refusal: fault.code.clone(),
            },
        )?;
        self.refunds.notify_one();
        Some(())
    }
}
