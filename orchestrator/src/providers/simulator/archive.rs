//! Accounts that nobody has touched for long, on disk: a scratch table beside the ledger, made anew at every start from
//! the ledger, so it needs neither journal nor sync. It keeps the simulator's memory flat, and its answers right.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

/// How much of the table SQLite may keep in memory.
const CACHE_KIB: i64 = 1024;

/// The table; empty and without a file until something is put into it.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    table: Option<Connection>,
}

impl Archive {
    /// The archive beside a ledger. What an earlier process left is void.
    pub(super) fn beside(ledger: &Path) -> Self {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".archive");
        Self {
            path: path.into(),
            table: None,
        }
    }

    /// Puts rows in, over those of the same name.
    pub(super) fn put<'a>(
        &mut self,
        rows: impl IntoIterator<Item = (Uuid, &'a [u8])>,
    ) -> rusqlite::Result<()> {
        let table = self.table()?;
        let transaction = table.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2)")?;
            for (name, value) in rows {
                insert.execute(params![name.as_bytes(), value])?;
            }
        }
        transaction.commit()
    }

    /// The row of this name.
    pub(super) fn get(&self, name: Uuid) -> rusqlite::Result<Option<Vec<u8>>> {
        let Some(table) = &self.table else {
            return Ok(None);
        };
        let mut select = table.prepare_cached("SELECT value FROM kept WHERE name = ?1")?;
        let row = select.query_row(params![name.as_bytes()], |row| row.get(0));
        row.optional()
    }

    fn table(&mut self) -> rusqlite::Result<&mut Connection> {
        if self.table.is_none() {
            // Of an earlier process; where it cannot be removed, the next line says so.
            let _ = std::fs::remove_file(&self.path);
            let table = Connection::open(&self.path)?;
            table.pragma_update(None, "journal_mode", "OFF")?;
            table.pragma_update(None, "synchronous", "OFF")?;
            table.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            table.pragma_update(None, "cache_size", -CACHE_KIB)?;
            table.execute(
                "CREATE TABLE kept (name BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
                [],
            )?;
            self.table = Some(table);
        }
        self.table.as_mut().ok_or(rusqlite::Error::InvalidQuery)
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.table.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
