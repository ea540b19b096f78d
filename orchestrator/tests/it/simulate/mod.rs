//! The simulated providers, behind their ports and over HTTP.

mod books;
mod faults;
mod messages;
mod outside;
mod parcels;
mod payments;
mod ports;
mod restarts;
mod sessions;
mod tokens;
mod webhooks;

use std::time::Duration;

use aggregates::money::{Currency, Money};
use chrono::{TimeDelta, Utc};
use orchestrator::providers::ports::{
    Answer, Charge, Found, MoneyMoved, PaymentPort, Refund, Shipment,
};
use orchestrator::providers::simulator::ledger::{self, Line};
use orchestrator::providers::simulator::{Options, Simulator};
use tempfile::TempDir;
use uuid::Uuid;

pub(super) fn options(dir: &TempDir) -> Options {
    Options {
        handover_after: Duration::from_hours(1),
        delivery_after: Duration::from_hours(1),
        time_limit: Duration::from_millis(30),
        ..Options::in_dir(dir.path())
    }
}

pub(super) fn open(dir: &TempDir) -> Simulator {
    Simulator::open(&options(dir)).unwrap().0
}

pub(super) fn lines(dir: &TempDir) -> Vec<Line> {
    ledger::read(&dir.path().join(ledger::FILE_NAME)).unwrap()
}

pub(super) const fn won(amount: i64) -> Money {
    Money::new(amount, Currency::KRW)
}

pub(super) fn charge(order_id: Uuid, token: &str) -> Charge {
    Charge {
        key: format!("{order_id}/pay"),
        order_id,
        amount: won(33_000),
        method: "card".into(),
        token: token.into(),
        not_after: Utc::now() + TimeDelta::minutes(10),
    }
}

pub(super) fn refund(order_id: Uuid, amount: i64) -> Refund {
    Refund {
        key: format!("{order_id}/refund/{amount}"),
        order_id,
        charge_ref: "any".into(),
        charged_after: Utc::now(),
        amount: won(amount),
    }
}

pub(super) fn shipment(order_id: Uuid) -> Shipment {
    let key = format!("{order_id}/ship");
    Shipment {
        key,
        order_id,
        receiver: None,
        phone: None,
        address: None,
    }
}

pub(super) fn done<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer {
        Answer::Done(done) => done,
        other => panic!("not done: {other:?}"),
    }
}

pub(super) fn code<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::Refused(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) trait ProbeKey {
    async fn probe_key(&self, order: Uuid) -> Found<MoneyMoved>;
}

impl ProbeKey for Simulator {
    async fn probe_key(&self, order: Uuid) -> Found<MoneyMoved> {
        PaymentPort::probe(self, order, &format!("{order}/pay")).await
    }
}
