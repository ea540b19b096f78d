//! In what a provider's books and ours differ, and what is to be done about it.

use aggregates::money::Money;
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::providers::ports::Label;

/// How they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The provider has what we do not.
    ProviderOnly,
    /// We have what the provider does not.
    LogOnly,
    /// Both have it, with other amounts.
    AmountMismatch,
    /// Both have it, in other states.
    StateMismatch,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [
        Kind::ProviderOnly,
        Kind::LogOnly,
        Kind::AmountMismatch,
        Kind::StateMismatch,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderOnly => "provider-only",
            Self::LogOnly => "log-only",
            Self::AmountMismatch => "amount-mismatch",
            Self::StateMismatch => "state-mismatch",
        }
    }
}

/// Whose books differ from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Books {
    /// The payment provider's.
    Payment,
    /// The carrier's.
    Carrier,
}

/// What would set it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Tell the order's own saga of a charge that it gave up on; it gives it back.
    AdoptCharge,
    /// Give back a charge that pays for nothing.
    ReturnCharge {
        /// When it was made, by the provider's books.
        at: DateTime<Utc>,
    },
    /// Record a refund that was made at the provider, and call off what has not left.
    ImportRefund {
        /// The provider's reference of the refund.
        refund_ref: String,
    },
    /// Tell the order's own saga of a parcel that it gave up on; it calls it off.
    AdoptParcel(Label),
    /// Have the order's own saga look at what it waits for.
    LookAgain,
    /// Have the order's own saga ask once more what became of its charge.
    AskAgain,
    /// A person has to find out.
    Person,
}

/// Who may apply a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Safety {
    /// Whoever finds it: it cannot be wrong.
    Automatic,
    /// Whoever was told to: it is wrong where our own log is not whole.
    OnRequest,
    /// Nobody but a person.
    Person,
}

impl Safety {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::OnRequest => "on-request",
            Self::Person => "person",
        }
    }
}

impl Serialize for Safety {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing in which a provider's books and ours differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How they differ.
    pub kind: Kind,
    /// Whose books.
    pub books: Books,
    /// Stable word for programs, such as `second-charge`.
    pub code: &'static str,
    /// The order, in the words of whoever has it.
    pub order_id: String,
    /// The provider's reference of the charge, or the parcel's number.
    pub reference: String,
    /// What may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_stake: Option<Money>,
    /// What the provider says.
    pub provider: String,
    /// What we say.
    pub log: String,
    /// What to do about it.
    pub suggestion: &'static str,
    /// Who may do it.
    pub fix: Safety,
    /// What would be done.
    #[serde(skip)]
    pub remedy: Remedy,
}

const GIVEN_UP: &str = "Nobody gives this charge back any more: give it back at the provider, or say why it is kept, and settle this.";

const BOTH_GONE: &str = "The money went back and the parcel had left: ask for one of them, or let it be, and settle this.";

const ONLY_ONE: &str = "Some or all of the charge on record is gone at the provider, and this one is there. Find out which of them pays for the order; if neither does, give this one back at the provider and cancel the order.";

impl Finding {
    /// What a second charge is where the first one is not all there any more: given back by itself, it would leave a book that
    /// nobody has paid for.
    #[must_use]
    pub fn of_the_only_charge(&self) -> Self {
        Self {
            code: "charge-by-another-name",
            suggestion: ONLY_ONE,
            fix: Safety::Person,
            remedy: Remedy::Person,
            ..self.clone()
        }
    }

    /// What is left of a charge that is to go back where the saga that was to do that is over.
    #[must_use]
    pub(super) fn of_a_return_given_up(&self) -> Self {
        Self {
            kind: Kind::StateMismatch,
            code: "return-given-up",
            suggestion: GIVEN_UP,
            fix: Safety::Person,
            remedy: Remedy::Person,
            ..self.clone()
        }
    }

    /// What is left of a refund made at the provider once it is on record, where the parcel cannot be called off any more.
    #[must_use]
    pub fn of_a_parcel_that_left(&self) -> Self {
        Self {
            kind: Kind::StateMismatch,
            code: "refunded-and-shipped",
            suggestion: BOTH_GONE,
            fix: Safety::Person,
            remedy: Remedy::Person,
            ..self.clone()
        }
    }
}
