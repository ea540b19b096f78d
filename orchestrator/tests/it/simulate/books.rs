//! What the providers' books list.

use chrono::{TimeDelta, Utc};
use orchestrator::providers::ports::{
    CarrierPort, Direction, Found, Label, Page, ParcelState, PaymentPort,
};
use orchestrator::providers::simulator::Scan;
use uuid::Uuid;

use super::{charge, done, open, refund, shipment, won};

fn page<T: std::fmt::Debug>(found: Found<Page<T>>) -> Page<T> {
    match found {
        Found::Done(page) => page,
        other => panic!("no page: {other:?}"),
    }
}

#[tokio::test]
async fn the_books_list_what_moved_and_where_parcels_are() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, since) = (open(&dir), Utc::now());
    let (kept, returned, refused) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    done(simulator.charge(charge(kept, "ok")).await);
    done(simulator.charge(charge(kept, "ok")).await);
    let taken = done(simulator.charge(charge(returned, "ok")).await);
    simulator.charge(charge(refused, "decline")).await;
    let back = done(simulator.refund(refund(returned, 33_000)).await);
    let label: Label = done(simulator.ship(shipment(kept)).await);
    assert!(simulator.scan(kept, Scan::HandOver, false).await);

    let money = page(PaymentPort::records(&simulator, since, None).await);
    assert_eq!(money.next, None);
    let moved: Vec<_> = money
        .records
        .iter()
        .map(|record| (record.order_id.as_str(), record.direction, record.amount))
        .collect();
    let (kept, returned) = (kept.to_string(), returned.to_string());
    assert_eq!(
        moved,
        [
            (kept.as_str(), Direction::Charged, won(33_000)),
            (returned.as_str(), Direction::Charged, won(33_000)),
            (returned.as_str(), Direction::Returned, won(33_000)),
        ]
    );
    assert_eq!(money.records[2].charge_ref, taken.reference);
    assert_eq!(money.records[2].reference, back.reference);

    let parcels = page(CarrierPort::records(&simulator, since, None).await).records;
    assert_eq!(parcels.len(), 1);
    assert_eq!(parcels[0].label, label);
    assert_eq!(parcels[0].state, ParcelState::HandedOver);
    let later = Utc::now() + TimeDelta::seconds(1);
    let none = page(CarrierPort::records(&simulator, later, None).await);
    assert_eq!(none.records, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_goes_on_where_the_last_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, since) = (open(&dir), Utc::now());
    let calls = (0..2_500).map(|_| {
        let simulator = simulator.clone();
        tokio::spawn(async move { done(simulator.charge(charge(Uuid::now_v7(), "ok")).await) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(PaymentPort::records(&simulator, since, cursor).await);
        found.extend(page.records);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let references: std::collections::BTreeSet<_> =
        found.iter().map(|record| &record.reference).collect();
    assert_eq!((found.len(), references.len()), (2_500, 2_500));
    assert!(matches!(
        PaymentPort::records(&simulator, since, Some("x".into())).await,
        Found::Unknown(_)
    ));
}
