//! Solapi: what is sent, and how it is found before it is sent again.

use orchestrator::providers::ports::{Accepted, Answer, Found, KakaoPort, Message};
use orchestrator::providers::solapi::{Solapi, SolapiSettings};
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::*;

pub(super) const SEND: &str = "/messages/v4/send-many/detail";
pub(super) const LIST: &str = "/messages/v4/list";

/// The answer to a send, with the message in the list of those that were registered or of those that were not.
pub(super) fn sent(code: &str) -> Value {
    let ours = json!({
        "messageId": "M4V20261122110044DTYYJBBYLPQZIB1", "statusCode": code, "statusMessage": "정상 접수",
        "to": DIALLED, "from": "029302266", "type": "ATA", "customFields": {}
    });
    let registered = code.starts_with('2') && code == "2000" || matches!(code, "3000" | "4000");
    let group = json!({
        "groupId": "G4V20261122105937H3PTASXMNJG2JIO", "status": "SENDING",
        "count": { "total": 1, "registeredFailed": u8::from(!registered), "registeredSuccess": u8::from(registered) }
    });
    if registered {
        json!({ "failedMessageList": [], "groupInfo": group, "messageList": [ours] })
    } else {
        json!({ "failedMessageList": [ours], "groupInfo": group })
    }
}

pub(super) fn stored(id: &str, code: &str, created: &str) -> Value {
    json!({
        "messageId": id, "groupId": "G4V", "type": "ATA", "to": DIALLED, "statusCode": code, "dateCreated": created,
        "customFields": { "messageId": message().message_id.to_string(), "kind": "shipped" }
    })
}

fn listed(messages: &[Value], next: Value) -> Value {
    let by_id: serde_json::Map<_, _> = messages
        .iter()
        .map(|it| {
            (
                it["messageId"].as_str().expect("an id").to_owned(),
                it.clone(),
            )
        })
        .collect();
    json!({ "startKey": null, "limit": 100, "messageList": by_id, "nextKey": next })
}

#[tokio::test]
async fn a_message_goes_with_its_template_our_id_and_a_fresh_signature() {
    let server = MockServer::start().await;
    on(&server, "POST", SEND, 200, sent("2000")).await;
    let solapi = solapi_at(&server.uri(), PATIENCE);
    for _ in 0..2 {
        let accepted = Accepted {
            channel: "alimtalk".into(),
            reference: "M4V20261122110044DTYYJBBYLPQZIB1".into(),
            template: Some("KA01TP-shipped".into()),
            fallback: Some("sms".into()),
        };
        assert_eq!(solapi.send(message()).await, Answer::Done(accepted));
    }
    let requests = requests(&server).await;
    let sent = &body(&requests[0])["messages"][0];
    assert_eq!(
        *sent,
        json!({
            "to": DIALLED, "from": "029302266", "type": "ATA",
            "kakaoOptions": {
                "pfId": "KA01PF", "templateId": "KA01TP-shipped", "disableSms": false,
                "variables": { "#{orderId}": ORDER.to_string(), "#{text}": message().text }
            },
            "customFields": {
                "messageId": message().message_id.to_string(), "orderId": ORDER.to_string(), "kind": "shipped"
            }
        })
    );
    let [first, second] = [0, 1].map(|n| header(&requests[n], "authorization"));
    assert!(
        first.starts_with(&format!("HMAC-SHA256 apiKey={API_KEY}, date=2")),
        "{first}"
    );
    assert!(!first.contains(API_SECRET));
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_message_without_a_way_to_its_customer_is_refused_and_not_sent() {
    let server = MockServer::start().await;
    let solapi = solapi_at(&server.uri(), PATIENCE);
    for (message, code) in [
        (
            Message {
                phone: None,
                ..message()
            },
            "no-contact",
        ),
        (
            Message {
                phone: Some("+1 555 0100".into()),
                ..message()
            },
            "invalid-phone",
        ),
        (
            Message {
                kind: "advertisement".into(),
                ..message()
            },
            "no-template",
        ),
    ] {
        match solapi.send(message).await {
            Answer::Refused(refusal) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(requests(&server).await.len(), 0);
}

#[tokio::test]
async fn no_text_message_is_asked_for_without_a_number_to_send_it_from() {
    let server = MockServer::start().await;
    on(&server, "POST", SEND, 200, sent("2000")).await;
    let settings = SolapiSettings {
        endpoint: endpoint(&server.uri(), PATIENCE),
        api_key: SecretString::from(API_KEY),
        api_secret: SecretString::from(API_SECRET),
        pf_id: "KA01PF".into(),
        sender: None,
        templates: [("shipped".to_owned(), "T".to_owned())].into(),
    };
    let solapi = Solapi::new(settings).expect("an adapter");
    let long = "o".repeat(101);
    let message = Message {
        order_id: long,
        ..message()
    };
    assert!(matches!(solapi.send(message).await, Answer::Done(_)));
    let sent = &body(&requests(&server).await[0])["messages"][0];
    assert_eq!(sent["kakaoOptions"]["disableSms"], true);
    assert_eq!(sent.get("from"), None);
    // The dealer takes 100 letters in a custom field.
    assert_eq!(sent["customFields"].get("orderId"), None);
}

#[tokio::test]
async fn a_message_is_searched_by_its_number_through_all_pages() {
    let server = MockServer::start().await;
    let mut others = stored("M-other", "4000", "2026-11-22T01:00:00Z");
    others["customFields"] = json!({ "messageId": "somebody else's" });
    let page = Mock::given(method("GET"))
        .and(path(LIST))
        .and(query_param("to", DIALLED));
    page.and(query_param_is_missing("startKey"))
        .respond_with(ResponseTemplate::new(200).set_body_json(listed(&[others], json!("k2"))))
        .mount(&server)
        .await;
    let ours = stored("M-ours", "3000", "2026-11-22T01:00:00Z");
    Mock::given(method("GET"))
        .and(path(LIST))
        .and(query_param("startKey", "k2"))
        .respond_with(ResponseTemplate::new(200).set_body_json(listed(&[ours], Value::Null)))
        .mount(&server)
        .await;
    let solapi = solapi_at(&server.uri(), PATIENCE);
    let found = solapi.lookup(message().message_id, Some(PHONE)).await;
    let accepted = Accepted {
        channel: "alimtalk".into(),
        reference: "M-ours".into(),
        template: Some("KA01TP-shipped".into()),
        fallback: Some("sms".into()),
    };
    assert_eq!(found, Found::Done(accepted));
    let unknown = uuid::Uuid::nil();
    assert_eq!(solapi.lookup(unknown, Some(PHONE)).await, Found::Nothing);
}

#[tokio::test]
async fn a_list_without_an_end_is_not_taken_for_nothing() {
    let server = MockServer::start().await;
    on(&server, "GET", LIST, 200, listed(&[], json!("on and on"))).await;
    let solapi = solapi_at(&server.uri(), PATIENCE);
    let found = solapi.lookup(message().message_id, None).await;
    assert!(matches!(found, Found::Unknown(_)), "{found:?}");
}

#[tokio::test]
async fn of_several_attempts_the_one_that_went_out_counts_and_else_the_latest_says_why() {
    let (early, late) = ("2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z");
    let mut text = stored("M-text", "2000", late);
    text["type"] = json!("SMS");
    for (attempts, expected) in [
        (
            vec![stored("a", "4000", early), stored("b", "3104", late)],
            "alimtalk",
        ),
        (vec![stored("a", "3104", early), text], "sms"),
        (
            vec![stored("a", "3043", early), stored("b", "3104", late)],
            "solapi-3104",
        ),
        (
            vec![stored("a", "3104", early), stored("b", "3043", late)],
            "nothing",
        ),
        (vec![stored("a", "3014", early)], "unknown"),
        (vec![stored("a", "9999", early)], "unknown"),
    ] {
        let server = MockServer::start().await;
        on(&server, "GET", LIST, 200, listed(&attempts, Value::Null)).await;
        let solapi = solapi_at(&server.uri(), PATIENCE);
        let found = match solapi.lookup(message().message_id, Some(PHONE)).await {
            Found::Done(accepted) => accepted.channel,
            Found::Refused(refusal) => refusal.code,
            Found::Nothing => "nothing".to_owned(),
            Found::Undecided(_) => "undecided".to_owned(),
            Found::Unknown(_) => "unknown".to_owned(),
        };
        assert_eq!(found, expected);
    }
}
