//! `POST /messages/v4/send-many/detail`: every message of the request is sent, as often as it is asked for.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{MANNER, admit, error, group_id, phone_name, status_message};
use crate::providers::simulator::call::Ask;
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::names::{order_key, seq_of};
use crate::providers::simulator::notes::Detail;
use crate::providers::simulator::rules::{Fate, Kind, On};
use crate::providers::simulator::wire::Front;
use crate::providers::simulator::wire::reply::{Reply, carry_out, json};
use crate::providers::simulator::wire::socket::Cut;
use crate::providers::simulator::wire::webhooks::{Hook, Service};
use crate::providers::simulator::{lock, now};

/// Messages in one request.
const MAX_MESSAGES: usize = 10_000;

#[derive(Debug)]
struct Message {
    /// The shop's id of it, if it gave one.
    key: String,
    order_id: String,
    kind: Option<String>,
    to: String,
    from: String,
}

fn read(body: &[u8]) -> Option<Vec<Message>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let messages = body.get("messages")?.as_array()?;
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        return None;
    }
    messages.iter().map(message).collect()
}

fn message(message: &Value) -> Option<Message> {
    let text = |value: &Value, field: &str| value.get(field)?.as_str().map(str::to_owned);
    let custom = message.get("customFields").unwrap_or(&Value::Null);
    let to = text(message, "to").filter(|to| to.chars().any(|c| c.is_ascii_digit()))?;
    let kakao = message.get("kakaoOptions");
    let is_alimtalk = message.get("type").is_none_or(|kind| kind == "ATA");
    let has_template = kakao
        .is_some_and(|kakao| text(kakao, "pfId").is_some() && text(kakao, "templateId").is_some());
    // A text message needs a text, an Alimtalk its channel and its template.
    if !(is_alimtalk && has_template) && text(message, "text").is_none() {
        return None;
    }
    Some(Message {
        key: text(custom, "messageId").unwrap_or_else(|| Uuid::now_v7().to_string()),
        order_id: text(custom, "orderId").unwrap_or_default(),
        kind: text(custom, "kind"),
        from: text(message, "from").unwrap_or_default(),
        to,
    })
}

pub(super) async fn handle(
    State(front): State<Arc<Front>>,
    cut: Cut,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    match read(&body) {
        Some(messages) => carry_out(cut, front.send_all(messages)).await,
        None => error(StatusCode::BAD_REQUEST, "ValidationError"),
    }
}

impl Front {
    /// The fate of a request is that of its first message.
    async fn send_all(self: Arc<Self>, messages: Vec<Message>) -> Reply {
        let first = messages.first();
        let order = first
            .map(|message| message.order_id.clone())
            .unwrap_or_default();
        let front = Arc::clone(&self);
        let work = |fate| async move { front.send(&messages, &fate).await };
        self.with_faults((Port::Kakao, On::Send, &order), &MANNER, work)
            .await
    }

    async fn send(&self, messages: &[Message], fate: &Fate) -> Reply {
        let (mut taken, mut failed, mut group) = (Vec::new(), Vec::new(), None);
        for message in messages {
            let ask = Ask {
                kind: message.kind.clone(),
                refusal: fate.refusal(&[Kind::Refuse], "3104"),
                detail: Some(Detail::Message {
                    to: phone_name(&message.to),
                }),
                ..Ask::new(
                    Port::Kakao,
                    Op::Send,
                    message.key.clone(),
                    message.order_id.clone(),
                )
            };
            let Ok(reply) = self.core.commit(&ask).await else {
                return (MANNER.broken)().into();
            };
            group.get_or_insert(reply.seq);
            match &reply.result {
                Ok(reference) => taken.push(entry(message, reference, "2000")),
                Err(code) => failed.push(entry(message, "", code)),
            }
            self.tell_message(message, reply.seq, fate);
        }
        let group = group.unwrap_or_default();
        json(StatusCode::OK, &answer(&taken, &failed, group)).into()
    }

    fn tell_message(&self, message: &Message, seq: u64, fate: &Fate) {
        let account = lock(&self.core.world)
            .account(order_key(&message.key))
            .cloned();
        let sent = account.and_then(|it| it.sends.into_iter().find(|sent| sent.seq == seq));
        let Some(sent) = sent else { return };
        let hook = |document: Value| Hook {
            service: Service::Solapi,
            order_id: message.order_id.clone(),
            body: json!([document]),
        };
        let document = super::document(&message.key, &sent, &message.to);
        self.teller.tell(hook(document.clone()), fate);
        if fate.is(Kind::WebhookContradictory) {
            let mut other = document;
            let delivered = other["statusCode"] == "4000";
            other["statusCode"] = json!(if delivered { "3104" } else { "4000" });
            self.teller.tell(hook(other), &Fate::default());
        }
    }
}

fn entry(message: &Message, reference: &str, code: &str) -> Value {
    let mut custom = Map::new();
    custom.insert("messageId".into(), json!(message.key));
    custom.insert("orderId".into(), json!(message.order_id));
    custom.insert("kind".into(), json!(message.kind));
    json!({
        "to": message.to,
        "from": message.from,
        "type": "ATA",
        "country": "82",
        "messageId": reference,
        "statusCode": code,
        "statusMessage": status_message(code),
        "accountId": "simulated",
        "customFields": custom,
    })
}

fn answer(taken: &[Value], failed: &[Value], group: u64) -> Value {
    let first = taken.first().and_then(|entry| entry["messageId"].as_str());
    let group = first.and_then(|id| seq_of(Op::Send, id)).unwrap_or(group);
    json!({
        "failedMessageList": failed,
        "groupInfo": {
            "count": {
                "total": taken.len() + failed.len(),
                "sentTotal": 0, "sentFailed": 0, "sentSuccess": 0, "sentPending": 0, "sentReplacement": 0,
                "refund": 0,
                "registeredFailed": failed.len(),
                "registeredSuccess": taken.len(),
            },
            "balance": { "requested": 0, "replacement": 0, "refund": 0, "sum": 0 },
            "point": { "requested": 0, "replacement": 0, "refund": 0, "sum": 0 },
            "status": "SENDING",
            "groupId": group_id(group),
            "accountId": "simulated",
            "apiVersion": "4",
            "allowDuplicates": false,
            "isRefunded": false,
            "dateCreated": now(),
            "dateUpdated": now(),
        },
        "messageList": taken,
    })
}
