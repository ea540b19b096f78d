//! One view at its place: what its projector, its rebuild and its readers share.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{EventStore, Position};
use tokio::time::{Instant, timeout_at};

use crate::error::{StoreError, WaitError};
use crate::live::Live;
use crate::projections::Options;
use crate::store::Store;
use crate::table::TableDef;
use crate::tail::Tail;

/// How often a waiter looks at a view that another process projects.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often somebody who follows such a view looks, for as long as nothing happens.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

pub(crate) struct Site {
    pub(crate) def: &'static TableDef,
    pub(crate) store: Arc<Store>,
    pub(crate) log: EventStore,
    pub(crate) tail: Arc<Tail>,
    pub(crate) options: Options,
    pub(crate) live: Live,
}

impl Site {
    /// The view's name.
    pub(crate) fn name(&self) -> &'static str {
        self.def.view
    }

    /// Up to where queries of the view show the log.
    pub(crate) async fn position(&self) -> Result<Position, StoreError> {
        Ok(self.store.live(self.def).await?.checkpoint.position)
    }

    /// Waits until queries of the view show more than up to `seen`, without making the projector hurry.
    pub(crate) async fn moved_past(
        &self,
        seen: Position,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        let deadline = Instant::now() + timeout;
        let mut here = self.live.subscribe();
        loop {
            let at = if self.live.is_projected_here() {
                *here.borrow_and_update()
            } else {
                self.position().await?
            };
            if at > seen || Instant::now() >= deadline {
                return Ok(at > seen);
            }
            let look = (Instant::now() + FOLLOW_EVERY).min(deadline);
            // Running out of time is the usual way to look again at a view projected elsewhere.
            let _ = timeout_at(look, here.wait_for(|at| *at > seen)).await;
        }
    }

    /// Waits until queries of the view show everything up to `position`.
    pub(crate) async fn wait_until(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let deadline = Instant::now() + timeout;
        let mut here = self.live.subscribe();
        loop {
            if *here.borrow_and_update() >= position {
                return Ok(());
            }
            let mut at = *here.borrow();
            if !self.live.is_projected_here() || Instant::now() >= deadline {
                at = self.position().await?;
            }
            if at >= position {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(WaitError::Behind {
                    view: self.name(),
                    at,
                    wanted: position,
                    waited: timeout,
                });
            }
            self.live.hurry();
            let look = (Instant::now() + LOOK_EVERY).min(deadline);
            // Running out of time is the usual way to look again at a view projected elsewhere.
            let _ = timeout_at(look, here.wait_for(|at| *at >= position)).await;
        }
    }
}
