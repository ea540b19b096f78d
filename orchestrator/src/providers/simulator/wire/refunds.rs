//! Refunds that were accepted and are through later. They stand in the notes until they stand in the ledger.

use std::sync::Arc;

use serde_json::json;

use super::Front;
use super::clock::local_micros;
use super::toss::pending_cancel;
use super::webhooks::{Hook, Service};
use crate::providers::simulator::call::{Ask, Reply};
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::names::order_key;
use crate::providers::simulator::notes::{Detail, Pending, What};
use crate::providers::simulator::rules::Fate;
use crate::providers::simulator::{Core, lock, now};

/// Makes each when it is due.
pub(super) async fn run(front: Arc<Front>) {
    loop {
        let next = lock(&front.core.world).next_pending().cloned();
        let Some(pending) = next else {
            front.refunds.notified().await;
            continue;
        };
        let wait = (pending.due - now()).to_std().unwrap_or_default();
        if wait.is_zero() {
            front.make(&pending).await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = front.refunds.notified() => {}
        }
    }
}

impl Front {
    async fn make(&self, pending: &Pending) {
        let ask = Ask {
            money: Some((pending.amount, pending.currency.clone())),
            refusal: pending.refusal.clone(),
            charge: Some(pending.charge),
            detail: Some(Detail::Return {
                charge: pending.charge,
                reason: pending.reason.clone(),
            }),
            ..Ask::new(
                Port::Payment,
                Op::Refund,
                pending.key.clone(),
                pending.order_id.clone(),
            )
        };
        match self.core.commit(&ask).await {
            Ok(reply) => self.tell_made(pending, &reply),
            // Nothing is acknowledged any more, so nothing is through either.
            Err(_) => std::future::pending().await,
        }
    }

    fn tell_made(&self, pending: &Pending, reply: &Reply) {
        let order = order_key(&pending.order_id);
        let status = if reply.result.is_ok() {
            "DONE"
        } else {
            "ABORTED"
        };
        let payment = self.payment_document(order, pending.charge);
        let done = payment.as_ref().and_then(|payment| {
            let cancels = payment["cancels"].as_array()?;
            let own = reply.result.as_ref().ok()?;
            cancels
                .iter()
                .find(|it| it["transactionKey"] == json!(own))
                .cloned()
        });
        let hook = |event: &str, data| Hook {
            service: Service::Toss,
            order_id: pending.order_id.clone(),
            body: json!({ "eventType": event, "createdAt": local_micros(now()), "data": data }),
        };
        let cancel = done.unwrap_or_else(|| pending_cancel(pending, status));
        self.teller
            .tell(hook("CANCEL_STATUS_CHANGED", cancel), &Fate::default());
        if let Some(payment) = payment.filter(|_| reply.result.is_ok()) {
            self.teller
                .tell(hook("PAYMENT_STATUS_CHANGED", payment), &Fate::default());
        }
    }
}

impl Core {
    /// Notes a refund that will be through later. Nothing when it may not be made, or is known already.
    pub(super) fn begin_refund(&self, ask: &Ask, pending: Pending) -> Option<()> {
        let mut world = lock(&self.world);
        let known = world.lookup(Op::Refund, &ask.order_id, &ask.key).is_some();
        if known || ask.refusal.is_some() || world.rule_against(ask).is_some() {
            return None;
        }
        self.note(&world, What::Pending(pending.clone()))?;
        world.set_pending(pending);
        Some(())
    }

    /// Whether a refund with this key is under way.
    pub(super) fn is_pending(&self, order: uuid::Uuid, key: &str) -> bool {
        lock(&self.world).pending_of(order).any(|it| it.key == key)
    }
}
