//! How the views are: how far behind, why, and what is parked.

use chrono::Utc;
use eventstore::Position;
use serde::Serialize;

use crate::error::RunError;
use crate::live::Activity;
use crate::projections::{Projections, View};
use crate::rebuild::RebuildProgress;
use crate::store::ParkedEvent;

/// Parked events named in a status; the count of keys is always exact.
pub const PARKED_LISTED: usize = 100;

/// What the projection of a view is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProjectionState {
    /// Projected by this process.
    Running,
    /// After an error, about to be tried again.
    Retrying,
    /// Standing still until the view is rebuilt or the log repaired.
    Stopped,
    /// Not projected by this process; perhaps by another one.
    Elsewhere,
}

/// How one view is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionStatus {
    /// The view.
    pub name: &'static str,
    /// What its projection is doing.
    pub state: ProjectionState,
    /// Why it does not go on.
    pub reason: Option<String>,
    /// The last position in its rows.
    pub position: Position,
    /// The last position in the log.
    pub head: Position,
    /// Positions it is behind.
    pub lag: i64,
    /// How long the first event that it has not taken has been in the log.
    pub lag_seconds: f64,
    /// Keys that stand still because of an event that could not be taken. A rebuild by a build that
    /// can take it sets them free.
    pub parked_keys: u64,
    /// The first [`PARKED_LISTED`] parked events.
    pub parked: Vec<ParkedEvent>,
    /// The rebuild under way in this process.
    pub rebuild: Option<RebuildProgress>,
}

impl Projections {
    /// How all views are.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, RunError> {
        let mut all = Vec::with_capacity(View::ALL.len());
        for view in View::ALL {
            all.push(self.status_of(view).await?);
        }
        Ok(all)
    }

    /// How one view is.
    pub async fn status_of(&self, view: View) -> Result<ProjectionStatus, RunError> {
        let inner = self.inner();
        let generation = inner.store.live(view.table()).await?;
        let (parked, parked_keys) = inner
            .store
            .parked(view.table(), generation.number, PARKED_LISTED)
            .await?;
        let position = generation.checkpoint.position;
        let head = inner.log.head().await?;
        let activity = inner.live(view).activity().clone();
        let (state, reason) = match (activity, generation.stopped) {
            (Activity::Stopped(reason), _) | (Activity::Absent, Some(reason)) => {
                (ProjectionState::Stopped, Some(reason))
            }
            (Activity::Retrying(reason), _) => (ProjectionState::Retrying, Some(reason)),
            (Activity::Running, _) => (ProjectionState::Running, None),
            (Activity::Absent, None) | (Activity::StandingBy, _) => {
                (ProjectionState::Elsewhere, None)
            }
        };
        Ok(ProjectionStatus {
            name: view.as_str(),
            state,
            reason,
            position,
            head,
            lag: (head.0 - position.0).max(0),
            lag_seconds: self.waiting_since(position, head).await?,
            parked_keys,
            parked,
            rebuild: *inner.live(view).rebuild(),
        })
    }

    async fn waiting_since(&self, position: Position, head: Position) -> Result<f64, RunError> {
        if position >= head {
            return Ok(0.0);
        }
        let page = self.inner().log.read_all(position, 1, None).await?;
        let waiting = page
            .events
            .first()
            .map(|event| Utc::now() - event.recorded_at);
        Ok(waiting.map_or(0.0, |waiting| waiting.as_seconds_f64().max(0.0)))
    }
}
