//! A view by its type: keep it up, fold it anew, read it. The product's own views are three of these;
//! anybody can have one more.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Location, Position};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{OpenError, QueryError, RebuildError, RunError, StoreError, WaitError};
use crate::live::Live;
use crate::projection::Projection;
use crate::projections::Options;
use crate::query::{self, Order, Page, PageRequest};
use crate::rebuild::{RebuildOptions, RebuildProgress, RebuildReport};
use crate::site::Site;
use crate::status::{PARKED_LISTED, ProjectionStatus};
use crate::store::Store;
use crate::table::Condition;
use crate::tail::Tail;
use crate::{rebuild, runner};

/// A cloneable handle to the view that a [`Projection`] describes.
pub struct ViewOf<P> {
    site: Arc<Site>,
    of: PhantomData<fn() -> P>,
}

impl<P> Clone for ViewOf<P> {
    fn clone(&self) -> Self {
        Self {
            site: Arc::clone(&self.site),
            of: PhantomData,
        }
    }
}

impl<P> fmt::Debug for ViewOf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewOf")
            .field("view", &self.site.name())
            .finish_non_exhaustive()
    }
}

impl<P: Projection> ViewOf<P> {
    /// Opens the view at a place whose tables are there
    /// ([`Projections::migrate`](crate::Projections::migrate)).
    pub async fn open(location: &Location, log: EventStore) -> Result<Self, OpenError> {
        let store = Arc::new(Store::open(location, &log).await?);
        let tail = Arc::new(Tail::new(log.clone()));
        Self::at((store, log, tail, Options::default())).await
    }

    pub(crate) async fn at(
        (store, log, tail, options): (Arc<Store>, EventStore, Arc<Tail>, Options),
    ) -> Result<Self, OpenError> {
        // A view that nobody has projected yet is empty, not missing.
        store.live(P::TABLE).await.map_err(OpenError::Schema)?;
        Ok(Self {
            site: Arc::new(Site {
                def: P::TABLE,
                store,
                log,
                tail,
                options,
                live: Live::default(),
            }),
            of: PhantomData,
        })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    pub(crate) fn into_site(self) -> Arc<Site> {
        self.site
    }

    /// Keeps the view up with the log until `shutdown`. Errors are waited out; a log that is not the one
    /// the view was folded from stops the projection, loudly, until the view is rebuilt.
    pub async fn run(&self, shutdown: CancellationToken) {
        runner::run::<P>(&self.site, shutdown).await;
    }

    /// Brings the view up to the log once and returns where that is.
    pub async fn run_until_caught_up(&self) -> Result<Position, RunError> {
        runner::run_until_caught_up::<P>(&self.site).await
    }

    /// Folds the view anew from the first event on, beside the live table, and then puts the new table in
    /// its place. Readers see the old rows until that moment and the new ones from it on. The old table
    /// stays until [`Self::drop_old`] or the next rebuild. Dropping the future changes nothing of what
    /// readers see.
    pub async fn rebuild(
        &self,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        self.rebuild_with(&RebuildOptions::default(), progress)
            .await
    }

    /// Rebuilds with options.
    pub async fn rebuild_with(
        &self,
        options: &RebuildOptions,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        // Large, and awaited in places that are not rebuilds.
        Box::pin(rebuild::rebuild::<P>(&self.site, options, progress)).await
    }

    /// Drops the table that the last rebuild has replaced; returns how many there were.
    pub async fn drop_old(&self) -> Result<usize, StoreError> {
        self.site.store.drop_old(self.site.def).await
    }

    /// Waits until queries show everything up to `position`.
    pub async fn wait_until(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        self.site.wait_until(position, timeout).await
    }

    /// Waits until queries show more than up to `seen`, and says whether they do. Unlike
    /// [`ViewOf::wait_until`] it makes nobody hurry: those who follow a view are always waiting.
    pub async fn moved_past(&self, seen: Position, timeout: Duration) -> Result<bool, StoreError> {
        self.site.moved_past(seen, timeout).await
    }

    /// Up to where queries show the log.
    pub async fn position(&self) -> Result<Position, StoreError> {
        self.site.position().await
    }

    /// How the view is.
    pub async fn status(&self) -> Result<ProjectionStatus, RunError> {
        self.site.status(PARKED_LISTED).await
    }

    /// One row.
    pub async fn row(&self, key: Uuid) -> Result<Option<P::Row>, QueryError> {
        query::row::<P>(&self.site, key).await
    }

    /// The first event for which a row stands still: what it shows ends before that.
    pub async fn parked_since(&self, key: Uuid) -> Result<Option<Position>, QueryError> {
        Ok(self.site.store.parked_since(P::TABLE, key).await?)
    }

    /// The rows that meet every condition, youngest first.
    pub async fn page(
        &self,
        conditions: Vec<Condition>,
        request: &PageRequest,
    ) -> Result<Page<P::Row>, QueryError> {
        query::page::<P>(&self.site, conditions, Order::Newest, request).await
    }

    /// Whether the part that writes the view is gone: it stands still then until it is opened again,
    /// while queries go on.
    pub fn has_ended(&self) -> bool {
        self.site.store.has_ended()
    }
}
