//! Which schema this build needs and understands.

use crate::archive::ImportError;
use crate::error::OpenError;
use crate::options::MigrationReport;

/// Generation of this build. A migration that older builds cannot live with raises `log_schema.oldest_binary` to the first
/// generation that can; since migrations only expand, that happens one release after the code has stopped needing the old shape.
pub(crate) const BINARY_GENERATION: i32 = 1;

/// What the migrations that this build knows set `log_schema.oldest_binary` to.
pub(crate) const OLDEST_BINARY: i32 = 1;

/// In place of it while an import is under way: no build may open a log of which only a part is there, older ones included, which
/// know nothing of imports.
pub(crate) const NO_BUILD: i32 = i32::MAX;

/// The last migration this build knows; the same number on both backends.
pub(crate) const SCHEMA_NEEDED: i32 = 2;

/// Where refinery keeps its books for this crate.
pub(crate) const HISTORY_TABLE: &str = "eventstore_migrations";

/// Checks what a database says of itself against this build. A newer schema is fine as long as it still allows this build.
pub(crate) fn check(applied: i32, oldest_binary: i32) -> Result<(), OpenError> {
    if applied < SCHEMA_NEEDED {
        return Err(OpenError::NotMigrated {
            applied,
            needed: SCHEMA_NEEDED,
        });
    }
    if oldest_binary == NO_BUILD {
        return Err(OpenError::HalfImport);
    }
    if oldest_binary > BINARY_GENERATION {
        return Err(OpenError::BinaryTooOld {
            required: oldest_binary,
            this: BINARY_GENERATION,
        });
    }
    Ok(())
}

/// Checks that an import may set `oldest_binary` of these tables back to what it was.
pub(crate) fn check_import(applied: i32) -> Result<(), ImportError> {
    match applied {
        SCHEMA_NEEDED => Ok(()),
        found => Err(ImportError::Schema {
            found,
            known: SCHEMA_NEEDED,
        }),
    }
}

pub(crate) fn report(run: &refinery::Report, version: i32) -> MigrationReport {
    let applied = run
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    MigrationReport { applied, version }
}
