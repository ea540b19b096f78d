//! Rebuilds of views that were asked for over HTTP: they outlive the request that started them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use projections::{Projections, RebuildError, RebuildOptions, RebuildReport, View};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// [`Rebuild::code`] of one that was to go on with an earlier one, where there is none.
pub const NOTHING_TO_RESUME: &str = "nothing-to-resume";

/// What the last rebuild of a view has come to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// When it was asked for.
    pub started_at: DateTime<Utc>,
    /// What one that is done has come to.
    pub report: Option<Arc<RebuildReport>>,
    /// Stable word for why it failed, where a program may want to know.
    pub code: Option<&'static str>,
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
        options: RebuildOptions,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> bool {
        let fresh = Rebuild {
            state: "running",
            started_at: Utc::now(),
            report: None,
            code: None,
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
        let (views, stop) = (views.clone(), stop.clone());
        let under_way = UnderWay {
            rebuilds: self.clone(),
            view: view.as_str(),
            ended: fresh
                .clone()
                .failed("it has died: a defect of ours".to_owned(), None),
        };
        tasks.spawn(async move {
            let mut under_way = under_way;
            let work = views.rebuild_with(view, &options, |_| {});
            under_way.ended = fresh.ended(stop.run_until_cancelled(work).await);
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

/// A rebuild on its task; however that ends, it is not under way any more.
struct UnderWay {
    rebuilds: Rebuilds,
    view: &'static str,
    /// What it has come to; until it says so itself, that it has died.
    ended: Rebuild,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(error) = &self.ended.error {
            tracing::error!(%error, view = self.view, "a view could not be rebuilt");
        }
        let mut all = self
            .rebuilds
            .all
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(self.view, self.ended.clone());
    }
}

impl Rebuild {
    fn failed(self, error: String, code: Option<&'static str>) -> Rebuild {
        Rebuild {
            state: "failed",
            error: Some(error),
            code,
            ..self
        }
    }

    /// `None`: the server was stopped first.
    fn ended(self, result: Option<Result<RebuildReport, RebuildError>>) -> Rebuild {
        match result {
            Some(Ok(report)) => Rebuild {
                state: "done",
                report: Some(Arc::new(report)),
                ..self
            },
            Some(Err(error @ RebuildError::NothingToResume { .. })) => {
                self.failed(error.to_string(), Some(NOTHING_TO_RESUME))
            }
            Some(Err(error)) => self.failed(chain(&error), None),
            None => self.failed(
                "the server was stopped; the rebuild can be resumed".to_owned(),
                None,
            ),
        }
    }
}

/// The error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rebuild_that_has_died_is_not_under_way_any_more() {
        let rebuilds = Rebuilds::default();
        let running = Rebuild {
            state: "running",
            started_at: Utc::now(),
            report: None,
            code: None,
            error: None,
        };
        let view = "customer";
        let all = rebuilds.all.lock();
        all.expect("nobody has it").insert(view, running.clone());
        let under_way = UnderWay {
            rebuilds: rebuilds.clone(),
            view,
            ended: running.failed("it has died".to_owned(), None),
        };
        let died = tokio::spawn(async move {
            let _under_way = under_way;
            panic!("planted");
        });
        assert!(died.await.is_err_and(|error| error.is_panic()));
        let last = rebuilds.last(view).expect("it was one");
        assert_eq!(
            (last.state, last.error.as_deref()),
            ("failed", Some("it has died"))
        );
    }
}
