use aggregates::codec::{DecodeError, check, decode, encode, types};
use aggregates::delivery::DeliveryEvent;
use aggregates::delivery::DeliveryHeld;
use aggregates::subject::{SubjectErased, SubjectEvent};
use aggregates::{Event, category_of};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::golden::golden;

fn held() -> Event {
    let occurred_at = "2026-11-22T09:30:00.120Z"
        .parse()
        .expect("a time in RFC 3339");
    DeliveryEvent::from(DeliveryHeld {
        order_id: Uuid::from_u128(7),
        customer_id: "33".to_owned(),
        occurred_at,
    })
    .into()
}

fn raw(json: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(json).expect("any value is JSON")
}

#[test]
fn every_version_that_was_ever_written_can_be_read() {
    assert_eq!(check(), Ok(()));
}

#[test]
fn no_two_events_share_a_name() {
    let mut names: Vec<_> = types().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_event_without_fields_of_its_own_has_the_seeds_fields() {
    let encoded = encode(&held());
    assert_eq!(
        (encoded.event_type, encoded.schema_version),
        ("DeliveryHeld", 1)
    );
    let id = "00000000-0000-0000-0000-000000000007";
    let expected = [
        r#"{"eventType":"DeliveryHeld","timestamp":"20261122093000","#,
        &format!(r#""id":"{id}","orderId":"{id}","customerId":"33","#),
        r#""status":"DeliveryHeld","occurredAt":"2026-11-22T09:30:00.120Z"}"#,
    ];
    assert_eq!(encoded.data.get(), expected.concat());
}

/// What a released version of an event has gained since is left out where nobody knows it.
#[test]
fn how_a_message_went_out_is_in_its_event_where_it_is_known() {
    let event = |sent: &Value| {
        let mut json: Value = serde_json::from_str(&golden("SentMessage", 1)).expect("JSON");
        let fields = json.as_object_mut().expect("an object");
        fields.extend(sent.as_object().expect("an object").clone());
        decode("SentMessage", 1, &raw(&json)).expect("a message")
    };
    let known = json!({ "template": "KA01TP-shipped", "fallback": "sms", "attempts": 2 });
    for known in [known, json!({})] {
        let written: Value = serde_json::from_str(encode(&event(&known)).data.get()).expect("JSON");
        for field in ["template", "fallback", "attempts"] {
            assert_eq!(written.get(field), known.get(field), "{field}");
        }
    }
}

#[test]
fn an_event_of_a_customer_has_no_order() {
    let at = held().occurred_at();
    let [customer_id, reason, actor] = ["33", "request 9", "dpo"].map(str::to_owned);
    let erased: Event = SubjectEvent::from(SubjectErased {
        customer_id,
        occurred_at: at,
        reason,
        actor,
    })
    .into();
    assert_eq!(category_of(&erased), "subject");
    let json: Value = serde_json::from_str(encode(&erased).data.get()).expect("JSON");
    assert_eq!(json["orderId"], Value::Null);
}

#[test]
fn an_unknown_name_is_told_from_damage() {
    let error = decode("OrderFramed", 1, &raw(&json!({}))).expect_err("no such event");
    assert!(
        matches!(error, DecodeError::UnknownType { event_type } if event_type == "OrderFramed")
    );
}

#[test]
fn a_newer_version_and_no_version_are_told_from_damage() {
    let data = encode(&held()).data;
    for version in [2, 0, -1] {
        let error = decode("DeliveryHeld", version, &data).expect_err("no such version");
        assert!(
            matches!(error, DecodeError::UnknownVersion { newest: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn damage_names_the_field() {
    let error = decode("DeliveryHeld", 1, &raw(&json!({ "orderId": Uuid::nil() })))
        .expect_err("half an event");
    let DecodeError::Malformed { source, .. } = error else {
        panic!("{error}")
    };
    assert!(source.to_string().contains("customerId"), "{source}");
}

#[test]
fn a_field_that_this_build_does_not_know_is_passed_over() {
    let mut json: Value = serde_json::from_str(encode(&held()).data.get()).expect("JSON");
    json["warehouse"] = json!({ "id": 3 });
    assert_eq!(
        decode("DeliveryHeld", 1, &raw(&json)).expect("a newer writer of the same version"),
        held()
    );
}
