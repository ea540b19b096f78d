//! Toss Payments. Events about payments are not signed; those about payouts are, and concern nobody here.

use axum::http::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Delivery, Speaker, digest, word};
use crate::fulfilment::hints::{About, Claim, Claimed, Heard, Port};

pub(super) const SPEAKER: Speaker = Speaker {
    port: Port::Payments,
    name: "toss",
    thanks: StatusCode::OK,
    read,
};

/// Names a delivery; its repeats carry the same name.
const TRANSMISSION_ID: &str = "tosspayments-webhook-transmission-id";

/// The one event without a word for itself: money came into, or left, an account that was made for an order.
const DEPOSIT: &str = "DEPOSIT_CALLBACK";

fn read(delivery: &Delivery<'_>) -> Result<Vec<Heard>, &'static str> {
    let json = delivery
        .json
        .as_object()
        .ok_or("The body is not an object.")?;
    let topic = json.get("eventType").and_then(Value::as_str);
    // A deposit tells its fields at the top.
    let data = json.get("data").unwrap_or(delivery.json);
    let order = data["orderId"].as_str();
    let saga = order.or_else(|| key_holder(data["cancelReason"].as_str()?));
    if topic.is_none() && order.is_none() {
        return Err("The body names neither an event nor an order.");
    }
    let named = delivery
        .headers
        .get(TRANSMISSION_ID)
        .and_then(|id| id.to_str().ok());
    Ok(vec![Heard {
        port: Port::Payments,
        provider: SPEAKER.name,
        delivery: named.map_or_else(|| digest(delivery.body), word),
        unnamed: false,
        topic: word(topic.unwrap_or(DEPOSIT)),
        status: data["status"]
            .as_str()
            .or_else(|| data["cancelStatus"].as_str())
            .map(word),
        about: saga
            .and_then(|saga| Uuid::try_parse(saga).ok())
            .map_or(About::Nothing, About::Saga),
        claim: claim(data),
    }])
}

/// What became of a refund is told without its order and its payment. But the reason that we gave ends with our key, and that begins
/// with the saga's id.
fn key_holder(cancel_reason: &str) -> Option<&str> {
    let (_, key) = cancel_reason.strip_suffix(']')?.rsplit_once(" [")?;
    key.split(':').next()
}

fn claim(data: &Value) -> Option<Claim> {
    let state = match data["status"].as_str()? {
        "DONE" => Claimed::Charged,
        "CANCELED" => Claimed::Returned,
        "READY" | "IN_PROGRESS" | "WAITING_FOR_DEPOSIT" | "ABORTED" | "EXPIRED" => Claimed::Nothing,
        _ => Claimed::Other,
    };
    // A deposit names its order only.
    let charge = data["paymentKey"].as_str().map(fingerprint);
    Some(Claim { charge, state })
}

/// The adapter's name for a charge in our books, which does not give away the payment key. Where the two came to differ, every
/// webhook would only make the books be compared.
fn fingerprint(payment_key: &str) -> String {
    let digest = Sha256::digest(payment_key);
    let hex: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("toss-{hex}")
}
