//! Orders in the making, and records of providers.

use aggregates::Decider;
use aggregates::delivery::{self, Delivery};
use aggregates::money::{Currency, Money};
use aggregates::order::{self, DraftLine, Order, OrderDraft, SealedDetails};
use aggregates::payment::{self, Payment};
use aggregates::saga::{
    AttemptEnded, AttemptResult, Cause, CauseKind, OVERDUE, SagaCompleted, SagaEvent, SagaRested,
    SagaStarted, SagaUnwound, StepDone, StepParked, StepRefused, StepResolved, StepStarted,
    UnwindStarted, Verdict,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::super::*;
use crate::fulfilment::reconcile::finding::{Kind, Safety};
use crate::providers::ports::{Direction, Label, ParcelState};

pub(super) const ID: Uuid = Uuid::from_u128(7);
pub(super) const PRICE: Money = Money::new(33_000, Currency::KRW);

pub(super) fn noon() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// The last day before noon, both providers' records whole.
pub(super) fn window() -> Window {
    Window {
        since: noon() - TimeDelta::hours(24),
        until: noon(),
        money: true,
        parcels: true,
    }
}

/// An order in the making; everything happens an hour before noon.
pub(super) struct Given {
    pub(super) inside: Inside,
    at: DateTime<Utc>,
}

impl Given {
    pub(super) fn placed() -> Self {
        let line = DraftLine {
            book_id: "1".into(),
            qty: 1,
            unit_price: PRICE.amount,
            title: None,
        };
        let draft = OrderDraft {
            customer_id: "33".into(),
            lines: vec![line],
            shipping_fee: 0,
            currency: "KRW".into(),
            payment: None,
            contact: None,
            address: None,
            placed_at: None,
            external_id: None,
            short_form: false,
        };
        let place = order::Place {
            order_id: ID,
            order: draft.check().unwrap(),
            sealed: SealedDetails::default(),
            principal: "shop".into(),
            command_hash: "hash".into(),
            source: None,
        };
        let given = Self {
            inside: Inside {
                order_id: ID,
                ..Inside::default()
            },
            at: noon() - TimeDelta::hours(1),
        };
        let at = given.at;
        let started = SagaStarted {
            saga: "fulfilment".into(),
            version: 1,
            input: Value::Null,
            at,
        };
        given
            .order(order::Action::Place(Box::new(place)))
            .saga(started)
    }

    pub(super) fn order(mut self, action: order::Action) -> Self {
        let command = order::Command {
            at: self.at,
            action,
        };
        let facts = &mut self.inside.facts;
        let events = Order::decide(&facts.order, &command).unwrap();
        facts.order = Order::fold(facts.order.take(), &events).unwrap();
        self
    }

    pub(super) fn payment(mut self, action: payment::Action) -> Self {
        let command = payment::Command {
            order_id: ID,
            customer_id: "33".into(),
            at: self.at,
            action,
        };
        let facts = &mut self.inside.facts;
        let events = Payment::decide(&facts.payment, &command).unwrap();
        facts.payment = Payment::fold(facts.payment.take(), &events).unwrap();
        self
    }

    pub(super) fn delivery(mut self, action: delivery::Action) -> Self {
        let command = delivery::Command {
            order_id: ID,
            customer_id: "33".into(),
            at: self.at,
            action,
        };
        let facts = &mut self.inside.facts;
        let events = Delivery::decide(&facts.delivery, &command).unwrap();
        facts.delivery = Delivery::fold(facts.delivery.take(), &events).unwrap();
        self
    }

    pub(super) fn saga(mut self, event: impl Into<SagaEvent>) -> Self {
        let state = std::mem::take(&mut self.inside.saga);
        self.inside.saga = state.evolve(&event.into()).unwrap();
        self
    }

    pub(super) fn done(self, step: &str) -> Self {
        let at = self.at;
        let step = step.to_owned();
        self.saga(StepDone {
            step,
            attempt: 1,
            output: Value::Null,
            late: false,
            at,
        })
    }

    /// Its payment was answered in vain for so long that a person was told, and nobody asks any more.
    pub(super) fn given_up() -> Self {
        let given = Self::placed();
        let (at, step) = (given.at, PAY.to_owned());
        let started = StepStarted {
            step: step.clone(),
            attempt: 1,
            key: format!("{ID}:pay"),
            owner: ID,
            deadline: at,
            asks: false,
            branch: false,
            at,
        };
        let ended = AttemptEnded {
            step: step.clone(),
            attempt: 1,
            result: AttemptResult::Undecided,
            reason: "a deposit is awaited".into(),
            next_at: at,
            late: false,
            at,
        };
        let parked = StepParked {
            step,
            code: OVERDUE.into(),
            reason: "it takes too long".into(),
            at_stake: None,
            suggestion: String::new(),
            at,
        };
        given
            .saga(started)
            .saga(ended)
            .saga(parked)
            .saga(SagaRested { at })
    }

    pub(super) fn paid() -> Self {
        let charge = payment::Action::RecordCharge {
            money: PRICE,
            provider_ref: "pay_1".into(),
        };
        let confirm = order::Action::ConfirmPayment {
            payment_ref: "pay_1".into(),
        };
        Self::placed().payment(charge).order(confirm).done(PAY)
    }

    pub(super) fn shipped() -> Self {
        let shipment = delivery::Action::RecordShipment {
            carrier: "cj".into(),
            waybill: "1".into(),
        };
        let told = order::Action::RecordShipment {
            carrier: "cj".into(),
            waybill: "1".into(),
        };
        Self::paid().delivery(shipment).order(told).done(SHIP)
    }

    pub(super) fn unwinding(self, kind: CauseKind, step: Option<&str>) -> Self {
        let at = self.at;
        let cause = Cause {
            kind,
            step: step.map(str::to_owned),
            code: "code".into(),
            reason: "reason".into(),
        };
        self.saga(UnwindStarted {
            cause,
            actor: "x".into(),
            at,
        })
    }

    pub(super) fn unwound(self) -> Self {
        let at = self.at;
        self.saga(SagaUnwound { at })
    }

    pub(super) fn canceled(self) -> Self {
        self.unwinding(CauseKind::Cancel, None)
            .order(order::Action::Cancel {
                reason: String::new(),
                actor: "customer".into(),
            })
    }

    pub(super) fn refunded(self) -> Self {
        self.payment(payment::Action::RecordRefund {
            money: PRICE,
            provider_ref: "pay_1".into(),
            refund_ref: "back_1".into(),
        })
        .done(REFUND)
    }

    pub(super) fn rejected() -> Self {
        let given = Self::placed();
        let at = given.at;
        let refused = StepRefused {
            step: PAY.into(),
            attempt: 1,
            code: PAYMENT_EXPIRED.into(),
            reason: String::new(),
            late: false,
            at,
        };
        let reject = order::Action::Reject {
            code: PAYMENT_EXPIRED.into(),
            reason: "It took too long.".into(),
        };
        given
            .saga(refused)
            .unwinding(CauseKind::Refused, Some(PAY))
            .order(reject)
    }

    pub(super) fn completed(self) -> Self {
        let at = self.at;
        self.saga(SagaCompleted { at })
    }

    pub(super) fn stated(self, step: &str) -> Self {
        let at = self.at;
        self.saga(StepResolved {
            step: step.to_owned(),
            outcome: Verdict::Done,
            evidence: Value::Null,
            forced: true,
            reason: "seen".into(),
            actor: "op".into(),
            at,
        })
    }
}

pub(super) fn money(
    direction: Direction,
    charge: &str,
    reference: &str,
    amount: i64,
) -> MoneyRecord {
    MoneyRecord {
        order_id: ID.to_string(),
        direction,
        charge_ref: charge.into(),
        reference: reference.into(),
        amount: Money::new(amount, Currency::KRW),
        at: noon() - TimeDelta::hours(1),
    }
}

pub(super) fn charged(charge: &str) -> MoneyRecord {
    money(Direction::Charged, charge, charge, PRICE.amount)
}

pub(super) fn returned(charge: &str, amount: i64) -> MoneyRecord {
    money(Direction::Returned, charge, "back_1", amount)
}

pub(super) fn parcel(waybill: &str, state: ParcelState) -> ParcelRecord {
    ParcelRecord {
        order_id: ID.to_string(),
        label: Label {
            carrier: "cj".into(),
            waybill: waybill.into(),
        },
        state,
        at: noon() - TimeDelta::hours(1),
    }
}

/// What is found between this log and these records.
pub(super) fn found(
    given: Given,
    money: Vec<MoneyRecord>,
    parcels: Vec<ParcelRecord>,
) -> Vec<(Kind, &'static str, Safety)> {
    let outside = Outside { money, parcels };
    let findings = compare(&ID.to_string(), Some(&given.inside), &outside, &window());
    let brief = findings
        .iter()
        .map(|found| (found.kind, found.code, found.fix));
    brief.collect()
}

pub(super) const NOTHING: [(Kind, &str, Safety); 0] = [];
