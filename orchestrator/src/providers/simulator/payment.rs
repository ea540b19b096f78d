//! The payment provider: keeps keys for ever, refuses charges after their window, never refunds more than it took.

use std::sync::Arc;

use aggregates::money::Money;
use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::call::{Ask, Reply};
use super::faults::Faults;
use super::ledger::{Op, Port};
use super::names::seq_of;
use super::notes::Detail;
use super::{Core, Simulator, lock, now, sessions};
use crate::providers::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund,
};

impl PaymentPort for Simulator {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        let order = charge.order_id.to_string();
        let fault = {
            let mut faults = lock(&self.core.faults);
            let scripted = faults.next(Port::Payment, Op::Charge, &order);
            scripted.or_else(|| faults.of_token(&charge.token, &charge.key))
        };
        let ask = Ask {
            // Judged when the request comes in: a slow provider still honours what reached it in time.
            refusal: objection(&charge).map(str::to_owned),
            ..money_ask(Op::Charge, charge.key, order, &charge.amount)
        };
        money_call(&self.core, ask, fault).boxed()
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        self.money_lookup(Op::Charge, order_id, key).boxed()
    }

    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>> {
        async move { self.core.charge_now(&charge) }.boxed()
    }

    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>> {
        let order = refund.order_id.to_string();
        let fault = lock(&self.core.faults).next(Port::Payment, Op::Refund, &order);
        let charge = seq_of(Op::Charge, &refund.charge_ref);
        let ask = Ask {
            charge,
            // Its line names no charge, and an order may have been charged twice.
            detail: charge.map(|charge| Detail::Return {
                charge,
                reason: String::new(),
            }),
            ..money_ask(Op::Refund, refund.key, order, &refund.amount)
        };
        money_call(&self.core, ask, fault).boxed()
    }

    fn probe_refund(&self, refund: Refund) -> BoxFuture<'_, Found<MoneyMoved>> {
        let Refund { order_id, key, .. } = refund;
        async move { self.money_lookup(Op::Refund, order_id, &key).await }.boxed()
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<MoneyRecord>>> {
        self.core.money_records(since, cursor).boxed()
    }
}

impl Simulator {
    async fn money_lookup(&self, op: Op, order_id: Uuid, key: &str) -> Found<MoneyMoved> {
        let order_id = order_id.to_string();
        match self.core.lookup(Port::Payment, op, &order_id, key).await {
            Found::Done(reply) => {
                moved(reply).map_or_else(|| Found::Unknown(NO_AMOUNT.into()), Found::Done)
            }
            Found::Refused(refusal) => Found::Refused(refusal),
            Found::Nothing => Found::Nothing,
            Found::Undecided(reason) => Found::Undecided(reason),
            Found::Unknown(reason) => Found::Unknown(reason),
        }
    }
}

fn objection(charge: &Charge) -> Option<&'static str> {
    let now = now();
    if now > charge.not_after {
        return Some("payment-window-closed");
    }
    let authenticated = Faults::authenticated(&charge.token);
    let asked = (Some(charge.order_id), charge.amount.amount);
    sessions::objection(authenticated, now, asked, now)
}

const NO_AMOUNT: &str = "the provider's answer names no amount";

fn money_ask(op: Op, key: String, order_id: String, amount: &Money) -> Ask {
    Ask {
        money: Some((amount.amount, amount.currency.to_string())),
        ..Ask::new(Port::Payment, op, key, order_id)
    }
}

fn money_call(
    core: &Arc<Core>,
    ask: Ask,
    fault: Option<super::Fault>,
) -> impl Future<Output = Answer<MoneyMoved>> + Send + 'static {
    let core = Arc::clone(core);
    async move {
        match core.call(ask, fault).await {
            Answer::Done(reply) => {
                moved(reply).map_or_else(|| Answer::Unknown(NO_AMOUNT.into()), Answer::Done)
            }
            Answer::Refused(refusal) => Answer::Refused(refusal),
            Answer::Unknown(reason) => Answer::Unknown(reason),
            Answer::Undecided(reason) => Answer::Undecided(reason),
            Answer::Spent { reason, faulty } => Answer::Spent { reason, faulty },
            Answer::NotSent(reason) => Answer::NotSent(reason),
        }
    }
}

fn moved(reply: Reply) -> Option<MoneyMoved> {
    let (amount, currency) = reply.money?;
    let amount = Money {
        amount,
        currency: currency.parse().ok()?,
    };
    Some(MoneyMoved {
        reference: reply.result.ok()?,
        amount,
    })
}
