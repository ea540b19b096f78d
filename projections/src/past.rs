//! A view as it was at a position of the log: folded into a directory of its own, so that neither the
//! live tables nor their readers notice, and so that it can be done beside a server that holds the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventstore::{EventStore, Location, Position, ReadError};
use serde_json::Value as Json;

use crate::error::{OpenError, QueryError, RebuildError};
use crate::projection::Projection;
use crate::projections::{Options, View};
use crate::query::PAGE_MAX;
use crate::rebuild::{self, RebuildOptions, RebuildProgress, RebuildReport};
use crate::store::Store;
use crate::table::Sort;
use crate::tail::Tail;
use crate::view_of::ViewOf;
use crate::views::customer::CustomerView;
use crate::views::message::MessageView;
use crate::views::saga::SagaView;

/// A view could not be folded as it was.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The log is not that long.
    #[error("the log ends at {head}, before {wanted}")]
    Beyond {
        /// The position asked for.
        wanted: Position,
        /// The end of the log.
        head: Position,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The directory cannot be used, or somebody else is using it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Folding failed.
    #[error(transparent)]
    Fold(#[from] RebuildError),
}

/// The rows of a view at some moment. Their directory goes with it.
pub struct Past {
    /// What it took to fold them.
    pub report: RebuildReport,
    show: fn(&str) -> serde_json::Result<Json>,
    after: i64,
    site: Arc<crate::site::Site>,
    _scratch: Scratch,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past")
            .field("view", &self.site.name())
            .finish_non_exhaustive()
    }
}

/// A directory that is removed at the end. One that a kill has left behind is used again by the next one
/// of the same path.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is used again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Past {
    /// Folds a view up to `position`, which the log must have reached, in the directory `scratch`. It
    /// takes about as much room as the view's table, and as little memory as a rebuild.
    pub async fn fold(
        log: &EventStore,
        view: View,
        position: Position,
        scratch: &Path,
        options: &RebuildOptions,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<Self, PastError> {
        match view {
            View::Customer => fold::<CustomerView>(log, position, scratch, options, progress).await,
            View::Message => fold::<MessageView>(log, position, scratch, options, progress).await,
            View::Saga => fold::<SagaView>(log, position, scratch, options, progress).await,
        }
    }

    /// The next rows as their readers would have seen them, oldest first; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Json>, QueryError> {
        let sort = Sort::By {
            column: "seq",
            after: Some((self.after, self.after)),
        };
        let list = self
            .site
            .store
            .list(self.site.def, Vec::new(), sort, PAGE_MAX);
        let (_, rows) = list.await?;
        self.after = rows.last().map_or(self.after, |(seq, _)| *seq);
        let rows = rows.iter().map(|(_, doc)| (self.show)(doc));
        rows.collect::<Result<_, _>>().map_err(QueryError::Row)
    }

    /// Begins with the first rows again.
    pub fn rewind(&mut self) {
        self.after = i64::MIN;
    }
}

async fn fold<P: Projection>(
    log: &EventStore,
    position: Position,
    scratch: &Path,
    options: &RebuildOptions,
    progress: impl FnMut(RebuildProgress) + Send,
) -> Result<Past, PastError> {
    let head = log.head().await?;
    if position > head {
        return Err(PastError::Beyond {
            wanted: position,
            head,
        });
    }
    let location = Location::sqlite(scratch);
    Store::migrate(&location).await?;
    let store = Arc::new(Store::open(&location, log).await?);
    // Ours from here on: the store has locked it.
    let scratch = Scratch(scratch.to_owned());
    let tail = Arc::new(Tail::new(log.clone()));
    let options_of_views = Options {
        gentle: false,
        ..Options::default()
    };
    let view = ViewOf::<P>::at((store, log.clone(), tail, options_of_views)).await?;
    let site = view.into_site();
    let report = rebuild::rebuild_up_to::<P>(&site, options, position, progress).await?;
    Ok(Past {
        report,
        show: |doc| P::from_doc(doc).and_then(P::shown),
        after: i64::MIN,
        site,
        _scratch: scratch,
    })
}
