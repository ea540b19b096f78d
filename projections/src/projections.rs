//! The views as one handle: open them, run and rebuild them, wait for them, see how they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Location, MigrationReport, Position, Schema};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{OpenError, QueryError, RebuildError, RunError, StoreError, WaitError};
use crate::places::Places;
use crate::projection::Projection;
use crate::rebuild::{RebuildOptions, RebuildProgress, RebuildReport};
use crate::schema;
use crate::site::Site;
use crate::store::Store;
use crate::table::TableDef;
use crate::tail::Tail;
use crate::view_of::ViewOf;
use crate::views::customer::CustomerView;
use crate::views::message::MessageView;
use crate::views::saga::SagaView;

/// The views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// One row per order.
    Customer,
    /// One row per message.
    Message,
    /// One row per saga.
    Saga,
}

/// Runs `$body` with the typed handle of a [`View`].
macro_rules! with_view {
    ($all:expr, $view:expr, $of:ident => $body:expr) => {
        match $view {
            View::Customer => {
                let $of = $all.customer();
                $body
            }
            View::Message => {
                let $of = $all.message();
                $body
            }
            View::Saga => {
                let $of = $all.saga();
                $body
            }
        }
    };
}

impl View {
    /// All views.
    pub const ALL: [Self; 3] = [Self::Customer, Self::Message, Self::Saga];

    /// Its name in commands, in URLs and in the database.
    pub fn as_str(self) -> &'static str {
        self.table().view
    }

    fn table(self) -> &'static TableDef {
        match self {
            Self::Customer => CustomerView::TABLE,
            Self::Message => MessageView::TABLE,
            Self::Saga => SagaView::TABLE,
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no view of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such view: they are customer, message and saga")]
pub struct UnknownView;

impl FromStr for View {
    type Err = UnknownView;

    fn from_str(name: &str) -> Result<Self, UnknownView> {
        Self::ALL
            .into_iter()
            .find(|view| view.as_str() == name)
            .ok_or(UnknownView)
    }
}

/// How to open the views. `Options::default()` suits a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows that a rebuild folds in memory; beyond that those it has not used for longest leave for the
    /// table, and come back if they are needed.
    pub rows_in_memory: usize,
    /// A projector that has made no progress for so long is stuck and begins anew, and so is a rebuild that was begun by
    /// itself. A page takes milliseconds.
    pub stuck_after: Duration,
    /// Rebuilds stand back behind whatever else this process and this machine do: their threads get what
    /// others leave, and they write in small pieces with pauses.
    pub gentle: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // A row is one to two kilobytes.
            rows_in_memory: 60_000,
            stuck_after: Duration::from_secs(30),
            gentle: true,
        }
    }
}

/// A cloneable handle to all views of one log.
#[derive(Clone)]
pub struct Projections {
    inner: Arc<Inner>,
}

struct Inner {
    customer: ViewOf<CustomerView>,
    message: ViewOf<MessageView>,
    saga: ViewOf<SagaView>,
}

impl fmt::Debug for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projections").finish_non_exhaustive()
    }
}

impl Projections {
    /// Brings the tables at one place up to this build; [`Places::each`] has all. Any number of processes
    /// may do it at once.
    pub async fn migrate(location: &Location) -> Result<MigrationReport, OpenError> {
        Store::migrate(location).await
    }

    /// Which tables of the views there are at a place and whom they allow, also beside a process that has
    /// them open. Makes nothing; refuses what [`Projections::open`] refuses.
    pub async fn schema(location: &Location) -> Result<Schema, OpenError> {
        let found = Store::schema(location).await?;
        schema::check(found)?;
        Ok(found)
    }

    /// Opens the views: all with the log, or each at its place.
    pub async fn open(places: impl Into<Places>, log: EventStore) -> Result<Self, OpenError> {
        Self::open_with(places, log, Options::default()).await
    }

    /// Opens the views with options.
    pub async fn open_with(
        places: impl Into<Places>,
        log: EventStore,
        options: Options,
    ) -> Result<Self, OpenError> {
        let places = places.into();
        let mut stores = Vec::new();
        for place in places.each() {
            let store = Arc::new(Store::open(place.location, &log).await?);
            stores.extend(place.views.iter().map(|view| (*view, Arc::clone(&store))));
        }
        let store = |wanted: View| {
            let found = stores.iter().find(|(view, _)| *view == wanted);
            Arc::clone(&found.expect("every view has a place").1)
        };
        let tail = Arc::new(Tail::new(log.clone()));
        let parts = |view| (store(view), log.clone(), Arc::clone(&tail), options.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                customer: ViewOf::at(parts(View::Customer)).await?,
                message: ViewOf::at(parts(View::Message)).await?,
                saga: ViewOf::at(parts(View::Saga)).await?,
            }),
        })
    }

    /// The customer view.
    pub fn customer(&self) -> &ViewOf<CustomerView> {
        &self.inner.customer
    }

    /// The message view.
    pub fn message(&self) -> &ViewOf<MessageView> {
        &self.inner.message
    }

    /// The saga view.
    pub fn saga(&self) -> &ViewOf<SagaView> {
        &self.inner.saga
    }

    pub(crate) fn site(&self, view: View) -> &Site {
        with_view!(self, view, of => of.site())
    }

    /// See [`ViewOf::run`].
    pub async fn run(&self, view: View, shutdown: CancellationToken) {
        with_view!(self, view, of => of.run(shutdown).await);
    }

    /// See [`ViewOf::run_until_caught_up`].
    pub async fn run_until_caught_up(&self, view: View) -> Result<Position, RunError> {
        with_view!(self, view, of => of.run_until_caught_up().await)
    }

    /// See [`ViewOf::rebuild`].
    pub async fn rebuild(
        &self,
        view: View,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        with_view!(self, view, of => of.rebuild(progress).await)
    }

    /// See [`ViewOf::rebuild_with`].
    pub async fn rebuild_with(
        &self,
        view: View,
        options: &RebuildOptions,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        with_view!(self, view, of => of.rebuild_with(options, progress).await)
    }

    /// See [`ViewOf::drop_old`].
    pub async fn drop_old(&self, view: View) -> Result<usize, StoreError> {
        with_view!(self, view, of => of.drop_old().await)
    }

    /// See [`ViewOf::wait_until`].
    pub async fn wait_until(
        &self,
        view: View,
        position: Position,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        self.site(view).wait_until(position, timeout).await
    }

    /// See [`ViewOf::parked_since`].
    pub async fn parked_since(
        &self,
        view: View,
        key: Uuid,
    ) -> Result<Option<Position>, QueryError> {
        with_view!(self, view, of => of.parked_since(key).await)
    }

    /// See [`ViewOf::moved_past`].
    pub async fn moved_past(
        &self,
        view: View,
        seen: Position,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        self.site(view).moved_past(seen, timeout).await
    }

    /// See [`ViewOf::position`].
    pub async fn position(&self, view: View) -> Result<Position, StoreError> {
        self.site(view).position().await
    }

    /// Whether a part that writes views is gone: they stand still then until they are opened again, while
    /// queries go on.
    pub fn has_ended(&self) -> bool {
        View::ALL
            .iter()
            .any(|view| self.site(*view).store.has_ended())
    }
}
