//! The label API: what a carrier, or the warehouse in front of one, has to serve. Korean carriers offer nothing of the kind,
//! so it is ours; the description of the HTTP API shows it to those who build it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/shipments`, with an `Idempotency-Key`. An order has one shipment: asked for another one under another key,
/// or under one that was forgotten, the carrier answers with the one that there is
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LabelRequest)]
pub struct ShipmentRequest {
    /// The order inside
    pub order_id: String,
    /// Whom it is for
    pub receiver: Receiver,
}

/// The receiver of a parcel; a part that the order does not name is left out
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LabelReceiver)]
pub struct Receiver {
    /// Name
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Telephone
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Address, as the order has it: text, or JSON as text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A shipment as the carrier knows it
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LabelShipment)]
pub struct Shipment {
    /// The order inside
    pub order_id: String,
    /// The `Idempotency-Key` under which it was accepted
    #[serde(default)]
    pub key: Option<String>,
    /// The carrier, by its id at tracker.delivery
    #[schema(example = "kr.cjlogistics")]
    pub carrier_id: String,
    /// The carrier's number for the parcel
    pub waybill: String,
    /// How far it is
    pub status: ShipmentStatus,
    /// When it was accepted
    #[serde(default)]
    pub accepted_at: Option<DateTime<Utc>>,
    /// When the van took it along
    #[serde(default)]
    pub handed_over_at: Option<DateTime<Utc>>,
    /// When the receiver got it
    #[serde(default)]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// How far a shipment is
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = LabelShipmentStatus)]
pub enum ShipmentStatus {
    /// It has a label and waits for the van
    Accepted,
    /// It waits and must not leave
    Held,
    /// The van took it along
    HandedOver,
    /// The receiver has it
    Delivered,
    /// Its label is void
    Canceled,
}

/// Answer to `GET /v1/calls/{key}`: what became of the call with that key
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LabelCall)]
pub struct Call {
    /// What was asked
    pub op: Op,
    /// What became of it
    pub result: CallResult,
    /// Why not, if it was refused; one of the codes of [`ErrorBody`]
    #[serde(default)]
    pub code: Option<String>,
    /// The shipment as it is now, if there is one
    #[serde(default)]
    pub shipment: Option<Shipment>,
}

/// What was asked
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LabelOp)]
pub enum Op {
    /// `POST /v1/shipments`
    Ship,
    /// `POST /v1/shipments/{orderId}/hold`
    Hold,
    /// `POST /v1/shipments/{orderId}/cancel`
    Cancel,
}

/// What became of a call
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LabelCallResult)]
pub enum CallResult {
    /// It was done
    Done,
    /// It was decided against, for good
    Refused,
}

/// Answer to `GET /v1/shipments?since=&cursor=&limit=`, the oldest first
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LabelShipmentPage)]
pub struct ShipmentPage {
    /// Shipments that were accepted since then, each as it is now
    pub shipments: Vec<Shipment>,
    /// The cursor of the next page; none at the end
    #[serde(default)]
    pub next: Option<String>,
}

/// Every answer that is no success. Codes: `handed-over` 409, `label-void` 409, `no-such-parcel` 404, `address-refused` 422
/// are decisions and final for their key; `in-progress` 409, `unavailable` 503 and `internal` 500 mean "ask again with the
/// same key": after `internal` it may have happened;
/// `invalid-request` 400, `unauthorized` 401 and `unknown-key` 404 had no effect. To a hold or a cancellation only
/// `handed-over` says that the parcel has left; `label-void` counts as done, because nothing can leave
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LabelError)]
pub struct ErrorBody {
    /// One of the codes
    #[schema(example = "handed-over")]
    pub code: String,
    /// A sentence for people; not read by us
    #[serde(default)]
    pub message: Option<String>,
}
