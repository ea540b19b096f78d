//! Orders that may be stored although nobody could say so: the log may take them yet, and then they are charged.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// As many as are kept. An order is in doubt after seconds without an answer of the log, in which no more than this are let in.
const MOST: usize = 10_000;

/// Those of the last minutes, of this process. What others do not know they cannot say; but whoever repeats a request soon mostly
/// comes back to where they were.
#[derive(Debug)]
pub(super) struct Unsure {
    orders: Mutex<VecDeque<(Instant, Uuid)>>,
    for_long: Duration,
}

impl Unsure {
    /// Forgets an order after that time: nobody charges it any more.
    pub(super) fn new(for_long: Duration) -> Self {
        let orders = Mutex::default();
        Self { orders, for_long }
    }

    /// It is not known whether that order was stored.
    pub(super) fn note(&self, order: Uuid) {
        let mut orders = self.orders();
        if orders.len() == MOST {
            orders.pop_front();
        }
        orders.push_back((Instant::now(), order));
    }

    /// Whether that order may be stored although the log does not show it.
    pub(super) fn has(&self, order: Uuid) -> bool {
        let mut orders = self.orders();
        let over = |(since, _): &(Instant, Uuid)| since.elapsed() >= self.for_long;
        while orders.front().is_some_and(over) {
            orders.pop_front();
        }
        orders.iter().any(|(_, known)| *known == order)
    }

    fn orders(&self) -> MutexGuard<'_, VecDeque<(Instant, Uuid)>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
