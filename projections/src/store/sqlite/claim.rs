//! The right to rebuild a view, and the hold on its live table. One process writes the file, so both are
//! in memory.

use std::collections::HashMap;
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
    /// Views that are claimed, each with the number of its claim.
    claimed: HashMap<&'static str, u64>,
    claims: u64,
    held: HashMap<&'static str, i64>,
}

impl State {
    /// Whether a claim has not ended.
    fn is_claim(&self, def: &TableDef, number: u64) -> bool {
        self.claimed.get(def.view) == Some(&number)
    }
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

    fn end(&self, view: &'static str) {
        self.state().claimed.remove(view);
        self.release(view);
    }
}

/// The claim of one view's rebuild.
pub(crate) struct Claim {
    store: SqliteViews,
    view: &'static str,
    number: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.store.rebuilds.end(self.view);
    }
}

impl SqliteViews {
    pub(crate) fn claim(&self, def: &'static TableDef) -> Option<Claim> {
        let mut state = self.rebuilds.state();
        if state.claimed.contains_key(def.view) {
            return None;
        }
        state.claims += 1;
        let number = state.claims;
        state.claimed.insert(def.view, number);
        Some(Claim {
            store: self.clone(),
            view: def.view,
            number,
        })
    }
}

impl SqliteViews {
    /// Whether anybody holds the claim.
    pub(crate) fn is_claimed(&self, def: &'static TableDef) -> bool {
        self.rebuilds.state().claimed.contains_key(def.view)
    }
}

impl Claim {
    pub(crate) async fn hold_live(
        &mut self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        let (rebuilds, number) = (self.store.rebuilds.clone(), self.number);
        self.store
            .writer
            .run(move |connection| {
                // On the writer thread, so that no commit can be between the look and the hold.
                let live = tables::live(connection, def)?;
                let mut state = rebuilds.state();
                // Whoever asked may have gone away meanwhile, and nobody would let go of it.
                if let Some(live) = &live
                    && state.is_claim(def, number)
                {
                    state.held.insert(def.view, live.number);
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
        let (rebuilds, number) = (self.store.rebuilds.clone(), self.number);
        self.store
            .writer
            .run(move |connection| {
                // Without the claim the live table is not held, and may have gone past the new one.
                if !rebuilds.state().is_claim(def, number) {
                    return Err(StoreError::Replaced { view: def.view });
                }
                tables::point_to(connection, def, generation)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use eventstore::Position;
    use futures_util::FutureExt as _;
    use tempfile::TempDir;

    use super::*;
    use crate::projection::Projection as _;
    use crate::saga::SagaView;
    use crate::store::Building;

    const DEF: &TableDef = SagaView::TABLE;

    async fn open() -> (SqliteViews, TempDir) {
        let dir = tempfile::tempdir().expect("a directory");
        SqliteViews::migrate(dir.path()).expect("migrated");
        let store = SqliteViews::open(dir.path(), true).expect("opened");
        store.create_first(DEF).await.expect("a table");
        (store, dir)
    }

    /// Keeps the writer from its next jobs until it is told to go on.
    fn keep(store: &SqliteViews) -> mpsc::Sender<()> {
        let (go, may_go) = mpsc::channel();
        let job = store.writer.run(move |_| {
            may_go.recv().expect("it is told");
            Ok(())
        });
        assert!(job.now_or_never().is_none(), "queued");
        go
    }

    #[tokio::test]
    async fn a_claim_that_is_dropped_before_it_holds_the_live_table_keeps_nobody_waiting() {
        let (store, _dir) = open().await;
        let go = keep(&store);
        let mut claim = store.claim(DEF).expect("nobody has it");
        assert!(claim.hold_live(DEF).now_or_never().is_none(), "queued");
        drop(claim);
        let next = store.claim(DEF).expect("it was given back");
        go.send(()).expect("it waits");
        // Behind what was queued.
        store.writer.run(|_| Ok(())).await.expect("written");
        let live = store.live(DEF).await.expect("read").expect("a table");
        assert!(!store.rebuilds.holds(DEF, live.number));
        drop(next);
    }

    #[tokio::test]
    async fn a_claim_that_is_dropped_before_it_cuts_over_leaves_the_live_table_as_it_is() {
        let (store, _dir) = open().await;
        let before = store.live(DEF).await.expect("read").expect("a table");
        let mut claim = store.claim(DEF).expect("nobody has it");
        let building = Building {
            heeded: Position::ZERO,
            spare: false,
        };
        let built = store.create_building(DEF, building).await.expect("made");
        let go = keep(&store);
        let cut = claim.cut_over(DEF, built.number).now_or_never();
        assert!(cut.is_none(), "queued");
        drop(claim);
        go.send(()).expect("it waits");
        store.writer.run(|_| Ok(())).await.expect("written");
        let after = store.live(DEF).await.expect("read").expect("a table");
        assert_eq!(after.number, before.number);
    }
}
