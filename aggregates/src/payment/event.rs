//! What is recorded on `payment-X`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::event::{Head, events};
use crate::money::Currency;

events! {
    /// What happens to the money of an order.
    PaymentEvent is Payment
    every {
        /// The order that is paid, and the id of the stream.
        order_id: Uuid,
        /// Who pays.
        customer_id: String,
        /// When it happened, to the millisecond.
        #[serde(deserialize_with = "crate::instant::deserialize")]
        occurred_at: DateTime<Utc>,
    }
    head(name, event) {
        Head::of_order(name, event.order_id, &event.customer_id, event.occurred_at)
    }

    /// The provider charged the customer.
    Paid v 1 {
        /// Minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
        /// The provider's reference of the charge.
        provider_ref: String,
    }
    /// The provider refused for good; nothing was charged.
    PaymentDeclined v 1 {
        /// The provider's or our word for why.
        code: String,
        /// A sentence for people.
        reason: String,
    }
    /// The provider gave the whole charge back.
    PayCanceled v 1 {
        /// Minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
        /// The provider's reference of the charge.
        provider_ref: String,
        /// The provider's reference of the refund.
        refund_ref: String,
    }
    /// The provider refuses to give the money back.
    RefundRefused v 1 {
        /// The provider's word for why.
        code: String,
        /// A sentence for people.
        reason: String,
        /// What is still kept, in minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
    }
    /// The provider charged the customer once more than is owed; it goes back.
    ExcessCharged v 1 {
        /// Minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
        /// The provider's reference of the charge.
        provider_ref: String,
    }
    /// The provider gave an excess charge back.
    ExcessReturned v 1 {
        /// Minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
        /// The provider's reference of the charge.
        provider_ref: String,
        /// The provider's reference of the refund.
        refund_ref: String,
    }
    /// The provider's books and ours differ, and a person has to find out why.
    MismatchFound v 1 {
        /// The saga in whose hands it is.
        finding: Uuid,
        /// A stable word, such as `charge-missing`.
        code: String,
        /// A sentence for people.
        reason: String,
        /// The money at stake, in minor units.
        amount: i64,
        /// Of this currency.
        currency: Currency,
    }
    /// A person has seen to it.
    MismatchSettled v 1 {
        /// The saga in whose hands it was.
        finding: Uuid,
        /// What came of it, in the words of whoever settled it.
        reason: String,
    }
}
