//! No credential, token, number, name or text is in a log line or in an answer that is not a success.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use orchestrator::providers::ports::{CarrierPort, KakaoPort, Label, PaymentPort};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What nobody else may ever read.
fn secrets() -> Vec<String> {
    let basic = "dGVzdF9za19jYW5hcnkwekxrS0V5cE5BcldtbzUwblgzbG1lYXhZRzVSOg==";
    let mut secrets: Vec<String> = [
        SECRET_KEY,
        basic,
        LABEL_TOKEN,
        TRACKER_KEY,
        CALLBACK,
        API_KEY,
        API_SECRET,
        PHONE,
        DIALLED,
        TOKEN,
        "Canary",
        "callback-canary",
    ]
    .map(str::to_owned)
    .into();
    secrets.push(message().text);
    secrets
}

/// Every call of every adapter, and what they say of it.
async fn everything(url: &str) -> String {
    let toss = toss_at(url, PATIENCE);
    let carrier = carrier_at(url, url, PATIENCE);
    let solapi = solapi_at(url, PATIENCE);
    let label = Label {
        carrier: "kr.cjlogistics".into(),
        waybill: "6865424567".into(),
    };
    let since = chrono::Utc::now();
    [
        format!("{:?}", toss.charge(charge()).await),
        format!("{:?}", toss.refund(refund("toss-x")).await),
        format!("{:?}", toss.probe(ORDER, "k").await),
        format!("{:?}", toss.records(since, None).await),
        format!("{:?}", carrier.ship(shipment()).await),
        format!("{:?}", carrier.hold(ORDER, "k").await),
        format!("{:?}", carrier.probe(ORDER, "k").await),
        format!("{:?}", carrier.track(ORDER, &label, shipped_at()).await),
        format!("{:?}", carrier.records(since, None).await),
        format!("{:?}", solapi.send(message()).await),
        format!(
            "{:?}",
            solapi.lookup(message().message_id, Some(PHONE)).await
        ),
    ]
    .join("\n")
}

/// Providers that throw everything we sent back at us, in the places where careless clients quote from.
async fn echo() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(|request: &wiremock::Request| {
            let told: Vec<String> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value:?}"))
                .collect();
            let sent = String::from_utf8_lossy(&request.body).into_owned();
            let told = format!("{} {} {sent}", request.url, told.join(" "));
            let body: Value = json!({
                "code": told, "message": told, "errorCode": told, "errorMessage": told, "status": told,
                "errors": [{ "message": told, "extensions": { "code": told } }]
            });
            ResponseTemplate::new(500).set_body_json(body)
        })
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn nothing_secret_or_personal_is_in_log_lines_or_in_answers() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let echo = echo().await;
    let mut told = everything(&echo.uri()).await;
    let refusing = MockServer::start().await;
    let codes = json!({ "code": "UNAUTHORIZED_KEY", "errorCode": "InvalidAPIKey" });
    Mock::given(any())
        .respond_with(ResponseTemplate::new(401).set_body_json(codes))
        .mount(&refusing)
        .await;
    told.push_str(&everything(&refusing.uri()).await);
    told.push_str(&everything("http://127.0.0.1:1").await);
    drop(guard);

    let written = lines
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let written = String::from_utf8_lossy(&written);
    assert!(
        written.contains("check the settings"),
        "operators hear of a wrong key"
    );
    // The server runs in this process as well and may say what it likes; ours are the lines of the client and of the product.
    let ours = written.lines().filter(|line| !line.contains("wiremock"));
    for line in ours.chain(told.lines()) {
        for secret in secrets() {
            assert!(!line.contains(&secret), "{secret} is in: {line}");
        }
    }
}
