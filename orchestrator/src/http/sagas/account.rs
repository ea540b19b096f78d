//! The account of a bulk intervention: one line of JSON for everything that happens.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::interval;
use uuid::Uuid;

use super::verbs::tell;
use crate::http::state::Edge;
use crate::saga::bulk::{Bulk, Fate, News, Stopped};
use crate::saga::verbs::VerbError;

/// Longest silence: below the usual idle timeouts of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Keeps the account and hands it to the client.
pub(super) struct Account {
    lines: mpsc::Sender<Bytes>,
    selected: usize,
    more: bool,
    begun: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Account {
    pub(super) fn new(lines: mpsc::Sender<Bytes>, selected: usize, more: bool) -> Account {
        Account {
            lines,
            selected,
            more,
            begun: 0,
            counts: BTreeMap::new(),
        }
    }

    /// Has it done, line by line. A client that has gone stops it.
    pub(super) async fn keep(mut self, bulk: &Bulk, edge: &Edge, sagas: Vec<Uuid>) {
        let engine = edge.fulfilment.engine();
        let (news, mut heard) = mpsc::channel(1);
        let (lines, gone) = (self.lines.clone(), edge.stop.child_token());
        self.say(&json!({ "type": "selected", "count": self.selected, "more": self.more }))
            .await;
        let ended = {
            let work = bulk.run(engine, sagas.into_iter(), &news, &gone);
            tokio::pin!(work);
            let mut alive = interval(KEEP_ALIVE);
            alive.reset();
            loop {
                tokio::select! {
                    biased;
                    () = lines.closed(), if !gone.is_cancelled() => gone.cancel(),
                    Some(news) = heard.recv() => self.note(&news).await,
                    ended = &mut work => break ended,
                    _ = alive.tick() => self.say(&json!({ "type": "alive", "begun": self.begun })).await,
                }
            }
        };
        while let Ok(news) = heard.try_recv() {
            self.note(&news).await;
        }
        self.close(bulk, ended, edge).await;
    }

    async fn note(&mut self, news: &News) {
        let line = match news {
            News::Begun(id) => {
                self.begun += 1;
                json!({ "type": "begun", "sagaId": id })
            }
            News::Ended { id, canary, fate } => {
                let mut line = json!({ "type": "saga", "sagaId": id, "canary": canary });
                let result = describe(fate, &mut line);
                *self.counts.entry(result).or_default() += 1;
                line
            }
        };
        self.say(&line).await;
    }

    async fn close(&self, bulk: &Bulk, ended: Result<(), Stopped>, edge: &Edge) {
        let stopped = match ended {
            Ok(()) => None,
            Err(Stopped::Canary) => Some("canary"),
            Err(Stopped::Told) => Some("shutdown"),
        };
        tracing::info!(
            begun = self.begun,
            selected = self.selected,
            verb = bulk.verb.name(),
            stopped = stopped.unwrap_or("-"),
            counts = ?self.counts,
            "an intervention in many sagas has ended"
        );
        // Whoever carries it to a view sees there what came of every saga.
        let newest = edge.newest().await.ok();
        self.say(&json!({
            "type": "summary",
            "consistencyToken": newest.map(|newest| newest.to_string()),
            "verb": bulk.verb.name(),
            "dryRun": bulk.dry_run,
            "selected": self.selected,
            "more": self.more,
            "begun": self.begun,
            "untouched": self.selected - self.begun,
            "results": self.counts,
            "stopped": stopped,
        }))
        .await;
    }

    /// A client that has gone is noticed elsewhere.
    async fn say(&self, line: &Value) {
        let mut text = line.to_string();
        text.push('\n');
        drop(self.lines.send(Bytes::from(text)).await);
    }
}

/// What came of one saga; its word.
fn describe(fate: &Fate, line: &mut Value) -> &'static str {
    let result = match fate {
        Fate::Would(step) => {
            line["step"] = step.clone().into();
            "would"
        }
        Fate::Went(aftermath) => {
            tell(aftermath, line);
            aftermath.end.as_str()
        }
        Fate::Not(error) => {
            line["reason"] = error.to_string().into();
            match error {
                VerbError::Moved => "moved",
                VerbError::Unknown => "unknown",
                _ => "refused",
            }
        }
    };
    line["result"] = result.into();
    result
}
