//! What can be recorded about a payment, and what is refused.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Charge, ExcessCharged, ExcessReturned, MismatchFound, MismatchSettled, Paid, PayCanceled,
    Payment, PaymentDeclined, PaymentEvent, RefundRefused,
};
use crate::instant::to_millis;
use crate::money::Money;

/// An answer of the payment provider about one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The order.
    pub order_id: Uuid,
    /// Its customer.
    pub customer_id: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub action: Action,
}

/// What the provider answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It charged: in time, or too late for the order.
    RecordCharge {
        /// How much.
        money: Money,
        /// Its reference of the charge.
        provider_ref: String,
    },
    /// It did not charge and will not.
    RecordDecline {
        /// Its or our word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// It gave a charge back.
    RecordRefund {
        /// How much.
        money: Money,
        /// Its reference of the charge.
        provider_ref: String,
        /// Its reference of the refund.
        refund_ref: String,
    },
    /// It will not give the kept charge back.
    RecordRefundRefusal {
        /// Its word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    },
    /// It charged once more than is owed.
    RecordExcess {
        /// How much.
        money: Money,
        /// Its reference of the charge.
        provider_ref: String,
    },
    /// It gave an excess charge back.
    RecordExcessReturn {
        /// Its reference of the charge.
        provider_ref: String,
        /// Its reference of the refund.
        refund_ref: String,
    },
    /// Its books and ours differ.
    RecordMismatch {
        /// The saga in whose hands it is.
        finding: Uuid,
        /// A stable word.
        code: String,
        /// A sentence for people.
        reason: String,
        /// The money at stake.
        at_stake: Money,
    },
    /// A person has seen to that.
    SettleMismatch {
        /// The saga in whose hands it was.
        finding: Uuid,
        /// What came of it.
        reason: String,
    },
}

/// Why something is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Money moves in amounts above zero.
    #[error("{0} is no amount of money to move")]
    NotPositive(Money),
    /// Another charge of this order is kept; it has to go back first.
    #[error("the charge {kept:?} is kept")]
    AnotherChargeKept {
        /// Its reference.
        kept: String,
    },
    /// The charge is on record with another amount.
    #[error("the charge is on record with {recorded}")]
    AmountDiffers {
        /// What is on record.
        recorded: Money,
    },
    /// There is a charge, so the payment was not declined.
    #[error("the payment was charged")]
    AlreadyCharged,
    /// There is nothing that could go back.
    #[error("no such charge is on record")]
    NothingCharged,
    /// The charge went back with another refund.
    #[error("the charge went back with {recorded:?}")]
    AlreadyRefunded {
        /// The reference of that refund.
        recorded: String,
    },
    /// A charge goes back whole: neither more than it nor less.
    #[error("the charge is {charged}, and goes back whole or not at all")]
    NotTheCharge {
        /// What was charged.
        charged: Money,
    },
    /// The charge is on record as one that pays for nothing.
    #[error("the charge is on record as excess, and only goes back")]
    Excess,
    /// The charge is on record as the one that pays for the order.
    #[error("the charge pays for the order")]
    Owed,
}

pub(super) fn decide(
    state: Option<&Payment>,
    command: &Command,
) -> Result<Vec<PaymentEvent>, Rejection> {
    match &command.action {
        Action::RecordCharge {
            money,
            provider_ref,
        } => charge(state, command, *money, provider_ref),
        Action::RecordDecline { code, reason } => decline(state, command, code, reason),
        Action::RecordRefund {
            money,
            provider_ref,
            refund_ref,
        } => refund(state, command, *money, provider_ref, refund_ref),
        Action::RecordRefundRefusal { code, reason } => refuse_refund(state, command, code, reason),
        Action::RecordExcess {
            money,
            provider_ref,
        } => exceed(state, command, *money, provider_ref),
        Action::RecordExcessReturn {
            provider_ref,
            refund_ref,
        } => return_excess(state, command, provider_ref, refund_ref),
        Action::RecordMismatch { .. } | Action::SettleMismatch { .. } => differ(state, command),
    }
}

fn charge(
    state: Option<&Payment>,
    command: &Command,
    money: Money,
    provider_ref: &str,
) -> Result<Vec<PaymentEvent>, Rejection> {
    if money.amount <= 0 {
        return Err(Rejection::NotPositive(money));
    }
    match state.and_then(|payment| payment.charge(provider_ref)) {
        Some(known) if known.excess => return Err(Rejection::Excess),
        Some(known) if known.money == money => return Ok(vec![]),
        Some(known) => {
            return Err(Rejection::AmountDiffers {
                recorded: known.money,
            });
        }
        None => {}
    }
    if let Some(kept) = state.and_then(Payment::kept) {
        return Err(Rejection::AnotherChargeKept {
            kept: kept.provider_ref.clone(),
        });
    }
    Ok(vec![
        Paid {
            order_id: command.order_id,
            customer_id: command.customer_id.clone(),
            occurred_at: to_millis(command.at),
            amount: money.amount,
            currency: money.currency,
            provider_ref: provider_ref.to_owned(),
        }
        .into(),
    ])
}

fn decline(
    state: Option<&Payment>,
    command: &Command,
    code: &str,
    reason: &str,
) -> Result<Vec<PaymentEvent>, Rejection> {
    match state {
        Some(payment) if !payment.charges.is_empty() => Err(Rejection::AlreadyCharged),
        Some(payment) if payment.declined.is_some() => Ok(vec![]),
        Some(_) | None => Ok(vec![
            PaymentDeclined {
                order_id: command.order_id,
                customer_id: command.customer_id.clone(),
                occurred_at: to_millis(command.at),
                code: code.to_owned(),
                reason: reason.to_owned(),
            }
            .into(),
        ]),
    }
}

fn refund(
    state: Option<&Payment>,
    command: &Command,
    money: Money,
    provider_ref: &str,
    refund_ref: &str,
) -> Result<Vec<PaymentEvent>, Rejection> {
    let charge = state
        .and_then(|payment| payment.charge(provider_ref))
        .ok_or(Rejection::NothingCharged)?;
    if charge.excess {
        return Err(Rejection::Excess);
    }
    if charge.money != money {
        return Err(Rejection::NotTheCharge {
            charged: charge.money,
        });
    }
    if went_back(charge, refund_ref)? {
        return Ok(vec![]);
    }
    Ok(vec![
        PayCanceled {
            order_id: command.order_id,
            customer_id: command.customer_id.clone(),
            occurred_at: to_millis(command.at),
            amount: money.amount,
            currency: money.currency,
            provider_ref: provider_ref.to_owned(),
            refund_ref: refund_ref.to_owned(),
        }
        .into(),
    ])
}

/// Whether it went back with this very refund.
fn went_back(charge: &Charge, refund_ref: &str) -> Result<bool, Rejection> {
    match &charge.refund_ref {
        Some(recorded) if recorded == refund_ref => Ok(true),
        Some(recorded) => Err(Rejection::AlreadyRefunded {
            recorded: recorded.clone(),
        }),
        None => Ok(false),
    }
}

/// The same no twice is one fact; a no for another reason is another.
fn refuse_refund(
    state: Option<&Payment>,
    command: &Command,
    code: &str,
    reason: &str,
) -> Result<Vec<PaymentEvent>, Rejection> {
    let payment = state.ok_or(Rejection::NothingCharged)?;
    let kept = payment.kept().ok_or(Rejection::NothingCharged)?;
    if payment
        .refund_refusal
        .as_ref()
        .is_some_and(|known| known.code == code && known.reason == reason)
    {
        return Ok(vec![]);
    }
    Ok(vec![
        RefundRefused {
            order_id: command.order_id,
            customer_id: command.customer_id.clone(),
            occurred_at: to_millis(command.at),
            code: code.to_owned(),
            reason: reason.to_owned(),
            amount: kept.money.amount,
            currency: kept.money.currency,
        }
        .into(),
    ])
}

/// Whatever else there is of the order: money that nobody owes goes back.
fn exceed(
    state: Option<&Payment>,
    command: &Command,
    money: Money,
    provider_ref: &str,
) -> Result<Vec<PaymentEvent>, Rejection> {
    if money.amount <= 0 {
        return Err(Rejection::NotPositive(money));
    }
    match state.and_then(|payment| payment.charge(provider_ref)) {
        Some(known) if !known.excess => Err(Rejection::Owed),
        Some(known) if known.money == money => Ok(vec![]),
        Some(known) => Err(Rejection::AmountDiffers {
            recorded: known.money,
        }),
        None => Ok(vec![
            ExcessCharged {
                order_id: command.order_id,
                customer_id: command.customer_id.clone(),
                occurred_at: to_millis(command.at),
                amount: money.amount,
                currency: money.currency,
                provider_ref: provider_ref.to_owned(),
            }
            .into(),
        ]),
    }
}

fn return_excess(
    state: Option<&Payment>,
    command: &Command,
    provider_ref: &str,
    refund_ref: &str,
) -> Result<Vec<PaymentEvent>, Rejection> {
    let charge = state
        .and_then(|payment| payment.charge(provider_ref))
        .ok_or(Rejection::NothingCharged)?;
    if !charge.excess {
        return Err(Rejection::Owed);
    }
    if went_back(charge, refund_ref)? {
        return Ok(vec![]);
    }
    Ok(vec![
        ExcessReturned {
            order_id: command.order_id,
            customer_id: command.customer_id.clone(),
            occurred_at: to_millis(command.at),
            amount: charge.money.amount,
            currency: charge.money.currency,
            provider_ref: provider_ref.to_owned(),
            refund_ref: refund_ref.to_owned(),
        }
        .into(),
    ])
}

/// A mismatch is found once and settled once; without any payment there is nothing to differ in.
fn differ(state: Option<&Payment>, command: &Command) -> Result<Vec<PaymentEvent>, Rejection> {
    let payment = state.ok_or(Rejection::NothingCharged)?;
    let is_open = |finding| payment.mismatches.iter().any(|m| m.finding == finding);
    let (order_id, customer_id) = (command.order_id, command.customer_id.clone());
    let occurred_at = to_millis(command.at);
    let event = match &command.action {
        Action::RecordMismatch {
            finding,
            code,
            reason,
            at_stake,
        } if !is_open(*finding) => MismatchFound {
            order_id,
            customer_id,
            occurred_at,
            finding: *finding,
            code: code.clone(),
            reason: reason.clone(),
            amount: at_stake.amount,
            currency: at_stake.currency,
        }
        .into(),
        Action::SettleMismatch { finding, reason } if is_open(*finding) => MismatchSettled {
            order_id,
            customer_id,
            occurred_at,
            finding: *finding,
            reason: reason.clone(),
        }
        .into(),
        _ => return Ok(vec![]),
    };
    Ok(vec![event])
}
