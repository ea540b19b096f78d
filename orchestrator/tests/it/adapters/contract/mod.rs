//! Every adapter against the simulator in its provider's shape, over HTTP: both were written from the documentation, so each
//! checks the other.

mod parcels;
mod payments;

use std::time::Duration;

use chrono::Utc;
use orchestrator::providers::carrier::Carrier;
use orchestrator::providers::ports::{
    Answer, CarrierPort, Charge, ChargeName, Direction, Found, KakaoPort, Label, MoneyMoved,
    ParcelState, PaymentPort, Refund, Shipment,
};
use orchestrator::providers::simulator::Options;
use orchestrator::providers::simulator::wire::{Server, Setup};
use orchestrator::providers::solapi::Solapi;
use orchestrator::providers::toss::Toss;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::server::{PATIENCE, carrier_at, message, solapi_at, toss_at, won};

/// How long an adapter waits where the simulator is told to be late or silent: long enough for a busy machine to get the call there,
/// and well before what is late is done.
const SHORT: Duration = Duration::from_secs(1);

/// The simulator with the adapters that ask it.
struct World {
    server: Server,
    toss: Toss,
    carrier: Carrier,
    solapi: Solapi,
    http: reqwest::Client,
    _dir: TempDir,
}

impl World {
    async fn open() -> Self {
        Self::with(Duration::from_hours(1), PATIENCE).await
    }

    async fn with(van_after: Duration, time_limit: Duration) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let setup = Setup {
            simulator: Options {
                handover_after: van_after,
                delivery_after: van_after,
                ..Options::in_dir(dir.path())
            },
            shop: None,
            presets: Vec::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Server::start(&setup, listener).expect("a simulator");
        let url = server.url();
        Self {
            toss: toss_at(&format!("{url}/toss"), time_limit),
            carrier: carrier_at(
                &format!("{url}/label"),
                &format!("{url}/tracker/graphql"),
                time_limit,
            ),
            solapi: solapi_at(&format!("{url}/solapi"), time_limit),
            http: reqwest::Client::new(),
            server,
            _dir: dir,
        }
    }

    /// From now on calls of this kind go wrong like this; an empty name heals.
    async fn fault(&self, port: &str, op: &str, fault: &str, code: Value) {
        let rule = json!({
            "port": port, "op": op, "fault": fault, "rate": 1.0, "orderId": null, "delayMs": 2000, "code": code
        });
        let rules = if fault.is_empty() {
            json!([])
        } else {
            json!([rule])
        };
        let request = self.http.put(format!("{}/faults", self.server.url()));
        let body = json!({ "seed": 1, "rules": rules });
        let answer = request.json(&body).send().await.expect("an answer");
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap_or_default()
        );
    }

    async fn heal(&self) {
        self.fault("payment", "charge", "", Value::Null).await;
    }

    /// What had an effect, by the simulator's books.
    async fn done(&self, op: &str) -> usize {
        let url = format!("{}/ledger?after=0&limit=1000", self.server.url());
        let answer = self.http.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("a body");
        let lines = text.matches("\"seq\":").count();
        assert!(lines < 1000);
        text.split("\"seq\":")
            .filter(|line| line.contains(&format!("\"op\":\"{op}\"")))
            .filter(|line| line.contains("\"result\":\"done\""))
            .count()
    }

    async fn label(&self, order: Uuid) -> Label {
        match self.carrier.ship(shipment(order)).await {
            Answer::Done(label) => label,
            other => panic!("{other:?}"),
        }
    }
}

fn charge(order: Uuid, token: &str) -> Charge {
    Charge {
        key: format!("{order}:pay"),
        order_id: order,
        amount: won(33_000),
        method: "card".into(),
        token: token.into(),
        not_after: Utc::now() + chrono::Duration::minutes(10),
    }
}

fn refund(order: Uuid, charge_ref: &str) -> Refund {
    Refund {
        key: format!("{order}:refund"),
        order_id: order,
        charge_ref: charge_ref.into(),
        amount: won(33_000),
        charged_after: Utc::now(),
    }
}

fn shipment(order: Uuid) -> Shipment {
    Shipment {
        key: format!("{order}:ship"),
        order_id: order,
        receiver: Some("Hong Gildong".into()),
        phone: Some("010-1234-5678".into()),
        address: None,
    }
}

fn moved(answer: Answer<MoneyMoved>) -> MoneyMoved {
    match answer {
        Answer::Done(moved) => moved,
        other => panic!("{other:?}"),
    }
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
