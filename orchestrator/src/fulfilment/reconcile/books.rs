//! Reads both sides: the providers' records page by page, and which orders the log has moved in the same time.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use eventstore::{Category, EventStore, Position, ReadError};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::join::Outside;
use crate::execute::Aggregate;
use crate::fulfilment::participants::Providers;
use crate::providers::ports::{Found, Page};
use aggregates::delivery::Delivery;
use aggregates::payment::Payment;

/// Records of one provider that one comparison holds: some 200 bytes each. A longer time is compared in parts.
const RECORDS_MAX: usize = 250_000;

/// Pages of one provider that one comparison reads, so that one that never ends its books cannot hold it up for ever.
const PAGES_MAX: usize = 10_000;

/// Positions examined in one go.
const PAGE: usize = 1_000;

/// The providers' books, order by order.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) orders: BTreeMap<String, Outside>,
    /// How many records there are.
    pub(super) count: usize,
    /// Why a provider's books could not be read to their end.
    pub(super) money_gap: Option<String>,
    /// The same of the carrier's.
    pub(super) parcels_gap: Option<String>,
}

/// Reads what both providers recorded since then.
pub(super) async fn records(providers: &Providers, since: DateTime<Utc>) -> Records {
    let (payments, carrier) = (&providers.payments, &providers.carrier);
    let (money, money_gap) = read(|cursor| payments.records(since, cursor)).await;
    let (parcels, parcels_gap) = read(|cursor| carrier.records(since, cursor)).await;
    let mut records = Records {
        count: money.len() + parcels.len(),
        money_gap,
        parcels_gap,
        ..Records::default()
    };
    for record in money {
        let order = records.orders.entry(record.order_id.clone()).or_default();
        // A page may be read twice while the books grow.
        if !order.money.contains(&record) {
            order.money.push(record);
        }
    }
    for record in parcels {
        let order = records.orders.entry(record.order_id.clone()).or_default();
        let same = |known: &&mut crate::providers::ports::ParcelRecord| known.label == record.label;
        match order.parcels.iter_mut().find(same) {
            Some(known) => *known = record,
            None => order.parcels.push(record),
        }
    }
    records
}

/// All pages of one provider's books, and what kept us from reading them all.
async fn read<'a, T>(
    mut page: impl FnMut(Option<String>) -> BoxFuture<'a, Found<Page<T>>>,
) -> (Vec<T>, Option<String>) {
    let (mut records, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        match page(cursor.take()).await {
            Found::Done(page) => {
                records.extend(page.records);
                if records.len() > RECORDS_MAX {
                    return (
                        records,
                        Some(format!(
                            "there are more than {RECORDS_MAX} records; compare a shorter time"
                        )),
                    );
                }
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => return (records, None),
                }
            }
            Found::Refused(refusal) => return (records, Some(refusal.reason)),
            Found::Nothing => return (records, Some("the provider keeps no books".to_owned())),
            Found::Undecided(reason) | Found::Unknown(reason) => {
                return (records, Some(reason));
            }
        }
    }
    (records, Some("the books have too many pages".to_owned()))
}

/// The orders whose money or parcel the log has moved since then.
pub(super) async fn moved(
    store: &EventStore,
    since: DateTime<Utc>,
) -> Result<BTreeSet<Uuid>, ReadError> {
    let mut orders = BTreeSet::new();
    let first = before(store, since).await?;
    for category in [Payment::CATEGORY, Delivery::CATEGORY] {
        orders.extend(of(store, first, &category).await?);
    }
    Ok(orders)
}

async fn of(
    store: &EventStore,
    mut after: Position,
    category: &Category,
) -> Result<BTreeSet<Uuid>, ReadError> {
    let mut orders = BTreeSet::new();
    loop {
        let page = store.read_all(after, PAGE, Some(category)).await?;
        if page.next == after {
            return Ok(orders);
        }
        orders.extend(page.events.iter().map(|event| event.stream.id));
        after = page.next;
    }
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
