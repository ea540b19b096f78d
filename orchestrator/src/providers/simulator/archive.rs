//! Accounts that nobody has touched for long, on disk: a scratch file beside the ledger, made anew at every start from
//! the ledger, so it needs neither journal nor sync. It keeps the simulator's memory flat, and its answers right.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

/// How much of it SQLite may keep in memory: the names of a hundred thousand orders, which come in no order.
const CACHE_KIB: i64 = 16 * 1024;

/// Rows come one after the other, so that a page is written once; only the names are looked for.
const TABLES: &str =
    "CREATE TABLE kept (place INTEGER PRIMARY KEY, account BLOB NOT NULL, value BLOB NOT NULL);
     CREATE TABLE names (name BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
     BEGIN";

/// Empty and without a file until something is put into it.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    tables: Option<Connection>,
}

impl Archive {
    /// The archive beside a ledger. What an earlier process left is void.
    pub(super) fn beside(ledger: &Path) -> Self {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".archive");
        Self {
            path: path.into(),
            tables: None,
        }
    }

    /// Puts an account in, in the place of what it was. It is found by its id and by each of these names.
    pub(super) fn put(
        &mut self,
        account: Uuid,
        names: impl IntoIterator<Item = Uuid>,
        value: &[u8],
    ) -> rusqlite::Result<()> {
        let tables = self.tables()?;
        let place = place(tables, account)?;
        tables
            .prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2, ?3)")?
            .execute(params![place, account.as_bytes(), value])?;
        let place = place.unwrap_or_else(|| tables.last_insert_rowid());
        let mut name = tables.prepare_cached("INSERT OR REPLACE INTO names VALUES (?1, ?2)")?;
        for called in std::iter::once(account).chain(names) {
            name.execute(params![called.as_bytes(), place])?;
        }
        Ok(())
    }

    /// The account that goes by this name, its id or another, and what was put in for it.
    pub(super) fn get(&self, name: Uuid) -> rusqlite::Result<Option<(Uuid, Vec<u8>)>> {
        let Some(tables) = &self.tables else {
            return Ok(None);
        };
        let Some(place) = place(tables, name)? else {
            return Ok(None);
        };
        let mut row = tables.prepare_cached("SELECT account, value FROM kept WHERE place = ?1")?;
        row.query_row([place], |row| {
            Ok((Uuid::from_bytes(row.get(0)?), row.get(1)?))
        })
        .optional()
    }

    fn tables(&mut self) -> rusqlite::Result<&mut Connection> {
        if self.tables.is_none() {
            // Of an earlier process; where it cannot be removed, the next line says so.
            let _ = std::fs::remove_file(&self.path);
            let tables = Connection::open(&self.path)?;
            tables.pragma_update(None, "journal_mode", "OFF")?;
            tables.pragma_update(None, "synchronous", "OFF")?;
            tables.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            tables.pragma_update(None, "cache_size", -CACHE_KIB)?;
            // One transaction without end: nobody else reads, nothing has to last, and a page goes to disk when there is no more
            // room for it in memory, not before.
            tables.execute_batch(TABLES)?;
            self.tables = Some(tables);
        }
        self.tables.as_mut().ok_or(rusqlite::Error::InvalidQuery)
    }
}

fn place(tables: &Connection, name: Uuid) -> rusqlite::Result<Option<i64>> {
    tables
        .prepare_cached("SELECT place FROM names WHERE name = ?1")?
        .query_row([name.as_bytes()], |row| row.get(0))
        .optional()
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.tables.take().is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
