//! The auditor finds what is planted, so that its silence means something.

use eventstore::{Position, RecordedEvent, Version};
use orchestrator::fulfilment::audit::{Auditor, Report};
use orchestrator::providers::simulator::ledger::{Line, Op, Verdict};
use uuid::Uuid;

use super::shop::Shop;

/// A log and a ledger that agree: one order on its way, one canceled, one rejected.
struct Books {
    log: Vec<RecordedEvent>,
    ledger: Vec<Line>,
    on_its_way: Uuid,
    canceled: Uuid,
}

async fn books() -> Books {
    let shop = Shop::open().await;
    let on_its_way = shop.shipped("a").await;
    let canceled = shop.shipped("b").await;
    shop.cancel(canceled).await;
    shop.at_rest(canceled).await;
    shop.place("c", "decline").await;
    let (log, ledger) = (shop.log().await, shop.ledger());
    shop.close().await;
    Books {
        log,
        ledger,
        on_its_way,
        canceled,
    }
}

impl Books {
    fn audit(&self) -> Report {
        let mut auditor = Auditor::new();
        self.log.iter().for_each(|event| auditor.observe(event));
        auditor.compare(&self.ledger)
    }

    fn breaks(&self, invariant: u8) -> bool {
        self.audit()
            .violations
            .iter()
            .any(|violation| violation.invariant == invariant)
    }

    fn line(&self, op: Op, order: Uuid) -> usize {
        let order = order.to_string();
        self.ledger
            .iter()
            .position(|line| line.op == op && line.order_id == order)
            .unwrap()
    }

    /// Adds an effect that nobody wrote down.
    fn happens_again(&mut self, op: Op, order: Uuid, key: &str) {
        let mut line = self.ledger[self.line(op, order)].clone();
        line.seq = self.ledger.len() as u64 + 1;
        line.key = key.to_owned();
        line.reference = format!("{} again", line.reference);
        self.ledger.push(line);
    }

    fn loses(&mut self, op: Op, order: Uuid) {
        let at = self.line(op, order);
        self.ledger.remove(at);
        self.ledger
            .iter_mut()
            .zip(1..)
            .for_each(|(line, seq)| line.seq = seq);
    }

    fn swaps(&mut self, one: Op, other: Op, order: Uuid) {
        let (one, other) = (self.line(one, order), self.line(other, order));
        self.ledger.swap(one, other);
        self.ledger
            .iter_mut()
            .zip(1..)
            .for_each(|(line, seq)| line.seq = seq);
    }

    fn forgets(&mut self, event_type: &str) {
        let at = self
            .log
            .iter()
            .position(|event| &*event.event_type == event_type)
            .unwrap();
        let gone = self.log.remove(at);
        for (event, position) in self.log.iter_mut().zip(1..) {
            event.position = Position(position);
            if event.stream == gone.stream && event.version > gone.version {
                event.version = Version(event.version.0 - 1);
            }
        }
    }
}

#[tokio::test]
async fn sound_books_are_clean() {
    let books = books().await;
    let report = books.audit();
    assert!(report.is_clean(), "{:?}", report.violations);
    assert_eq!(
        (
            report.counts.orders,
            report.counts.paid,
            report.counts.refunded
        ),
        (3, 2, 1)
    );
    assert_eq!(report.counts.by_status["Canceled"], 1);
}

#[tokio::test]
async fn an_order_that_was_acknowledged_and_is_not_there_is_found() {
    let books = books().await;
    let mut auditor = Auditor::new();
    auditor.acknowledged(Uuid::now_v7());
    books.log.iter().for_each(|event| auditor.observe(event));
    let report = auditor.compare(&books.ledger);
    assert!(
        report
            .violations
            .iter()
            .any(|violation| violation.invariant == 1)
    );
}

#[tokio::test]
async fn gaps_and_repeated_versions_in_the_log_are_found() {
    let mut gap = books().await;
    gap.log.remove(3);
    assert!(gap.breaks(1));
    let mut again = books().await;
    let last = again.log.last().unwrap().clone();
    again.log.push(RecordedEvent {
        position: Position(last.position.0 + 1),
        ..last
    });
    assert!(again.breaks(1));
}

#[tokio::test]
async fn a_second_charge_is_found() {
    let mut books = books().await;
    books.happens_again(Op::Charge, books.on_its_way, "another key");
    assert!(books.breaks(2) && books.breaks(5));
}

#[tokio::test]
async fn a_second_refund_is_found() {
    let mut books = books().await;
    books.happens_again(Op::Refund, books.canceled, "another key");
    assert!(books.breaks(2));
}

#[tokio::test]
async fn money_kept_without_a_parcel_is_found() {
    let mut books = books().await;
    books.loses(Op::Refund, books.canceled);
    assert!(books.breaks(3) && books.breaks(5));
}

#[tokio::test]
async fn a_parcel_without_money_is_found() {
    let mut books = books().await;
    books.loses(Op::Cancel, books.canceled);
    assert!(books.breaks(3));
}

#[tokio::test]
async fn a_shipment_before_its_payment_is_found() {
    let mut books = books().await;
    books.swaps(Op::Charge, Op::Ship, books.on_its_way);
    assert!(books.breaks(4));
}

#[tokio::test]
async fn a_refund_after_the_parcel_left_is_found() {
    let mut books = books().await;
    let at = books.line(Op::Hold, books.canceled);
    books.ledger[at].op = Op::Handover;
    assert!(books.breaks(4));
}

#[tokio::test]
async fn a_wrong_amount_and_an_unknown_order_are_found() {
    let mut amount = books().await;
    let at = amount.line(Op::Charge, amount.on_its_way);
    amount.ledger[at].amount = Some(1);
    assert!(amount.breaks(5));
    let mut stranger = books().await;
    let at = stranger.line(Op::Charge, stranger.on_its_way);
    stranger.ledger[at].order_id = Uuid::now_v7().to_string();
    assert!(stranger.breaks(5));
}

#[tokio::test]
async fn a_charge_that_the_log_forgot_is_found() {
    let mut books = books().await;
    books.forgets("PayCanceled");
    assert!(books.breaks(5));
}

#[tokio::test]
async fn a_key_with_two_effects_is_found() {
    let mut books = books().await;
    let key = books.ledger[books.line(Op::Ship, books.on_its_way)]
        .key
        .clone();
    books.happens_again(Op::Ship, books.on_its_way, &key);
    assert!(books.breaks(9));
    books
        .ledger
        .iter_mut()
        .for_each(|line| line.result = Verdict::Repeated);
    assert!(!books.breaks(9));
}
