//! What a rebuild holds of a store: the right to rebuild, the live table for a moment, a snapshot.

use super::{Generation, postgres, sqlite};
use crate::error::StoreError;
use crate::table::TableDef;
use crate::verify::Tally;

/// The right to rebuild one view. Held by one process at a time; given back when dropped.
pub(crate) enum RebuildClaim {
    Postgres(postgres::Claim),
    Sqlite(sqlite::Claim),
}

/// The tables of a store at one moment.
pub(crate) enum Snapshot {
    Postgres(postgres::Snapshot),
    Sqlite(sqlite::Snapshot),
}

impl Snapshot {
    /// Has the rows of two tables counted that differ, or of which not the same is parked; returns how many rows each has, too.
    pub(crate) async fn compare(
        self,
        def: &'static TableDef,
        generations: [i64; 2],
        tally: Tally,
    ) -> Result<(Tally, [u64; 2]), StoreError> {
        match self {
            Self::Postgres(snapshot) => snapshot.compare(def, generations, tally).await,
            Self::Sqlite(snapshot) => snapshot.compare(def, generations, tally).await,
        }
    }
}

impl RebuildClaim {
    /// Keeps the live projector of this view waiting until the claim is dropped or cut over, or the table
    /// released, and tells where it stands.
    pub(crate) async fn hold_live(
        &mut self,
        def: &'static TableDef,
    ) -> Result<Option<Generation>, StoreError> {
        match self {
            Self::Postgres(claim) => claim.hold_live(def).await,
            Self::Sqlite(claim) => claim.hold_live(def).await,
        }
    }

    /// Lets the live projector go on.
    pub(crate) async fn release_live(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(claim) => claim.release_live().await,
            Self::Sqlite(claim) => {
                claim.release_live();
                Ok(())
            }
        }
    }

    /// Makes the built table the live one.
    pub(crate) async fn cut_over(
        &mut self,
        def: &'static TableDef,
        generation: i64,
    ) -> Result<(), StoreError> {
        match self {
            Self::Postgres(claim) => claim.cut_over(def, generation).await,
            Self::Sqlite(claim) => claim.cut_over(def, generation).await,
        }
    }

    /// Gives the right back, so that the next one can have it at once.
    pub(crate) async fn give_back(self) {
        match self {
            Self::Postgres(claim) => claim.give_back().await,
            Self::Sqlite(claim) => drop(claim),
        }
    }
}
