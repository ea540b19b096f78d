//! The views as one handle: open them, run and rebuild them, wait for them, see how they are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Location, Position};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{OpenError, RebuildError, RunError, StoreError, WaitError};
use crate::live::Live;
use crate::projection::Projection;
use crate::rebuild::{RebuildProgress, RebuildReport};
use crate::store::Store;
use crate::table::TableDef;
use crate::tail::Tail;
use crate::views::customer::CustomerView;
use crate::views::message::MessageView;
use crate::views::saga::SagaView;
use crate::{rebuild, runner};

/// How often a waiter looks at a view that another process projects.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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

/// Runs `$body` with `$projection` as the type behind a [`View`].
macro_rules! with_projection {
    ($view:expr, $projection:ident => $body:expr) => {
        match $view {
            View::Customer => {
                type $projection = CustomerView;
                $body
            }
            View::Message => {
                type $projection = MessageView;
                $body
            }
            View::Saga => {
                type $projection = SagaView;
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

    pub(crate) fn table(self) -> &'static TableDef {
        with_projection!(self, P => P::TABLE)
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // A row is one to two kilobytes.
            rows_in_memory: 60_000,
        }
    }
}

/// A cloneable handle to all views of one log.
#[derive(Clone)]
pub struct Projections {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) log: EventStore,
    pub(crate) tail: Tail,
    pub(crate) options: Options,
    live: [Live; View::ALL.len()],
}

impl Inner {
    pub(crate) fn live(&self, view: View) -> &Live {
        &self.live[view as usize]
    }
}

impl fmt::Debug for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projections").finish_non_exhaustive()
    }
}

impl Projections {
    /// Brings the tables up to this build. Any number of processes may do it at once.
    pub async fn migrate(location: &Location) -> Result<(), OpenError> {
        Store::migrate(location).await
    }

    /// Opens the views at `location`: usually the log's own.
    pub async fn open(location: &Location, log: EventStore) -> Result<Self, OpenError> {
        Self::open_with(location, log, Options::default()).await
    }

    /// Opens the views with options.
    pub async fn open_with(
        location: &Location,
        log: EventStore,
        options: Options,
    ) -> Result<Self, OpenError> {
        let store = Store::open(location).await?;
        for view in View::ALL {
            // A view that nobody has projected yet is empty, not missing.
            store.live(view.table()).await.map_err(OpenError::Schema)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store: Arc::new(store),
                tail: Tail::new(log.clone()),
                log,
                options,
                live: View::ALL.map(|_| Live::default()),
            }),
        })
    }

    /// Keeps a view up with the log until `shutdown`. Errors are waited out; a log that is not the one
    /// the view was folded from stops the projection, loudly, until the view is rebuilt.
    pub async fn run(&self, view: View, shutdown: CancellationToken) {
        with_projection!(view, P => runner::run::<P>(&self.inner, view, shutdown).await);
    }

    /// Brings a view up to the log once and returns where that is.
    pub async fn run_until_caught_up(&self, view: View) -> Result<Position, RunError> {
        with_projection!(view, P => runner::run_until_caught_up::<P>(&self.inner, view).await)
    }

    /// Folds a view anew from the first event on, beside the live table, and then puts the new table in
    /// its place. Readers see the old rows until that moment and the new ones from it on. Dropping the
    /// future gives the rebuild up and changes nothing.
    pub async fn rebuild(
        &self,
        view: View,
        progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<RebuildReport, RebuildError> {
        with_projection!(view, P => rebuild::rebuild::<P>(&self.inner, view, progress).await)
    }

    /// Waits until queries of a view show everything up to `position`.
    pub async fn wait_until(
        &self,
        view: View,
        position: Position,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let deadline = Instant::now() + timeout;
        let live = self.inner.live(view);
        let mut here = live.subscribe();
        loop {
            if *here.borrow_and_update() >= position {
                return Ok(());
            }
            let mut at = *here.borrow();
            if !live.is_projected_here() || Instant::now() >= deadline {
                at = self.position(view).await?;
            }
            if at >= position {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(WaitError::Behind {
                    view: view.as_str(),
                    at,
                    wanted: position,
                    waited: timeout,
                });
            }
            live.hurry();
            let look = (Instant::now() + LOOK_EVERY).min(deadline);
            // Running out of time is the usual way to look again at a view projected elsewhere.
            let _ = timeout_at(look, here.wait_for(|at| *at >= position)).await;
        }
    }

    /// Up to where queries of a view show the log.
    pub async fn position(&self, view: View) -> Result<Position, StoreError> {
        let generation = self.inner.store.live(view.table()).await?;
        Ok(generation.checkpoint.position)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}
