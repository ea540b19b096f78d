//! An order's events as customers are told of them: what happened stays, and whose words it was written down in does not.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::words::{self, Party};

/// What only operators read: who placed the order under which hash, and which comparison of books it is about.
const WITHHELD: [&str; 3] = ["principal", "commandHash", "finding"];

/// The event of which even the code says how books are compared.
const MISMATCH: &str = "MismatchFound";

/// What an event belongs to and what it follows. Where a request came from is ours to know.
const LINEAGE: [&str; 2] = ["correlationId", "causationId"];

/// An event's facts. Those of an event that cannot be read are none.
pub(in crate::http) fn data(event_type: &str, data: &RawValue) -> Box<RawValue> {
    let mut facts = object(data);
    for name in WITHHELD {
        facts.remove(name);
    }
    if event_type == MISMATCH {
        facts.remove("code");
    }
    let reason = reason(event_type, &facts);
    put(&mut facts, "reason", reason);
    let party = text(&facts, "actor").map(|actor| Party::of(actor).as_str().to_owned());
    put(&mut facts, "actor", party);
    raw(facts)
}

/// What caused it.
pub(in crate::http) fn metadata(metadata: &RawValue) -> Box<RawValue> {
    let mut known = object(metadata);
    known.retain(|name, _| LINEAGE.contains(&name.as_str()));
    raw(known)
}

/// The sentence in the place of somebody's words, where there is one.
fn reason(event_type: &str, facts: &Map<String, Value>) -> Option<String> {
    let said = text(facts, "reason")?;
    match (text(facts, "actor"), text(facts, "code")) {
        (Some(actor), _) => Some(Party::of(actor).tell(said).1),
        (None, Some(code)) => Some(words::of_refusal(code, otherwise(event_type))),
        (None, None) if event_type == "TrackingException" => Some(words::of_trouble(said)),
        (None, None) if event_type == "MessageSuppressed" => {
            Some(words::MESSAGE_NOT_WANTED.to_owned())
        }
        (None, None) => None,
    }
}

/// What is said of a refusal whose code has no words.
fn otherwise(event_type: &str) -> &'static str {
    match event_type {
        "OrderRejected" => words::ORDER_REFUSED,
        "OrderCancelRefused" | "OrderCancelTakenBack" => words::CANCEL_REFUSED,
        "MessageFailed" => words::MESSAGE_FAILED,
        "ShipmentRefused" | "HoldRefused" | "DeliveryException" => words::PARCEL_REFUSED,
        _ => words::PAYMENT_REFUSED,
    }
}

fn text<'a>(facts: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    facts.get(name).and_then(Value::as_str)
}

fn put(facts: &mut Map<String, Value>, name: &str, text: Option<String>) {
    match text {
        Some(text) => facts.insert(name.to_owned(), text.into()),
        None => facts.remove(name),
    };
}

fn object(json: &RawValue) -> Map<String, Value> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

fn raw(object: Map<String, Value>) -> Box<RawValue> {
    serde_json::value::to_raw_value(&object).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(event_type: &str, facts: Value) -> Value {
        let facts = serde_json::value::to_raw_value(&facts).expect("JSON");
        serde_json::from_str(data(event_type, &facts).get()).expect("JSON")
    }

    #[test]
    fn what_happened_stays_and_whose_words_it_was_in_does_not() {
        let mine = json!({ "orderId": 1, "actor": "customer", "reason": "too dear" });
        assert_eq!(told("OrderCancelRequested", mine.clone()), mine);
        let theirs = json!({ "orderId": 1, "actor": "kim.minsu", "reason": "fraud?" });
        assert_eq!(
            told("OrderCanceled", theirs),
            json!({ "orderId": 1, "actor": "shop", "reason": "The shop canceled the order." })
        );
        let found = json!({ "amount": 5, "finding": "f", "code": "charge-missing", "reason": "x" });
        assert_eq!(told("MismatchFound", found), json!({ "amount": 5 }));
        let settled = json!({ "finding": "f", "reason": "asked the bank" });
        assert_eq!(told("MismatchSettled", settled), json!({}));
        let refused = json!({ "code": "resolved-undone", "reason": "Kim has seen it" });
        assert_eq!(
            told("HoldRefused", refused),
            json!({ "code": "resolved-undone", "reason": "The carrier refused." })
        );
        let placed = json!({ "total": 5, "principal": "kim", "commandHash": "ab" });
        assert_eq!(told("Ordered", placed), json!({ "total": 5 }));
        assert_eq!(told("FromTheFuture", json!([1])), json!({}));
    }

    #[test]
    fn of_its_cause_an_event_tells_the_lineage() {
        let said =
            json!({ "correlationId": "a", "causationId": "b", "traceparent": "c", "actor": "kim" });
        let said = serde_json::value::to_raw_value(&said).expect("JSON");
        let told: Value = serde_json::from_str(metadata(&said).get()).expect("JSON");
        assert_eq!(told, json!({ "correlationId": "a", "causationId": "b" }));
    }
}
