//! The simulator's own controls: its ledger, its faults, and what the world outside does without being asked.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Front;
use super::reply::json;
use crate::providers::simulator::call::Ask;
use crate::providers::simulator::lanes::Scan;
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::lock;
use crate::providers::simulator::names::order_key;
use crate::providers::simulator::rules::{self, Fate};

/// Ledger lines on a page, unless asked for fewer.
const PAGE: usize = 1_000;

/// Ledger lines on a page at most.
const MAX_PAGE: usize = 10_000;

pub(super) fn routes() -> Router<Arc<Front>> {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/ledger", get(ledger))
        .route("/faults", get(faults).put(set_faults))
        .route("/scans", post(scan))
        .route("/charges", post(charge))
}

#[derive(Debug, Deserialize)]
struct Range {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// Lines as they stand in the file, synced, one a line.
async fn ledger(State(front): State<Arc<Front>>, Query(range): Query<Range>) -> Response {
    let limit = range.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let Ok(lines) = front.lines(range.after, limit).await else {
        return wrong(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ledger",
            "cannot be read",
        );
    };
    let mut text = String::new();
    for line in &lines {
        text.push_str(&serde_json::to_string(line).unwrap_or_default());
        text.push('\n');
    }
    ([("content-type", "application/x-ndjson")], text).into_response()
}

async fn faults(State(front): State<Arc<Front>>) -> Json<Value> {
    Json(lock(&front.rules).document())
}

async fn set_faults(State(front): State<Arc<Front>>, body: Bytes) -> Response {
    match rules::parse(&body) {
        Ok((seed, rules)) => {
            let mut current = lock(&front.rules);
            current.set(seed, rules);
            Json(current.document()).into_response()
        }
        Err(invalid) => wrong(
            StatusCode::UNPROCESSABLE_ENTITY,
            &invalid.field,
            &invalid.why,
        ),
    }
}

fn wrong(status: StatusCode, field: &str, why: &str) -> Response {
    let message = format!("{field} {why}");
    json(
        status,
        &json!({ "code": "invalid-request", "field": field, "message": message }),
    )
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scanned {
    order_id: String,
    scan: ScanName,
    /// Takes along even what is held.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ScanName {
    Handover,
    Deliver,
}

/// Lets a van come now.
async fn scan(State(front): State<Arc<Front>>, body: Bytes) -> Response {
    let scanned: Scanned = match serde_json::from_slice(&body) {
        Ok(scanned) => scanned,
        Err(error) => return unreadable(&error),
    };
    let scan = match scanned.scan {
        ScanName::Handover => Scan::HandOver,
        ScanName::Deliver => Scan::Deliver,
    };
    let order = order_key(&scanned.order_id);
    let Some(seq) = front.core.scan(order, scan, scanned.force) else {
        let message = "there is no parcel for this, or it is elsewhere";
        return json(
            StatusCode::CONFLICT,
            &json!({ "code": "nothing-to-scan", "message": message }),
        );
    };
    if !front.core.ledger.synced(seq).await {
        return wrong(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ledger",
            "cannot be written",
        );
    }
    front.core.dispatch.notify_one();
    front.tell_scan(order);
    json(StatusCode::OK, &json!({ "seq": seq }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Planted {
    order_id: String,
    amount: i64,
    currency: Option<String>,
}

/// Charges an order without the shop having asked: a customer who paid twice, or for an order that there is not.
async fn charge(State(front): State<Arc<Front>>, body: Bytes) -> Response {
    let planted: Planted = match serde_json::from_slice(&body) {
        Ok(planted) => planted,
        Err(error) => return unreadable(&error),
    };
    let currency = planted.currency.unwrap_or_else(|| "KRW".to_owned());
    if planted.amount <= 0 || currency.len() != 3 || planted.order_id.is_empty() {
        return wrong(
            StatusCode::UNPROCESSABLE_ENTITY,
            "amount",
            "or another field makes no sense",
        );
    }
    let key = format!("planted-{}", Uuid::now_v7());
    let ask = Ask {
        money: Some((planted.amount, currency)),
        ..Ask::new(Port::Payment, Op::Charge, key, planted.order_id.clone())
    };
    let Ok(reply) = front.core.commit(&ask).await else {
        return wrong(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ledger",
            "cannot be written",
        );
    };
    if let Some(document) = front.payment_document(order_key(&planted.order_id), reply.seq) {
        front.tell_payment(&planted.order_id, &document, &Fate::default());
    }
    json(
        StatusCode::CREATED,
        &json!({ "seq": reply.seq, "paymentKey": reply.result.ok() }),
    )
}

fn unreadable(error: &serde_json::Error) -> Response {
    wrong(StatusCode::UNPROCESSABLE_ENTITY, "body", &error.to_string())
}
