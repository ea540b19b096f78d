//! The fulfilment saga goes through all that a saga must survive: each step twice, every kind of failure at each step, a crash at
//! each append and before and after each effect, a frozen owner at each step, a cancel at every point.

use std::sync::Arc;

use aggregates::order::{Action, Command, Order, Place, SealedDetails, Status};
use aggregates::saga::Phase;
use chrono::Utc;
use futures_util::future::BoxFuture;
use orchestrator::fulfilment::facts::Facts;
use orchestrator::providers::simulator::ledger::{Line, Op};
use orchestrator::saga::definition::Saga;
use orchestrator::saga::view::Snapshot;
use uuid::Uuid;

use super::market::{Market, begins};
use super::shop::{TOTAL, order};
use crate::harness::{Fault, Start, Suite, Trial, World};

/// Orders.
struct Orders(Market);

impl World for Orders {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.0.sagas[0])
    }

    fn start(&self, id: Uuid) -> BoxFuture<'_, Start> {
        let mut order = order("ok");
        (order.payment, order.contact) = (None, None);
        let place = Place {
            order_id: id,
            order,
            sealed: SealedDetails::default(),
            principal: "harness".into(),
            command_hash: String::new(),
            source: None,
        };
        let command = Command {
            at: Utc::now(),
            action: Action::Place(Box::new(place)),
        };
        begins::<Order>(id, &command)
    }

    fn check<'a>(
        &'a self,
        trial: &'a Trial,
        rest: &'a Snapshot,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let effects = self.0.effects(rest.id);
            let facts = Facts::fold(rest.history.events()).map_err(|error| error.to_string())?;
            once_each(trial, &effects)?;
            books_agree(&effects, &facts)?;
            ends_well(trial, rest, &effects, &facts)
        })
    }
}

fn count(effects: &[Line], op: Op) -> usize {
    effects.iter().filter(|line| line.op == op).count()
}

/// Nothing happens twice, except a message that somebody frozen sends.
fn once_each(trial: &Trial, effects: &[Line]) -> Result<(), String> {
    for op in [Op::Charge, Op::Refund, Op::Ship, Op::Hold, Op::Cancel] {
        if count(effects, op) > 1 {
            return Err(format!("{op:?} happened {} times", count(effects, op)));
        }
    }
    let frozen = |step: &str| usize::from(trial.strike.frozen_at() == Some(step));
    let sends = |kind: &str| {
        effects
            .iter()
            .filter(|line| line.kind.as_deref() == Some(kind))
            .count()
    };
    if sends("shipped") > 1 + frozen("notify") || sends("canceled") > 1 + frozen("tell") {
        return Err("a message was sent twice".to_owned());
    }
    Ok(())
}

fn books_agree(effects: &[Line], facts: &Facts) -> Result<(), String> {
    let sum = |op: Op| {
        effects
            .iter()
            .filter(|line| line.op == op)
            .filter_map(|line| line.amount)
            .sum::<i64>()
    };
    let (charged, refunded) = (sum(Op::Charge), sum(Op::Refund));
    let payment = facts.payment.as_ref();
    let recorded = payment.map_or((0, 0), |payment| (payment.charged(), payment.refunded()));
    if recorded != (charged, refunded) {
        return Err(format!(
            "the log says {recorded:?}, the provider {:?}",
            (charged, refunded)
        ));
    }
    let shipped = facts
        .delivery
        .as_ref()
        .is_some_and(|delivery| delivery.parcel.is_some());
    if shipped != (count(effects, Op::Ship) > 0) {
        return Err("log and carrier disagree about the parcel".to_owned());
    }
    Ok(())
}

fn ends_well(
    trial: &Trial,
    rest: &Snapshot,
    effects: &[Line],
    facts: &Facts,
) -> Result<(), String> {
    let order = facts.order.as_ref().ok_or("there is no order")?;
    let kept = facts
        .payment
        .as_ref()
        .and_then(|payment| payment.kept())
        .map_or(0, |kept| kept.money.amount);
    let (shipped, off) = (count(effects, Op::Ship) > 0, count(effects, Op::Cancel) > 0);
    let left = count(effects, Op::Handover) > 0;
    let fits = match rest.state.phase {
        Phase::Completed => {
            order.status == Status::Delivered && kept == TOTAL && shipped && !off && left
        }
        Phase::Unwound => {
            let over = matches!(order.status, Status::Canceled | Status::Rejected);
            over && kept == 0 && shipped == off && !left
        }
        // Only a provider that refuses for good what must be undone needs a person.
        _ => matches!(
            trial.fault,
            Fault::Refuse("hold" | "refund" | "cancel-delivery")
        ),
    };
    if fits {
        Ok(())
    } else {
        Err(format!(
            "it ends in {:?} as {} with {kept} kept",
            rest.state.phase, order.status
        ))
    }
}

async fn suite(log: TestLog) -> Suite {
    Suite::new(Arc::new(Orders(Market::open().await)), log).await
}

crate::harness::survives!(suite, steps: 5);
