//! The money of an order in one place.

use aggregates::money::Currency;
use projections::customer::{CustomerRow, OrderStatus};
use serde::Serialize;

/// What an order costs, and where the money is. Minor units.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    /// What the order costs.
    total: i64,
    /// Charged so far.
    pub(super) paid: i64,
    /// Given back so far.
    pub(super) refunded: i64,
    /// Above zero the customer gets it back, below zero it is still to be paid.
    pub(super) balance: i64,
    currency: Currency,
}

impl Account {
    pub(super) fn of(row: &CustomerRow) -> Account {
        let payment = row.payment.as_ref();
        let (paid, refunded) = payment.map_or((0, 0), |payment| (payment.paid, payment.refunded));
        // Of an order that came to nothing nobody owes anything.
        let owed = match row.stage {
            OrderStatus::Canceled | OrderStatus::Rejected => 0,
            _ => row.total,
        };
        Account {
            total: row.total,
            paid,
            refunded,
            balance: paid.saturating_sub(refunded).saturating_sub(owed),
            currency: row.currency,
        }
    }

    /// What is in our hands of the customer's money.
    pub(super) fn kept(&self) -> i64 {
        self.paid.saturating_sub(self.refunded)
    }
}
