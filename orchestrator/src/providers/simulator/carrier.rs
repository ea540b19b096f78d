//! The carrier. Whether a parcel leaves or stays is decided in one place, under the world's lock.

use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::ledger::{Op, Port};
use super::world::{Ask, Reply};
use super::{Simulator, lock};
use crate::providers::ports::{Answer, CarrierPort, Found, Label, Shipment, Tracking};

/// What labels call the carrier.
const CARRIER: &str = "simulated-carrier";

impl CarrierPort for Simulator {
    fn ship(&self, shipment: Shipment) -> BoxFuture<'_, Answer<Label>> {
        async move {
            self.parcel_call(Op::Ship, shipment.order_id, &shipment.key)
                .await
                .map(label)
        }
        .boxed()
    }

    fn probe<'a>(&'a self, _order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<Label>> {
        async move {
            self.core
                .lookup(Port::Carrier, Op::Ship, key)
                .await
                .map(label)
        }
        .boxed()
    }

    fn hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        async move { self.parcel_call(Op::Hold, order_id, key).await.map(drop) }.boxed()
    }

    fn probe_hold<'a>(&'a self, _order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        async move {
            self.core
                .lookup(Port::Carrier, Op::Hold, key)
                .await
                .map(drop)
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        async move { self.parcel_call(Op::Cancel, order_id, key).await.map(drop) }.boxed()
    }

    fn probe_cancel<'a>(&'a self, _order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        async move {
            self.core
                .lookup(Port::Carrier, Op::Cancel, key)
                .await
                .map(drop)
        }
        .boxed()
    }

    fn track(&self, order_id: Uuid) -> BoxFuture<'_, Found<Tracking>> {
        async move {
            if lock(&self.core.faults).is_down(Port::Carrier) {
                return Found::Unknown("the simulated provider cannot be reached".into());
            }
            let tracking = lock(&self.core.world).tracking(order_id);
            let Some((seq, tracking)) = tracking else {
                return Found::Nothing;
            };
            if self.core.ledger.synced(seq).await {
                Found::Done(tracking)
            } else {
                Found::Unknown("the simulator cannot write its ledger".into())
            }
        }
        .boxed()
    }
}

impl Simulator {
    async fn parcel_call(&self, op: Op, order_id: Uuid, key: &str) -> Answer<Reply> {
        let order_id = order_id.to_string();
        let fault = lock(&self.core.faults).next(Port::Carrier, op, &order_id);
        let ask = Ask {
            port: Port::Carrier,
            op,
            key: key.to_owned(),
            order_id,
            kind: None,
            money: None,
            refusal: None,
        };
        self.core.call(ask, fault).await
    }
}

fn label(reply: Reply) -> Label {
    Label {
        carrier: CARRIER.to_owned(),
        waybill: reply.result.unwrap_or_default(),
    }
}
