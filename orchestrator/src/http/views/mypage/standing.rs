//! Where an order stands, in words: what is so, what is wrong, and what comes next until when.

use chrono::{DateTime, TimeDelta, Utc};
use projections::customer::{
    CustomerRow, DeliveryFacts, DeliveryStatus, OrderStatus, PaymentStatus,
};
use serde::Serialize;

use super::account::Account;
use crate::fulfilment::limits::Limits;

/// What is expected next.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Next {
    pub(super) text: &'static str,
    /// Until when, where there is such a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<DateTime<Utc>>,
    /// What happens if it has not come by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<&'static str>,
    /// That moment has passed.
    pub(super) late: bool,
}

/// The status as a sentence.
pub(super) fn sentence(row: &CustomerRow, account: &Account) -> String {
    let parcel = row.delivery.as_ref();
    match row.status {
        OrderStatus::Pending => "We are waiting for the payment.".to_owned(),
        OrderStatus::Paid if is(parcel, DeliveryStatus::Refused) => {
            "Paid; the carrier does not take the parcel, so the order is being canceled.".to_owned()
        }
        OrderStatus::Paid => "Paid; the parcel is being prepared.".to_owned(),
        OrderStatus::Shipped => format!("The parcel is ready for {}.", carrier(parcel)),
        OrderStatus::HandedOver if is(parcel, DeliveryStatus::TrackingLost) => {
            format!(
                "The parcel left with {}, and is lost from sight.",
                carrier(parcel)
            )
        }
        OrderStatus::HandedOver if parcel.is_some_and(|it| it.out_for_delivery_at.is_some()) => {
            format!("The parcel is out for delivery with {}.", carrier(parcel))
        }
        OrderStatus::HandedOver => format!("The parcel is on its way with {}.", carrier(parcel)),
        OrderStatus::Delivered => "The parcel has arrived.".to_owned(),
        OrderStatus::Rejected => match &row.rejected {
            Some(refusal) => format!("Not accepted: {}", refusal.reason),
            None => "Not accepted.".to_owned(),
        },
        OrderStatus::Canceling => "The cancellation is under way.".to_owned(),
        OrderStatus::Canceled if account.paid == 0 => "Canceled.".to_owned(),
        OrderStatus::Canceled if account.kept() > 0 => {
            "Canceled; the money is on its way back.".to_owned()
        }
        OrderStatus::Canceled => "Canceled; the money has gone back.".to_owned(),
    }
}

fn is(parcel: Option<&DeliveryFacts>, status: DeliveryStatus) -> bool {
    parcel.is_some_and(|parcel| parcel.status == status)
}

fn carrier(parcel: Option<&DeliveryFacts>) -> String {
    let label =
        parcel.and_then(|parcel| Some((parcel.carrier.as_ref()?, parcel.waybill.as_ref()?)));
    label.map_or_else(
        || "the carrier".to_owned(),
        |(carrier, waybill)| format!("{carrier} under number {waybill}"),
    )
}

/// What is not as it should be. Nothing of it is for the customer to mend.
pub(super) fn troubles(row: &CustomerRow) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(payment) = &row.payment
        && payment.status == PaymentStatus::RefundRefused
    {
        troubles.push(
            "The payment provider refuses to give the money back; somebody sees to it.".to_owned(),
        );
    }
    if let Some(parcel) = &row.delivery {
        match parcel.status {
            DeliveryStatus::Exception => troubles.push(
                "The parcel left although the carrier had promised to keep it; somebody sees to it.".to_owned(),
            ),
            DeliveryStatus::TrackingLost => troubles
                .push("The carrier has told nothing of the parcel for too long.".to_owned()),
            _ => {}
        }
        if let Some(trouble) = parcel
            .trouble
            .as_ref()
            .filter(|_| parcel.delivered_at.is_none())
        {
            troubles.push(format!("The carrier says: {}", trouble.reason));
        }
    }
    if let Some(refused) = row
        .cancel
        .as_ref()
        .and_then(|cancel| cancel.refused.as_ref())
    {
        troubles.push(format!(
            "The last request to cancel was refused: {}",
            refused.reason
        ));
    }
    troubles
}

/// What is expected next, as long as anything is.
pub(super) fn next(
    row: &CustomerRow,
    account: &Account,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Option<Next> {
    let after = |since: Option<DateTime<Utc>>, wait: std::time::Duration| {
        since?.checked_add_signed(TimeDelta::from_std(wait).ok()?)
    };
    let by = |text, until: Option<DateTime<Utc>>, otherwise| {
        Some(Next {
            text,
            late: until.is_some_and(|until| until < now),
            otherwise: until.and(Some(otherwise)),
            until,
        })
    };
    let some_time = |text| by(text, None, "");
    let parcel = row.delivery.as_ref();
    match row.status {
        OrderStatus::Pending => by(
            "The payment provider says whether it took the money.",
            after(Some(row.ordered_at), limits.payment_deadline),
            "The order is rejected, and whatever was taken goes back.",
        ),
        OrderStatus::Paid if is(parcel, DeliveryStatus::Refused) => {
            some_time("The money goes back.")
        }
        OrderStatus::Paid => some_time("The carrier accepts the parcel."),
        OrderStatus::Shipped => by(
            "The carrier takes the parcel along.",
            after(parcel.and_then(|parcel| parcel.shipped_at), limits.handover),
            "Somebody looks for the parcel.",
        ),
        OrderStatus::HandedOver if is(parcel, DeliveryStatus::TrackingLost) => None,
        OrderStatus::HandedOver => by(
            "The parcel arrives.",
            after(
                parcel.and_then(|parcel| parcel.handed_over_at),
                limits.tracking,
            ),
            "The parcel counts as lost from sight.",
        ),
        OrderStatus::Canceling if is(parcel, DeliveryStatus::Shipped) => {
            some_time("The carrier says whether it keeps the parcel.")
        }
        OrderStatus::Canceling if row.stage == OrderStatus::Pending => {
            some_time("The payment provider says whether it took the money.")
        }
        OrderStatus::Canceling => some_time("The order ends."),
        OrderStatus::Canceled | OrderStatus::Rejected if account.kept() > 0 => {
            some_time("The money goes back.")
        }
        OrderStatus::Canceled | OrderStatus::Rejected | OrderStatus::Delivered => None,
    }
}
