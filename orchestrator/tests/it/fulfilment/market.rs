//! Simulated providers behind the sagas, for the harness.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use eventstore::testing::TestLog;
use eventstore::{Expected, MasterKeyFile, Vault};
use futures_util::future::BoxFuture;
use orchestrator::execute::{Aggregate, to_stream};
use orchestrator::fulfilment::limits::Limits;
use orchestrator::fulfilment::participants::Providers;
use orchestrator::fulfilment::{Parts, Sagas};
use orchestrator::providers::guard::Policy;
use orchestrator::providers::ports::{
    Answer, CarrierPort, Found, Label, Page, ParcelRecord, Shipment, Tracking,
};
use orchestrator::providers::simulator::ledger::{FILE_NAME, Line, Verdict};
use orchestrator::providers::simulator::{Options, Scan, Simulator};
use orchestrator::saga::definition::Saga;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::Start;

/// A carrier whose vans come when somebody asks for the second and the third time, and never by themselves.
struct Prompt {
    simulator: Simulator,
    looks: Mutex<HashMap<Uuid, u32>>,
}

impl CarrierPort for Prompt {
    fn ship(&self, shipment: Shipment) -> BoxFuture<'_, Answer<Label>> {
        self.simulator.ship(shipment)
    }

    fn probe<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<Label>> {
        CarrierPort::probe(&self.simulator, order_id, key)
    }

    fn hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        self.simulator.hold(order_id, key)
    }

    fn probe_hold<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        self.simulator.probe_hold(order_id, key)
    }

    fn cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Answer<()>> {
        self.simulator.cancel(order_id, key)
    }

    fn probe_cancel<'a>(&'a self, order_id: Uuid, key: &'a str) -> BoxFuture<'a, Found<()>> {
        self.simulator.probe_cancel(order_id, key)
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<ParcelRecord>>> {
        CarrierPort::records(&self.simulator, since, cursor)
    }

    fn track<'a>(
        &'a self,
        order_id: Uuid,
        label: &'a Label,
        shipped_at: DateTime<Utc>,
    ) -> BoxFuture<'a, Found<Tracking>> {
        let looks = {
            let mut looks = self.looks.lock().unwrap();
            let looks = looks.entry(order_id).or_default();
            *looks += 1;
            *looks
        };
        Box::pin(async move {
            if looks >= 2 {
                self.simulator.scan(order_id, Scan::HandOver, false).await;
            }
            if looks >= 3 {
                self.simulator.scan(order_id, Scan::Deliver, false).await;
            }
            self.simulator.track(order_id, label, shipped_at).await
        })
    }
}

/// A saga that begins with what its own aggregate decides on this command.
pub(super) fn begins<A>(id: Uuid, command: &A::Command) -> BoxFuture<'static, Start>
where
    A: Aggregate<State: Default, Rejection: std::fmt::Debug>,
{
    let events = A::decide(&A::State::default(), command).unwrap();
    let domain = vec![to_stream(A::CATEGORY, id, Expected::NoStream, events, id)];
    let input = Value::Null;
    Box::pin(async move { Start { input, domain } })
}

pub(super) struct Market {
    /// Of orders, of messages.
    pub(super) sagas: Vec<Arc<dyn Saga>>,
    ledger: PathBuf,
    _dir: TempDir,
    _vault: TestLog,
}

impl Market {
    pub(super) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            handover_after: Duration::from_hours(1),
            delivery_after: Duration::from_hours(1),
            ..Options::in_dir(dir.path())
        };
        let simulator = Simulator::open(&options).unwrap().0;
        let vault_log = TestLog::sqlite();
        let store = vault_log.open().await;
        let key = MasterKeyFile::CreateIfMissing(dir.path().join("master.key"));
        let carrier = Prompt {
            simulator: simulator.clone(),
            looks: Mutex::default(),
        };
        let parts = Parts {
            vault: Vault::open(&store, &key).await.unwrap(),
            store,
            providers: Providers {
                payments: Arc::new(simulator.clone()),
                carrier: Arc::new(carrier),
                kakao: Arc::new(simulator),
                external: Default::default(),
            },
            limits: Limits::default(),
            guard: Policy {
                breaker: false,
                ..Policy::default()
            },
        };
        Self {
            sagas: Sagas::new(&parts).list(),
            ledger: dir.path().join(FILE_NAME),
            _dir: dir,
            _vault: vault_log,
        }
    }

    /// The effects of one order or message, without reading those of all others.
    pub(super) fn effects(&self, id: Uuid) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.ledger).unwrap();
        let id = id.to_string();
        let own = text.lines().filter(|line| line.contains(&id));
        let own = own.map(|line| serde_json::from_str::<Line>(line).unwrap());
        own.filter(|line| line.result == Verdict::Done).collect()
    }
}
