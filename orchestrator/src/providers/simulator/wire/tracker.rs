//! tracker.delivery's GraphQL interface: where a parcel is, and callbacks when that changes.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Front;
use super::clock::{kst_millis, parse};
use super::graphql::{self, Field};
use super::label::CARRIER;
use super::reply::{Manner, Reply, carry_out, json};
use super::socket::Cut;
use super::webhooks::{Hook, Service};
use crate::providers::simulator::account::{self, Account, Parcel};
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::names::{order_key, reference, seq_of};
use crate::providers::simulator::notes::What;
use crate::providers::simulator::rules::{Kind, On};
use crate::providers::simulator::{Core, lock, now};

/// A callback's address may be as long as this.
const MAX_URL: usize = 2_000;

const MANNER: Manner = Manner {
    in_progress: || failure(StatusCode::OK, "INTERNAL", "Internal server error"),
    broken: || {
        failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "Internal server error",
        )
    },
};

pub(super) fn routes() -> Router<Arc<Front>> {
    Router::new().route("/graphql", post(handle))
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "message": message, "extensions": { "code": code } });
    json(status, &json!({ "errors": [error], "data": null }))
}

fn bad_request(message: &str) -> Response {
    failure(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
}

fn is_admitted(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    value
        .and_then(|value| value.strip_prefix("TRACKQL-API-KEY "))
        .and_then(|pair| pair.split_once(':'))
        .is_some_and(|(id, secret)| !id.is_empty() && !secret.is_empty())
}

async fn handle(
    State(front): State<Arc<Front>>,
    cut: Cut,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_admitted(&headers) {
        let message = "A client id and secret are needed";
        return failure(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message);
    }
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(_) => return bad_request("The body is no JSON"),
    };
    let fields = request["query"]
        .as_str()
        .and_then(|query| graphql::parse(query, &request["variables"]));
    let Some(field) = fields.and_then(|mut fields| fields.pop()) else {
        return bad_request("The query cannot be read");
    };
    carry_out(cut, front.ask_tracker(field)).await
}

/// Carrier and waybill in a field's arguments, or in its input object.
fn parcel_in(arguments: &Map<String, Value>) -> Option<(&str, &str)> {
    Some((
        arguments.get("carrierId")?.as_str()?,
        arguments.get("trackingNumber")?.as_str()?,
    ))
}

impl Front {
    async fn ask_tracker(self: Arc<Self>, field: Field) -> Reply {
        let arguments = match field.name.as_str() {
            "track" => Some(&field.arguments),
            "registerTrackWebhook" => field.arguments.get("input").and_then(Value::as_object),
            _ => None,
        };
        let Some((carrier, waybill)) = arguments.and_then(parcel_in) else {
            return bad_request("The operation is not known or lacks its arguments").into();
        };
        let order = self.order_of_waybill(carrier, waybill).await;
        let name = order.map_or_else(|| waybill.to_owned(), |order| order.to_string());
        let look = |_| async {
            let Some(order) = order else {
                return failure(StatusCode::OK, "NOT_FOUND", "There is no such parcel").into();
            };
            match (field.name.as_str(), arguments) {
                ("registerTrackWebhook", Some(input)) => self.register(order, input, &field),
                _ => self.track(order, waybill, &field),
            }
        };
        self.with_faults((Port::Carrier, On::Query, &name), &MANNER, look)
            .await
    }

    /// The order whose parcel has this number, if it is one of ours.
    async fn order_of_waybill(&self, carrier: &str, waybill: &str) -> Option<Uuid> {
        if carrier != CARRIER {
            return None;
        }
        let line = self.line(seq_of(Op::Ship, waybill)?).await?;
        (line.op == Op::Ship && line.reference == waybill).then(|| order_key(&line.order_id))
    }

    fn track(&self, order: Uuid, waybill: &str, field: &Field) -> Reply {
        let mut world = lock(&self.core.world);
        let Some(account) = world.account(order).cloned() else {
            return failure(StatusCode::OK, "NOT_FOUND", "There is no such parcel").into();
        };
        let way = world.on_the_way(&account, now());
        drop(world);
        let last = match field.fields.iter().find(|field| field.name == "events") {
            Some(events) => count(events),
            None => usize::MAX,
        };
        let events = events(&account, way);
        let shown = &events[events.len().saturating_sub(last)..];
        let edges: Vec<_> = shown
            .iter()
            .zip(0_u32..)
            .map(|(event, index)| json!({ "node": event, "cursor": index.to_string() }))
            .collect();
        let track = json!({
            "trackingNumber": waybill,
            "lastEvent": events.last(),
            "events": {
                "edges": edges,
                "pageInfo": {
                    "hasNextPage": false, "hasPreviousPage": shown.len() < events.len(),
                    "startCursor": null, "endCursor": null,
                },
            },
        });
        answer(field, &track)
    }

    fn register(&self, order: Uuid, input: &Map<String, Value>, field: &Field) -> Reply {
        let text = |name| input.get(name).and_then(Value::as_str);
        let url = text("callbackUrl").filter(|url| {
            url.len() <= MAX_URL && (url.starts_with("http://") || url.starts_with("https://"))
        });
        let (Some(url), Some(until)) = (url, text("expirationTime").and_then(parse)) else {
            return bad_request("callbackUrl and expirationTime are needed").into();
        };
        let hook = account::Hook {
            url: url.to_owned(),
            until,
        };
        match self.core.register(order, hook) {
            Some(()) => answer(field, &Value::Bool(true)),
            None => (MANNER.broken)().into(),
        }
    }

    pub(super) fn tell_scan(&self, order: Uuid) {
        let account = lock(&self.core.world).account(order).cloned();
        let Some(account) = account else { return };
        let on = match account.parcel {
            Parcel::HandedOver => On::Handover,
            Parcel::Delivered => On::Deliver,
            _ => return,
        };
        let order_id = account.order_id(order);
        let fate = self.draw(Port::Carrier, on, &order_id);
        let registered = account.hook.filter(|hook| hook.until > now());
        let body = |waybill| json!({ "carrierId": CARRIER, "trackingNumber": waybill });
        let hook = |body| Hook {
            service: Service::Tracker {
                registered: registered.as_ref().map(|hook| hook.url.clone()),
            },
            order_id: order_id.clone(),
            body,
        };
        let waybill = reference(Op::Ship, account.shipped_seq);
        self.teller.tell(hook(body(waybill)), &fate);
        if fate.is(Kind::WebhookContradictory) {
            // Callbacks say no more than which parcel; the one that makes no sense is about a parcel that is none.
            self.teller
                .tell(hook(body("SIM9999999999".to_owned())), &Default::default());
        }
    }
}

impl Core {
    fn register(&self, order: Uuid, hook: account::Hook) -> Option<()> {
        let mut world = lock(&self.world);
        let what = What::Hook {
            order,
            hook: hook.clone(),
        };
        self.note(&world, what)?;
        world.set_hook(order, hook);
        Some(())
    }
}

fn answer(field: &Field, value: &Value) -> Reply {
    let mut data = Map::new();
    data.insert(field.alias.clone(), graphql::project(value, &field.fields));
    json(StatusCode::OK, &json!({ "data": data })).into()
}

/// How many events are asked for.
fn count(events: &Field) -> usize {
    let asked = ["last", "first"].map(|name| events.arguments.get(name).and_then(Value::as_u64));
    let asked = asked.into_iter().flatten().next();
    asked.map_or(usize::MAX, |count| {
        usize::try_from(count).unwrap_or(usize::MAX)
    })
}

fn events(account: &Account, way: [Option<DateTime<Utc>>; 2]) -> Vec<Value> {
    let [in_transit, out_for_delivery] = way;
    let scans = [
        (account.shipped_at, "INFORMATION_RECEIVED", "접수"),
        (account.handed_over_at, "AT_PICKUP", "집화"),
        (in_transit, "IN_TRANSIT", "이동중"),
        (out_for_delivery, "OUT_FOR_DELIVERY", "배송출발"),
        (account.delivered_at, "DELIVERED", "배송완료"),
    ];
    let scans = scans.into_iter().filter_map(|(at, code, name)| {
        Some(json!({
            "status": { "code": code, "name": name },
            "time": kst_millis(at?),
            "description": name,
            "location": { "name": "서울", "countryCode": "KR", "postalCode": null },
            "contact": null,
        }))
    });
    scans.collect()
}

/// Tells of every scan.
pub(super) async fn tell_scans(front: Arc<Front>, mut scans: mpsc::Receiver<Uuid>) {
    while let Some(order) = scans.recv().await {
        front.tell_scan(order);
    }
}
