//! From the carrier's acceptance to the door.

use std::time::Duration;

use aggregates::saga::Phase;
use orchestrator::fulfilment::limits::Limits;
use orchestrator::providers::guard::{Policy, Position};
use orchestrator::providers::simulator::{Scan, ledger};

use super::shop::{Setup, Shop};
use crate::town::{STUCK, until};

#[tokio::test]
async fn vans_that_come_by_themselves_bring_an_order_to_its_end() {
    let quick = Duration::from_millis(50);
    let setup = Setup {
        handover_after: quick,
        delivery_after: quick,
        ..Setup::default()
    };
    let shop = Shop::with(setup).await;
    let order = shop.paid("a").await;
    let end = shop.at_rest(order).await;
    assert_eq!(end.state.phase, Phase::Completed);
    let report = shop.close().await;
    assert_eq!(report.counts.by_status["Delivered"], 1);
}

#[tokio::test]
async fn an_order_is_delivered_although_every_hint_was_lost() {
    let setup = Setup::default();
    let look = Duration::from_millis(30);
    let limits = Limits {
        look_first: look,
        look_cap: look,
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    let order = shop.shipped("a").await;
    // Scans on demand give no hint.
    assert!(shop.simulator.scan(order, Scan::HandOver, false).await);
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    assert!(shop.simulator.scan(order, Scan::Deliver, false).await);
    shop.at_rest(order).await;
    shop.close().await;
}

#[tokio::test]
async fn a_parcel_that_nobody_hears_of_is_given_up_and_the_sale_stands() {
    let setup = Setup::default();
    let look = Duration::from_millis(20);
    let limits = Limits {
        look_first: look,
        look_cap: look,
        tracking: Duration::from_millis(100),
        ..setup.limits
    };
    let shop = Shop::with(Setup { limits, ..setup }).await;
    let order = shop.shipped("a").await;
    shop.simulator.scan(order, Scan::HandOver, false).await;
    shop.at_rest(order).await;
    assert!(
        shop.story(order)
            .await
            .contains(&"TrackingLost".to_string())
    );
    let report = shop.close().await;
    assert_eq!((report.counts.refunded, report.counts.parked), (0, 0));
}

#[tokio::test]
async fn a_hint_that_a_parcel_was_delivered_is_taken_for_one_that_it_had_left() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    for scan in [Scan::HandOver, Scan::Deliver] {
        assert!(shop.simulator.scan(order, scan, false).await);
    }
    // Wake-ups may overtake each other, and the other one is lost here.
    shop.fulfilment.engine().hint(order, "track");
    let end = shop.at_rest(order).await;
    assert_eq!(end.state.phase, Phase::Completed);
    let report = shop.close().await;
    assert_eq!(report.counts.by_status["Delivered"], 1);
}

#[tokio::test]
async fn a_hint_at_what_has_not_come_to_pass_is_forgotten_after_one_look() {
    let shop = Shop::open().await;
    let order = shop.shipped("a").await;
    let engine = shop.fulfilment.engine();
    engine.hint(order, "track");
    until("a saga that rests", STUCK, async || {
        (engine.live() == 0).then_some(())
    })
    .await;
    assert!(shop.simulator.scan(order, Scan::HandOver, false).await);
    engine.hint(order, "handover");
    shop.until(order, |saga| saga.state.is_done("handover"))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn a_hint_keeps_no_task_while_the_carrier_is_away_and_is_heeded_once_it_is_back() {
    let guard = Policy {
        min_calls: 2,
        // Longer than a saga keeps its task for what is soon.
        open_for: Duration::from_secs(4),
        ..Policy::default()
    };
    let setup = Setup::default();
    let shop = Shop::with(Setup { guard, ..setup }).await;
    let order = shop.shipped("a").await;
    let engine = shop.fulfilment.engine();
    shop.simulator.set_outage(ledger::Port::Carrier, true);
    until("a breaker that is open", STUCK, async || {
        engine.hint(order, "track");
        let mut readings = shop.fulfilment.guards().readings();
        let open = readings.any(|(name, now)| name == "tracking" && now.position == Position::Open);
        open.then_some(())
    })
    .await;
    engine.hint(order, "track");
    until("a saga that rests", STUCK, async || {
        (engine.live() == 0).then_some(())
    })
    .await;
    shop.simulator.set_outage(ledger::Port::Carrier, false);
    for scan in [Scan::HandOver, Scan::Deliver] {
        assert!(shop.simulator.scan(order, scan, false).await);
    }
    let end = shop.at_rest(order).await;
    assert_eq!(end.state.phase, Phase::Completed);
    shop.close().await;
}
