//! What the providers know of one order, or of one message: kept small, because a million of them come by.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Everything about one order or one message.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    /// The last line about it, which says how long ago it was touched.
    pub(super) last_seq: u64,
    /// What the order is called, where that is no UUID.
    pub(super) name: Option<Box<str>>,
    pub(super) charges: Vec<Charged>,
    pub(super) returns: Vec<Returned>,
    /// The refusal of a charge, with its sequence, moment and amount.
    pub(super) declined: Option<Declined>,
    pub(super) parcel: Parcel,
    pub(super) shipped_seq: u64,
    pub(super) shipped_at: Option<DateTime<Utc>>,
    pub(super) handed_over_at: Option<DateTime<Utc>>,
    pub(super) delivered_at: Option<DateTime<Utc>>,
    /// Where the carrier's changes are told.
    pub(super) hook: Option<Hook>,
    pub(super) sends: Vec<Sent>,
    /// The keys under which it was called, in the order of their first calls.
    pub(super) calls: Vec<Uuid>,
}

/// Money taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Charged {
    pub(super) seq: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) amount: i64,
    pub(super) currency: [u8; 3],
    /// The provider's name for the payment, where the call said one.
    pub(super) payment_key: Option<Box<str>>,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Returned {
    pub(super) seq: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) amount: i64,
    /// The sequence of the charge that it returns.
    pub(super) charge: u64,
    pub(super) reason: Option<Box<str>>,
}

/// A charge that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Declined {
    pub(super) seq: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) amount: i64,
    pub(super) code: Box<str>,
    pub(super) payment_key: Option<Box<str>>,
}

/// One message sent, or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) seq: u64,
    pub(super) at: DateTime<Utc>,
    pub(super) order_id: Box<str>,
    pub(super) kind: Option<Box<str>>,
    pub(super) refusal: Option<Box<str>>,
    /// A hash of the telephone number, by which messages are looked up.
    pub(super) to: Option<Uuid>,
}

/// A callback that somebody registered for a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hook {
    pub(super) url: String,
    pub(super) until: DateTime<Utc>,
}

/// Where a parcel is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Parcel {
    #[default]
    None,
    Accepted,
    Held,
    HandedOver,
    Delivered,
    Canceled,
}

impl Account {
    /// What the order is called; `id` is the account's own name.
    pub(super) fn order_id(&self, id: Uuid) -> String {
        self.name
            .as_deref()
            .map_or_else(|| id.to_string(), str::to_owned)
    }

    /// What is left of a charge after the refunds that are through.
    pub(super) fn left_of(&self, charge: &Charged) -> i64 {
        let back = self.returns.iter().filter(|it| it.charge == charge.seq);
        charge.amount - back.map(|it| it.amount).sum::<i64>()
    }

    /// The charge that a refund of `wanted` is booked on: the one that was named, else the first that still covers it.
    pub(super) fn charge_for(&self, named: Option<u64>, wanted: i64) -> Option<&Charged> {
        let mut charges = self.charges.iter();
        match named {
            Some(seq) => charges.find(|charge| charge.seq == seq),
            None => charges.find(|charge| self.left_of(charge) >= wanted),
        }
    }
}
