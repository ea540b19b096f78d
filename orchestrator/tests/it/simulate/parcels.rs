//! The shapes of the label API and of tracker.delivery.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::outside::{Answer, Outside, answer, query};

async fn act(outside: &Outside, order: Uuid, verb: &str, key: &str) -> Answer {
    let path = format!("/label/v1/shipments/{order}/{verb}");
    outside.post(&path, key, &json!({})).await
}

async fn graphql(outside: &Outside, query: &str, variables: Value) -> Answer {
    let body = json!({ "query": query, "variables": variables });
    answer(
        outside
            .request(Method::POST, "/tracker/graphql")
            .json(&body),
    )
    .await
}

#[tokio::test]
async fn a_parcel_is_accepted_held_and_voided_once_per_key() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    let (status, shipment) = outside.ship(order, "s").await;
    assert_eq!(status, 201, "{shipment}");
    assert_eq!(shipment["orderId"], json!(order));
    assert_eq!(shipment["key"], "s");
    assert_eq!(shipment["carrierId"], "kr.cjlogistics");
    assert_eq!(shipment["status"], "accepted");
    assert_eq!(outside.ship(order, "s").await, (status, shipment.clone()));

    let (status, held) = act(&outside, order, "hold", "h").await;
    assert_eq!((status.as_u16(), &held["status"]), (200, &json!("held")));
    assert_eq!(outside.scan(order, "handover").await, 409);
    let (status, void) = act(&outside, order, "cancel", "c").await;
    assert_eq!(
        (status.as_u16(), &void["status"]),
        (200, &json!("canceled"))
    );
    assert_eq!(
        outside.ship(order, "s").await.1["status"],
        "accepted",
        "the stored answer"
    );
    let (status, error) = act(&outside, order, "cancel", "c2").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (409, &json!("label-void"))
    );
    let (_, now) = outside.get(&format!("/label/v1/shipments/{order}")).await;
    assert_eq!(
        (&now["status"], &now["waybill"]),
        (&json!("canceled"), &shipment["waybill"])
    );
}

#[tokio::test]
async fn a_parcel_that_left_is_neither_held_nor_voided() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    let (status, error) = act(&outside, order, "hold", "early").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (404, &json!("no-such-parcel"))
    );
    outside.ship(order, "s").await;
    assert_eq!(outside.scan(order, "handover").await, 200);
    for verb in ["hold", "cancel"] {
        let (status, error) = act(&outside, order, verb, verb).await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (409, &json!("handed-over"))
        );
    }
    assert_eq!(outside.scan(order, "deliver").await, 200);
    let (_, now) = outside.get(&format!("/label/v1/shipments/{order}")).await;
    assert_eq!(now["status"], "delivered");
    assert_eq!(outside.get("/label/v1/shipments/nobody").await.0, 404);
}

#[tokio::test]
async fn every_call_can_be_looked_up_by_its_key() {
    let outside = Outside::open().await;
    let order = Uuid::now_v7();
    act(&outside, order, "hold", "order:hold").await;
    outside.ship(order, "order:ship").await;
    let (status, call) = outside.get("/label/v1/calls/order:ship").await;
    assert_eq!(status, 200, "{call}");
    assert_eq!(
        (&call["op"], &call["result"], &call["code"]),
        (&json!("ship"), &json!("done"), &Value::Null)
    );
    assert_eq!(call["shipment"]["orderId"], json!(order));
    let (_, call) = outside.get("/label/v1/calls/order:hold").await;
    assert_eq!(
        (&call["op"], &call["result"]),
        (&json!("hold"), &json!("refused"))
    );
    assert_eq!(call["code"], "no-such-parcel");
    let (status, error) = outside.get("/label/v1/calls/nobody").await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (404, &json!("unknown-key"))
    );
}

#[tokio::test]
async fn shipments_are_listed_since_a_moment_page_by_page() {
    let outside = Outside::open().await;
    let since = (Utc::now() - TimeDelta::seconds(1)).to_rfc3339();
    let mut waybills = Vec::new();
    for number in 0..5 {
        let order = Uuid::now_v7();
        waybills.push(outside.ship(order, &format!("s{number}")).await.1["waybill"].clone());
        outside
            .confirm(order, &format!("k{number}"), &format!("p{number}"))
            .await;
    }
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut pairs = vec![("since", since.as_str()), ("limit", "2")];
        pairs.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let (status, page) = outside
            .get(&format!("/label/v1/shipments?{}", query(&pairs)))
            .await;
        assert_eq!(status, 200, "{page}");
        let shipments = page["shipments"].as_array().unwrap();
        found.extend(shipments.iter().map(|it| it["waybill"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found, waybills);
    for bad in [
        "",
        "since=yesterday",
        "since=2026-01-01T00:00:00Z&cursor=x",
        "since=2026-01-01T00:00:00Z&limit=0",
    ] {
        let (status, error) = outside.get(&format!("/label/v1/shipments?{bad}")).await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (400, &json!("invalid-request")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn labels_need_a_token_a_key_and_an_order() {
    let outside = Outside::open().await;
    let url = format!("{}/label/v1/shipments", outside.url);
    for header in [None, Some("Bearer "), Some("Basic abc")] {
        let mut request = outside.client.post(&url).header("idempotency-key", "k");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let (status, error) = answer(request.json(&json!({ "orderId": "o" }))).await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (401, &json!("unauthorized"))
        );
    }
    for body in [
        json!({}),
        json!({ "orderId": "" }),
        json!({ "orderId": "o", "receiver": 1 }),
    ] {
        let (status, error) = outside.post("/label/v1/shipments", "k", &body).await;
        assert_eq!(
            (status.as_u16(), &error["code"]),
            (400, &json!("invalid-request"))
        );
    }
    let unkeyed = outside.request(Method::POST, "/label/v1/shipments");
    let (status, _) = answer(unkeyed.json(&json!({ "orderId": "o" }))).await;
    assert_eq!(status, 400);
    let (status, shipment) = outside
        .post(
            "/label/v1/shipments",
            "k",
            &json!({ "orderId": "o", "receiver": null }),
        )
        .await;
    assert_eq!(
        (status.as_u16(), &shipment["orderId"]),
        (201, &json!("o")),
        "no name need be a UUID"
    );
}

const TRACK: &str = "query Track($carrierId: ID!, $trackingNumber: String!) {
    track(carrierId: $carrierId, trackingNumber: $trackingNumber) {
        lastEvent { time status { code } }
        events(last: 10) { edges { node { time status { code name } description } } }
    } }";

fn codes(answer: &Value) -> Vec<String> {
    let edges = answer["data"]["track"]["events"]["edges"]
        .as_array()
        .unwrap();
    let codes = edges
        .iter()
        .map(|edge| edge["node"]["status"]["code"].as_str().unwrap());
    codes.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_parcel_is_tracked_by_carrier_and_waybill() {
    let outside = Outside::with(|setup| setup.simulator.delivery_after = Duration::ZERO).await;
    let order = Uuid::now_v7();
    let waybill = outside.ship(order, "s").await.1["waybill"].clone();
    let variables = json!({ "carrierId": "kr.cjlogistics", "trackingNumber": waybill });
    let (status, track) = graphql(&outside, TRACK, variables.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(codes(&track), ["INFORMATION_RECEIVED"]);
    outside.scan(order, "handover").await;
    let mut track = json!(null);
    while track["data"]["track"]["lastEvent"]["status"]["code"] != "DELIVERED" {
        track = graphql(&outside, TRACK, variables.clone()).await.1;
    }
    let all = [
        "INFORMATION_RECEIVED",
        "AT_PICKUP",
        "IN_TRANSIT",
        "OUT_FOR_DELIVERY",
        "DELIVERED",
    ];
    assert_eq!(codes(&track), all);
    let last = track["data"]["track"]["lastEvent"].as_object().unwrap();
    let asked: Vec<_> = last.keys().collect();
    assert_eq!(asked, ["status", "time"], "no more than was asked for");
}

#[tokio::test]
async fn trackers_refuse_what_they_do_not_know() {
    let outside = Outside::open().await;
    for (carrier, number) in [("kr.cjlogistics", "SIM0000000001"), ("kr.lotte", "x")] {
        let variables = json!({ "carrierId": carrier, "trackingNumber": number });
        let (status, answer) = graphql(&outside, TRACK, variables).await;
        assert_eq!(status, 200);
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND");
    }
    for query in ["", "{ track }", "{ carriers { id } }", "query {"] {
        let (status, answer) = graphql(&outside, query, json!({})).await;
        assert_eq!(status, 400, "{query}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    }
    let url = format!("{}/tracker/graphql", outside.url);
    for header in ["TRACKQL-API-KEY id", "TRACKQL-API-KEY :", "Bearer x"] {
        let request = outside.client.post(&url).header("authorization", header);
        let (status, answer) = answer(request.json(&json!({ "query": TRACK }))).await;
        assert_eq!(status, 401);
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn an_order_has_one_shipment_whatever_the_key_and_whatever_was_forgotten() {
    let mut outside = Outside::open().await;
    let order = Uuid::now_v7();
    let (_, first) = outside.ship(order, "s").await;
    outside.faults(json!([{ "fault": "forget-key" }])).await;
    let other = outside.ship(order, "another").await.1;
    assert_eq!(other["waybill"], first["waybill"]);
    assert_eq!(outside.ship(order, "s").await.1, first);
    outside.restart().await;
    assert_eq!(
        outside.ship(order, "a third").await.1["waybill"],
        first["waybill"]
    );
    let hold = format!("/label/v1/shipments/{order}/hold");
    for _ in 0..2 {
        let held = outside.post(&hold, "h", &json!({})).await.1;
        assert_eq!(held["status"], "held", "{held}");
    }
    let calls = outside.calls().await;
    assert_eq!(
        calls[..4],
        [
            "ship s done",
            "ship another repeated",
            "ship s repeated",
            "ship a third repeated"
        ]
    );
}
