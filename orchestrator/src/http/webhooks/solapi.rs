//! Solapi. One call reports on several messages; each report is a delivery of its own.

use axum::http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::{Delivery, Speaker, digest, word};
use crate::fulfilment::hints::{About, Heard, Port};

pub(super) const SPEAKER: Speaker = Speaker {
    port: Port::Kakao,
    name: "solapi",
    thanks: StatusCode::OK,
    read,
};

/// Reports in one call.
const REPORTS_MAX: usize = 100;

/// The kind of message that is about no order of ours, and has a saga of its own.
const DIRECT: &str = "direct";

fn read(delivery: &Delivery<'_>) -> Result<Vec<Heard>, &'static str> {
    let reports = match delivery.json {
        Value::Array(reports) => reports.as_slice(),
        Value::Object(_) => std::slice::from_ref(delivery.json),
        _ => return Err("The body is neither a report nor a list of them."),
    };
    if reports.len() > REPORTS_MAX {
        return Err("There are more than 100 reports in one call.");
    }
    Ok(reports.iter().map(report).collect())
}

fn report(report: &Value) -> Heard {
    let text = |name: &str| report[name].as_str().unwrap_or_default();
    let (message, status) = (text("messageId"), text("statusCode"));
    let name = match message {
        "" => digest(report.to_string().as_bytes()),
        message => word(&format!("{message}:{status}")),
    };
    Heard {
        port: Port::Kakao,
        provider: SPEAKER.name,
        delivery: name,
        unnamed: false,
        topic: word(if status.is_empty() { "report" } else { status }),
        status: None,
        about: about(&report["customFields"]),
        claim: None,
    }
}

/// Our own words come back in the custom fields.
fn about(fields: &Value) -> About {
    let id = match fields["kind"].as_str() {
        Some(DIRECT) => &fields["messageId"],
        _ => &fields["orderId"],
    };
    let id = id.as_str().and_then(|id| Uuid::try_parse(id).ok());
    id.map_or(About::Nothing, About::Saga)
}
