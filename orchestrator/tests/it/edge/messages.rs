//! What the message view says of a message, column by column, with a dealer who does as the message's text says.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use orchestrator::config::Settings;
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::server::{Backend, TestServer};

/// The answer of the dealer is lost, and KakaoTalk does not reach the customer.
const BY_TEXT: &str = "Goes as a text message";

/// The dealer takes it the second time only.
const TWICE: &str = "Goes the second time";

/// The dealer cannot reach the customer at all.
const NEVER: &str = "Never goes";

/// What it has taken, as it lists it.
#[derive(Clone, Default)]
struct Dealer(Arc<Mutex<Vec<Value>>>);

impl Dealer {
    async fn start() -> (MockServer, Dealer) {
        let (server, dealer) = (MockServer::start().await, Dealer::default());
        for (verb, at) in [
            ("POST", "/messages/v4/send-many/detail"),
            ("GET", "/messages/v4/list"),
        ] {
            let mock = Mock::given(method(verb)).and(path(at));
            mock.respond_with(dealer.clone()).mount(&server).await;
        }
        (server, dealer)
    }

    /// Texts of the messages that it has been given, in order.
    fn texts(&self) -> Vec<String> {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |message: &Value| message["text"].as_str().expect("a text").to_owned();
        given.iter().map(text).collect()
    }

    fn take(&self, message: &Value) -> ResponseTemplate {
        let text = &message["kakaoOptions"]["variables"]["#{text}"];
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = given.iter().all(|other| other["text"] != *text);
        let code = match text.as_str() {
            Some(NEVER) => "3107",
            // It was not delivered, and nobody else is at it any more.
            Some(TWICE) if first => "3012",
            _ => "4000",
        };
        let id = format!("M4V-{}", given.len());
        let mut taken = json!({
            "messageId": id, "type": "ATA", "statusCode": code, "statusMessage": "", "to": message["to"],
            "from": message["from"], "dateCreated": Utc::now(), "customFields": message["customFields"], "text": text,
        });
        if text == BY_TEXT {
            taken["type"] = json!("SMS");
        }
        given.push(taken.clone());
        if text == BY_TEXT {
            return ResponseTemplate::new(502);
        }
        let group = |good: u8| {
            json!({
                "groupId": "G4V", "status": "SENDING",
                "count": { "total": 1, "registeredFailed": 1 - good, "registeredSuccess": good },
            })
        };
        ResponseTemplate::new(200).set_body_json(match code {
            "4000" => {
                json!({ "failedMessageList": [], "groupInfo": group(1), "messageList": [taken] })
            }
            _ => json!({ "failedMessageList": [taken], "groupInfo": group(0) }),
        })
    }
}

impl Respond for Dealer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if let Ok(body) = request.body_json::<Value>() {
            return self.take(&body["messages"][0]);
        }
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let list = json!({ "messageList": *given, "nextKey": null });
        ResponseTemplate::new(200).set_body_json(list)
    }
}

fn through(dealer: &MockServer) -> impl FnOnce(&mut Settings) {
    let url = dealer.uri();
    move |settings| {
        let providers = &mut settings.providers;
        providers.solapi_key = Some(SecretString::from("KEY"));
        providers.solapi_secret = Some(SecretString::from("secret"));
        providers.solapi_pf_id = Some("KA01PF".into());
        providers.solapi_sender = Some("029302266".into());
        providers.solapi_template = ["shipped", "canceled", "direct"]
            .map(|kind| (kind.to_owned(), format!("KA01TP-{kind}")))
            .into();
        providers.solapi_url = url;
    }
}

/// Sends a message about an order and waits until it has come to its end; gives it as the view has it.
async fn sent(server: &TestServer, order: &str, text: &str) -> Value {
    let note = json!({ "orderId": order, "customerId": "33", "status": "Note", "message": text });
    let asked = server.post("/kakaos", &note).await;
    assert_eq!(asked.status, 201, "{}", asked.text());
    let id = asked.body()["id"].as_str().expect("an id").to_owned();
    let over = |message: &Value| message["state"] == "sent" || message["state"] == "failed";
    server.eventually(&format!("/kakaomsgs/{id}"), over).await
}

/// Takes out of a message what differs from run to run, after a look at it.
#[track_caller]
fn steady(mut message: Value, went: bool) -> Value {
    let all = message.as_object_mut().expect("an object");
    let mut time = |name: &str| {
        let at = all.remove(name)?;
        let at = at.as_str().expect("a time").parse::<DateTime<Utc>>();
        Some(at.expect("a time"))
    };
    let requested = time("requestedAt").expect("it was asked for");
    let (sent, updated) = (time("sentAt"), time("updatedAt").expect("it has changed"));
    assert_eq!(sent, went.then_some(updated), "it is sent when it is sent");
    assert!(requested <= updated && updated <= Utc::now() + chrono::Duration::seconds(1));
    assert_eq!(all.remove("id"), all.remove("messageId"));
    assert!(
        all.remove("position")
            .is_some_and(|it| it.as_i64() > Some(0))
    );
    all.remove("_links").expect("links");
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn each_column_of_the_message_view_says_what_became_of_a_message_at_its_dealer() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let (outside, dealer) = Dealer::start().await;
        let server = TestServer::start(backend, through(&outside)).await;
        let order = server.placed("33").await;
        let gone = |list: &Value| list["page"]["count"] == 1;
        let about = format!("/kakaomsgs?q={order}&state=sent");
        let list = server.eventually(&about, gone).await;
        let rendered = format!("{order} 33 Shipped...");
        let fallback = |used: bool| json!({ "channel": "sms", "used": used });
        assert_eq!(
            steady(list["_embedded"]["kakaomsgs"][0].clone(), true),
            json!({
                "orderId": order, "customerId": "33", "kind": "shipped", "status": "Shipped", "state": "sent",
                "message": rendered, "template": "KA01TP-shipped", "channel": "alimtalk", "fallback": fallback(false),
                "providerRef": "M4V-0", "attempts": 1,
            })
        );
        let direct = |text: &str, channel: &str, reference: &str, attempts: u32| {
            json!({
                "orderId": order, "customerId": "33", "kind": "direct", "status": "Note", "state": "sent",
                "message": text, "template": "KA01TP-direct", "channel": channel, "fallback": fallback(channel == "sms"),
                "providerRef": reference, "attempts": attempts,
            })
        };
        // A lost answer is looked up in a second attempt, and what is found there counts.
        let by_text = sent(&server, &order, BY_TEXT).await;
        assert_eq!(steady(by_text, true), direct(BY_TEXT, "sms", "M4V-1", 2));
        let twice = sent(&server, &order, TWICE).await;
        assert_eq!(steady(twice, true), direct(TWICE, "alimtalk", "M4V-3", 2));
        let never = sent(&server, &order, NEVER).await;
        assert_eq!(
            steady(never, false),
            json!({
                "orderId": order, "customerId": "33", "kind": "direct", "status": "Note", "state": "failed",
                "message": NEVER, "code": "solapi-3107",
                "reason": "The receiver does not use KakaoTalk or has blocked such messages.", "attempts": 1,
            })
        );
        assert_eq!(dealer.texts(), [&rendered, BY_TEXT, TWICE, TWICE, NEVER]);
        server.stop().await;
    }
}
