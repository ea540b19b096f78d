//! tracker.delivery: GraphQL answers, errors with status 200, and callbacks that are kept alive by looking.

use orchestrator::providers::ports::{CarrierPort, Found, Label};
use serde_json::{Value, json};
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::*;

fn label() -> Label {
    Label {
        carrier: "kr.cjlogistics".into(),
        waybill: "6865424567".into(),
    }
}

fn event(code: &str) -> Value {
    let time = (chrono::Utc::now() - chrono::Duration::hours(1)).to_rfc3339();
    json!({ "time": time, "status": { "code": code } })
}

fn tracked(codes: &[&str]) -> Value {
    let edges: Vec<_> = codes
        .iter()
        .map(|code| json!({ "node": event(code) }))
        .collect();
    let last = codes.last().map(|code| event(code));
    json!({ "data": { "track": { "lastEvent": last, "events": { "edges": edges } } } })
}

/// A tracking service that answers looks and registrations.
async fn service(look: Value, registration: Value) -> MockServer {
    let server = MockServer::start().await;
    for (word, answer) in [
        ("query Track", look),
        ("registerTrackWebhook", registration),
    ] {
        Mock::given(method("POST"))
            .and(path("/graphql"))
            .and(body_string_contains(word))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&server)
            .await;
    }
    server
}

fn registered() -> Value {
    json!({ "data": { "registerTrackWebhook": true } })
}

fn at(server: &MockServer) -> orchestrator::providers::carrier::Carrier {
    carrier_at(
        &server.uri(),
        &format!("{}/graphql", server.uri()),
        PATIENCE,
    )
}

async fn registrations(server: &MockServer) -> Vec<Value> {
    let requests = requests(server).await;
    let bodies = requests.iter().map(body);
    bodies
        .filter(|body| {
            body["query"]
                .as_str()
                .is_some_and(|it| it.contains("mutation"))
        })
        .collect()
}

#[tokio::test]
async fn a_look_reads_the_scans_of_the_label() {
    let server = service(tracked(&["AT_PICKUP", "IN_TRANSIT"]), registered()).await;
    let Found::Done(seen) = at(&server).track(ORDER, &label(), shipped_at()).await else {
        panic!("nothing found");
    };
    assert!(seen.handed_over_at.is_some() && seen.in_transit_at.is_some());
    assert_eq!((seen.out_for_delivery_at, seen.delivered_at), (None, None));
    let requests = requests(&server).await;
    assert_eq!(
        header(&requests[0], "authorization"),
        format!("TRACKQL-API-KEY {TRACKER_KEY}")
    );
    assert_eq!(
        body(&requests[0])["variables"],
        json!({ "carrierId": "kr.cjlogistics", "trackingNumber": "6865424567" })
    );
}

#[tokio::test]
async fn a_callback_is_registered_by_the_first_look_for_two_days_and_not_by_the_next() {
    let server = service(tracked(&["AT_PICKUP"]), registered()).await;
    let carrier = at(&server);
    for _ in 0..3 {
        carrier.track(ORDER, &label(), shipped_at()).await;
    }
    let sent = registrations(&server).await;
    assert_eq!(sent.len(), 1);
    let input = &sent[0]["variables"]["input"];
    assert_eq!(input["callbackUrl"], CALLBACK);
    assert_eq!(input["carrierId"], "kr.cjlogistics");
    let ends: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(input["expirationTime"].clone()).expect("a moment");
    let hours = (ends - chrono::Utc::now()).num_minutes();
    assert!((47 * 60..=48 * 60).contains(&hours), "{hours} minutes");
}

#[tokio::test]
async fn a_registration_that_failed_is_tried_again_and_does_not_spoil_the_look() {
    let failed = json!({ "errors": [{ "message": "no", "extensions": { "code": "INTERNAL" } }], "data": null });
    let server = service(tracked(&["AT_PICKUP"]), failed).await;
    let carrier = at(&server);
    for _ in 0..2 {
        assert!(matches!(
            carrier.track(ORDER, &label(), shipped_at()).await,
            Found::Done(_)
        ));
    }
    assert_eq!(registrations(&server).await.len(), 2);
}

#[tokio::test]
async fn nobody_waits_for_callbacks_of_a_parcel_that_is_there() {
    let server = service(tracked(&["AT_PICKUP", "DELIVERED"]), registered()).await;
    at(&server).track(ORDER, &label(), shipped_at()).await;
    assert_eq!(registrations(&server).await.len(), 0);
}

#[tokio::test]
async fn every_documented_error_says_that_there_is_nothing_or_that_nobody_knows() {
    for (code, nothing) in [
        ("NOT_FOUND", true),
        ("UNAUTHENTICATED", false),
        ("FORBIDDEN", false),
        ("INTERNAL", false),
        ("BAD_REQUEST", false),
        ("A_CODE_OF_NEXT_YEAR", false),
    ] {
        let mut answer = tracked(&["DELIVERED"]);
        answer["errors"] = json!([{ "message": "no", "extensions": { "code": code } }]);
        let server = service(answer, registered()).await;
        match at(&server).track(ORDER, &label(), shipped_at()).await {
            Found::Nothing => assert!(nothing, "{code}"),
            Found::Unknown(_) => assert!(!nothing, "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
    let server = service(json!({ "data": { "track": null } }), registered()).await;
    assert_eq!(
        at(&server).track(ORDER, &label(), shipped_at()).await,
        Found::Nothing
    );
}
