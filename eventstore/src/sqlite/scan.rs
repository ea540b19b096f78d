//! Bulk reading by pages of positions on a connection of its own. Each page is a read transaction of its own, so that a long scan
//! does not keep the write-ahead log from being checkpointed.

use rusqlite::params;

use super::Sqlite;
use crate::checkpoint;
use crate::position::{Checkpoint, Position};
use crate::scan::{Pages, Scan};

/// Events in one page.
const PAGE: i64 = 1_000;

/// Pages read ahead of whoever works on them.
const PAGES_AHEAD: usize = 2;

/// How much a scan stands back: the process that scans takes orders, too.
const STEP_BACK: i32 = 10;

impl Sqlite {
    pub(crate) fn scan(&self, after: Checkpoint, to: Position) -> Scan {
        let readers = self.readers.clone();
        Scan::spawn(1, PAGES_AHEAD, move |_, pages: &Pages| {
            // Of this thread alone. A system that does not let it has it read like all others.
            let _ = rustix::process::nice(STEP_BACK);
            let mut reader = readers.fresh()?;
            let sql = "WHERE position >= ?1 AND position <= ?2 ORDER BY position LIMIT ?3";
            let mut page = reader.events(
                sql,
                params![after.position.0, to.0.max(after.position.0), PAGE],
            )?;
            checkpoint::verify(&after, &mut page)?;
            let mut reached = after.position;
            loop {
                reached = page.last().map_or(reached, |event| event.position);
                if !pages.push(page) || reached >= to {
                    return Ok(());
                }
                page = reader.events(sql, params![reached.0 + 1, to.0, PAGE])?;
                if page.is_empty() {
                    return Ok(());
                }
            }
        })
    }
}
