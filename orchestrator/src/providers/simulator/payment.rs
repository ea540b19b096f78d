//! The payment provider: keeps keys for ever, refuses charges after their window, never refunds more than it took.

use std::sync::Arc;

use aggregates::money::Money;
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::ledger::{Op, Port};
use super::world::{Ask, Reply};
use super::{Core, Simulator, lock, now};
use crate::providers::ports::{Answer, Charge, Found, MoneyMoved, PaymentPort, Refund};

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
            refusal: (now() > charge.not_after).then_some("payment-window-closed"),
            ..money_ask(Op::Charge, charge.key, order, &charge.amount)
        };
        money_call(&self.core, ask, fault).boxed()
    }

    fn probe<'a>(&'a self, _order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        self.money_lookup(Op::Charge, key).boxed()
    }

    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>> {
        let order = refund.order_id.to_string();
        let fault = lock(&self.core.faults).next(Port::Payment, Op::Refund, &order);
        let ask = money_ask(Op::Refund, refund.key, order, &refund.amount);
        money_call(&self.core, ask, fault).boxed()
    }

    fn probe_refund<'a>(
        &'a self,
        _order_id: Uuid,
        key: &'a str,
    ) -> BoxFuture<'a, Found<MoneyMoved>> {
        self.money_lookup(Op::Refund, key).boxed()
    }
}

impl Simulator {
    async fn money_lookup(&self, op: Op, key: &str) -> Found<MoneyMoved> {
        match self.core.lookup(Port::Payment, op, key).await {
            Found::Done(reply) => {
                moved(reply).map_or_else(|| Found::Unknown(NO_AMOUNT.into()), Found::Done)
            }
            Found::Refused(refusal) => Found::Refused(refusal),
            Found::Nothing => Found::Nothing,
            Found::Unknown(reason) => Found::Unknown(reason),
        }
    }
}

const NO_AMOUNT: &str = "the provider's answer names no amount";

fn money_ask(op: Op, key: String, order_id: String, amount: &Money) -> Ask {
    let money = Some((amount.amount, amount.currency.to_string()));
    Ask {
        port: Port::Payment,
        op,
        key,
        order_id,
        kind: None,
        money,
        refusal: None,
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
