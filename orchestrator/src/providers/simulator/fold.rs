//! What one line does to an account.

use super::account::{Account, Charged, Declined, Parcel, Returned, Sent};
use super::ledger::{Line, Op, Verdict};
use super::notes::Detail;

/// The refusal of a payment that was made before.
pub(super) const ALREADY_PROCESSED: &str = "already-processed";

/// Books money taken, refused or given back.
pub(super) fn move_money(account: &mut Account, line: &Line, detail: Option<&Detail>) {
    let amount = line.amount.unwrap_or(0);
    let payment_key = match detail {
        Some(Detail::Payment { payment_key }) => Some(payment_key.as_str().into()),
        _ => None,
    };
    match (line.op, line.result) {
        (Op::Charge, Verdict::Done) => account.charges.push(Charged {
            seq: line.seq,
            at: line.at,
            amount,
            currency: line
                .currency
                .as_deref()
                .and_then(currency)
                .unwrap_or_default(),
            payment_key,
        }),
        // A second try at what is paid says nothing about the payment.
        (Op::Charge, Verdict::Refused)
            if account.charges.is_empty() && line.reference != ALREADY_PROCESSED =>
        {
            account.declined = Some(Declined {
                seq: line.seq,
                at: line.at,
                amount,
                code: line.reference.as_str().into(),
                payment_key,
            });
        }
        (Op::Refund, Verdict::Done) => {
            let (named, reason) = match detail {
                Some(Detail::Return { charge, reason }) => {
                    (Some(*charge), Some(reason.as_str().into()))
                }
                _ => (None, None),
            };
            let charge = account
                .charge_for(named, amount)
                .map_or(0, |charge| charge.seq);
            account.returns.push(Returned {
                seq: line.seq,
                at: line.at,
                amount,
                charge,
                reason,
            });
        }
        _ => {}
    }
}

/// Moves the parcel.
pub(super) fn move_parcel(account: &mut Account, line: &Line) {
    match line.op {
        Op::Ship => {
            account.parcel = Parcel::Accepted;
            account.shipped_seq = line.seq;
            account.shipped_at = Some(line.at);
        }
        Op::Hold => account.parcel = Parcel::Held,
        Op::Cancel => account.parcel = Parcel::Canceled,
        Op::Handover => {
            account.parcel = Parcel::HandedOver;
            account.handed_over_at = Some(line.at);
        }
        Op::Deliver => {
            account.parcel = Parcel::Delivered;
            account.delivered_at = Some(line.at);
        }
        Op::Charge | Op::Refund | Op::Send => {}
    }
}

/// Books a message.
pub(super) fn sent(line: &Line, detail: Option<&Detail>) -> Sent {
    Sent {
        seq: line.seq,
        at: line.at,
        order_id: line.order_id.as_str().into(),
        kind: line.kind.as_deref().map(Into::into),
        refusal: (line.result == Verdict::Refused).then(|| line.reference.as_str().into()),
        to: match detail {
            Some(Detail::Message { to }) => Some(*to),
            _ => None,
        },
    }
}

pub(super) fn currency(code: &str) -> Option<[u8; 3]> {
    code.as_bytes().try_into().ok()
}
