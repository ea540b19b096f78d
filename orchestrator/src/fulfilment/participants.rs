//! Whom the steps call, and what the answers mean to the saga.

mod guard;

use std::sync::Arc;

use aggregates::kakao::Notice;
use aggregates::order::Order;
use chrono::{DateTime, Utc};
use eventstore::Vault;
use serde_json::Value;

use super::facts::Facts;
use super::limits::Limits;
use super::outputs::ToOutput;
use super::personal::{self, Details, Need};
use super::record::notice;
use super::steps::*;
use crate::providers::ports::{
    Answer, CarrierPort, Charge, Found, KakaoPort, Message, PaymentPort, Refund, Shipment, Tracking,
};
use crate::saga::definition::{Call, Outcome, Probe};
use crate::saga::key;
pub use guard::Guards;

/// How a customer without a payment method of their own pays: the shop has an agreement with the provider.
const AGREEMENT: &str = "agreement";

/// The providers behind the ports.
#[derive(Clone)]
pub struct Providers {
    /// Takes and returns money.
    pub payments: Arc<dyn PaymentPort>,
    /// Moves parcels.
    pub carrier: Arc<dyn CarrierPort>,
    /// Sends messages.
    pub kakao: Arc<dyn KakaoPort>,
}

/// The providers with all that calling them takes.
#[derive(Clone)]
pub(super) struct Participants {
    pub(super) providers: Providers,
    pub(super) guards: Arc<Guards>,
    pub(super) vault: Vault,
    pub(super) limits: Limits,
}

/// A call that cannot be made for reasons of our own; nothing was sent.
pub(super) struct Unsent(pub(super) String);

impl<E: std::error::Error> From<E> for Unsent {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Participants {
    pub(super) async fn execute(&self, call: &Call) -> Outcome {
        let outcome = match self.send(call).await {
            Ok(outcome) => outcome,
            Err(Unsent(reason)) => return Outcome::NotSent { reason },
        };
        self.guards.learn(call.step, &outcome);
        outcome
    }

    async fn send(&self, call: &Call) -> Result<Outcome, Unsent> {
        let facts = Facts::fold(call.history.events())?;
        let order = facts
            .order
            .as_ref()
            .ok_or_else(|| Unsent("there is no such order".into()))?;
        let Providers {
            payments,
            carrier,
            kakao,
        } = &self.providers;
        Ok(match call.step {
            PAY => to_outcome(payments.charge(self.charge(call, order).await?).await),
            SHIP => to_outcome(carrier.ship(self.shipment(call, order).await?).await),
            HOLD => to_outcome(carrier.hold(call.saga_id, &call.key).await),
            REFUND => to_outcome(payments.refund(refund(call, &facts)?).await),
            CANCEL_DELIVERY => to_outcome(carrier.cancel(call.saga_id, &call.key).await),
            NOTIFY | TELL => {
                let notice = notice(&facts, call.step);
                let notice = notice.ok_or_else(|| Unsent("there is nothing to tell".into()))?;
                let details = personal::unseal(&self.vault, order, Need::Phone).await?;
                to_outcome(kakao.send(message(notice, details)).await)
            }
            other => return Err(Unsent(format!("nobody does {other}"))),
        })
    }

    async fn charge(&self, call: &Call, order: &Order) -> Result<Charge, Unsent> {
        let payment = order.payment.as_ref();
        let token = personal::unseal(&self.vault, order, Need::Token)
            .await?
            .token;
        let token = match (payment, token) {
            (Some(_), None) => return Err(Unsent("the payment token was erased".into())),
            (_, token) => token
                .map(|token| token.expose().to_owned())
                .unwrap_or_default(),
        };
        Ok(Charge {
            key: call.key.clone(),
            order_id: call.saga_id,
            amount: order.total,
            method: payment
                .map_or(AGREEMENT, |payment| &payment.method)
                .to_owned(),
            token,
            // The provider closes the window when we stop sending, so that "not found" becomes final on both sides.
            not_after: call.state.started_at + self.limits.payment_deadline,
        })
    }

    async fn shipment(&self, call: &Call, order: &Order) -> Result<Shipment, Unsent> {
        let Details {
            name,
            phone,
            address,
            ..
        } = personal::unseal(&self.vault, order, Need::Parcel).await?;
        let clear = |part: Option<aggregates::personal::Personal>| {
            part.map(|part| part.expose().to_owned())
        };
        Ok(Shipment {
            key: call.key.clone(),
            order_id: call.saga_id,
            receiver: clear(name),
            phone: clear(phone),
            address: clear(address),
        })
    }

    pub(super) async fn probe(&self, call: &Call) -> Probe {
        let (id, own) = (call.saga_id, call.key.as_str());
        let Providers {
            payments,
            carrier,
            kakao,
        } = &self.providers;
        match call.step {
            PAY => to_probe(payments.probe(id, own).await),
            LATE_CHARGE => to_probe(payments.probe(id, &pay_key(call)).await),
            REFUND => to_probe(payments.probe_refund(id, own).await),
            SHIP => to_probe(carrier.probe(id, own).await),
            HOLD => to_probe(carrier.probe_hold(id, own).await),
            CANCEL_DELIVERY => to_probe(carrier.probe_cancel(id, own).await),
            // A van can be faster than the carrier's answer to the shipment, which comes first in our books.
            HANDOVER | TRACK if !call.state.is_done(SHIP) => Probe::NotFound,
            HANDOVER => scanned(carrier.track(id).await, |tracking| tracking.handed_over_at),
            TRACK => scanned(carrier.track(id).await, |tracking| tracking.delivered_at),
            NOTIFY | TELL => match Facts::fold(call.history.events()) {
                Ok(facts) => match notice(&facts, call.step) {
                    Some(notice) => to_probe(kakao.lookup(notice.id).await),
                    None => Probe::NotFound,
                },
                Err(error) => Probe::Unknown {
                    reason: error.to_string(),
                },
            },
            other => Probe::Unknown {
                reason: format!("nobody knows {other}"),
            },
        }
    }

    pub(super) fn paused_until(&self, step: &str) -> Option<DateTime<Utc>> {
        self.guards.paused_until(step)
    }
}

fn scanned(
    tracking: Found<Tracking>,
    scan: impl FnOnce(&Tracking) -> Option<DateTime<Utc>>,
) -> Probe {
    match tracking {
        Found::Done(tracking) => {
            scan(&tracking).map_or(Probe::NotFound, |_| Probe::Done(Value::Null))
        }
        other => to_probe(other.map(drop)),
    }
}

/// The key under which the last charge was tried.
fn pay_key(call: &Call) -> String {
    key(
        call.saga_id,
        PAY,
        call.state.step(PAY).map_or(0, |step| step.round),
    )
}

fn refund(call: &Call, facts: &Facts) -> Result<Refund, Unsent> {
    let payment = facts.payment.as_ref();
    // A charge that went back is asked for with the same key all the same: the answer is the stored one.
    let charge = payment.and_then(|payment| payment.kept().or_else(|| payment.charges.last()));
    let charge = charge.ok_or_else(|| Unsent("nothing was charged".into()))?;
    Ok(Refund {
        key: call.key.clone(),
        order_id: call.saga_id,
        charge_ref: charge.provider_ref.clone(),
        amount: charge.money,
    })
}

/// What a dealer gets.
pub(super) fn message(notice: Notice, details: Details) -> Message {
    Message {
        message_id: notice.id,
        order_id: notice.order_id,
        kind: notice.kind.as_str().to_owned(),
        phone: details.phone.map(|phone| phone.expose().to_owned()),
        text: notice.text,
    }
}

pub(super) fn to_outcome<T: ToOutput>(answer: Answer<T>) -> Outcome {
    match answer {
        Answer::Done(done) => Outcome::Done(done.to_output()),
        Answer::Refused(refusal) => Outcome::Refused {
            code: refusal.code,
            reason: refusal.reason,
        },
        Answer::Unknown(reason) => Outcome::Unknown { reason },
        Answer::NotSent(reason) => Outcome::NotSent { reason },
    }
}

pub(super) fn to_probe<T: ToOutput>(found: Found<T>) -> Probe {
    match found {
        Found::Done(done) => Probe::Done(done.to_output()),
        Found::Refused(refusal) => Probe::Refused {
            code: refusal.code,
            reason: refusal.reason,
        },
        Found::Nothing => Probe::NotFound,
        Found::Unknown(reason) => Probe::Unknown { reason },
    }
}
