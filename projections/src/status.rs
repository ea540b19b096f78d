//! How the views are: how far behind, why, and what is parked.

use std::time::Duration;

use chrono::Utc;
use eventstore::Position;
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

use crate::error::{RunError, StoreError, chain};
use crate::live::Activity;
use crate::parking::{ParkedEvent, ParkedKey};
use crate::projections::{Projections, View};
use crate::rebuild::RebuildProgress;
use crate::site::Site;
use crate::store::Generation;
use crate::verbs::{Verbs, pause_of};

/// Parked keys named in a status; their count is always exact.
pub const PARKED_LISTED: usize = 100;

/// How long the store of a view is waited for by whoever looks at all of them, again and again.
const GLANCE: Duration = Duration::from_millis(500);

/// How long it is waited for by whoever wants to know more.
const LOOK: Duration = Duration::from_secs(5);

/// What the projection of a view is doing in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProjectionState {
    /// Projected by this process.
    Running,
    /// After an error, about to be tried again.
    Retrying,
    /// Standing still because an operator wants it to.
    Paused,
    /// Standing still until the view is rebuilt or the log repaired.
    Stopped,
    /// Not projected by this process; perhaps by another one.
    Elsewhere,
}

/// Why a view does not show the whole log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LagReason {
    /// It is on its way.
    CatchingUp,
    /// Its definition has changed, and it is being folded anew: what is shown meanwhile stands still, unless a process of the
    /// release before keeps it.
    Rebuilding,
    /// It has come to the end, but for some keys.
    ParkedKeys,
    /// An operator wants it to stand still.
    Paused,
    /// It stands still until it is rebuilt or the log repaired.
    Stopped,
    /// The projector of this process fails, and tries again.
    Failing,
    /// Nobody projects it: it has not moved for longer than [`Options::stuck_after`](crate::Options).
    NoOwner,
    /// What keeps it cannot be asked, or does not answer; the position is the last one that this process knows of.
    StoreUnreachable,
}

impl LagReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::CatchingUp,
        Self::Rebuilding,
        Self::ParkedKeys,
        Self::Paused,
        Self::Stopped,
        Self::Failing,
        Self::NoOwner,
        Self::StoreUnreachable,
    ];

    /// Its word, as it is serialized.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching-up",
            Self::Rebuilding => "rebuilding",
            Self::ParkedKeys => "parked-keys",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failing => "failing",
            Self::NoOwner => "no-owner",
            Self::StoreUnreachable => "store-unreachable",
        }
    }
}

/// How one view is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionStatus {
    /// The view.
    pub name: &'static str,
    /// What its projection is doing here.
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
    /// Why it does not show the whole log, if it does not.
    pub lag_reason: Option<LagReason>,
    /// Keys that stand still because of an event that could not be taken.
    pub parked_keys: u64,
    /// The first [`PARKED_LISTED`] of them.
    pub parked: Vec<ParkedKey>,
    /// The rebuild under way in this process.
    pub rebuild: Option<RebuildProgress>,
    /// Why the view has to be folded anew, which its projector does beside its work.
    pub rebuild_wanted: Option<String>,
    /// How often the projector of this process, or a rebuild that it began by itself, was stuck and began anew.
    pub restarts: u64,
    /// How often a page of this process's projector was refused, because another one was faster or the table was replaced.
    pub overtaken: u64,
}

/// What the store says of a view.
struct Stored {
    generation: Generation,
    /// It is of an older definition, and its successor is being folded, here or elsewhere.
    renewing: bool,
    parked: Vec<ParkedKey>,
    parked_keys: u64,
}

impl Projections {
    /// How all views are. Fails only if the log cannot be asked.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, RunError> {
        self.statuses(PARKED_LISTED, LOOK).await
    }

    /// How all views are, but for the names of what is parked. A store that does not answer at once is not waited for.
    pub async fn lags(&self) -> Result<Vec<ProjectionStatus>, RunError> {
        self.statuses(0, GLANCE).await
    }

    async fn statuses(
        &self,
        listed: usize,
        within: Duration,
    ) -> Result<Vec<ProjectionStatus>, RunError> {
        // At once: a store that is away is waited for, and should not be twice.
        try_join_all(View::ALL.map(|view| self.site(view).status_within(listed, within))).await
    }

    /// How one view is.
    pub async fn status_of(&self, view: View) -> Result<ProjectionStatus, RunError> {
        self.site(view).status(PARKED_LISTED).await
    }

    /// How many keys stand still.
    pub async fn parked_keys(&self, view: View) -> Result<u64, StoreError> {
        let site = self.site(view);
        let live = site.store.live(site.def).await?.number;
        Ok(site.store.parked(site.def, live, 0).await?.1)
    }

    /// Why the view has to be folded anew, if it has to.
    pub async fn rebuild_wanted(&self, view: View) -> Result<Option<String>, StoreError> {
        let site = self.site(view);
        Ok(site.store.live(site.def).await?.rebuild_wanted)
    }

    /// What is parked of a key, in order; nothing, if it is not parked.
    pub async fn parked_events(
        &self,
        view: View,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let site = self.site(view);
        let live = site.store.live(site.def).await?.number;
        site.store.parked_events(site.def, live, key, limit).await
    }
}

impl Site {
    pub(crate) async fn status(&self, listed: usize) -> Result<ProjectionStatus, RunError> {
        self.status_within(listed, LOOK).await
    }

    async fn status_within(
        &self,
        listed: usize,
        within: Duration,
    ) -> Result<ProjectionStatus, RunError> {
        let stored = timeout(within, self.stored(listed)).await;
        let stored = stored.unwrap_or(Err(StoreError::Silent { within }));
        let head = self.log.head().await?;
        let position = match &stored {
            Ok(stored) => stored.generation.checkpoint.position,
            Err(_) => *self.live.subscribe().borrow(),
        };
        let lag = (head.0 - position.0).max(0);
        let waiting = self.waiting_since(position, head).await?;
        let activity = self.activity().await;
        let lag_reason = match &stored {
            Ok(stored) => self.lag_reason(&activity, stored, lag, waiting),
            Err(_) => Some(LagReason::StoreUnreachable),
        };
        let (state, reason) = state(activity, &stored);
        let (generation, parked, parked_keys) = match stored {
            Ok(stored) => (Some(stored.generation), stored.parked, stored.parked_keys),
            Err(_) => (None, Vec::new(), 0),
        };
        Ok(ProjectionStatus {
            name: self.name(),
            state,
            reason,
            position,
            head,
            lag,
            lag_seconds: waiting.as_secs_f64(),
            lag_reason,
            parked_keys,
            parked,
            rebuild: *self.live.rebuild(),
            rebuild_wanted: generation.and_then(|it| it.rebuild_wanted),
            restarts: self.live.restarts(),
            overtaken: self.live.overtaken(),
        })
    }

    fn lag_reason(
        &self,
        activity: &Activity,
        stored: &Stored,
        lag: i64,
        waiting: Duration,
    ) -> Option<LagReason> {
        match activity {
            Activity::Paused(_) => return Some(LagReason::Paused),
            Activity::Stopped(_) => return Some(LagReason::Stopped),
            Activity::Absent if stored.generation.stopped.is_some() => {
                return Some(LagReason::Stopped);
            }
            _ if lag == 0 && stored.parked_keys > 0 => return Some(LagReason::ParkedKeys),
            _ if lag == 0 => return None,
            _ if stored.renewing => return Some(LagReason::Rebuilding),
            Activity::Retrying(_) => return Some(LagReason::Failing),
            Activity::Running => return Some(LagReason::CatchingUp),
            Activity::Absent | Activity::StandingBy => {}
        }
        // A projector that is stuck begins anew after this time, and one that stands by takes over far sooner.
        let idle = stored.generation.idle.unwrap_or(Duration::MAX);
        Some(match waiting.min(idle) > self.options.stuck_after {
            true => LagReason::NoOwner,
            false => LagReason::CatchingUp,
        })
    }

    async fn stored(&self, listed: usize) -> Result<Stored, StoreError> {
        let generation = self.store.live(self.def).await?;
        let (parked, parked_keys) = self
            .store
            .parked(self.def, generation.number, listed)
            .await?;
        let renewing =
            generation.version < self.def.version && self.store.is_rebuilding(self.def).await?;
        Ok(Stored {
            generation,
            renewing,
            parked,
            parked_keys,
        })
    }

    /// What the projector does: this process's, or what is known of another one's.
    async fn activity(&self) -> Activity {
        let here = self.live.activity().clone();
        match here {
            Activity::Absent | Activity::StandingBy => {
                // What cannot be asked is told elsewhere; here it would only hide the rest.
                let paused = Verbs::of(self.name()).paused(&self.log).await;
                let paused = paused.ok().flatten();
                paused.map_or(here, |pause| Activity::Paused(pause_of(&pause)))
            }
            here => here,
        }
    }

    /// How long the first event behind `position` has been in the log.
    async fn waiting_since(
        &self,
        position: Position,
        head: Position,
    ) -> Result<Duration, RunError> {
        if position >= head {
            return Ok(Duration::ZERO);
        }
        let page = self.log.read_all(position, 1, None).await?;
        let waiting = page
            .events
            .first()
            .map(|event| Utc::now() - event.recorded_at);
        Ok(waiting
            .and_then(|waiting| waiting.to_std().ok())
            .unwrap_or_default())
    }
}

fn state(
    activity: Activity,
    stored: &Result<Stored, StoreError>,
) -> (ProjectionState, Option<String>) {
    let noted = match stored {
        Ok(stored) => stored.generation.stopped.clone(),
        Err(error) => Some(chain(error)),
    };
    match (activity, noted) {
        (Activity::Stopped(reason), _) => (ProjectionState::Stopped, Some(reason)),
        (Activity::Retrying(reason), _) => (ProjectionState::Retrying, Some(reason)),
        (Activity::Paused(reason), _) => (ProjectionState::Paused, Some(reason)),
        (Activity::Running, noted) => (ProjectionState::Running, noted),
        (Activity::Absent, Some(reason)) if stored.is_ok() => {
            (ProjectionState::Stopped, Some(reason))
        }
        (Activity::Absent | Activity::StandingBy, noted) => (ProjectionState::Elsewhere, noted),
    }
}
