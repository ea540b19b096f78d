//! The carrier. Whether a parcel leaves or stays is decided in one place, under the world's lock.

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::account::Parcel;
use super::call::{Ask, Reply};
use super::ledger::{Op, Port};
use super::world::LABEL_VOID;
use super::{Core, Simulator, lock, now, refusal};
use crate::providers::ports::{
    Answer, CarrierPort, Found, Label, Page, ParcelRecord, Shipment, Tracking,
};

/// What labels call the carrier.
const CARRIER: &str = "simulated-carrier";

impl CarrierPort for Simulator {
    fn ship(&self, shipment: Shipment) -> BoxFuture<'_, Answer<Label>> {
        async move {
            self.parcel_call(Op::Ship, shipment.order_id, &shipment.key)
                .await
                .map(label_of)
        }
        .boxed()
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<Label>> {
        async move {
            self.core
                .lookup(Port::Carrier, Op::Ship, &order_id.to_string(), key)
                .await
                .map(label_of)
        }
        .boxed()
    }

    fn hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        async move { kept(self.parcel_call(Op::Hold, order_id, key).await) }.boxed()
    }

    fn probe_hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        async move {
            let order = order_id.to_string();
            let found = self.core.lookup(Port::Carrier, Op::Hold, &order, key).await;
            match found {
                Found::Refused(refusal) if refusal.code == LABEL_VOID => Found::Done(()),
                found => found.map(drop),
            }
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        async move { kept(self.parcel_call(Op::Cancel, order_id, key).await) }.boxed()
    }

    fn probe_cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        async move {
            let order = order_id.to_string();
            let found = self
                .core
                .lookup(Port::Carrier, Op::Cancel, &order, key)
                .await;
            match found {
                Found::Refused(refusal) if refusal.code == LABEL_VOID => Found::Done(()),
                found => found.map(drop),
            }
        }
        .boxed()
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<ParcelRecord>>> {
        self.core.parcel_records(since, cursor).boxed()
    }

    fn track<'a>(
        &'a self,
        order_id: Uuid,
        _label: &'a Label,
        _shipped_at: DateTime<Utc>,
    ) -> BoxFuture<'a, Found<Tracking>> {
        async move {
            if lock(&self.core.faults).is_down(Port::Carrier) {
                return Found::Unknown("the simulated provider cannot be reached".into());
            }
            let Some((seq, tracking)) = self.core.tracking(order_id) else {
                return Found::Nothing;
            };
            if !self.core.ledger.synced(seq).await {
                return Found::Unknown("the simulator cannot write its ledger".into());
            }
            tracking.map_or_else(|| Found::Refused(refusal(LABEL_VOID)), Found::Done)
        }
        .boxed()
    }
}

impl Simulator {
    async fn parcel_call(&self, op: Op, order_id: Uuid, key: &str) -> Answer<Reply> {
        let order_id = order_id.to_string();
        let fault = lock(&self.core.faults).next(Port::Carrier, op, &order_id);
        let ask = Ask::new(Port::Carrier, op, key.to_owned(), order_id);
        self.core.call(ask, fault).await
    }
}

impl Core {
    /// The scans of an order's parcel; nothing when there is none. With the last sequence, so that the answer can wait
    /// until all it says is on disk; no scans where its label is void.
    fn tracking(&self, order: Uuid) -> Option<(u64, Option<Tracking>)> {
        let mut world = lock(&self.world);
        let account = world.account(order)?.clone();
        if account.parcel == Parcel::None {
            return None;
        }
        if account.parcel == Parcel::Canceled {
            return Some((world.last_seq(), None));
        }
        let [in_transit_at, out_for_delivery_at] = world.on_the_way(&account, now());
        let tracking = Tracking {
            handed_over_at: account.handed_over_at,
            in_transit_at,
            out_for_delivery_at,
            delivered_at: account.delivered_at,
            exception: None,
        };
        Some((world.last_seq(), Some(tracking)))
    }
}

/// A parcel whose label is void can neither leave nor be voided again.
fn kept(answer: Answer<Reply>) -> Answer<()> {
    match answer {
        Answer::Refused(refusal) if refusal.code == LABEL_VOID => Answer::Done(()),
        answer => answer.map(drop),
    }
}

fn label_of(reply: Reply) -> Label {
    label(reply.result.unwrap_or_default())
}

/// The label with this number.
pub(super) fn label(waybill: String) -> Label {
    Label {
        carrier: CARRIER.to_owned(),
        waybill,
    }
}
