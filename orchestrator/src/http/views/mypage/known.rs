//! What a subscriber knows of a customer's orders.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use projections::customer::CustomerRow;
use uuid::Uuid;

/// A fingerprint of each order as it was told last.
#[derive(Default)]
pub(super) struct Known(HashMap<Uuid, u64>);

impl Known {
    /// From now on it is known like this; returns whether that is news.
    pub(super) fn learn(&mut self, row: &CustomerRow) -> bool {
        let is = fingerprint(row);
        self.0.insert(row.order_id, is) != Some(is)
    }

    /// Nothing is known.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

fn fingerprint(row: &CustomerRow) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Rows are JSON already; this cannot fail for any that was read.
    hasher.write(&serde_json::to_vec(row).unwrap_or_default());
    hasher.finish()
}
