//! An attempt that is in the log, or about to be, as this engine's.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::plan::Begin;

/// An attempt whose start is in a draft.
#[derive(Debug, Clone)]
pub struct Start {
    /// Id of its event.
    pub event_id: Uuid,
    /// What begins.
    pub begin: Begin,
    /// The idempotency key.
    pub key: String,
    /// Nothing may be sent from here on.
    pub send_by: DateTime<Utc>,
}

/// The idempotency key of a step: the same for all attempts of a round.
pub fn key(saga: Uuid, step: &str, round: u32) -> String {
    match round {
        0 => format!("{saga}:{step}"),
        round => format!("{saga}:{step}:{round}"),
    }
}
