//! Our own label API, for carriers offer none: request, hold and cancel a pickup, each under a key.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Front;
use super::clock::parse;
use super::reply::{Manner, Reply, carry_out, json};
use super::socket::Cut;
use crate::providers::simulator::account::{Account, Parcel};
use crate::providers::simulator::call::{self, Ask};
use crate::providers::simulator::ledger::{Op, Port, Verdict};
use crate::providers::simulator::names::{order_key, reference};
use crate::providers::simulator::rules::{Fate, Kind, On};
use crate::providers::simulator::{lock, refusal};

/// The one carrier there is, by the name that trackers know it by.
pub(super) const CARRIER: &str = "kr.cjlogistics";

/// Shipments on a page, unless asked for fewer.
const PAGE: usize = 100;

/// Ledger lines looked at for one page.
const LINES: usize = 5_000;

/// What is looked up by key, and its name.
const CALLS: [(Op, &str); 3] = [
    (Op::Ship, "ship"),
    (Op::Hold, "hold"),
    (Op::Cancel, "cancel"),
];

const MANNER: Manner = Manner {
    in_progress: || {
        error(
            "in-progress",
            "The first call with this key is not through yet.",
        )
    },
    broken: || error("internal", "Something broke."),
};

pub(super) fn routes() -> Router<Arc<Front>> {
    Router::new()
        .route("/v1/shipments", post(ship).get(list))
        .route("/v1/shipments/{order_id}", get(show))
        .route("/v1/shipments/{order_id}/hold", post(hold))
        .route("/v1/shipments/{order_id}/cancel", post(cancel))
        .route("/v1/calls/{key}", get(look_up))
}

fn error(code: &str, message: &str) -> Response {
    let status = match code {
        "invalid-request" => StatusCode::BAD_REQUEST,
        "unauthorized" => StatusCode::UNAUTHORIZED,
        "no-such-parcel" | "unknown-key" => StatusCode::NOT_FOUND,
        "handed-over" | "label-void" | "in-progress" => StatusCode::CONFLICT,
        "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "internal" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    json(status, &json!({ "code": code, "message": message }))
}

fn refused(code: &str) -> Response {
    error(code, &refusal(code).reason)
}

fn unavailable() -> Reply {
    error("unavailable", "The carrier's books are closed.").into()
}

fn admit(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let value = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    match value.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if !token.trim().is_empty() => Ok(()),
        _ => Err(Box::new(error("unauthorized", "A bearer token is needed."))),
    }
}

fn key_of(headers: &HeaderMap) -> Result<String, Box<Response>> {
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    match key {
        Some(key) if (1..=200).contains(&key.len()) => Ok(key.to_owned()),
        _ => Err(Box::new(error(
            "invalid-request",
            "An Idempotency-Key of 1 to 200 characters is needed.",
        ))),
    }
}

fn keyed(headers: &HeaderMap) -> Result<String, Box<Response>> {
    admit(headers)?;
    key_of(headers)
}

/// Of the receiver nothing is kept: a label is printed, and that is all.
fn order_in(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let order = body.get("orderId")?.as_str()?;
    let receiver_is_well = match body.get("receiver") {
        None | Some(Value::Null) => true,
        Some(Value::Object(parts)) => parts
            .values()
            .all(|part| part.is_string() || part.is_null()),
        Some(_) => false,
    };
    (receiver_is_well && (1..=200).contains(&order.len())).then(|| order.to_owned())
}

async fn ship(
    State(front): State<Arc<Front>>,
    cut: Cut,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = match keyed(&headers) {
        Ok(key) => key,
        Err(response) => return *response,
    };
    let Some(order_id) = order_in(&body) else {
        return error("invalid-request", "orderId, and of receiver only texts.");
    };
    carry_out(cut, front.parcel_call(Op::Ship, order_id, key)).await
}

async fn hold(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match keyed(&headers) {
        Ok(key) => carry_out(cut, front.parcel_call(Op::Hold, order_id, key)).await,
        Err(response) => *response,
    }
}

async fn cancel(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match keyed(&headers) {
        Ok(key) => carry_out(cut, front.parcel_call(Op::Cancel, order_id, key)).await,
        Err(response) => *response,
    }
}

async fn show(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let work = async move {
        let look = |_| async {
            match front.shipment(order_key(&order_id)).await {
                Some(shipment) => json(StatusCode::OK, &shipment).into(),
                None => refused("no-such-parcel").into(),
            }
        };
        let call = (Port::Carrier, On::Query, order_id.as_str());
        front.with_faults(call, &MANNER, look).await
    };
    carry_out(cut, work).await
}

async fn look_up(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let work = async move {
        let look = |_| async { front.call_of(&key).await };
        let name = front.order_of_call(&key).unwrap_or_else(|| key.clone());
        let call = (Port::Carrier, On::Query, name.as_str());
        front.with_faults(call, &MANNER, look).await
    };
    carry_out(cut, work).await
}

#[derive(Debug, Deserialize)]
struct Listing {
    since: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Query(listing): Query<Listing>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let work = async move {
        let look = |_| async { front.shipments(&listing).await };
        let call = (Port::Carrier, On::Query, "shipments");
        front.with_faults(call, &MANNER, look).await
    };
    carry_out(cut, work).await
}

impl Front {
    async fn parcel_call(self: Arc<Self>, op: Op, order_id: String, key: String) -> Reply {
        let front = Arc::clone(&self);
        let ask = Ask::new(Port::Carrier, op, key, order_id.clone());
        let work = |fate| async move { front.move_parcel(ask, &fate).await };
        self.with_faults((Port::Carrier, op.into(), &order_id), &MANNER, work)
            .await
    }

    async fn move_parcel(&self, ask: Ask, fate: &Fate) -> Reply {
        if fate.is(Kind::ForgetKey) {
            lock(&self.core.world).forget(ask.op, &ask.order_id, &ask.key);
        }
        let usual = match ask.op {
            Op::Ship => "address-refused",
            Op::Hold => "handed-over",
            _ => "label-void",
        };
        let ask = Ask {
            refusal: fate.refusal(&[Kind::Refuse], usual),
            ..ask
        };
        let Ok(reply) = self.core.commit(&ask).await else {
            return unavailable();
        };
        if let Err(code) = &reply.result {
            return refused(code).into();
        }
        let Some(mut shipment) = self.shipment_of(&ask, &reply).await else {
            return unavailable();
        };
        // A repeat gets what the first call got, whatever became of the parcel since.
        let (status, word) = match ask.op {
            Op::Ship => (StatusCode::CREATED, "accepted"),
            Op::Hold => (StatusCode::OK, "held"),
            _ => (StatusCode::OK, "canceled"),
        };
        shipment["status"] = json!(word);
        json(status, &shipment).into()
    }

    async fn shipment_of(&self, ask: &Ask, reply: &call::Reply) -> Option<Value> {
        let known = lock(&self.core.world).lookup_anywhere(ask.op, &ask.key);
        let order = known.map_or_else(|| order_key(&ask.order_id), |(order, _)| order);
        let mut shipment = self.shipment(order).await?;
        if ask.op == Op::Ship {
            shipment["key"] = json!(ask.key);
            shipment["waybill"] = json!(reference(Op::Ship, reply.origin));
        }
        Some(shipment)
    }

    /// An order's parcel as it is now.
    async fn shipment(&self, order: Uuid) -> Option<Value> {
        let account = lock(&self.core.world).account(order)?.clone();
        let status = word(account.parcel)?;
        let line = self.line(account.shipped_seq).await?;
        Some(document(&account, order, &line.key, status))
    }

    /// The order that a call with this key was about.
    fn order_of_call(&self, key: &str) -> Option<String> {
        let mut world = lock(&self.core.world);
        let known = CALLS
            .iter()
            .find_map(|(op, _)| world.lookup_anywhere(*op, key));
        Some(known?.0.to_string())
    }

    async fn call_of(&self, key: &str) -> Reply {
        for (op, word) in CALLS {
            let found = lock(&self.core.world).lookup_anywhere(op, key);
            let Some((order, reply)) = found else {
                continue;
            };
            if !self.core.ledger.synced(reply.seq).await {
                return unavailable();
            }
            let shipment = self.shipment(order).await;
            let document = json!({
                "op": word,
                "result": if reply.result.is_ok() { "done" } else { "refused" },
                "code": reply.result.err(),
                "shipment": shipment,
            });
            return json(StatusCode::OK, &document).into();
        }
        error("unknown-key", "No call was made with this key.").into()
    }

    async fn shipments(&self, listing: &Listing) -> Reply {
        let limit = listing.limit.unwrap_or(PAGE).min(PAGE);
        let since = listing.since.as_deref().map(parse);
        let cursor = listing.cursor.as_deref().map(str::parse::<u64>);
        let (Some(Some(since)), true) = (since, limit > 0) else {
            return error("invalid-request", "since is a moment, limit at least 1.").into();
        };
        let after = match cursor {
            Some(Ok(after)) => Some(after),
            Some(Err(_)) => {
                return error("invalid-request", "There is no such page.").into();
            }
            None => self.before(since).await,
        };
        let Some(after) = after else {
            return unavailable();
        };
        let Ok(lines) = self.lines(after, LINES).await else {
            return unavailable();
        };
        let whole = lines.len() == LINES;
        let (mut shipments, mut last) = (Vec::new(), after);
        for line in &lines {
            if shipments.len() == limit {
                break;
            }
            last = line.seq;
            if line.op != Op::Ship || line.result != Verdict::Done || line.at < since {
                continue;
            }
            let order = order_key(&line.order_id);
            let account = lock(&self.core.world).account(order).cloned();
            if let Some(account) = account
                && let Some(status) = word(account.parcel)
            {
                let mut shipment = document(&account, order, &line.key, status);
                shipment["waybill"] = json!(line.reference);
                shipments.push(shipment);
            }
        }
        let more = whole || lines.last().is_some_and(|line| line.seq > last);
        let next = more.then(|| last.to_string());
        json(
            StatusCode::OK,
            &json!({ "shipments": shipments, "next": next }),
        )
        .into()
    }
}

fn word(parcel: Parcel) -> Option<&'static str> {
    match parcel {
        Parcel::None => None,
        Parcel::Accepted => Some("accepted"),
        Parcel::Held => Some("held"),
        Parcel::HandedOver => Some("handed-over"),
        Parcel::Delivered => Some("delivered"),
        Parcel::Canceled => Some("canceled"),
    }
}

fn document(account: &Account, order: Uuid, key: &str, status: &str) -> Value {
    json!({
        "orderId": account.order_id(order),
        "key": key,
        "carrierId": CARRIER,
        "waybill": reference(Op::Ship, account.shipped_seq),
        "status": status,
        "acceptedAt": account.shipped_at,
        "handedOverAt": account.handed_over_at,
        "deliveredAt": account.delivered_at,
    })
}
