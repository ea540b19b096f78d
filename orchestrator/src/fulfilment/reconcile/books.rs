//! Reads both sides: the providers' records page by page, and which orders the log has moved in the same time.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use eventstore::{Category, EventStore, Position, ReadError};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::join::Outside;
use crate::execute::Aggregate;
use crate::fulfilment::participants::Providers;
use crate::providers::ports::{Found, MoneyRecord, Page, ParcelRecord};
use aggregates::delivery::Delivery;
use aggregates::payment::Payment;

/// Records of one provider that one comparison holds: some 200 bytes each. A longer time is compared in parts.
const RECORDS_MAX: usize = 250_000;

/// Pages of one provider that one comparison reads, so that one that never ends its books cannot hold it up for ever.
const PAGES_MAX: usize = 10_000;

/// Positions examined in one go.
const PAGE: usize = 1_000;

/// The same backward.
const POSITIONS_BACK: i64 = 1_000;

/// Pages of the log that are searched backward for the newest event about money or parcels: those who write other things only
/// are no shop at work.
const PAGES_BACK_MAX: usize = 1_000;

/// The providers' books, order by order.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) orders: BTreeMap<String, Outside>,
    /// How many records there are.
    pub(super) count: usize,
    /// Where there are more than one comparison holds: the orders whose first record is of this time or later are left to the
    /// next one.
    pub(super) cut_at: Option<DateTime<Utc>>,
    /// Why a provider's books could not be read to their end.
    pub(super) money_gap: Option<String>,
    /// The same of the carrier's.
    pub(super) parcels_gap: Option<String>,
}

impl Records {
    /// The books of an order, unless it is one too many. Records come oldest first; of the orders that are here all of them are
    /// taken, so that no order is judged by half of what happened to it.
    fn of(&mut self, order_id: &str, at: DateTime<Utc>, shelf: &mut Shelf) -> Option<&mut Outside> {
        if !shelf.takes(self.orders.contains_key(order_id)) {
            self.cut_at = Some(self.cut_at.map_or(at, |before| before.min(at)));
            return None;
        }
        self.count += 1;
        Some(self.orders.entry(order_id.to_owned()).or_default())
    }

    fn take_money(&mut self, record: MoneyRecord, shelf: &mut Shelf) {
        if let Some(order) = self.of(&record.order_id, record.at, shelf)
            // A page may be read twice while the books grow.
            && !order.money.contains(&record)
        {
            order.money.push(record);
        }
    }

    fn take_parcel(&mut self, record: ParcelRecord, shelf: &mut Shelf) {
        let Some(order) = self.of(&record.order_id, record.at, shelf) else {
            return;
        };
        let same = |known: &&mut ParcelRecord| known.label == record.label;
        match order.parcels.iter_mut().find(same) {
            Some(known) => *known = record,
            None => order.parcels.push(record),
        }
    }
}

/// Room for the records of one provider.
struct Shelf {
    left: usize,
}

impl Shelf {
    fn takes(&mut self, known: bool) -> bool {
        let takes = known || self.left > 0;
        self.left = self.left.saturating_sub(usize::from(takes));
        takes
    }
}

/// Reads what both providers recorded since then.
pub(super) async fn records(providers: &Providers, since: DateTime<Utc>) -> Records {
    let (payments, carrier) = (&providers.payments, &providers.carrier);
    let shelf = || Shelf { left: RECORDS_MAX };
    let (mut records, mut room) = (Records::default(), shelf());
    records.money_gap = read(
        |cursor| payments.records(since, cursor),
        |record| records.take_money(record, &mut room),
    )
    .await;
    room = shelf();
    records.parcels_gap = read(
        |cursor| carrier.records(since, cursor),
        |record| records.take_parcel(record, &mut room),
    )
    .await;
    records
}

/// All pages of one provider's books; what kept us from reading them all.
async fn read<'a, T>(
    mut page: impl FnMut(Option<String>) -> BoxFuture<'a, Found<Page<T>>>,
    mut take: impl FnMut(T),
) -> Option<String> {
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        match page(cursor.take()).await {
            Found::Done(page) => {
                page.records.into_iter().for_each(&mut take);
                cursor = Some(page.next?);
            }
            Found::Refused(refusal) => return Some(refusal.reason),
            Found::Nothing => return Some("the provider keeps no books".to_owned()),
            Found::Undecided(reason) | Found::Unknown(reason) => return Some(reason),
        }
    }
    Some("the books have too many pages".to_owned())
}

/// The orders whose money or parcel the log has moved in that time.
pub(super) async fn moved(
    store: &EventStore,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<BTreeSet<Uuid>, ReadError> {
    let mut orders = BTreeSet::new();
    let first = before(store, since).await?;
    for category in [Payment::CATEGORY, Delivery::CATEGORY] {
        orders.extend(of(store, first, until, &category).await?);
    }
    Ok(orders)
}

async fn of(
    store: &EventStore,
    mut after: Position,
    until: DateTime<Utc>,
    category: &Category,
) -> Result<BTreeSet<Uuid>, ReadError> {
    let mut orders = BTreeSet::new();
    loop {
        let page = store.read_all(after, PAGE, Some(category)).await?;
        let is_over = page.events.iter().any(|event| event.recorded_at > until);
        orders.extend(page.events.iter().map(|event| event.stream.id));
        if is_over || page.next == after {
            return Ok(orders);
        }
        after = page.next;
    }
}

/// When the log last moved money or a parcel.
pub(super) async fn newest(store: &EventStore) -> Result<Option<DateTime<Utc>>, ReadError> {
    let of_ours = |category: &Category| [Payment::CATEGORY, Delivery::CATEGORY].contains(category);
    let mut to = store.head().await?.0;
    for _ in 0..PAGES_BACK_MAX {
        let from = (to - POSITIONS_BACK).max(0);
        let page = store.read_all(Position(from), PAGE, None).await?;
        let mut own = page.events.iter().rev();
        if let Some(event) = own.find(|event| of_ours(&event.stream.category)) {
            return Ok(Some(event.recorded_at));
        }
        if from == 0 {
            break;
        }
        to = from;
    }
    Ok(None)
}

/// A position before everything recorded at or after that time. Positions are dense and recorded in the order of time, but for
/// what a clock was set back.
pub(super) async fn before(
    store: &EventStore,
    since: DateTime<Utc>,
) -> Result<Position, ReadError> {
    let (mut low, mut high) = (0, store.head().await?.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = store.read_all(Position(middle), 1, None).await?;
        match page.events.first() {
            Some(event) if event.recorded_at < since => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Position(low))
}

#[cfg(test)]
mod tests {
    use aggregates::money::{Currency, Money};
    use chrono::TimeDelta;

    use super::*;
    use crate::providers::ports::Direction;

    fn record(order: &str, minute: i64, direction: Direction) -> MoneyRecord {
        MoneyRecord {
            order_id: order.to_owned(),
            direction,
            charge_ref: format!("charge of {order}"),
            reference: format!("{order} at {minute}"),
            amount: Money::new(33_000, Currency::KRW),
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
        }
    }

    #[test]
    fn more_records_than_one_comparison_holds_are_cut_between_orders_and_never_within_one() {
        let (mut records, mut shelf) = (Records::default(), Shelf { left: 2 });
        for (order, minute, direction) in [
            ("a", 1, Direction::Charged),
            ("b", 2, Direction::Charged),
            ("c", 3, Direction::Charged),
            ("a", 4, Direction::Returned),
            ("d", 5, Direction::Charged),
            ("b", 6, Direction::Returned),
        ] {
            records.take_money(record(order, minute, direction), &mut shelf);
        }
        let held = records.orders.iter();
        let held: Vec<_> = held.map(|(id, it)| (id.as_str(), it.money.len())).collect();
        assert_eq!(held, [("a", 2), ("b", 2)]);
        let third = DateTime::UNIX_EPOCH + TimeDelta::minutes(3);
        assert_eq!((records.count, records.cut_at), (4, Some(third)));
    }
}
