//! The providers over HTTP, beside a shop that reaches them as it reaches the real ones.

use std::net::SocketAddr;

use orchestrator::providers::simulator::Options;
use orchestrator::providers::simulator::ledger::{self, Line, Op, Verdict};
use orchestrator::providers::simulator::wire::{Preset, Server, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Simulated providers; their ledger goes away with this.
pub(super) struct Outside {
    server: Server,
    folder: TempDir,
}

impl Outside {
    pub(super) async fn start(presets: Vec<Preset>) -> Outside {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = Setup {
            simulator: Options::in_dir(folder.path()),
            shop: None,
            presets,
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(any).await.expect("a port");
        let server = Server::start(&setup, listener).expect("a server");
        Outside { server, folder }
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// Lets one provider be away, or nobody.
    pub(super) async fn be_away(&self, port: Option<&str>) {
        let rules = port.map(|port| json!([{ "port": port, "fault": "down" }]));
        self.faults(rules.unwrap_or(json!([]))).await;
    }

    /// What goes wrong from now on.
    pub(super) async fn faults(&self, rules: Value) {
        let put = reqwest::Client::new()
            .put(format!("{}/faults", self.url()))
            .json(&json!({ "rules": rules }));
        let answer = put.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// A van comes now.
    pub(super) async fn scan(&self, order: &str, scan: &str) {
        let post = reqwest::Client::new()
            .post(format!("{}/scans", self.url()))
            .json(&json!({ "orderId": order, "scan": scan }));
        let answer = post.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// What was really done.
    pub(super) fn done(&self, op: Op) -> Vec<Line> {
        let lines = ledger::read(&self.folder.path().join(ledger::FILE_NAME)).expect("a ledger");
        let done = |line: &Line| line.op == op && line.result == Verdict::Done;
        lines.into_iter().filter(done).collect()
    }

    pub(super) async fn stop(self) {
        self.server.stop().await;
    }
}
