//! Rebuilds of views that were asked for over HTTP: they outlive the request that started them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use projections::{Projections, View};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the last rebuild of a view has come to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// When it was asked for.
    pub started_at: DateTime<Utc>,
    /// Events folded by one that is done.
    pub events: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The last rebuild of each view.
#[derive(Clone, Debug, Default)]
pub struct Rebuilds {
    all: Arc<Mutex<HashMap<&'static str, Rebuild>>>,
}

impl Rebuilds {
    /// Starts a rebuild, unless one is under way.
    pub fn start(
        &self,
        views: &Projections,
        view: View,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> bool {
        let fresh = Rebuild {
            state: "running",
            started_at: Utc::now(),
            events: None,
            error: None,
        };
        {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            if all
                .get(view.as_str())
                .is_some_and(|rebuild| rebuild.state == "running")
            {
                return false;
            }
            all.insert(view.as_str(), fresh.clone());
        }
        let (this, views, stop) = (self.clone(), views.clone(), stop.clone());
        tasks.spawn(async move {
            let work = views.rebuild(view, |_| {});
            let ended = tokio::select! {
                () = stop.cancelled() => Rebuild { state: "failed", error: Some("the server stopped".to_owned()), ..fresh },
                report = work => match report {
                    Ok(report) => Rebuild { state: "done", events: Some(report.events), ..fresh },
                    Err(error) => {
                        tracing::error!(%error, view = view.as_str(), "a view could not be rebuilt");
                        Rebuild { state: "failed", error: Some(error.to_string()), ..fresh }
                    }
                },
            };
            this.all.lock().unwrap_or_else(PoisonError::into_inner).insert(view.as_str(), ended);
        });
        true
    }

    /// The last rebuild of a view, if there was one in this process.
    #[must_use]
    pub fn last(&self, view: &str) -> Option<Rebuild> {
        self.all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(view)
            .cloned()
    }
}
