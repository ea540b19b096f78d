//! Which schema of the views this build needs and understands; as with the log, each on its own.

use eventstore::{MigrationReport, Schema};

use crate::error::OpenError;

/// Generation of this build. A migration that older builds cannot live with raises
/// `projection_schema.oldest_binary` to the first generation that can; since migrations only expand,
/// that happens one release after the code has stopped needing the old shape.
pub(crate) const BINARY_GENERATION: i32 = 1;

/// The last migration this build knows; the same number on both backends.
pub(crate) const SCHEMA_NEEDED: i32 = 5;

/// Refinery's history of our own migrations; the log has another one in the same database.
pub(crate) const HISTORY_TABLE: &str = "projection_migrations";

/// Where the database says whom it allows; the first schema had no such table.
pub(crate) const SCHEMA_TABLE: &str = "projection_schema";

/// How far a database without any of our tables is.
pub(crate) const NONE: Schema = Schema {
    version: 0,
    oldest_binary: 0,
    this_binary: BINARY_GENERATION,
};

/// The last migration of a database, asked for in both dialects.
pub(crate) fn last_migration() -> String {
    format!("SELECT coalesce(max(version), 0) FROM {HISTORY_TABLE}")
}

/// The oldest build that a database allows, asked for in both dialects.
pub(crate) fn oldest_binary() -> String {
    format!("SELECT oldest_binary FROM {SCHEMA_TABLE}")
}

/// Refuses a database whose tables are missing, older than this build needs, or not for it any more. A
/// newer schema is fine as long as it still allows this build.
pub(crate) fn check(schema: Schema) -> Result<(), OpenError> {
    if schema.version < SCHEMA_NEEDED {
        return Err(OpenError::NotMigrated {
            applied: schema.version,
            needed: SCHEMA_NEEDED,
        });
    }
    check_generation(schema)
}

/// Refuses a database that is not for this build any more, also to migrate it: an older build has
/// nothing to add to a newer schema.
pub(crate) fn check_generation(schema: Schema) -> Result<(), OpenError> {
    if schema.oldest_binary > BINARY_GENERATION {
        return Err(OpenError::BinaryTooOld {
            required: schema.oldest_binary,
            this: BINARY_GENERATION,
        });
    }
    Ok(())
}

pub(crate) fn report(run: &refinery::Report, schema: Schema) -> MigrationReport {
    let applied = run
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    MigrationReport {
        applied,
        version: schema.version,
    }
}
