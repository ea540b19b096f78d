//! When nothing moves any more, and what is found then.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use super::shop::Town;
use super::{STUCK, until, until_or};
use crate::checker::{self, Evidence, Reply};

/// Steps that only wait: for the carrier's vans, for the order that a webhook is about, for a charge that was given up.
const WAITED_FOR: [&str; 4] = ["handover", "track", "find", "late-charge"];

impl Town {
    /// Everything the checker looks at, of one moment in which nothing moves: ledger and log are the same before the views
    /// are read and afterwards. That somebody looks after what he waits for is no movement.
    pub(crate) async fn evidence(&self, replies: Vec<Reply>) -> Evidence {
        let evidence = until("a moment in which nothing moves", STUCK, async || {
            let mut ledger = self.ledger().await;
            let found = checker::gather(&self.http, &self.shop.url, ledger.clone()).await;
            let position = found.events.last().and_then(|it| it["position"].as_i64());
            let (lines, position) = (ledger.len(), position.unwrap_or_default());
            self.read_on(&mut ledger).await;
            let later = checker::events(&self.http, &self.shop.url, position).await;
            let still = ledger.len() == lines && later.iter().all(|it| it["type"] == "Polled");
            still.then_some(found)
        });
        Evidence {
            replies,
            ..evidence.await
        }
    }

    /// The end of every test: everything comes to rest, and the checker finds nothing.
    pub(crate) async fn close(self, replies: Vec<Reply>) -> Evidence {
        self.quiesces(STUCK).await;
        let evidence = self.evidence(replies).await;
        let found = checker::check(&evidence);
        assert!(found.is_empty(), "{}", checker::tell(&found));
        evidence
    }

    /// Waits until no saga is under way: each is over, is left to a person, or waits for what nobody here does.
    pub(crate) async fn quiesces(&self, within: Duration) {
        let (moving, mut resting, mut head) = (Mutex::new(Vec::new()), BTreeSet::new(), 0);
        let stuck = || {
            let moving = moving.lock().unwrap();
            let some: Vec<_> = moving.iter().take(5).collect();
            format!(
                "{} sagas never came to rest, among them {some:?}",
                moving.len()
            )
        };
        until_or(within, stuck, async || {
            // The view may be behind the log.
            let events = checker::events(&self.http, &self.shop.url, head).await;
            head = events
                .last()
                .and_then(|it| it["position"].as_i64())
                .unwrap_or(head);
            let found = self.moving(head, &mut resting).await;
            let at_rest = found.is_empty();
            *moving.lock().unwrap() = found;
            at_rest.then_some(())
        })
        .await;
    }

    /// The sagas that are under way. What was found at rest is looked at only from afar.
    async fn moving(&self, head: i64, resting: &mut BTreeSet<String>) -> Vec<Value> {
        let mut moving = Vec::new();
        for status in ["running", "unwinding", "waiting", "parked"] {
            let filter = format!("&status={status}");
            let rows = checker::rows(&self.http, &self.shop.url, "sagas", &filter, head).await;
            for row in rows {
                let id = row["sagaId"].as_str().expect("an id").to_owned();
                let is_left = status == "parked" && row["dueAt"].is_null();
                if is_left || only_waits(&row) && resting.contains(&id) {
                    continue;
                }
                // A row tells of one step, and beside a van that is waited for a message may be on its way.
                let mut saga = self.get(&format!("/sagas/{id}")).await.body;
                if is_at_rest(&saga) {
                    resting.insert(id);
                } else {
                    // The rest of it can be told from these, and is long.
                    saga["history"].take();
                    moving.push(saga);
                }
            }
        }
        moving
    }
}

fn is_waited_for(step: &Value) -> bool {
    step.as_str().is_some_and(|step| WAITED_FOR.contains(&step))
}

/// From afar: whether all that the row tells of it is that it waits.
fn only_waits(row: &Value) -> bool {
    row["status"] != "running" && is_waited_for(&row["step"])
}

/// Whether all of its steps are over, left to a person or waited for, and none is still to come.
fn is_at_rest(saga: &Value) -> bool {
    let open = saga["waitsFor"].as_array().into_iter().flatten();
    // What is idle is not begun: whether it will be, the list of what is to come says.
    let mut open = open.filter(|it| it["standing"] != "parked" && it["standing"] != "idle");
    let mut to_come = saga["remaining"].as_array().into_iter().flatten();
    saga["status"] == "completed"
        || saga["status"] == "unwound"
        || saga["status"] != "running"
            && open.all(|it| it["standing"] == "polling" && is_waited_for(&it["step"]))
            && (saga["status"] == "parked" || to_come.all(is_waited_for))
}
