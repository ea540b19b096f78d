//! Lists of a stretch of time, counts, changes, and what a table of another version can answer.

use std::collections::BTreeMap;

use aggregates::kakao::Kind;
use chrono::{DateTime, Utc};
use eventstore::Position;
use eventstore::testing::{TestLog, each_backend};
use projections::customer::CustomerRow;
use projections::{CustomerFilter, MessageFilter, QueryError, Span, View};

use crate::lists::{filled, page};
use crate::story::{EARLIER, Life, order_of};
use crate::world::{World, tamper, tell_late};

fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

/// All rows of a list, read in small pages.
async fn all(world: &World, filter: &CustomerFilter) -> Vec<CustomerRow> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let part = world.views.customer_rows(filter, &page(3, cursor)).await;
        let part = part.unwrap();
        rows.extend(part.rows);
        cursor = part.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

#[tokio::test]
async fn orders_of_a_stretch_of_time_are_those_placed_then_whenever_we_were_told() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let everything = all(&world, &CustomerFilter::default()).await;
        let imported = everything
            .iter()
            .filter(|row| row.placed_at < row.ordered_at);
        assert_eq!(imported.count(), 4);
        let yesterday = |seconds| moment(seconds) - EARLIER;
        for (from, to) in [
            (Some(moment(3)), Some(moment(9))),
            (Some(yesterday(0)), Some(moment(2))),
            (None, Some(moment(5))),
            (Some(moment(20)), None),
            (Some(moment(7)), Some(moment(7))),
        ] {
            let within = |row: &&CustomerRow| {
                from.is_none_or(|from| row.placed_at >= from)
                    && to.is_none_or(|to| row.placed_at < to)
            };
            let mut expected: Vec<_> = everything.iter().filter(within).cloned().collect();
            expected.sort_by_key(|row| (row.placed_at, row.ordered_at));
            expected.reverse();
            let filter = CustomerFilter {
                placed: Span { from, to },
                ..CustomerFilter::default()
            };
            assert_eq!(all(&world, &filter).await, expected, "{from:?} {to:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_order_is_found_by_its_parcels_number_and_a_message_by_what_it_is_for() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let found = |waybill: &str| CustomerFilter {
            waybill: Some(waybill.to_owned()),
            ..CustomerFilter::default()
        };
        let parcels = all(&world, &found("6001")).await;
        assert_eq!(parcels.len(), 12);
        assert!(parcels.iter().all(|row| row.delivery.is_some()));
        assert_eq!(all(&world, &found("600")).await, []);
        let of_kind = async |kind| {
            let filter = MessageFilter {
                kind: Some(kind),
                ..MessageFilter::default()
            };
            let rows = world.views.message_rows(&filter, &page(100, None)).await;
            rows.unwrap().rows.len()
        };
        assert_eq!(of_kind(Kind::Shipped).await, 9);
        assert_eq!(of_kind(Kind::Direct).await, 0);
        tell_late(&world.log, 3).await;
        world.catch_up().await;
        assert_eq!(of_kind(Kind::Direct).await, 1);
    })
    .await;
}

#[tokio::test]
async fn counts_are_what_counting_the_rows_gives() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let placed = Span {
            from: Some(moment(4)),
            to: Some(moment(16)),
        };
        for filter in [
            CustomerFilter::default(),
            CustomerFilter {
                customer_id: Some(String::from("2")),
                ..CustomerFilter::default()
            },
            CustomerFilter {
                placed,
                ..CustomerFilter::default()
            },
            CustomerFilter {
                waybill: Some(String::from("no such number")),
                ..CustomerFilter::default()
            },
        ] {
            let mut expected = BTreeMap::new();
            for row in all(&world, &filter).await {
                *expected.entry(row.status.as_str().to_owned()).or_default() += 1;
            }
            // Which status a list shows changes nothing about how many there are of each.
            let shown = CustomerFilter {
                status: Some(String::from("Paid")),
                ..filter.clone()
            };
            let counts = world.views.count_customer_rows(&shown).await.unwrap();
            assert_eq!(counts, expected, "{filter:?}");
        }
        let messages = MessageFilter::default();
        let counts = world.views.count_message_rows(&messages).await.unwrap();
        let expected = [("failed", 3), ("sent", 6)];
        assert_eq!(
            counts,
            expected.map(|(state, n)| (state.to_owned(), n)).into()
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_follows_a_customer_sees_every_order_as_it_last_was() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        let mut seen = Position::ZERO;
        let mut told: BTreeMap<_, CustomerRow> = BTreeMap::new();
        for number in 0..20 {
            world.live(number, Life::ALL[(number % 8) as usize]).await;
            if number % 3 == 0 {
                tell_late(&world.log, number / 2).await;
                world.catch_up().await;
                loop {
                    let changes = world.views.customer_changes("2", seen, 1).await.unwrap();
                    for row in &changes.rows {
                        assert!(row.position > seen, "{row:?}");
                        told.insert(row.order_id, row.clone());
                    }
                    let done = changes.rows.is_empty();
                    seen = changes.seen;
                    if done {
                        break;
                    }
                }
                assert_eq!(seen, world.views.position(View::Customer).await.unwrap());
            }
        }
        let mine = CustomerFilter {
            customer_id: Some(String::from("2")),
            ..CustomerFilter::default()
        };
        let mut mine = all(&world, &mine).await;
        mine.retain(|row| row.position <= seen);
        mine.sort_by_key(|row| row.order_id);
        assert_eq!(told.into_values().collect::<Vec<_>>(), mine);
    })
    .await;
}

#[tokio::test]
async fn a_table_of_the_version_before_answers_what_it_can_until_it_is_replaced() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let before = all(&world, &CustomerFilter::default()).await;
        tamper(
            &world.at,
            "DROP INDEX view_customer_1_placed_at;
             ALTER TABLE view_customer_1 DROP COLUMN placed_at;
             UPDATE projection_generations SET version = 2 WHERE view = 'customer'",
        );
        assert_eq!(all(&world, &CustomerFilter::default()).await, before);
        let mine = CustomerFilter {
            customer_id: Some(String::from("2")),
            ..CustomerFilter::default()
        };
        assert_eq!(all(&world, &mine).await.len(), 5);
        let placed = CustomerFilter {
            placed: Span {
                from: Some(moment(3)),
                to: None,
            },
            ..CustomerFilter::default()
        };
        let listed = world.views.customer_rows(&placed, &page(3, None)).await;
        assert!(matches!(
            listed,
            Err(QueryError::Rebuilding { view: "customer" })
        ));
        let counted = world.views.count_customer_rows(&placed).await;
        assert!(matches!(counted, Err(QueryError::Rebuilding { .. })));
        tamper(&world.at, "UPDATE view_customer_1 SET doc = '{}'");
        let row = world.views.customer_row(order_of(2)).await;
        assert!(matches!(row, Err(QueryError::Rebuilding { .. })));

        // The projector finds the old version and folds the view anew.
        world.catch_up().await;
        assert_eq!(all(&world, &CustomerFilter::default()).await, before);
        assert_eq!(all(&world, &placed).await.len(), 17);
    })
    .await;
}
