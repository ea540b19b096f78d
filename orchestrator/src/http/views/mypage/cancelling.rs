//! What asking for a cancellation would do right now. Only the request itself decides; this says beforehand what it will
//! most likely be answered, by the same table.

use aggregates::money::Money;
use projections::customer::{CustomerRow, DeliveryStatus, OrderStatus};
use serde::Serialize;

use super::account::Account;
use crate::http::catalogue::{self, Kind};

/// What a request to cancel would come to.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cancelling {
    /// Whether there is still something to ask for.
    pub(super) possible: bool,
    pub(super) outcome: Outcome,
    /// The money that goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Money>,
    /// The same for people.
    text: String,
    /// The type of the problem that the request is refused with.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What to do in its stead.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<&'static str>,
}

/// The ways it can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    /// First it is found out whether the money was taken; if so it goes back.
    ResolveFirst,
    /// The money goes back.
    Refund,
    /// The carrier is asked to keep the parcel: if it does, the money goes back, if not, the request is refused.
    HoldFirst,
    /// It was asked for already.
    UnderWay,
    /// It is canceled already.
    Done,
    /// Refused: the parcel has left.
    TooLate,
    /// Refused: there is no order.
    Nothing,
}

impl Cancelling {
    pub(super) fn of(row: &CustomerRow, account: &Account) -> Cancelling {
        let outcome = outcome(row, account);
        let refused = match outcome {
            Outcome::TooLate => Some(&catalogue::PAST_POINT_OF_NO_RETURN),
            Outcome::Nothing => Some(&catalogue::ALREADY_REJECTED),
            _ => None,
        };
        let amount = match outcome {
            Outcome::ResolveFirst => row.total,
            Outcome::Refund | Outcome::HoldFirst | Outcome::UnderWay => account.kept(),
            Outcome::Done | Outcome::TooLate | Outcome::Nothing => 0,
        };
        let refund = (amount > 0).then(|| Money::new(amount, row.currency));
        Cancelling {
            possible: matches!(
                outcome,
                Outcome::ResolveFirst | Outcome::Refund | Outcome::HoldFirst
            ),
            outcome,
            refund,
            text: text(outcome, refund, refused),
            problem: refused.map(|kind| format!("/problems/{}", kind.name)),
            instead: refused.map(|kind| kind.advice),
        }
    }
}

fn outcome(row: &CustomerRow, account: &Account) -> Outcome {
    let parcel = row.delivery.as_ref().map(|parcel| parcel.status);
    match row.status {
        OrderStatus::Pending => Outcome::ResolveFirst,
        // No carrier takes it: it is being canceled without anybody asking.
        OrderStatus::Paid if parcel == Some(DeliveryStatus::Refused) => Outcome::UnderWay,
        OrderStatus::Paid => Outcome::Refund,
        OrderStatus::Shipped => Outcome::HoldFirst,
        OrderStatus::Canceling => Outcome::UnderWay,
        OrderStatus::Canceled if account.kept() > 0 => Outcome::UnderWay,
        OrderStatus::Canceled => Outcome::Done,
        OrderStatus::HandedOver | OrderStatus::Delivered => Outcome::TooLate,
        OrderStatus::Rejected => Outcome::Nothing,
    }
}

fn text(outcome: Outcome, refund: Option<Money>, refused: Option<&Kind>) -> String {
    let money = refund.map(|money| money.to_string());
    let money = money.as_deref().unwrap_or("nothing");
    match outcome {
        Outcome::ResolveFirst => format!(
            "The order ends. It is not known yet whether the money was taken; if it was, {money} goes back."
        ),
        Outcome::Refund => format!("The order ends and {money} goes back."),
        Outcome::HoldFirst => format!(
            "The carrier is asked to keep the parcel. If it does, the order ends and {money} goes back; if the parcel has left, the order stands."
        ),
        Outcome::UnderWay if refund.is_some() => {
            format!("It is being canceled already; {money} goes back.")
        }
        Outcome::UnderWay => "It is being canceled already.".to_owned(),
        Outcome::Done => "It is canceled already.".to_owned(),
        Outcome::TooLate | Outcome::Nothing => {
            let title = refused.map_or("", |kind| kind.title);
            format!("{title}.")
        }
    }
}
