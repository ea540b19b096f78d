//! Adapters with a server behind them that says what a test tells it to.

use std::time::Duration;

use aggregates::money::{Currency, Money};
use chrono::{DateTime, Utc};
use orchestrator::providers::carrier::Carrier;
use orchestrator::providers::http::Endpoint;
use orchestrator::providers::label::LabelSettings;
use orchestrator::providers::ports::{Charge, Message, Refund, Shipment};
use orchestrator::providers::solapi::{Solapi, SolapiSettings};
use orchestrator::providers::toss::{Toss, TossSettings};
use orchestrator::providers::tracker::TrackerSettings;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub(super) const SECRET_KEY: &str = "test_sk_canary0zLkKEypNArWmo50nX3lmeaxYG5R";
pub(super) const LABEL_TOKEN: &str = "label-canary-token-4711";
pub(super) const TRACKER_KEY: &str = "tracker-canary-id:tracker-canary-secret";
pub(super) const CALLBACK: &str =
    "https://shop.example/webhooks/deliveries/tracker/callback-canary";
pub(super) const API_KEY: &str = "NCSAYU7YDBCANARY";
pub(super) const API_SECRET: &str = "solapi-canary-secret";
pub(super) const PHONE: &str = "+82-10-7777-1234";
/// As Koreans dial it.
pub(super) const DIALLED: &str = "01077771234";
pub(super) const TOKEN: &str = "tgen_canary20260101EnNZRJGvaBX7zk2yd8ydw26Xvw";

/// The order that all tests are about.
pub(super) const ORDER: Uuid = Uuid::from_u128(0x8c41_7d30_db8a_5865_8636_d75e_940b_e874);

/// Short where a test waits it out, long enough for a busy machine to answer within it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn endpoint(url: &str, time_limit: Duration) -> Endpoint {
    Endpoint {
        time_limit,
        max_body: 64 * 1024,
        ..Endpoint::new(url)
    }
}

pub(super) fn toss_at(url: &str, time_limit: Duration) -> Toss {
    let settings = TossSettings {
        endpoint: endpoint(url, time_limit),
        secret_key: SecretString::from(SECRET_KEY),
    };
    Toss::new(settings).expect("an adapter")
}

pub(super) fn carrier_at(labels: &str, tracker: &str, time_limit: Duration) -> Carrier {
    let labels = LabelSettings {
        endpoint: endpoint(labels, time_limit),
        token: SecretString::from(LABEL_TOKEN),
    };
    let tracker = TrackerSettings {
        endpoint: endpoint(tracker, time_limit),
        key: SecretString::from(TRACKER_KEY),
        callback: Some(SecretString::from(CALLBACK)),
    };
    Carrier::new(labels, Some(tracker)).expect("an adapter")
}

pub(super) fn solapi_at(url: &str, time_limit: Duration) -> Solapi {
    let templates = ["shipped", "canceled", "direct"];
    let settings = SolapiSettings {
        endpoint: endpoint(url, time_limit),
        api_key: SecretString::from(API_KEY),
        api_secret: SecretString::from(API_SECRET),
        pf_id: "KA01PF".into(),
        sender: Some("029302266".into()),
        templates: templates
            .map(|kind| (kind.to_owned(), format!("KA01TP-{kind}")))
            .into(),
    };
    Solapi::new(settings).expect("an adapter")
}

pub(super) fn won(amount: i64) -> Money {
    Money::new(amount, Currency::KRW)
}

pub(super) fn charge() -> Charge {
    Charge {
        key: format!("{ORDER}:pay"),
        order_id: ORDER,
        amount: won(33_000),
        method: "card".into(),
        token: TOKEN.into(),
        not_after: Utc::now() + chrono::Duration::minutes(10),
    }
}

pub(super) fn refund(charge_ref: &str) -> Refund {
    Refund {
        key: refund_key(),
        order_id: ORDER,
        charge_ref: charge_ref.into(),
        amount: won(33_000),
        charged_after: charged_after(),
    }
}

/// When the payments of these tests may have been made first; half past noon in Korea.
pub(super) fn charged_after() -> DateTime<Utc> {
    "2026-11-22T03:30:00Z".parse().expect("a moment")
}

pub(super) fn refund_key() -> String {
    format!("{ORDER}:refund")
}

pub(super) fn shipment() -> Shipment {
    Shipment {
        key: format!("{ORDER}:ship"),
        order_id: ORDER,
        receiver: Some("Canary Kim-Goldfinch".into()),
        phone: Some(PHONE.into()),
        address: Some("99 Canary Wharf-gil".into()),
    }
}

/// When the parcel was shipped whose scans the servers show.
pub(super) fn shipped_at() -> DateTime<Utc> {
    Utc::now() - chrono::Duration::days(1)
}

pub(super) fn message() -> Message {
    Message {
        message_id: Uuid::from_u128(0x7a7f_8a29),
        order_id: ORDER.to_string(),
        kind: "shipped".into(),
        phone: Some(PHONE.into()),
        text: "Canary: your book is on its way".into(),
    }
}

/// A payment as Toss Payments documents it, shortened to what shops look at.
pub(super) fn payment(status: &str) -> Value {
    json!({
        "mId": "tosspayments", "version": "2022-11-16", "lastTransactionKey": "9C62B18EEF0DE3EB7F4422EB6D14BC6E",
        "paymentKey": TOKEN, "orderId": ORDER.to_string(), "orderName": "book", "taxExemptionAmount": 0,
        "status": status, "requestedAt": "2026-11-22T13:49:47+09:00", "approvedAt": "2026-11-22T13:50:07+09:00",
        "useEscrow": false, "cultureExpense": false, "card": null, "virtualAccount": null, "cancels": null, "secret": null,
        "type": "NORMAL", "easyPay": null, "country": "KR", "failure": null, "isPartialCancelable": true,
        "currency": "KRW", "totalAmount": 33000, "balanceAmount": 33000, "suppliedAmount": 30000, "vat": 3000,
        "taxFreeAmount": 0, "method": "카드"
    })
}

/// An entry of `cancels`.
pub(super) fn cancel(reason: &str, amount: i64, status: &str) -> Value {
    json!({
        "transactionKey": "090A796806E726BBB929F4A2CA7DB9A7", "cancelReason": reason, "taxExemptionAmount": 0,
        "canceledAt": "2026-11-22T14:00:07+09:00", "receiptKey": null, "cancelStatus": status, "cancelRequestId": null,
        "cancelAmount": amount, "taxFreeAmount": 0, "refundableAmount": 0
    })
}

/// A payment that was given back as a whole.
pub(super) fn given_back(reason: &str, status: &str) -> Value {
    let mut payment = payment("CANCELED");
    payment["balanceAmount"] = json!(0);
    payment["cancels"] = json!([cancel(reason, 33_000, status)]);
    payment
}

pub(super) fn error(code: &str) -> Value {
    json!({ "code": code, "message": "말하지 않는 편이 낫다" })
}

/// Answers one kind of request from now on.
pub(super) async fn on(server: &MockServer, verb: &str, place: &str, status: u16, body: Value) {
    Mock::given(method(verb))
        .and(path(place))
        .respond_with(ResponseTemplate::new(status).set_body_json(body))
        .mount(server)
        .await;
}

pub(super) async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.expect("they are recorded")
}

pub(super) fn header(request: &Request, name: &str) -> String {
    let value = request
        .headers
        .get(name)
        .unwrap_or_else(|| panic!("no header {name}"));
    value.to_str().expect("text").to_owned()
}

pub(super) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}
