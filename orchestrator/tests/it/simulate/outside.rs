//! The simulator as a server, as a client on the other side of a socket sees it.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orchestrator::providers::simulator::Options;
use orchestrator::providers::simulator::ledger::{self, Line};
use orchestrator::providers::simulator::wire::{Preset, Server, Setup, Shop};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

/// A running simulator.
pub(super) struct Outside {
    pub(super) url: String,
    pub(super) client: Client,
    pub(super) setup: Setup,
    server: Option<Server>,
    _dir: TempDir,
}

/// Status and document of an answer.
pub(super) type Answer = (StatusCode, Value);

impl Outside {
    pub(super) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn telling(shop: &str) -> Self {
        let shop = Shop {
            url: shop.to_owned(),
            secret: "s3cret".into(),
        };
        Self::with(|setup| setup.shop = Some(shop)).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut setup = Setup {
            simulator: Options {
                handover_after: Duration::from_hours(1),
                delivery_after: Duration::from_hours(1),
                ..Options::in_dir(dir.path())
            },
            shop: None,
            presets: Vec::<Preset>::new(),
        };
        change(&mut setup);
        let server = start(&setup).await;
        // A connection that was cut must not be taken for the next call's.
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self {
            url: server.url(),
            client,
            setup,
            server: Some(server),
            _dir: dir,
        }
    }

    /// Stops in order and starts again on the same ledger.
    pub(super) async fn restart(&mut self) {
        self.restart_with(|| {}).await;
    }

    /// The same, and something happens to the files meanwhile.
    pub(super) async fn restart_with(&mut self, meanwhile: impl FnOnce()) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        meanwhile();
        let server = start(&self.setup).await;
        self.url = server.url();
        self.server = Some(server);
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match path.split('/').nth(1) {
            Some("toss") => request.header("authorization", basic("test_sk_any:")),
            Some("label") => request.bearer_auth("label-token"),
            Some("tracker") => request.header("authorization", "TRACKQL-API-KEY id:secret"),
            Some("solapi") => request.header("authorization", solapi_auth()),
            _ => request,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// A call with an idempotency key.
    pub(super) async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        answer(self.keyed(path, key, body)).await
    }

    pub(super) fn keyed(&self, path: &str, key: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("idempotency-key", key)
            .json(body)
    }

    pub(super) async fn faults(&self, rules: Value) {
        let (status, answer) = self.put_faults(&json!({ "seed": 1, "rules": rules })).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub(super) async fn put_faults(&self, document: &Value) -> Answer {
        answer(self.request(Method::PUT, "/faults").json(document)).await
    }

    /// The ledger as `GET /ledger` tells it, which is as the file tells it.
    pub(super) async fn ledger(&self) -> Vec<Line> {
        let text = self.request(Method::GET, "/ledger").send().await.unwrap();
        let text = text.text().await.unwrap();
        let lines: Vec<Line> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, ledger::read(&self.setup.simulator.ledger).unwrap());
        lines
    }

    /// Operation, key and result of every line.
    pub(super) async fn calls(&self) -> Vec<String> {
        let lines = self.ledger().await;
        let words = lines.iter().map(|line| {
            let line = serde_json::to_value(line).unwrap();
            format!("{} {} {}", line["op"], line["key"], line["result"]).replace('"', "")
        });
        words.collect()
    }

    pub(super) async fn confirm(&self, order: Uuid, key: &str, payment: &str) -> Answer {
        let body = json!({ "paymentKey": payment, "orderId": order, "amount": 33_000 });
        self.post("/toss/v1/payments/confirm", key, &body).await
    }

    pub(super) async fn refund(&self, payment: &str, key: &str, amount: Option<i64>) -> Answer {
        let mut body = json!({ "cancelReason": format!("changed their mind [{key}]") });
        if let Some(amount) = amount {
            body["cancelAmount"] = json!(amount);
        }
        let path = format!("/toss/v1/payments/{payment}/cancel");
        self.post(&path, key, &body).await
    }

    pub(super) async fn ship(&self, order: Uuid, key: &str) -> Answer {
        let receiver = json!({ "name": "Kim", "phone": "010-1234-5678", "address": "Seoul" });
        let body = json!({ "orderId": order, "receiver": receiver });
        self.post("/label/v1/shipments", key, &body).await
    }

    pub(super) async fn scan(&self, order: Uuid, scan: &str) -> StatusCode {
        let body = json!({ "orderId": order, "scan": scan });
        answer(self.request(Method::POST, "/scans").json(&body))
            .await
            .0
    }

    pub(super) async fn send(&self, message: Uuid, order: &str) -> Answer {
        self.post(
            "/solapi/messages/v4/send-many/detail",
            "",
            &messages(message, order),
        )
        .await
    }
}

pub(super) fn messages(message: Uuid, order: &str) -> Value {
    json!({ "messages": [{
        "to": "01012345678",
        "from": "0212345678",
        "type": "ATA",
        "kakaoOptions": { "pfId": "PF1", "templateId": "T1", "variables": { "#{orderId}": order } },
        "customFields": { "messageId": message, "orderId": order, "kind": "shipped" },
    }] })
}

async fn start(setup: &Setup) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::start(setup, listener).unwrap()
}

pub(super) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let document = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    (status, document)
}

pub(super) fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

pub(super) fn solapi_auth() -> String {
    let date = chrono::Utc::now().to_rfc3339();
    let salt = Uuid::new_v4().simple().to_string();
    let signature = "0123456789abcdef".repeat(4);
    format!("HMAC-SHA256 apiKey=KEY, date={date}, salt={salt}, signature={signature}")
}

/// What is in a query string, percent-encoded where it must be.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: HashMap<_, _> = pairs.iter().copied().collect();
    let url = reqwest::Url::parse_with_params("http://x/", pairs).unwrap();
    url.query().unwrap_or_default().to_owned()
}
