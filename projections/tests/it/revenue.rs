//! A view that is no part of the product, as `examples/revenue.rs` has it: one event, several rows.

use std::collections::BTreeMap;

use aggregates::Event;
use aggregates::money::Currency;
use aggregates::order::{Line, OrderEvent, OrderPaid};
use chrono::{DateTime, TimeDelta};
use eventstore::testing::{TestLog, each_backend};
use projections::{Condition, PageRequest, ViewOf};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{SOON, World, append};

#[path = "../../examples/revenue.rs"]
#[expect(dead_code, reason = "its main is for those who run it")]
mod example;

use example::{Revenue, RevenueRow};

/// What was paid on a day, as (book, copies, price).
fn paid(day: i64, lines: &[(&str, u32, i64)]) -> Event {
    let first_day = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let lines = lines.iter().map(|(book, qty, unit_price)| Line {
        book_id: (*book).to_owned(),
        qty: *qty,
        unit_price: *unit_price,
        title: None,
    });
    let paid = OrderPaid {
        order_id: Uuid::now_v7(),
        customer_id: String::from("33"),
        occurred_at: first_day + TimeDelta::days(day),
        lines: lines.collect(),
        total: 0,
        currency: Currency::KRW,
        payment_ref: String::from("pay"),
    };
    OrderEvent::from(paid).into()
}

async fn open(at: TestLog) -> (World, ViewOf<Revenue>) {
    let world = World::open(at).await;
    let location = world.at.location();
    let view = ViewOf::<Revenue>::open(&location, world.log.clone())
        .await
        .unwrap();
    (world, view)
}

async fn tell(world: &World, events: impl IntoIterator<Item = Event>) {
    for event in events {
        append(&world.log, event.head().unwrap().id, &[event]).await;
    }
}

/// All rows, page by page, in the order of the list.
async fn rows(view: &ViewOf<Revenue>, conditions: &[Condition]) -> Vec<RevenueRow> {
    let mut rows = Vec::new();
    let mut request = PageRequest {
        size: 2,
        cursor: None,
    };
    loop {
        let page = view.page(conditions.to_vec(), &request).await.unwrap();
        rows.extend(page.rows);
        request.cursor = page.next;
        if request.cursor.is_none() {
            return rows;
        }
    }
}

fn sums(rows: &[RevenueRow]) -> BTreeMap<(String, String), (i64, i64)> {
    let sum = |row: &RevenueRow| {
        let key = (row.book_id.clone(), row.day.to_string());
        (key, (row.copies, row.amount))
    };
    rows.iter().map(sum).collect()
}

#[tokio::test]
async fn each_book_of_an_order_counts_for_its_own_day_live_and_rebuilt() {
    each_backend(async |at: TestLog| {
        let (world, view) = open(at).await;
        tell(&world, [paid(0, &[("a", 2, 10), ("b", 1, 7), ("a", 1, 9)])]).await;
        view.run_until_caught_up().await.unwrap();
        let later = [
            paid(0, &[("b", 3, 7), ("c", 1, 100)]),
            paid(1, &[("a", 1, 10), ("c", 1, 100)]),
        ];
        tell(&world, later).await;
        view.run_until_caught_up().await.unwrap();
        let live = rows(&view, &[]).await;
        let expected = [
            (("a", "2026-09-21"), (3, 29)),
            (("b", "2026-09-21"), (4, 28)),
            (("c", "2026-09-21"), (1, 100)),
            (("a", "2026-09-22"), (1, 10)),
            (("c", "2026-09-22"), (1, 100)),
        ];
        let expected = expected.map(|((book, day), sum)| ((book.to_owned(), day.to_owned()), sum));
        assert_eq!(sums(&live), BTreeMap::from(expected));
        assert_eq!(live.len(), 5, "no row is listed twice or left out");
        let of_c = [Condition::Is("book_id", String::from("c"))];
        assert_eq!(rows(&view, &of_c).await.len(), 2);

        view.rebuild(|_| {}).await.unwrap();
        assert_eq!(rows(&view, &[]).await, live, "rebuilt");
    })
    .await;
}

#[tokio::test]
async fn a_book_whose_sum_cannot_be_kept_parks_alone() {
    each_backend(async |at: TestLog| {
        let (world, view) = open(at).await;
        let half = i64::MAX / 2 + 1;
        for _ in 0..3 {
            tell(&world, [paid(0, &[("dear", 1, half), ("cheap", 1, 1)])]).await;
            view.run_until_caught_up().await.unwrap();
        }
        let status = view.status().await.unwrap();
        assert_eq!(
            (status.parked_keys, status.parked[0].events),
            (1, 2),
            "{status:?}"
        );
        assert!(status.parked[0].first.reason.contains("too large"));
        let rows = rows(&view, &[]).await;
        let copies = |book: &str| rows.iter().find(|row| row.book_id == book).unwrap().copies;
        assert_eq!((copies("dear"), copies("cheap")), (1, 3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_ones_own_runs_beside_those_of_the_product() {
    each_backend(async |at: TestLog| {
        let (world, view) = open(at).await;
        let stop = CancellationToken::new();
        let running = {
            let (view, stop) = (view.clone(), stop.clone());
            tokio::spawn(async move { view.run(stop).await })
        };
        tell(&world, [paid(0, &[("a", 1, 10)])]).await;
        let head = world.log.head().await.unwrap();
        view.wait_until(head, SOON).await.unwrap();
        assert_eq!(rows(&view, &[]).await.len(), 1);
        stop.cancel();
        running.await.unwrap();
    })
    .await;
}
