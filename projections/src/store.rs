//! Where views are kept: beside the log in Postgres, or in `views.db` of the data directory.
//!
//! One enum over two backends, with the same few operations. None of them knows a view: tables come
//! from [`TableDef`], rows from the fold.

use eventstore::{EventStore, Location, MigrationReport, Position, Schema};
use uuid::Uuid;

use crate::error::{OpenError, StoreError};
use crate::fold::{Changes, LoadedRow, StoredRow};
use crate::parking::{ParkedEvent, ParkedKey, Parking};
use crate::places::is_same;
use crate::table::{Condition, Dialect, Sort, TableDef};

mod forms;
mod hold;
mod postgres;
mod readers;
mod sqlite;
mod writer;

pub(crate) use forms::{Building, Committed, Generation, PageCommit, ParkedAt, Tally, UnknownType};
pub(crate) use hold::{RebuildClaim, Snapshot};
pub(crate) use postgres::PostgresViews;
pub(crate) use sqlite::SqliteViews;

/// The store of all views.
pub(crate) enum Store {
    Postgres(PostgresViews),
    Sqlite(SqliteViews),
}

macro_rules! on_each {
    ($self:expr, $store:ident => $call:expr) => {
        match $self {
            Store::Postgres($store) => $call.await,
            Store::Sqlite($store) => $call.await,
        }
    };
}

impl Store {
    pub(crate) async fn migrate(location: &Location) -> Result<MigrationReport, OpenError> {
        match location {
            Location::Postgres { .. } => PostgresViews::migrate(location).await,
            Location::Sqlite { dir } => SqliteViews::migrate(dir),
        }
    }

    pub(crate) async fn schema(location: &Location) -> Result<Schema, OpenError> {
        match location {
            Location::Postgres { .. } => PostgresViews::schema(location).await,
            Location::Sqlite { dir } => SqliteViews::schema(dir),
        }
    }

    /// Opens what is kept at a place for the views of `log`.
    pub(crate) async fn open(location: &Location, log: &EventStore) -> Result<Self, OpenError> {
        Ok(match location {
            Location::Postgres { .. } => Self::Postgres(PostgresViews::open(location).await?),
            Location::Sqlite { dir } => {
                let alone = !is_same(location, log.location());
                Self::Sqlite(SqliteViews::open(dir, alone)?)
            }
        })
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// The live table; made, empty, if the view has none yet.
    pub(crate) async fn live(&self, def: &'static TableDef) -> Result<Generation, StoreError> {
        if let Some(generation) = on_each!(self, store => store.live(def))? {
            return Ok(generation);
        }
        on_each!(self, store => store.create_first(def))?;
        on_each!(self, store => store.live(def))?.ok_or(StoreError::NoTable { view: def.view })
    }

    /// What stands still.
    pub(crate) async fn parking(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Parking, StoreError> {
        on_each!(self, store => store.parking(def, generation))
    }

    /// The keys that stand still, the one that has for longest first, and how many they are.
    pub(crate) async fn parked(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<(Vec<ParkedKey>, u64), StoreError> {
        on_each!(self, store => store.parked(def, generation, limit))
    }

    /// What is parked of a key, in order.
    pub(crate) async fn parked_events(
        &self,
        def: &'static TableDef,
        generation: i64,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        on_each!(self, store => store.parked_events(def, generation, key, limit))
    }

    /// Where what is parked of a key is, in order.
    pub(crate) async fn parked_of(
        &self,
        def: &'static TableDef,
        generation: i64,
        key: Uuid,
        limit: usize,
    ) -> Result<Vec<ParkedAt>, StoreError> {
        on_each!(self, store => store.parked_of(def, generation, key, limit))
    }

    /// The types of events that are parked because they were not known.
    pub(crate) async fn unknown_types(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Vec<UnknownType>, StoreError> {
        on_each!(self, store => store.unknown_types(def, generation))
    }

    /// Keys of which such an event is parked.
    pub(crate) async fn keys_of_unknown(
        &self,
        def: &'static TableDef,
        generation: i64,
        of: UnknownType,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        on_each!(self, store => store.keys_of_unknown(def, generation, of, limit))
    }

    /// Keys of which what is parked only follows, with nothing before it that it could follow.
    pub(crate) async fn keys_without_cause(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        on_each!(self, store => store.keys_without_cause(def, generation, limit))
    }

    /// Whether nothing can be written any more. In Postgres every write has a connection of its own, so that none of them ends
    /// the others.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Postgres(_) => false,
            Self::Sqlite(store) => store.has_ended(),
        }
    }

    /// Lets go of the connections that nobody is using: on one of them a question may still wait for its answer.
    pub(crate) fn forget_connections(&self) {
        match self {
            Self::Postgres(store) => store.forget_connections(),
            Self::Sqlite(_) => {}
        }
    }

    /// The stored rows of these keys.
    pub(crate) async fn load(
        &self,
        def: &'static TableDef,
        generation: i64,
        keys: Vec<Uuid>,
    ) -> Result<Vec<LoadedRow>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        on_each!(self, store => store.load(def, generation, keys))
    }

    /// Stores a page: checkpoint by compare-and-set, rows and parked events in one transaction.
    pub(crate) async fn commit(
        &self,
        def: &'static TableDef,
        page: PageCommit,
    ) -> Result<Committed, StoreError> {
        on_each!(self, store => store.commit(def, page))
    }

    /// Notes why a projection stands still, or that it goes on again.
    pub(crate) async fn note_stopped(
        &self,
        def: &'static TableDef,
        generation: i64,
        reason: Option<String>,
    ) -> Result<(), StoreError> {
        on_each!(self, store => store.note_stopped(def, generation, reason))
    }

    /// Claims the rebuild of a view; `None` while another one runs, in this process or elsewhere.
    pub(crate) async fn claim_rebuild(
        &self,
        def: &'static TableDef,
    ) -> Result<Option<RebuildClaim>, StoreError> {
        Ok(match self {
            Self::Postgres(store) => store.claim(def).await?.map(RebuildClaim::Postgres),
            Self::Sqlite(store) => store.claim(def).map(RebuildClaim::Sqlite),
        })
    }

    /// Whether somebody rebuilds a view, in this process or elsewhere.
    pub(crate) async fn is_rebuilding(&self, def: &'static TableDef) -> Result<bool, StoreError> {
        match self {
            Self::Postgres(store) => store.is_claimed(def).await,
            Self::Sqlite(store) => Ok(store.is_claimed(def)),
        }
    }

    /// Makes an empty table without indexes beside the live one. What an earlier, interrupted rebuild left behind is
    /// dropped, and what waits for somebody, too, unless it is to be spared.
    pub(crate) async fn create_building(
        &self,
        def: &'static TableDef,
        building: Building,
    ) -> Result<Generation, StoreError> {
        on_each!(self, store => store.create_building(def, building))
    }

    /// Writes rows of new keys in bulk into a table that is being built.
    pub(crate) async fn bulk(
        &self,
        def: &'static TableDef,
        generation: i64,
        rows: Vec<StoredRow>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        on_each!(self, store => store.bulk(def, generation, rows))
    }

    /// Writes and deletes rows of known keys in a table that is being built; it has its key index.
    pub(crate) async fn rewrite(
        &self,
        def: &'static TableDef,
        generation: i64,
        changes: Changes,
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        on_each!(self, store => store.rewrite(def, generation, changes))
    }

    /// Makes the index by which rows are found and written again.
    pub(crate) async fn index_key(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        let ddl = vec![TableDef::key_ddl(&def.table(generation))];
        on_each!(self, store => store.execute(ddl))
    }

    /// Makes the indexes that lists need.
    pub(crate) async fn index_lists(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        let ddl = def.index_ddl(self.dialect(), &def.table(generation));
        on_each!(self, store => store.execute(ddl))
    }

    /// Drops the table that was replaced; returns how many there were. A reader that was just about to
    /// read it follows the pointer once more.
    pub(crate) async fn drop_old(&self, def: &'static TableDef) -> Result<usize, StoreError> {
        on_each!(self, store => store.drop_old(def))
    }

    /// The table of a rebuild that was cut off, or that did not cut over.
    pub(crate) async fn building(
        &self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        on_each!(self, store => store.building(def))
    }

    /// Up to where the rows of a table are: they may be further than its checkpoint. Looks at all of them.
    pub(crate) async fn furthest(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<Position, StoreError> {
        on_each!(self, store => store.furthest(def, generation))
    }

    /// Makes such a table ready to go on from its checkpoint: what was parked beyond it will be again.
    /// Rows may be further; they say so themselves.
    pub(crate) async fn take_up(
        &self,
        def: &'static TableDef,
        table: &Generation,
    ) -> Result<(), StoreError> {
        on_each!(self, store => store.take_up(def, table))
    }

    /// Notes that a table is complete and waits for somebody who resumes it.
    pub(crate) async fn note_waiting(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        on_each!(self, store => store.note_waiting(def, generation))
    }

    /// All tables as they are now, to be compared at leisure.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(match self {
            Self::Postgres(store) => Snapshot::Postgres(store.snapshot().await?),
            Self::Sqlite(store) => Snapshot::Sqlite(store.snapshot().await?),
        })
    }

    /// Lists rows of the live table, with the table as it was before: the list is at least as young.
    pub(crate) async fn list(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        sort: Sort,
        limit: usize,
    ) -> Result<(Generation, Vec<(i64, String)>), StoreError> {
        on_each!(self, store => store.list(def, conditions, sort, limit))
    }

    /// How many rows of the live table meet every condition.
    pub(crate) async fn count(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
    ) -> Result<u64, StoreError> {
        on_each!(self, store => store.count(def, conditions))
    }

    /// One row of the live table.
    pub(crate) async fn get(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<(Generation, Option<String>), StoreError> {
        on_each!(self, store => store.get(def, key))
    }

    /// How many rows of the live table meet every condition, by the values of a column.
    pub(crate) async fn tally(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        column: &'static str,
    ) -> Result<Tally, StoreError> {
        on_each!(self, store => store.tally(def, conditions, column))
    }

    /// The first event for which a row of the live table stands still.
    pub(crate) async fn parked_since(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<Option<Position>, StoreError> {
        on_each!(self, store => store.parked_since(def, key))
    }
}
