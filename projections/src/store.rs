//! Where views are kept: beside the log in Postgres, or in `views.db` of the data directory.
//!
//! One enum over two backends, with the same few operations. None of them knows a view: tables come
//! from [`TableDef`], rows from the fold.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use eventstore::{Checkpoint, Location, Position};
use uuid::Uuid;

use crate::error::{OpenError, StoreError};
use crate::fold::{Changes, ParkedRecord, StoredRow};
use crate::table::{Condition, Dialect, Sort, TableDef};

mod postgres;
mod readers;
mod sqlite;
mod writer;

pub(crate) use postgres::PostgresViews;
pub(crate) use sqlite::SqliteViews;

/// Replaced tables stay this long for readers that still follow the old pointer; the longest query
/// ends far earlier.
pub(crate) const RETIRED_TABLES_STAY_MS: i64 = 60_000;

/// Refinery's history of our own migrations; the log has another one in the same database.
pub(crate) const MIGRATIONS_TABLE: &str = "projection_migrations";

/// One table of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: i64,
    pub(crate) version: i32,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    pub(crate) stopped: Option<String>,
}

/// The result of folding one page, to be stored as a whole or not at all.
pub(crate) struct PageCommit {
    pub(crate) generation: i64,
    pub(crate) from: Checkpoint,
    pub(crate) to: Checkpoint,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) changes: Changes,
    pub(crate) parked: Vec<ParkedRecord>,
}

/// Whether a page was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Committed {
    Yes,
    /// The checkpoint is not where this projector left it: another one was here, or the table was
    /// replaced. Nothing was stored.
    Fenced,
}

/// A parked event as listed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedEvent {
    /// The row that stands still.
    pub key: Uuid,
    /// The event's place in the log.
    pub position: Position,
    /// Its type.
    pub event_type: String,
    /// Why it could not be taken.
    pub reason: String,
}

/// The store of all views.
pub(crate) enum Store {
    Postgres(PostgresViews),
    Sqlite(SqliteViews),
}

/// The right to rebuild one view. Held by one process at a time; given back when dropped.
pub(crate) enum RebuildClaim {
    Postgres(postgres::Claim),
    Sqlite(sqlite::Claim),
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
    pub(crate) async fn migrate(location: &Location) -> Result<(), OpenError> {
        match location {
            Location::Postgres { .. } => PostgresViews::migrate(location).await,
            Location::Sqlite { dir } => SqliteViews::migrate(dir),
        }
    }

    pub(crate) async fn open(location: &Location) -> Result<Self, OpenError> {
        Ok(match location {
            Location::Postgres { .. } => Self::Postgres(PostgresViews::open(location).await?),
            Location::Sqlite { dir } => Self::Sqlite(SqliteViews::open(dir)?),
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

    pub(crate) async fn parked_keys(
        &self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<HashSet<Uuid>, StoreError> {
        on_each!(self, store => store.parked_keys(def, generation))
    }

    pub(crate) async fn parked(
        &self,
        def: &'static TableDef,
        generation: i64,
        limit: usize,
    ) -> Result<(Vec<ParkedEvent>, u64), StoreError> {
        on_each!(self, store => store.parked(def, generation, limit))
    }

    /// The stored rows of these keys.
    pub(crate) async fn load(
        &self,
        def: &'static TableDef,
        generation: i64,
        keys: Vec<Uuid>,
    ) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
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

    /// Makes an empty table without indexes beside the live one. What an earlier, interrupted rebuild
    /// left behind is dropped.
    pub(crate) async fn create_building(
        &self,
        def: &'static TableDef,
    ) -> Result<Generation, StoreError> {
        on_each!(self, store => store.create_building(def))
    }

    /// Writes rows of new keys in bulk into a table that is being built.
    pub(crate) async fn bulk(
        &self,
        def: &'static TableDef,
        generation: i64,
        rows: Vec<StoredRow>,
    ) -> Result<(), StoreError> {
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

    /// Drops the tables that were replaced long enough ago.
    pub(crate) async fn drop_retired(&self, def: &'static TableDef) -> Result<(), StoreError> {
        on_each!(self, store => store.drop_retired(def))
    }

    /// Lists rows of the live table, with the position that the list is at least as young as.
    pub(crate) async fn list(
        &self,
        def: &'static TableDef,
        conditions: Vec<Condition>,
        sort: Sort,
        limit: usize,
    ) -> Result<(Position, Vec<(i64, String)>), StoreError> {
        on_each!(self, store => store.list(def, conditions, sort, limit))
    }

    /// One row of the live table.
    pub(crate) async fn get(
        &self,
        def: &'static TableDef,
        key: Uuid,
    ) -> Result<(Position, Option<String>), StoreError> {
        on_each!(self, store => store.get(def, key))
    }
}

impl RebuildClaim {
    /// Keeps the live projector of this view from storing anything until the claim is dropped or cut
    /// over, and tells where it stands.
    pub(crate) async fn hold_live(
        &mut self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        match self {
            Self::Postgres(claim) => claim.hold_live(def).await,
            Self::Sqlite(claim) => claim.hold_live(def).await,
        }
    }

    /// Makes the built table the live one.
    pub(crate) async fn cut_over(
        self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        match self {
            Self::Postgres(claim) => claim.cut_over(def, generation).await,
            Self::Sqlite(claim) => claim.cut_over(def, generation).await,
        }
    }
}
