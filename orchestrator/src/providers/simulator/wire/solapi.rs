//! Solapi's message API: send in a batch, and list what was sent. It knows no idempotency keys.

mod list;
mod send;

use std::sync::Arc;

use axum::Router;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Front;
use super::reply::{Manner, json};
use crate::providers::simulator::account::Sent;
use crate::providers::simulator::ledger::Op;
use crate::providers::simulator::names::reference;
use crate::providers::simulator::now;

/// How far a request's date may be from ours.
const SKEW: TimeDelta = TimeDelta::minutes(15);

const MANNER: Manner = Manner {
    in_progress: || error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    broken: || error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
};

pub(super) fn routes() -> Router<Arc<Front>> {
    Router::new()
        .route("/messages/v4/send-many/detail", post(send::handle))
        .route("/messages/v4/list", get(list::handle))
}

fn error(status: StatusCode, code: &str) -> Response {
    let message = match code {
        "Unauthorized" => "The authorization header is missing or cannot be read.",
        "InvalidAPIKey" => "There is no such API key.",
        "RequestTimeTooSkewed" => "The request's date is too far from the server's.",
        "SignatureDoesNotMatch" => "The signature does not match.",
        "ValidationError" => "A parameter is missing or wrong.",
        _ => "A passing error; try again.",
    };
    json(
        status,
        &json!({ "errorCode": code, "errorMessage": message }),
    )
}

/// Lets in whoever signs in the right form. Whether the signature fits cannot be told: there are no secrets here.
fn admit(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let refuse = |status, code| Err(Box::new(error(status, code)));
    let value = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let Some(pairs) = value.and_then(|value| value.strip_prefix("HMAC-SHA256 ")) else {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthorized");
    };
    let part = |name: &str| {
        pairs.split(',').find_map(|pair| {
            let (own, value) = pair.trim().split_once('=')?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    let (Some(key), Some(date), Some(salt), Some(signature)) = (
        part("apiKey"),
        part("date"),
        part("salt"),
        part("signature"),
    ) else {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthorized");
    };
    if key.is_empty() {
        return refuse(StatusCode::FORBIDDEN, "InvalidAPIKey");
    }
    let date = DateTime::parse_from_rfc3339(date);
    if !date.is_ok_and(|date| (now() - date.to_utc()).abs() <= SKEW) {
        return refuse(StatusCode::FORBIDDEN, "RequestTimeTooSkewed");
    }
    let hex = signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex || !(12..=64).contains(&salt.len()) {
        return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
    }
    Ok(())
}

/// A telephone number as it is remembered: enough to find it again, not to read it.
fn phone_name(number: &str) -> Uuid {
    const PHONES: Uuid = Uuid::from_u128(0x1c39_77aa_95a4_4d0a_8f32_7a1d_6a7e_2b90);
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    Uuid::new_v5(&PHONES, digits.as_bytes())
}

/// The group that a message was sent in; every request makes one.
fn group_id(seq: u64) -> String {
    format!("sim-group-{seq:010}")
}

/// A message in a list. Of the receiver only what the caller knows already.
fn document(key: &str, sent: &Sent, to: &str) -> Value {
    let code = sent.refusal.as_deref().unwrap_or("4000");
    json!({
        "messageId": reference(Op::Send, sent.seq),
        "groupId": group_id(sent.seq),
        "type": "ATA",
        "country": "82",
        "to": to,
        "from": "",
        "customFields": {
            "messageId": key,
            "orderId": sent.order_id,
            "kind": sent.kind,
        },
        "status": "COMPLETE",
        "statusCode": code,
        "reason": status_message(code),
        "networkName": "KAKAO",
        "replacement": false,
        "resendCount": 0,
        "dateCreated": sent.at,
        "dateUpdated": sent.at,
        "dateProcessed": sent.at,
        "dateReported": sent.at,
        "dateReceived": sent.at,
    })
}

fn status_message(code: &str) -> &'static str {
    match code {
        "2000" => "The message was accepted.",
        "3000" => "The message was handed to the carrier.",
        "4000" => "The message was delivered.",
        "3104" => "The receiver does not use KakaoTalk.",
        "3107" => "The message cannot be delivered to this receiver.",
        _ => "The message failed.",
    }
}
