//! The right to rebuild a view, and the hold on its live table. One process writes the file, so both are
//! in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{SqliteViews, tables};
use crate::error::StoreError;
use crate::store::Generation;
use crate::table::TableDef;

/// Who rebuilds what, and what is held.
#[derive(Clone, Default)]
pub(super) struct Rebuilds {
    state: Arc<Mutex<State>>,
    released: Arc<Notify>,
}

#[derive(Default)]
struct State {
    claimed: HashSet<&'static str>,
    held: HashMap<&'static str, i64>,
}

impl Rebuilds {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody but the rebuild may write to the table.
    pub(super) fn holds(&self, def: &TableDef, generation: i64) -> bool {
        self.state().held.get(def.view) == Some(&generation)
    }

    /// Told whenever a table is not held any more.
    pub(super) fn released(&self) -> &Notify {
        &self.released
    }

    fn release(&self, view: &'static str) {
        self.state().held.remove(view);
        self.released.notify_waiters();
    }
}

/// The claim of one view's rebuild.
pub(crate) struct Claim {
    store: SqliteViews,
    view: &'static str,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.store.rebuilds.state().claimed.remove(self.view);
        self.store.rebuilds.release(self.view);
    }
}

impl SqliteViews {
    pub(crate) fn claim(&self, def: &'static TableDef) -> Option<Claim> {
        let claimed = self.rebuilds.state().claimed.insert(def.view);
        claimed.then(|| Claim {
            store: self.clone(),
            view: def.view,
        })
    }
}

impl SqliteViews {
    /// Whether anybody holds the claim.
    pub(crate) fn is_claimed(&self, def: &'static TableDef) -> bool {
        self.rebuilds.state().claimed.contains(def.view)
    }
}

impl Claim {
    pub(crate) async fn hold_live(
        &mut self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        let rebuilds = self.store.rebuilds.clone();
        self.store
            .writer
            .run(move |connection| {
                // On the writer thread, so that no commit can be between the look and the hold.
                let live = tables::live(connection, def)?;
                if let Some(live) = &live {
                    rebuilds.state().held.insert(def.view, live.number);
                }
                Ok(live)
            })
            .await
    }

    pub(crate) fn release_live(&mut self) {
        self.store.rebuilds.release(self.view);
    }

    pub(crate) async fn cut_over(
        &mut self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .run(move |connection| tables::point_to(connection, def, generation))
            .await
    }
}
