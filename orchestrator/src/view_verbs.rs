//! What operators do about views: decided on what the view says now, recorded, and followed until the view
//! has taken it up.

use std::time::Duration;

use aggregates::ids;
use aggregates::projection::{Action, Command, Projection, Rejection};
use chrono::Utc;
use eventstore::{EventStore, ReadError};
use projections::{ParkedEvent, Projections, StoreError, View, WaitError};
use uuid::Uuid;

use crate::execute::{ExecuteError, execute};

/// What can be done about a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Take what is parked once more: of this key, or of all.
    Retry(Option<Uuid>),
    /// Leave out the first parked event of a key, which is at this position.
    Skip(Uuid, i64),
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
}

impl Verb {
    /// Its name in addresses and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verb::Retry(_) => "retry",
            Verb::Skip(..) => "skip",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
        }
    }
}

/// Who wants it, and why.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What came of a verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// Nothing of it is parked any more.
    Released,
    /// This is the first that still is.
    Parked(ParkedEvent),
    /// So many keys still are.
    ParkedKeys(u64),
    /// The view is folded anew for it, for this reason.
    Rebuilding(String),
    /// The view stands still.
    Paused,
    /// The view goes on.
    Resumed,
    /// It is on record, and the view has not come to it yet.
    Pending,
}

/// Why a verb was not recorded, or what came of it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// The view has no need of it.
    #[error(transparent)]
    Rejected(Rejection),
    /// The view cannot be asked.
    #[error(transparent)]
    View(#[from] StoreError),
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// It cannot be recorded.
    #[error("it cannot be recorded")]
    Record(#[source] ExecuteError<Rejection>),
}

/// Records a verb, and waits for so long until the view has taken it up.
pub async fn act(
    store: &EventStore,
    views: &Projections,
    view: View,
    verb: Verb,
    request: Request,
    wait: Duration,
) -> Result<Came, VerbError> {
    let command = Command {
        view: view.as_str().to_owned(),
        reason: request.reason,
        actor: request.actor,
        at: Utc::now(),
        action: action(views, view, verb).await?,
    };
    let recorded = execute::<Projection>(store, ids::projection_id(view.as_str()), &command).await;
    recorded.map_err(|error| match error {
        ExecuteError::Rejected(rejection) => VerbError::Rejected(rejection),
        other => VerbError::Record(other),
    })?;
    let key = match verb {
        Verb::Pause => return Ok(Came::Paused),
        Verb::Resume => return Ok(Came::Resumed),
        Verb::Retry(key) => key,
        Verb::Skip(key, _) => Some(key),
    };
    // A repeat has recorded nothing, and then it stands further back.
    let recorded_by = store.head().await?;
    match views.wait_until(view, recorded_by, wait).await {
        Ok(()) => came_of(views, view, key).await,
        Err(WaitError::Behind { .. }) => Ok(Came::Pending),
        Err(WaitError::Store(error)) => Err(error.into()),
    }
}

/// The verb together with what the view says.
async fn action(views: &Projections, view: View, verb: Verb) -> Result<Action, StoreError> {
    Ok(match verb {
        Verb::Retry(Some(key)) => Action::Retry {
            key: Some(key),
            parked: first(views, view, key).await?.is_some(),
        },
        Verb::Retry(None) => Action::Retry {
            key: None,
            parked: views.parked_keys(view).await? > 0,
        },
        Verb::Skip(key, position) => Action::Skip {
            key,
            position,
            first: first(views, view, key).await?.map(|it| it.position.0),
        },
        Verb::Pause => Action::Pause,
        Verb::Resume => Action::Resume,
    })
}

async fn came_of(views: &Projections, view: View, key: Option<Uuid>) -> Result<Came, VerbError> {
    if let Some(reason) = views.rebuild_wanted(view).await? {
        return Ok(Came::Rebuilding(reason));
    }
    Ok(match key {
        Some(key) => first(views, view, key)
            .await?
            .map_or(Came::Released, Came::Parked),
        None => match views.parked_keys(view).await? {
            0 => Came::Released,
            keys => Came::ParkedKeys(keys),
        },
    })
}

async fn first(
    views: &Projections,
    view: View,
    key: Uuid,
) -> Result<Option<ParkedEvent>, StoreError> {
    let events = views.parked_events(view, key, 1).await?;
    Ok(events.into_iter().next())
}
