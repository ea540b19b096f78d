//! The carrier: labels from the label API, scans from tracker.delivery.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::http::SetupError;
use super::label::wire::Op;
use super::label::{LabelApi, LabelSettings};
use super::ports::{Answer, CarrierPort, Found, Label, Page, ParcelRecord, Shipment, Tracking};
use super::tracker::{Tracker, TrackerSettings};

/// How long a look at scans may take for the label beside it. Longer, and a label API that hangs would make such looks slow ones,
/// and have the scans left alone as well; one that is slow is asked again at the next look.
const LABEL_LOOK: Duration = Duration::from_millis(500);

/// The adapter of both.
pub struct Carrier {
    labels: LabelApi,
    tracker: Option<Tracker>,
}

impl Carrier {
    /// The carrier with these settings. Without a tracking service the label API is asked for the two scans that matter.
    pub fn new(
        labels: LabelSettings,
        tracker: Option<TrackerSettings>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            labels: LabelApi::new(&labels)?,
            tracker: tracker.as_ref().map(Tracker::new).transpose()?,
        })
    }
}

impl Carrier {
    /// A tracking service says of a parcel that will never be scanned what it says of one that waits for its first scan. Only the
    /// label tells the two apart.
    async fn unless_void(&self, order_id: Uuid, seen: Found<Tracking>) -> Found<Tracking> {
        let waits = match &seen {
            Found::Nothing => true,
            Found::Done(seen) => !seen.is_scanned(),
            Found::Refused(_) | Found::Undecided(_) | Found::Unknown(_) => false,
        };
        if !waits {
            return seen;
        }
        match tokio::time::timeout(LABEL_LOOK, self.labels.track(order_id)).await {
            Ok(Found::Refused(refusal)) => Found::Refused(refusal),
            _ => seen,
        }
    }
}

impl CarrierPort for Carrier {
    fn ship(&self, shipment: Shipment) -> BoxFuture<'_, Answer<Label>> {
        self.labels.ship(shipment).boxed()
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<Label>> {
        async move {
            match self.labels.probe(Op::Ship, order_id, key).await {
                Found::Done(Some(label)) => Found::Done(label),
                Found::Done(None) => Found::Undecided("the carrier shows no label".to_owned()),
                Found::Refused(refusal) => Found::Refused(refusal),
                Found::Nothing => Found::Nothing,
                Found::Undecided(reason) => Found::Undecided(reason),
                Found::Unknown(reason) => Found::Unknown(reason),
            }
        }
        .boxed()
    }

    fn hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        self.labels.hold(order_id, key).boxed()
    }

    fn probe_hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        async move { self.labels.probe(Op::Hold, order_id, key).await.map(drop) }.boxed()
    }

    fn cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        self.labels.cancel(order_id, key).boxed()
    }

    fn probe_cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        async move { self.labels.probe(Op::Cancel, order_id, key).await.map(drop) }.boxed()
    }

    fn track<'a>(
        &'a self,
        order_id: Uuid,
        label: &'a Label,
        shipped_at: DateTime<Utc>,
    ) -> BoxFuture<'a, Found<Tracking>> {
        match &self.tracker {
            Some(tracker) => async move {
                let seen = tracker.track(label, shipped_at).await;
                self.unless_void(order_id, seen).await
            }
            .boxed(),
            None => self.labels.track(order_id).boxed(),
        }
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<ParcelRecord>>> {
        self.labels.records(since, cursor).boxed()
    }
}
