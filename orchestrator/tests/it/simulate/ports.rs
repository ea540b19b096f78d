//! The simulated providers, through their ports only.

use std::path::Path;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use orchestrator::providers::ports::{
    Answer, CarrierPort, Charge, Found, KakaoPort, Message, MoneyMoved, PaymentPort, Refund,
};
use orchestrator::providers::simulator::ledger::{self, Op, Port, Verdict};
use orchestrator::providers::simulator::{Fault, Options, Scan, Simulator};
use uuid::Uuid;

use super::{ProbeKey, charge, code, done, lines, open, options, refund, shipment, won};

#[tokio::test]
async fn a_repeated_key_gets_the_stored_answer_and_no_new_effect() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    let first = done(simulator.charge(charge(order, "ok")).await);
    let second = done(simulator.charge(charge(order, "ok")).await);
    assert_eq!(first, second);
    let results: Vec<_> = lines(&dir)
        .iter()
        .map(|line| (line.seq, line.result))
        .collect();
    assert_eq!(results, [(1, Verdict::Done), (2, Verdict::Repeated)]);
}

#[tokio::test]
async fn everything_known_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let order = Uuid::now_v7();
    let simulator = open(&dir);
    let charged = done(simulator.charge(charge(order, "ok")).await);
    let label = done(simulator.ship(shipment(order)).await);
    assert!(simulator.scan(order, Scan::HandOver, false).await);
    drop(simulator);

    let simulator = open(&dir);
    assert_eq!(simulator.probe_key(order).await, Found::Done(charged));
    assert_eq!(
        CarrierPort::probe(&simulator, order, &format!("{order}/ship")).await,
        Found::Done(label)
    );
    assert_eq!(code(simulator.hold(order, "h").await), "handed-over");
    assert_eq!(lines(&dir).last().unwrap().seq, 4);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_a_damaged_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let order = Uuid::now_v7();
    done(open(&dir).charge(charge(order, "ok")).await);
    let path = dir.path().join(ledger::FILE_NAME);
    let sound = std::fs::read(&path).unwrap();

    append(&path, br#"{"seq":2,"at":"#);
    let simulator = open(&dir);
    assert!(matches!(simulator.probe_key(order).await, Found::Done(_)));
    done(simulator.refund(refund(order, 33_000)).await);
    drop(simulator);
    assert_eq!(
        lines(&dir).iter().map(|line| line.seq).collect::<Vec<_>>(),
        [1, 2]
    );

    std::fs::write(&path, [b"nonsense\n".as_slice(), &sound].concat()).unwrap();
    let error = Simulator::open(&options(&dir)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("line 1 of the simulator's ledger"),
        "{error}"
    );
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

#[tokio::test]
async fn two_simulators_never_share_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(&dir);
    let error = Simulator::open(&options(&dir)).unwrap_err();
    assert!(
        error.to_string().ends_with("in use by another process"),
        "{error}"
    );
}

#[tokio::test]
async fn a_charge_after_its_window_is_refused_and_its_key_is_dead() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    let late = Charge {
        not_after: Utc::now() - TimeDelta::seconds(1),
        ..charge(order, "ok")
    };
    assert_eq!(code(simulator.charge(late).await), "payment-window-closed");
    assert_eq!(
        code(simulator.charge(charge(order, "ok")).await),
        "payment-window-closed"
    );
}

#[tokio::test]
async fn no_more_is_refunded_than_was_charged() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    assert_eq!(
        code(simulator.refund(refund(order, 1)).await),
        "not-cancelable-amount"
    );
    done(simulator.charge(charge(order, "ok")).await);
    assert_eq!(
        code(simulator.refund(refund(order, 33_001)).await),
        "not-cancelable-amount"
    );
    let back: MoneyMoved = done(simulator.refund(refund(order, 33_000)).await);
    assert_eq!(back.amount, won(33_000));
    let again = Refund {
        key: "another".into(),
        ..refund(order, 33_000)
    };
    assert_eq!(code(simulator.refund(again).await), "not-cancelable-amount");
}

#[tokio::test]
async fn a_held_parcel_stays_unless_a_van_takes_it_by_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    assert_eq!(code(simulator.hold(order, "early").await), "no-such-parcel");
    done(simulator.ship(shipment(order)).await);
    done(simulator.hold(order, "h").await);
    assert!(!simulator.scan(order, Scan::HandOver, false).await);
    assert!(simulator.scan(order, Scan::HandOver, true).await);
    assert_eq!(code(simulator.cancel(order, "c").await), "handed-over");
}

#[tokio::test]
async fn vans_come_by_themselves_and_tell() {
    let dir = tempfile::tempdir().unwrap();
    let quick = Options {
        handover_after: Duration::from_millis(5),
        delivery_after: Duration::from_millis(5),
        ..options(&dir)
    };
    let (simulator, mut scans) = Simulator::open(&quick).unwrap();
    let order = Uuid::now_v7();
    let label = done(simulator.ship(shipment(order)).await);
    assert_eq!(scans.recv().await, Some(order));
    assert_eq!(scans.recv().await, Some(order));
    let Found::Done(tracking) = simulator.track(order, &label, Utc::now()).await else {
        panic!("no parcel")
    };
    let scans = [
        tracking.handed_over_at,
        tracking.in_transit_at,
        tracking.out_for_delivery_at,
        tracking.delivered_at,
    ];
    assert!(scans.is_sorted() && scans[0].is_some(), "{scans:?}");
    let ops: Vec<_> = lines(&dir).iter().map(|line| line.op).collect();
    assert_eq!(ops, [Op::Ship, Op::Handover, Op::Deliver]);
}

#[tokio::test]
async fn every_send_is_a_message_of_its_own_and_can_be_looked_up() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, id) = (open(&dir), Uuid::now_v7());
    let message = Message {
        message_id: id,
        order_id: "1".into(),
        kind: "direct".into(),
        phone: None,
        text: "1 33 Shipped...".into(),
    };
    assert_eq!(simulator.lookup(id, None).await, Found::Nothing);
    let first = done(simulator.send(message.clone()).await);
    let second = done(simulator.send(message.clone()).await);
    assert_ne!(first.reference, second.reference);
    assert_eq!(simulator.lookup(id, None).await, Found::Done(first));
    simulator.script(Op::Send, id, Fault::Refuse("no-kakao-user"));
    assert_eq!(code(simulator.send(message).await), "no-kakao-user");
}

#[tokio::test]
async fn a_provider_that_is_down_takes_no_call_and_answers_no_question() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, order) = (open(&dir), Uuid::now_v7());
    simulator.set_outage(Port::Carrier, true);
    assert!(matches!(
        simulator.ship(shipment(order)).await,
        Answer::NotSent(_)
    ));
    assert!(matches!(
        CarrierPort::records(&simulator, Utc::now(), None).await,
        Found::Unknown(_)
    ));
    simulator.set_outage(Port::Carrier, false);
    let label = done(simulator.ship(shipment(order)).await);
    simulator.set_outage(Port::Carrier, true);
    assert!(matches!(
        simulator.track(order, &label, Utc::now()).await,
        Found::Unknown(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_and_hand_over_never_both_win() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = open(&dir);
    for _ in 0..50 {
        let order = Uuid::now_v7();
        done(simulator.ship(shipment(order)).await);
        let key = format!("{order}/hold");
        let (held, left) = tokio::join!(
            simulator.hold(order, &key),
            simulator.scan(order, Scan::HandOver, false)
        );
        assert_ne!(matches!(held, Answer::Done(())), left);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_the_disk_and_the_sequence_has_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = open(&dir);
    let calls = (0..500).map(|_| {
        let simulator = simulator.clone();
        tokio::spawn(async move { done(simulator.charge(charge(Uuid::now_v7(), "ok")).await) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let seqs: Vec<_> = lines(&dir).iter().map(|line| line.seq).collect();
    assert_eq!(seqs, (1..=500).collect::<Vec<_>>());
}
