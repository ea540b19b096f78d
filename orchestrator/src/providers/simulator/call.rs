//! A call and its answer, before they take the form of a port or of the wire.

use uuid::Uuid;

use super::ledger::{Op, Port};
use super::memory::Stored;
use super::names::{account_key, reference};
use super::notes::Detail;

/// A call as the provider receives it.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) port: Port,
    pub(super) op: Op,
    pub(super) key: String,
    pub(super) order_id: String,
    pub(super) kind: Option<String>,
    pub(super) money: Option<(i64, String)>,
    /// A refusal that was decided before the provider's own rules: a bad card, a closed window, a script.
    pub(super) refusal: Option<String>,
    /// Of a refund: the charge that it is to return.
    pub(super) charge: Option<u64>,
    /// What the call said beyond that.
    pub(super) detail: Option<Detail>,
}

impl Ask {
    /// A call that says no more than it must.
    pub(super) fn new(port: Port, op: Op, key: String, order_id: String) -> Self {
        Self {
            port,
            op,
            key,
            order_id,
            kind: None,
            money: None,
            refusal: None,
            charge: None,
            detail: None,
        }
    }

    /// The account that the call is about.
    pub(super) fn account(&self) -> Uuid {
        account_key(self.op, &self.key, &self.order_id)
    }
}

/// The provider's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The line that must be on disk before anyone hears this.
    pub(super) seq: u64,
    /// The line that had the effect; an earlier one where the key was known.
    pub(super) origin: u64,
    /// The reference, or the code of the refusal.
    pub(super) result: Result<String, String>,
    /// Minor units and currency, where money moved.
    pub(super) money: Option<(i64, String)>,
}

impl Reply {
    /// Whether a known key got its stored answer.
    pub(super) const fn is_repeat(&self) -> bool {
        self.origin < self.seq
    }
}

/// The answer that a key keeps.
pub(super) fn stored_reply(op: Op, stored: &Stored) -> Reply {
    let result = stored.refusal.as_deref().map_or_else(
        || Ok(reference(op, stored.seq)),
        |code| Err(code.to_owned()),
    );
    let currency = |code: [u8; 3]| String::from_utf8_lossy(&code).into_owned();
    Reply {
        seq: stored.seq,
        origin: stored.seq,
        result,
        money: stored.money.map(|(amount, code)| (amount, currency(code))),
    }
}
