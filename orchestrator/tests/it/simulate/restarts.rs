//! What the process keeps: killed, stopped, started again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::outside::{Outside, answer, basic, solapi_auth};

/// `bookmarket simulate` as a process of its own.
struct Process {
    child: Child,
    url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bookmarket"))
            .args([
                "simulate",
                "--listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
                "--ledger",
            ])
            .arg(dir.join("providers.jsonl"))
            .args(more)
            .env_clear()
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if let Some(url) = line["url"].as_str() {
                break url.to_owned();
            }
        };
        // Whatever else it says is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    async fn post(&self, path: &str, key: &str, auth: String, body: Value) -> Value {
        let request = Client::new()
            .post(format!("{}{path}", self.url))
            .json(&body);
        let request = request
            .header("idempotency-key", key)
            .header("authorization", auth);
        answer(request).await.1
    }

    async fn get(&self, path: &str, auth: String) -> Value {
        let request = Client::new().get(format!("{}{path}", self.url));
        answer(request.header("authorization", auth)).await.1
    }

    fn terminate(mut self) -> bool {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

fn toss() -> String {
    basic("test_sk:")
}

#[tokio::test]
async fn killed_at_once_and_started_again_everything_is_still_known() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let (order, message) = (Uuid::now_v7(), Uuid::now_v7());
    let confirm = json!({ "paymentKey": "pay-secret-1", "orderId": order, "amount": 5_000 });
    let cancel = json!({ "cancelReason": "because [r]", "cancelAmount": 1_000 });
    let bearer = || "Bearer t".to_owned();
    process
        .post("/toss/v1/payments/confirm", "k", toss(), confirm.clone())
        .await;
    process
        .post(
            "/toss/v1/payments/pay-secret-1/cancel",
            "r",
            toss(),
            cancel.clone(),
        )
        .await;
    let ship = json!({ "orderId": order });
    let shipment = process
        .post("/label/v1/shipments", "s", bearer(), ship.clone())
        .await;
    let sent = super::outside::messages(message, "o");
    process
        .post(
            "/solapi/messages/v4/send-many/detail",
            "",
            solapi_auth(),
            sent,
        )
        .await;
    let payment = process.get("/toss/v1/payments/pay-secret-1", toss()).await;
    assert_eq!(payment["status"], "PARTIAL_CANCELED");
    drop(process);

    let process = Process::start(dir.path(), &[]);
    assert_eq!(
        process.get("/toss/v1/payments/pay-secret-1", toss()).await,
        payment
    );
    let again = process
        .post("/toss/v1/payments/confirm", "k", toss(), confirm)
        .await;
    assert_eq!(
        (&again["paymentKey"], &again["status"]),
        (&json!("pay-secret-1"), &json!("DONE"))
    );
    let again = process
        .post("/toss/v1/payments/pay-secret-1/cancel", "r", toss(), cancel)
        .await;
    assert_eq!(again, payment);
    assert_eq!(
        process
            .post("/label/v1/shipments", "s", bearer(), ship)
            .await,
        shipment
    );
    let path = format!("/solapi/messages/v4/list?customFields.messageId={message}&to=01012345678");
    let list = process.get(&path, solapi_auth()).await;
    assert_eq!(list["messageList"].as_object().unwrap().len(), 1);
    let ledger = std::fs::read_to_string(dir.path().join("providers.jsonl")).unwrap();
    for secret in ["pay-secret-1", "010", "test_sk", "because"] {
        assert!(!ledger.contains(secret), "{secret} in {ledger}");
    }
    assert!(process.terminate(), "it stops in order");
}

#[tokio::test]
async fn a_refund_under_way_is_through_after_a_restart() {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    let confirm = json!({ "paymentKey": "p", "orderId": Uuid::now_v7(), "amount": 5_000 });
    process
        .post("/toss/v1/payments/confirm", "k", toss(), confirm)
        .await;
    let rules = json!({ "rules": [{ "op": "refund", "fault": "async", "delayMs": 400 }] });
    let put = Client::new()
        .put(format!("{}/faults", process.url))
        .json(&rules);
    assert_eq!(answer(put).await.0, 200);
    let cancel = json!({ "cancelReason": "because" });
    let begun = process
        .post("/toss/v1/payments/p/cancel", "r", toss(), cancel)
        .await;
    assert_eq!(begun["cancels"][0]["cancelStatus"], "IN_PROGRESS");
    drop(process);

    let process = Process::start(dir.path(), &[]);
    let mut payment = json!(null);
    while payment["status"] != "CANCELED" {
        payment = process.get("/toss/v1/payments/p", toss()).await;
    }
    let cancel = &payment["cancels"][0];
    assert_eq!(
        (&cancel["cancelStatus"], &cancel["cancelReason"]),
        (&json!("DONE"), &json!("because"))
    );
}

#[tokio::test]
async fn a_preset_makes_the_payment_slow_until_the_rules_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &["--preset", "slow-payment"]);
    let pay = async |key: &str| {
        let begun = std::time::Instant::now();
        let confirm = json!({ "paymentKey": key, "orderId": Uuid::now_v7(), "amount": 5_000 });
        let paid = process
            .post("/toss/v1/payments/confirm", key, toss(), confirm)
            .await;
        assert_eq!(paid["status"], "DONE");
        begun.elapsed().as_millis()
    };
    let slow = pay("a").await;
    assert!((180..5_000).contains(&slow), "{slow} ms");
    let put = Client::new()
        .put(format!("{}/faults", process.url))
        .json(&json!({ "rules": [] }));
    assert_eq!(answer(put).await.0, 200);
    // One of many is enough: a busy machine delays some, the preset would have delayed all.
    let mut quickest = u128::MAX;
    for key in 0..20 {
        quickest = quickest.min(pay(&format!("b{key}")).await);
    }
    assert!(quickest < 180, "{quickest} ms");
}

#[tokio::test]
async fn stopped_and_started_again_registered_callbacks_and_planted_charges_are_known() {
    let mut outside = Outside::open().await;
    let planted = json!({ "orderId": "orphan-1", "amount": 700 });
    let request = outside
        .request(reqwest::Method::POST, "/charges")
        .json(&planted);
    let (_, planted) = answer(request).await;
    let path = format!(
        "/toss/v1/payments/{}",
        planted["paymentKey"].as_str().unwrap()
    );
    let before = outside.get(&path).await;
    assert_eq!(before.1["orderId"], "orphan-1");
    outside.restart().await;
    assert_eq!(outside.get(&path).await, before);
    assert_eq!(
        outside.get("/toss/v1/payments/orders/orphan-1").await,
        before
    );
}
