//! Whether this build can continue every saga that is running: asked before it takes over from another one. Reads only.

use std::collections::HashSet;

use aggregates::saga::{State, Status};
use eventstore::{EventStore, Position, ReadError};
use futures_util::StreamExt;
use uuid::Uuid;

use super::definition::{Definition, RecordError, Saga};
use super::history::History;
use super::view::{LeftAlone, LoadError, SAGA, Snapshot};

/// Saga events read in one go.
const PAGE: usize = 10_000;
/// Sagas folded at once: enough to hide the way to the database, few enough to leave it to whoever serves.
const AT_ONCE: usize = 16;
/// Of more than these only the number is told.
pub const LISTED_MAX: usize = 1_000;

/// A saga that this build can run.
pub struct Known {
    /// Its name in the log.
    pub name: &'static str,
    /// Its version in the log.
    pub version: u32,
    /// Its steps.
    pub definition: Definition,
    /// Whether the domain events beside it can be read.
    pub reads: fn(&History) -> Result<(), RecordError>,
}

impl Known {
    /// What can be told of a saga whose domain events nobody has to read.
    pub fn of(saga: &dyn Saga) -> Self {
        Self {
            name: saga.name(),
            version: saga.version(),
            definition: saga.definition().clone(),
            reads: |_| Ok(()),
        }
    }
}

/// Why this build cannot continue a saga.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cannot {
    /// Its log cannot be folded, or nobody knows it.
    #[error(transparent)]
    Run(#[from] LeftAlone),
    /// It has come to a step that its definition does not have.
    #[error("saga {saga} version {version} has no step {step} in this build")]
    UnknownStep {
        /// Name of the definition.
        saga: String,
        /// Version of the definition.
        version: u32,
        /// The step.
        step: String,
    },
    /// The domain events beside it cannot be read.
    #[error("the events beside it cannot be read: {0}")]
    Read(#[from] RecordError),
}

/// A saga that cannot be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The saga.
    pub id: Uuid,
    /// What it is doing, where that much can be read.
    pub status: Option<Status>,
    /// The step it hangs on.
    pub step: Option<String>,
    /// Why not.
    pub why: Cannot,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The log was read up to here.
    pub position: Position,
    /// Sagas that have not finished.
    pub running: usize,
    /// How many of them cannot be continued.
    pub stuck: usize,
    /// The first of those.
    pub listed: Vec<Stuck>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Looking for sagas that run.
    Looking {
        /// Read up to here.
        position: Position,
        /// Of so many.
        head: Position,
    },
    /// Folding them.
    Folding {
        /// So many are done.
        done: usize,
        /// Of so many.
        of: usize,
    },
}

/// Folds every running saga with what this build knows.
pub async fn preflight(
    store: &EventStore,
    known: &[Known],
    mut progress: impl FnMut(Progress),
) -> Result<Report, ReadError> {
    let head = store.head().await?;
    let running = running(store, head, &mut progress).await?;
    let mut report = Report {
        position: head,
        ..Report::default()
    };
    let of = running.len();
    let looks = futures_util::stream::iter(running).map(|id| look(store, known, id));
    let mut looks = looks.buffer_unordered(AT_ONCE);
    let mut done = 0;
    while let Some(found) = looks.next().await {
        let (runs, stuck) = found?;
        done += 1;
        report.running += usize::from(runs);
        if let Some(stuck) = stuck {
            report.stuck += 1;
            if report.listed.len() < LISTED_MAX {
                report.listed.push(stuck);
            }
        }
        progress(Progress::Folding { done, of });
    }
    report.listed.sort_by_key(|stuck| stuck.id);
    Ok(report)
}

/// Those whose last word is not that they have finished. An effect that came after the last word may be among them; folding tells.
async fn running(
    store: &EventStore,
    head: Position,
    progress: &mut impl FnMut(Progress),
) -> Result<HashSet<Uuid>, ReadError> {
    let mut running = HashSet::new();
    let mut position = Position::ZERO;
    while position < head {
        let page = store.read_all(position, PAGE, Some(&SAGA)).await?;
        for event in &page.events {
            if matches!(&*event.event_type, "SagaCompleted" | "SagaUnwound") {
                running.remove(&event.stream.id);
            } else {
                running.insert(event.stream.id);
            }
        }
        position = page.next;
        progress(Progress::Looking { position, head });
    }
    Ok(running)
}

/// Whether that saga runs, and if this build cannot continue it, why.
async fn look(
    store: &EventStore,
    known: &[Known],
    id: Uuid,
) -> Result<(bool, Option<Stuck>), ReadError> {
    let (view, _) = match Snapshot::load(store, id).await {
        Ok(loaded) => loaded,
        Err(LoadError::Read(error)) => return Err(error),
        Err(LoadError::LeftAlone(left)) => {
            let stuck = Stuck {
                id,
                status: None,
                step: None,
                why: left.into(),
            };
            return Ok((true, Some(stuck)));
        }
    };
    if view.state.is_finished() {
        return Ok((false, None));
    }
    let stuck = check(known, &view).err().map(|why| Stuck {
        id,
        status: Some(view.state.status()),
        step: view.state.current().map(|step| step.name.clone()),
        why,
    });
    Ok((true, stuck))
}

fn check(known: &[Known], view: &Snapshot) -> Result<(), Cannot> {
    let State {
        saga,
        version,
        steps,
        ..
    } = view.state.as_ref();
    let mut all = known.iter();
    let own = all.find(|known| known.name == saga && known.version == *version);
    let own = own.ok_or_else(|| LeftAlone::UnknownSaga {
        saga: saga.clone(),
        version: *version,
    })?;
    let strange = steps
        .iter()
        .find(|step| own.definition.step(&step.name).is_none());
    if let Some(step) = strange {
        return Err(Cannot::UnknownStep {
            saga: saga.clone(),
            version: *version,
            step: step.name.clone(),
        });
    }
    Ok((own.reads)(&view.history)?)
}
