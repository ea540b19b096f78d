//! The label API as its description has it.

use orchestrator::providers::carrier::Carrier;
use orchestrator::providers::label::LabelSettings;
use orchestrator::providers::ports::{Answer, CarrierPort, Found, Label, ParcelState};
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::MockServer;

use super::server::*;
use super::tables::{all_of, table};

const CODES: &str = include_str!("../../../src/providers/label/codes.rs");

pub(super) fn shipment_of(status: &str) -> Value {
    json!({
        "orderId": ORDER.to_string(), "key": format!("{ORDER}:ship"), "carrierId": "kr.cjlogistics",
        "waybill": "6865424567", "status": status, "acceptedAt": "2026-11-22T03:11:34Z",
        "handedOverAt": "2026-11-22T04:11:34Z", "deliveredAt": "2026-11-22T05:11:34Z"
    })
}

pub(super) fn label() -> Label {
    Label {
        carrier: "kr.cjlogistics".into(),
        waybill: "6865424567".into(),
    }
}

pub(super) fn shipments(rest: &str) -> String {
    format!("/v1/shipments/{ORDER}{rest}")
}

fn word<T>(answer: &Answer<T>) -> &str {
    match answer {
        Answer::Done(_) => "done",
        Answer::Refused(refusal) => &refusal.code,
        Answer::Unknown(_) => "unknown",
        Answer::Undecided(_) => "undecided",
        Answer::Spent { .. } => "spent",
        Answer::NotSent(_) => "not sent",
    }
}

#[tokio::test]
async fn a_shipment_is_asked_for_under_its_key_and_gives_a_label() {
    let server = MockServer::start().await;
    on(
        &server,
        "POST",
        "/v1/shipments",
        201,
        shipment_of("accepted"),
    )
    .await;
    let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
    assert_eq!(carrier.ship(shipment()).await, Answer::Done(label()));
    let mut bare = shipment();
    (bare.receiver, bare.phone, bare.address) = (None, None, None);
    assert_eq!(carrier.ship(bare).await, Answer::Done(label()));

    let requests = requests(&server).await;
    assert_eq!(
        header(&requests[0], "authorization"),
        format!("Bearer {LABEL_TOKEN}")
    );
    assert_eq!(
        header(&requests[0], "idempotency-key"),
        format!("{ORDER}:ship")
    );
    let receiver =
        json!({ "name": "Canary Kim-Goldfinch", "phone": PHONE, "address": "99 Canary Wharf-gil" });
    assert_eq!(
        body(&requests[0]),
        json!({ "orderId": ORDER.to_string(), "receiver": receiver })
    );
    assert_eq!(
        body(&requests[1]),
        json!({ "orderId": ORDER.to_string(), "receiver": {} })
    );
}

#[tokio::test]
async fn every_code_has_its_outcome_for_each_call_whatever_the_status() {
    let expected = [
        ("handed-over", "handed-over", "handed-over"),
        ("no-such-parcel", "no-such-parcel", "no-such-parcel"),
        // Nothing can leave under a void label, and nothing is left to be voided.
        ("label-void", "label-void", "done"),
        ("address-refused", "address-refused", "address-refused"),
        ("in-progress", "undecided", "undecided"),
        ("unavailable", "unknown", "unknown"),
        ("internal", "unknown", "unknown"),
        // What cannot be read is no decision to let a parcel go, nor is it the end of the matter.
        ("invalid-request", "invalid-request", "undecided"),
        ("unauthorized", "not sent", "undecided"),
        ("unknown-key", "undecided", "undecided"),
        ("a-code-of-next-year", "undecided", "undecided"),
    ];
    let codes = expected.map(|(code, _, _)| code);
    all_of(
        table(CODES, "CODES"),
        &codes,
        &["unknown-key", "a-code-of-next-year"],
    );
    for (code, ship, other) in expected {
        for status in [400, 409, 503] {
            let server = MockServer::start().await;
            for place in [
                "/v1/shipments".to_owned(),
                shipments("/hold"),
                shipments("/cancel"),
            ] {
                on(&server, "POST", &place, status, error(code)).await;
            }
            let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
            assert_eq!(word(&carrier.ship(shipment()).await), ship, "{code}");
            assert_eq!(word(&carrier.hold(ORDER, "k").await), other, "{code}");
            assert_eq!(word(&carrier.cancel(ORDER, "k").await), other, "{code}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_unknown() {
    let mut of_another = shipment_of("accepted");
    of_another["orderId"] = json!("9f17beb1-b113-59d9-a742-8117e6868a4b");
    let server = MockServer::start().await;
    on(&server, "POST", "/v1/shipments", 201, of_another).await;
    on(
        &server,
        "POST",
        &shipments("/hold"),
        200,
        shipment_of("handed-over"),
    )
    .await;
    on(
        &server,
        "POST",
        &shipments("/cancel"),
        200,
        shipment_of("held"),
    )
    .await;
    let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
    assert_eq!(word(&carrier.ship(shipment()).await), "unknown");
    assert_eq!(word(&carrier.hold(ORDER, "k").await), "undecided");
    assert_eq!(word(&carrier.cancel(ORDER, "k").await), "undecided");
}

#[tokio::test]
async fn a_hold_and_a_cancellation_are_done_when_the_parcel_says_so() {
    let server = MockServer::start().await;
    on(
        &server,
        "POST",
        &shipments("/hold"),
        200,
        shipment_of("held"),
    )
    .await;
    on(
        &server,
        "POST",
        &shipments("/cancel"),
        200,
        shipment_of("canceled"),
    )
    .await;
    let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
    assert_eq!(carrier.hold(ORDER, "k").await, Answer::Done(()));
    assert_eq!(carrier.cancel(ORDER, "k").await, Answer::Done(()));
}

#[tokio::test]
async fn a_look_at_a_key_says_what_became_of_the_call() {
    let call = |op: &str, result: &str, code: Value, shipment: Value| json!({ "op": op, "result": result, "code": code, "shipment": shipment });
    let none = Value::Null;
    for (status, body, expected) in [
        (
            200,
            call("ship", "done", none.clone(), shipment_of("held")),
            "done",
        ),
        (
            200,
            call("ship", "done", none.clone(), none.clone()),
            "undecided",
        ),
        (
            200,
            call("hold", "done", none.clone(), shipment_of("held")),
            "undecided",
        ),
        (
            200,
            call("ship", "refused", json!("address-refused"), none.clone()),
            "address-refused",
        ),
        (
            200,
            call(
                "ship",
                "refused",
                json!("a-code-of-next-year"),
                none.clone(),
            ),
            "refused",
        ),
        (200, call("ship", "pending", none.clone(), none), "unknown"),
        (404, error("unknown-key"), "nothing"),
        (404, error("no-such-parcel"), "unknown"),
        (401, error("unauthorized"), "unknown"),
    ] {
        let server = MockServer::start().await;
        on(
            &server,
            "GET",
            &format!("/v1/calls/{ORDER}:ship"),
            status,
            body.clone(),
        )
        .await;
        let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
        let found = match carrier.probe(ORDER, &format!("{ORDER}:ship")).await {
            Found::Done(found) => {
                assert_eq!(found, label());
                "done".to_owned()
            }
            Found::Refused(refusal) => refusal.code,
            Found::Nothing => "nothing".to_owned(),
            Found::Undecided(_) => "undecided".to_owned(),
            Found::Unknown(_) => "unknown".to_owned(),
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[tokio::test]
async fn a_hold_and_a_cancellation_that_found_a_void_label_are_done() {
    for (op, code, done) in [
        ("hold", "label-void", true),
        ("cancel", "label-void", true),
        ("hold", "handed-over", false),
        ("cancel", "no-such-parcel", false),
    ] {
        let server = MockServer::start().await;
        let call = json!({ "op": op, "result": "refused", "code": code, "shipment": null });
        on(&server, "GET", "/v1/calls/k", 200, call).await;
        let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
        let found = match op {
            "hold" => carrier.probe_hold(ORDER, "k").await,
            _ => carrier.probe_cancel(ORDER, "k").await,
        };
        assert_eq!(found == Found::Done(()), done, "{op} {code}: {found:?}");
    }
}

#[tokio::test]
async fn a_hold_or_a_cancellation_is_found_done_only_while_the_parcel_is_where_it_left_it() {
    for (op, status, expected) in [
        ("hold", Some("held"), "done"),
        // Nothing can leave under a void label.
        ("hold", Some("canceled"), "done"),
        ("hold", Some("accepted"), "undecided"),
        // A van took along what was to stay: no money goes back for that.
        ("hold", Some("handed-over"), "undecided"),
        ("hold", Some("delivered"), "undecided"),
        ("hold", None, "undecided"),
        ("cancel", Some("canceled"), "done"),
        ("cancel", Some("held"), "undecided"),
        ("cancel", Some("handed-over"), "undecided"),
        ("cancel", Some("delivered"), "undecided"),
        ("cancel", None, "undecided"),
    ] {
        for (result, code) in [("done", None), ("refused", Some("label-void"))] {
            if code.is_some() && status.is_none() {
                continue;
            }
            let server = MockServer::start().await;
            let call = json!({ "op": op, "result": result, "code": code, "shipment": status.map(shipment_of) });
            on(&server, "GET", "/v1/calls/k", 200, call).await;
            let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
            let found = match op {
                "hold" => carrier.probe_hold(ORDER, "k").await,
                _ => carrier.probe_cancel(ORDER, "k").await,
            };
            let word = match found {
                Found::Done(()) => "done",
                Found::Undecided(_) => "undecided",
                _ => "something else",
            };
            assert_eq!(word, expected, "{op} {result} {status:?}");
        }
    }
}

#[tokio::test]
async fn the_list_gives_every_parcel_with_its_state_page_by_page() {
    let server = MockServer::start().await;
    let states = ["accepted", "held", "handed-over", "delivered", "canceled"];
    let page = json!({ "shipments": states.map(shipment_of), "next": "c2" });
    on(&server, "GET", "/v1/shipments", 200, page).await;
    let carrier = carrier_at(&server.uri(), &server.uri(), PATIENCE);
    let since = "2026-11-21T15:00:00Z".parse().expect("a moment");
    let Found::Done(page) = carrier.records(since, Some("c1".into())).await else {
        panic!("no page");
    };
    assert_eq!(page.next.as_deref(), Some("c2"));
    let found: Vec<_> = page.records.iter().map(|record| record.state).collect();
    assert_eq!(
        found,
        [
            ParcelState::Accepted,
            ParcelState::Held,
            ParcelState::HandedOver,
            ParcelState::Delivered,
            ParcelState::Canceled
        ]
    );
    assert_eq!(page.records[0].label, label());
    let query = requests(&server).await[0]
        .url
        .query()
        .expect("a query")
        .to_owned();
    assert!(query.contains("since=2026-11-21T15%3A00%3A00.000Z") && query.contains("cursor=c1"));
}

#[tokio::test]
async fn without_a_tracking_service_the_label_api_knows_the_two_scans_that_matter() {
    for (status, handed_over, delivered) in [
        ("accepted", false, false),
        ("held", false, false),
        ("handed-over", true, false),
        ("delivered", true, true),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", &shipments(""), 200, shipment_of(status)).await;
        let settings = LabelSettings {
            endpoint: endpoint(&server.uri(), PATIENCE),
            token: SecretString::from(LABEL_TOKEN),
        };
        let carrier = Carrier::new(settings, None).expect("an adapter");
        let Found::Done(seen) = carrier.track(ORDER, &label(), shipped_at()).await else {
            panic!("nothing found");
        };
        let scans = (seen.handed_over_at.is_some(), seen.delivered_at.is_some());
        assert_eq!(scans, (handed_over, delivered), "{status}");
    }
}

#[test]
fn the_description_of_the_api_shows_the_forms_of_the_label_api() {
    use utoipa::OpenApi;
    let description = orchestrator::http::docs::Description::openapi();
    let description = serde_json::to_value(description).expect("JSON");
    let schemas = description["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for form in [
        "LabelRequest",
        "LabelReceiver",
        "LabelShipment",
        "LabelShipmentStatus",
        "LabelCall",
        "LabelShipmentPage",
        "LabelError",
    ] {
        assert!(schemas.contains_key(form), "{form} is not described");
    }
    let tags = description["tags"].as_array().expect("tags");
    let told = tags
        .iter()
        .find(|tag| tag["name"] == "label API")
        .expect("a tag");
    assert!(
        told["description"]
            .as_str()
            .is_some_and(|it| it.contains("GET /v1/calls/{key}"))
    );
}
