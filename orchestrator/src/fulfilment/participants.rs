//! Whom the steps call, and what the answers mean to the saga.

mod guard;
mod scans;

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::kakao::Notice;
use aggregates::money::Money;
use aggregates::order::Order;
use aggregates::personal::Personal;
use aggregates::saga::State;
use chrono::{DateTime, Utc};
use eventstore::Vault;
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::facts::Facts;
use super::limits::Limits;
use super::outputs::{LabelOutput, ToOutput};
use super::personal::{self, Details, Need};
use super::record::notice;
use super::steps::*;
use crate::providers::ports::{
    Answer, CarrierPort, Charge, Found, KakaoPort, Label, Message, MoneyMoved, PaymentPort, Refund,
    Refusal, Shipment,
};
use crate::saga::definition::{Call, Outcome, Probe};
use crate::saga::key;
pub use guard::Guards;
use guard::Heard;
use scans::scanned;

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
    /// Those who send them for a step in its stead, by the step's name.
    pub external: BTreeMap<&'static str, Arc<dyn KakaoPort>>,
}

impl Providers {
    /// Who sends the messages of a step.
    pub(super) fn messenger(&self, step: &str) -> Arc<dyn KakaoPort> {
        Arc::clone(self.external.get(step).unwrap_or(&self.kakao))
    }
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

/// What goes to the carrier, or why nothing does.
enum Parcel {
    Sendable(Shipment),
    /// The customer was erased: nobody knows any more where it is to go.
    Nowhere,
}

impl<E: std::error::Error> From<E> for Unsent {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Participants {
    pub(super) async fn execute(&self, call: &Call) -> Outcome {
        match self.sending(call).await {
            Ok(sending) => self.guards.execute(call, sending).await,
            Err(Unsent(reason)) => Outcome::NotSent { reason },
        }
    }

    /// The call of the provider, ready to be made.
    async fn sending(&self, call: &Call) -> Result<BoxFuture<'static, Heard>, Unsent> {
        let facts = Facts::fold(call.history.events())?;
        let order = facts
            .order
            .as_ref()
            .ok_or_else(|| Unsent("there is no such order".into()))?;
        let (id, key) = (call.saga_id, call.key.clone());
        let kakao = self.providers.messenger(call.step);
        let Providers {
            payments, carrier, ..
        } = self.providers.clone();
        Ok(match call.step {
            PAY => {
                let charge = self.charge(call, order).await?;
                async move { to_outcome(payments.charge(charge).await) }.boxed()
            }
            SHIP => match self.shipment(call, order).await? {
                Parcel::Sendable(shipment) => {
                    async move { to_outcome(carrier.ship(shipment).await) }.boxed()
                }
                Parcel::Nowhere => {
                    async move { to_outcome(nowhere(carrier.probe(id, &key).await)) }.boxed()
                }
            },
            HOLD => async move { to_outcome(carrier.hold(id, &key).await) }.boxed(),
            REFUND => {
                let refund = refund(call, &facts)?;
                async move { to_outcome(payments.refund(refund).await) }.boxed()
            }
            CANCEL_DELIVERY => async move { to_outcome(carrier.cancel(id, &key).await) }.boxed(),
            NOTIFY | TELL => {
                let notice = self.notice(call).await?;
                let (notice, details) =
                    notice.ok_or_else(|| Unsent("there is nothing to tell".into()))?;
                let message = message(notice, details);
                async move { to_outcome(kakao.send(message).await) }.boxed()
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

    /// What the customer pays with, unless that was erased.
    async fn token(&self, facts: &Facts) -> Result<Option<Personal>, Unsent> {
        match &facts.order {
            Some(order) => Ok(personal::unseal(&self.vault, order, Need::Token)
                .await?
                .token),
            None => Ok(None),
        }
    }

    async fn shipment(&self, call: &Call, order: &Order) -> Result<Parcel, Unsent> {
        let Details {
            name,
            phone,
            address,
            ..
        } = personal::unseal(&self.vault, order, Need::Parcel).await?;
        let erased = |told: bool, part: &Option<Personal>| told && part.is_none();
        if erased(order.address.is_some(), &address) || erased(order.contact.is_some(), &name) {
            return Ok(Parcel::Nowhere);
        }
        let clear = |part: Option<Personal>| part.map(|part| part.expose().to_owned());
        Ok(Parcel::Sendable(Shipment {
            key: call.key.clone(),
            order_id: call.saga_id,
            receiver: clear(name),
            phone: clear(phone),
            address: clear(address),
        }))
    }

    pub(super) async fn probe(&self, call: &Call) -> Probe {
        match self.looking(call).await {
            Ok(looking) => self.guards.probe(call, looking).await,
            Err(known) => known,
        }
    }

    /// The question to the provider, or the answer where nobody need be asked.
    async fn looking(&self, call: &Call) -> Result<BoxFuture<'static, Probe>, Probe> {
        let unknown = |reason: String| Probe::Unknown { reason };
        let (id, own) = (call.saga_id, call.key.clone());
        let kakao = self.providers.messenger(call.step);
        let Providers {
            payments, carrier, ..
        } = self.providers.clone();
        Ok(match call.step {
            PAY | LATE_CHARGE => {
                let facts = Facts::fold(call.history.events());
                let facts = facts.map_err(|error| unknown(error.to_string()))?;
                let token = self.token(&facts).await;
                let token = token.map_err(|Unsent(reason)| unknown(reason))?;
                let total = total(&facts).filter(|_| call.step == PAY);
                let paid_by = pay_key(call);
                async move {
                    let found = match &token {
                        Some(token) => payments.probe_with(id, &paid_by, token.expose()).await,
                        None => payments.probe(id, &paid_by).await,
                    };
                    to_probe(in_full(found, total))
                }
                .boxed()
            }
            REFUND => {
                let facts = Facts::fold(call.history.events());
                let facts = facts.map_err(|error| unknown(error.to_string()))?;
                let refund = refund(call, &facts).map_err(|Unsent(reason)| unknown(reason))?;
                async move { to_probe(payments.probe_refund(refund).await) }.boxed()
            }
            SHIP => async move { to_probe(carrier.probe(id, &own).await) }.boxed(),
            HOLD => async move { to_probe(carrier.probe_hold(id, &own).await) }.boxed(),
            CANCEL_DELIVERY => {
                async move { to_probe(carrier.probe_cancel(id, &own).await) }.boxed()
            }
            // A van can be faster than the carrier's answer to the shipment, which comes first in our books.
            HANDOVER | TRACK if !call.state.is_done(SHIP) => return Err(Probe::NotFound),
            HANDOVER | TRACK => {
                let (step, label) = (call.step, label(call));
                let label = label.ok_or_else(|| unknown("the log names no waybill".into()))?;
                let facts = Facts::fold(call.history.events());
                let facts = facts.map_err(|error| unknown(error.to_string()))?;
                let (shipped_at, is_wanted) = (shipped_at(call), call.state.unwind.is_none());
                async move {
                    let seen = carrier.track(id, &label, shipped_at).await;
                    scanned(step, seen, &facts, is_wanted)
                }
                .boxed()
            }
            NOTIFY | TELL => {
                let notice = self.notice(call).await;
                let notice = notice.map_err(|Unsent(reason)| unknown(reason))?;
                let (notice, details) = notice.ok_or(Probe::NotFound)?;
                async move { look_up(kakao.as_ref(), notice.id, &details).await }.boxed()
            }
            other => return Err(unknown(format!("nobody knows {other}"))),
        })
    }

    /// What the customer is to be told, and under which number.
    async fn notice(&self, call: &Call) -> Result<Option<(Notice, Details)>, Unsent> {
        let facts = Facts::fold(call.history.events())?;
        let Some((notice, order)) = notice(&facts, call.step).zip(facts.order.as_ref()) else {
            return Ok(None);
        };
        let details = personal::unseal(&self.vault, order, Need::Phone).await?;
        Ok(Some((notice, details)))
    }
}

/// A parcel that can be addressed no more is refused, unless the carrier had accepted it before.
fn nowhere(found: Found<Label>) -> Answer<Label> {
    match found {
        Found::Done(label) => Answer::Done(label),
        Found::Refused(refusal) => Answer::Refused(refusal),
        Found::Nothing => Answer::Refused(Refusal {
            code: ADDRESS_ERASED.to_owned(),
            reason: "The customer's name and address were erased before the parcel was sent."
                .to_owned(),
        }),
        Found::Undecided(reason) => Answer::Undecided(reason),
        Found::Unknown(reason) => Answer::NotSent(reason),
    }
}

/// An order is paid by its whole sum or not at all. A charge of another one is for people to look at.
fn in_full(found: Found<MoneyMoved>, total: Option<Money>) -> Found<MoneyMoved> {
    match found {
        Found::Done(moved) if total.is_some_and(|total| total != moved.amount) => {
            Found::Undecided("another amount was charged than the order's total".to_owned())
        }
        found => found,
    }
}

fn total(facts: &Facts) -> Option<Money> {
    facts.order.as_ref().map(|order| order.total)
}

/// Whether the dealer has that message already.
pub(super) async fn look_up(kakao: &dyn KakaoPort, message: Uuid, details: &Details) -> Probe {
    let phone = details.phone.as_ref().map(Personal::expose);
    to_probe(kakao.lookup(message, phone).await)
}

/// What the shipment gave.
fn label(call: &Call) -> Option<Label> {
    let output = call.state.output(SHIP)?;
    let LabelOutput { carrier, waybill } = serde_json::from_value(output.clone()).ok()?;
    Some(Label { carrier, waybill })
}

/// From when on scans can be of this parcel: from before the carrier was first asked to accept it.
fn shipped_at(call: &Call) -> DateTime<Utc> {
    let shipment = call.state.step(SHIP);
    shipment.map_or(call.state.started_at, |step| step.first_at)
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
    let charge = payment.and_then(|payment| payment.kept().or_else(|| payment.last()));
    let charge = charge.ok_or_else(|| Unsent("nothing was charged".into()))?;
    Ok(Refund {
        key: call.key.clone(),
        order_id: call.saga_id,
        charge_ref: charge.provider_ref.clone(),
        amount: charge.money,
        charged_after: charged_after(&call.state),
    })
}

/// A charge may be on our books long after it was made, but no sooner was it made than somebody asked for it.
pub(super) fn charged_after(state: &State) -> DateTime<Utc> {
    let pay = state.step(PAY);
    pay.map_or(state.started_at, |step| step.first_at)
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

pub(super) fn to_outcome<T: ToOutput>(answer: Answer<T>) -> Heard {
    // Declining a card is a day's work for a payment provider, and so is waiting for a customer's deposit.
    let healthy = match &answer {
        Answer::Done(_) | Answer::Refused(_) | Answer::Undecided(_) => true,
        Answer::Spent { faulty, .. } => !faulty,
        Answer::Unknown(_) | Answer::NotSent(_) => false,
    };
    let outcome = match answer {
        Answer::Done(done) => Outcome::Done(done.to_output()),
        Answer::Refused(refusal) => Outcome::Refused {
            code: refusal.code,
            reason: refusal.reason,
        },
        Answer::Unknown(reason) => Outcome::Unknown { reason },
        Answer::Undecided(reason) => Outcome::Undecided { reason },
        Answer::Spent { reason, .. } => Outcome::Spent { reason },
        Answer::NotSent(reason) => Outcome::NotSent { reason },
    };
    Heard { outcome, healthy }
}

pub(super) fn to_probe<T: ToOutput>(found: Found<T>) -> Probe {
    match found {
        Found::Done(done) => Probe::Done(done.to_output()),
        Found::Refused(refusal) => Probe::Refused {
            code: refusal.code,
            reason: refusal.reason,
        },
        Found::Nothing => Probe::NotFound,
        Found::Undecided(reason) => Probe::Undecided { reason },
        Found::Unknown(reason) => Probe::Unknown { reason },
    }
}
