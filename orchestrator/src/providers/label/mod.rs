//! The adapter of the label API: has parcels accepted, held and canceled, and asks what became of it.

mod codes;
pub mod wire;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub(super) use self::codes::words;
use self::wire::{Call, CallResult, ErrorBody, Op, Receiver, ShipmentPage, ShipmentRequest};
use super::http::{Endpoint, Http, Reply, SetupError, authorize, sensitive};
use super::ports::{
    Answer, Found, Label, Page, ParcelRecord, ParcelState, Refusal, Shipment, Tracking,
};
use wire::ShipmentStatus;

const PROVIDER: &str = "the label API";

/// Records of one page.
const PAGE: &str = "500";

const ANOTHER_STATE: &str = "the carrier says done, but the parcel is in another state";

/// How to reach the label API.
#[derive(Debug, Clone)]
pub struct LabelSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its bearer token.
    pub token: SecretString,
}

/// The adapter.
pub(super) struct LabelApi {
    http: Http,
    credential: HeaderValue,
}

impl LabelApi {
    pub(super) fn new(settings: &LabelSettings) -> Result<Self, SetupError> {
        let bearer = |token: &str| format!("Bearer {token}");
        Ok(Self {
            http: Http::new(PROVIDER, &settings.endpoint)?,
            credential: sensitive(PROVIDER, "the token", &settings.token, bearer)?,
        })
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        authorize(self.http.request(method, path, query), &self.credential)
    }

    pub(super) async fn ship(&self, shipment: Shipment) -> Answer<Label> {
        let body = ShipmentRequest {
            order_id: shipment.order_id.to_string(),
            receiver: Receiver {
                name: shipment.receiver,
                phone: shipment.phone,
                address: shipment.address,
            },
        };
        let request = self
            .request(Method::POST, &["v1", "shipments"], &[])
            .json(&body);
        let accepted = self.call(Op::Ship, request, shipment.order_id, &shipment.key);
        accepted.await.map(label)
    }

    pub(super) async fn hold(&self, order_id: Uuid, key: &str) -> Answer<()> {
        self.change(Op::Hold, order_id, key).await
    }

    pub(super) async fn cancel(&self, order_id: Uuid, key: &str) -> Answer<()> {
        self.change(Op::Cancel, order_id, key).await
    }

    async fn change(&self, op: Op, order_id: Uuid, key: &str) -> Answer<()> {
        let (verb, becomes) = match op {
            Op::Hold => ("hold", ShipmentStatus::Held),
            _ => ("cancel", ShipmentStatus::Canceled),
        };
        let order = order_id.to_string();
        let request = self.request(Method::POST, &["v1", "shipments", &order, verb], &[]);
        match self.call(op, request, order_id, key).await {
            Answer::Done(shipment) if shipment.status == becomes => Answer::Done(()),
            Answer::Done(_) => Answer::Undecided(ANOTHER_STATE.to_owned()),
            Answer::Refused(refusal) if codes::is_so(op, &refusal.code) => Answer::Done(()),
            other => other.map(drop),
        }
    }

    async fn call(
        &self,
        op: Op,
        request: RequestBuilder,
        order_id: Uuid,
        key: &str,
    ) -> Answer<wire::Shipment> {
        let request = request.header("Idempotency-Key", key);
        let reply = match self.http.send(request, self.http.until()).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into_answer(),
        };
        if reply.is_success() {
            return match reply.json::<wire::Shipment>() {
                Some(shipment) if shipment.order_id == order_id.to_string() => {
                    Answer::Done(shipment)
                }
                Some(_) => Answer::Unknown("the carrier's answer is about another parcel".into()),
                None => Answer::Unknown(self.http.garbled(reply.status)),
            };
        }
        let Some(error) = reply.json::<ErrorBody>() else {
            return Answer::Unknown(self.http.garbled(reply.status));
        };
        let (answer, for_operators) = codes::judge(op, &error.code);
        if for_operators {
            self.http.complain(&error.code);
        }
        answer
    }

    /// What became of the call with that key.
    pub(super) async fn probe(&self, op: Op, order_id: Uuid, key: &str) -> Found<Option<Label>> {
        let call = match self
            .look::<Call>(&["v1", "calls", key], &[], "unknown-key")
            .await
        {
            Found::Done(call) => call,
            Found::Refused(refusal) => return Found::Refused(refusal),
            Found::Nothing => return Found::Nothing,
            Found::Undecided(reason) => return Found::Undecided(reason),
            Found::Unknown(reason) => return Found::Unknown(reason),
        };
        let order = order_id.to_string();
        let about_another = |shipment: &wire::Shipment| shipment.order_id != order;
        if call.op != op || call.shipment.as_ref().is_some_and(about_another) {
            return Found::Undecided("the carrier shows another call under this key".to_owned());
        }
        let is_so = |code: &str| codes::is_so(op, code);
        let is_so = call.code.as_deref().is_some_and(is_so);
        let status = call.shipment.as_ref().map(|shipment| shipment.status);
        match (call.result, call.shipment) {
            // What was done once may be so no more: a parcel that left is held by nobody.
            (CallResult::Done, _) if !stands(op, status) => Found::Undecided(ANOTHER_STATE.into()),
            (CallResult::Refused, Some(_)) if is_so && !stands(op, status) => {
                Found::Undecided(ANOTHER_STATE.into())
            }
            (CallResult::Done, shipment) => Found::Done(shipment.map(label)),
            (CallResult::Refused, _) if is_so => Found::Done(None),
            (CallResult::Refused, _) => {
                let decision = call.code.as_deref().and_then(codes::decision);
                Found::Refused(decision.unwrap_or_else(|| Refusal {
                    code: "refused".to_owned(),
                    reason: "The carrier decided against it.".to_owned(),
                }))
            }
        }
    }

    /// How far the parcel is, for shops without a tracking service: the label API knows no more than these two scans. A void label
    /// is the carrier's refusal to take the parcel along.
    pub(super) async fn track(&self, order_id: Uuid) -> Found<Tracking> {
        let order = order_id.to_string();
        let path = ["v1", "shipments", order.as_str()];
        let shipment = self
            .look::<wire::Shipment>(&path, &[], "no-such-parcel")
            .await;
        let void = matches!(&shipment, Found::Done(it) if it.status == ShipmentStatus::Canceled);
        if let (true, Some(refusal)) = (void, codes::decision(codes::VOID)) {
            return Found::Refused(refusal);
        }
        shipment.map(|shipment| {
            let delivered = shipment.status == ShipmentStatus::Delivered;
            let gone = delivered || shipment.status == ShipmentStatus::HandedOver;
            // A carrier that keeps no moments is believed all the same.
            let since = |at: Option<DateTime<Utc>>| at.unwrap_or_else(Utc::now);
            Tracking {
                handed_over_at: gone.then(|| since(shipment.handed_over_at)),
                delivered_at: delivered.then(|| since(shipment.delivered_at)),
                ..Tracking::default()
            }
        })
    }

    pub(super) async fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> Found<Page<ParcelRecord>> {
        let mut query = vec![
            ("since", since.to_rfc3339_opts(SecondsFormat::Millis, true)),
            ("limit", PAGE.to_owned()),
        ];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = self
            .look::<ShipmentPage>(&["v1", "shipments"], &query, "")
            .await;
        page.map(|page| Page {
            records: page.shipments.into_iter().map(record).collect(),
            next: page.next,
        })
    }

    async fn look<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        nothing: &str,
    ) -> Found<T> {
        let request = self.request(Method::GET, path, query);
        let reply: Reply = match self.http.send(request, self.http.until()).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into_found(),
        };
        if reply.is_success() {
            let found = reply.json();
            return found.map_or_else(
                || Found::Unknown(self.http.garbled(reply.status)),
                Found::Done,
            );
        }
        match reply.json::<ErrorBody>() {
            Some(error) if error.code == nothing => Found::Nothing,
            Some(error) => {
                if error.code == "unauthorized" {
                    self.http.complain("unauthorized");
                }
                Found::Unknown("the carrier does not say".to_owned())
            }
            None => Found::Unknown(self.http.garbled(reply.status)),
        }
    }
}

/// Whether a parcel in that state is what such a call was to make of it.
fn stands(op: Op, status: Option<ShipmentStatus>) -> bool {
    match op {
        Op::Ship => true,
        // Under a void label nothing can leave.
        Op::Hold => matches!(
            status,
            Some(ShipmentStatus::Held | ShipmentStatus::Canceled)
        ),
        Op::Cancel => status == Some(ShipmentStatus::Canceled),
    }
}

fn label(shipment: wire::Shipment) -> Label {
    Label {
        carrier: shipment.carrier_id,
        waybill: shipment.waybill,
    }
}

fn record(shipment: wire::Shipment) -> ParcelRecord {
    ParcelRecord {
        order_id: shipment.order_id.clone(),
        state: match shipment.status {
            ShipmentStatus::Accepted => ParcelState::Accepted,
            ShipmentStatus::Held => ParcelState::Held,
            ShipmentStatus::HandedOver => ParcelState::HandedOver,
            ShipmentStatus::Delivered => ParcelState::Delivered,
            ShipmentStatus::Canceled => ParcelState::Canceled,
        },
        at: shipment.accepted_at.unwrap_or_else(Utc::now),
        label: label(shipment),
    }
}
