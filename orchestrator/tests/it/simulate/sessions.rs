//! What a customer has authenticated, and for how long it may be confirmed.

use serde_json::{Value, json};
use uuid::Uuid;

use super::outside::Outside;

#[tokio::test]
async fn a_payment_is_confirmed_for_what_was_authenticated_and_within_ten_minutes_of_it() {
    let outside = Outside::open().await;
    let ago = |seconds| {
        format!(
            "authenticated-{}:a",
            chrono::Utc::now().timestamp() - seconds
        )
    };
    for (token, expected) in [
        ("amount-33000:a".to_owned(), (200, Value::Null)),
        ("amount-1:b".to_owned(), (403, json!("FORBIDDEN_REQUEST"))),
        (ago(540), (200, Value::Null)),
        (ago(660), (404, json!("NOT_FOUND_PAYMENT_SESSION"))),
    ] {
        let order = Uuid::now_v7();
        let (status, answer) = outside.confirm(order, &order.to_string(), &token).await;
        assert_eq!(
            (status.as_u16(), answer["code"].clone()),
            expected,
            "{token}"
        );
    }
}

/// A payment that was seen eleven minutes ago is one that was authenticated before that, whatever happened to the process.
#[tokio::test]
async fn the_time_to_confirm_a_payment_does_not_begin_anew_with_the_process() {
    let mut outside = Outside::open().await;
    outside
        .faults(json!([{ "op": "charge", "fault": "decline", "code": "PROVIDER_ERROR" }]))
        .await;
    for payment in ["early", "late"] {
        let failed = outside.confirm(Uuid::now_v7(), payment, payment).await;
        assert_eq!(failed.1["code"], "PROVIDER_ERROR");
    }
    let notes = outside.setup.simulator.ledger.display().to_string() + ".notes";
    let text = std::fs::read_to_string(&notes).unwrap();
    let late = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"late").to_string();
    let earlier = |line: &str| {
        let mut note: Value = serde_json::from_str(line).unwrap();
        if note["payment"] == json!(late) {
            note["at"] = json!(chrono::Utc::now() - chrono::TimeDelta::minutes(11));
        }
        format!("{note}\n")
    };
    let text: String = text.lines().map(earlier).collect();
    outside
        .restart_with(|| std::fs::write(&notes, text).unwrap())
        .await;
    for (payment, status) in [("early", 200), ("late", 404)] {
        let again = outside
            .confirm(Uuid::now_v7(), &format!("{payment}-2"), payment)
            .await;
        assert_eq!(again.0.as_u16(), status, "{payment}: {}", again.1);
    }
}
