//! A shop that has sold something and whose views are kept up; nobody holds its store.

use std::process::{Command, Output};

use eventstore::testing::TestLog;
use eventstore::{Access, EventStore, Options, Position};
use orchestrator::bench::fill::{EVENTS_PER_ORDER, fill};
use projections::{CustomerFilter, MessageFilter, PageRequest, Projections, View};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::edge::child::{bookmarket, complaint, run, with};

/// The customer view's first table.
pub(super) const FIRST_TABLE: &str = "view_customer_1";

pub(super) struct Shelf {
    at: TestLog,
    /// What a server keeps beside a log in Postgres.
    folder: TempDir,
    pub(super) events: i64,
}

impl Shelf {
    /// With so many delivered orders.
    pub(super) async fn with(at: TestLog, orders: u64) -> Shelf {
        let log = at.open().await;
        let location = at.location();
        Projections::migrate(&location).await.expect("migrated");
        fill(&log, 0..orders).await.expect("orders");
        let views = Projections::open(&location, log).await.expect("views");
        for view in View::ALL {
            views.run_until_caught_up(view).await.expect("caught up");
        }
        let events = i64::try_from(orders * EVENTS_PER_ORDER).expect("a count");
        Shelf {
            at,
            folder: tempfile::tempdir().expect("a folder"),
            events,
        }
    }

    /// The binary on this store.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.at {
            TestLog::Sqlite(dir) => bookmarket(dir.path()),
            TestLog::Postgres(_) => bookmarket(self.folder.path()),
        };
        if let eventstore::Location::Postgres { url } = self.at.location() {
            command.env("DATABASE_URL", url.expose_secret());
        }
        with(command, arguments)
    }

    /// Runs it and expects this exit code.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = run(self.command(arguments));
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = complaint(&output);
        assert_eq!(output.status.code(), Some(code), "{said}\n{complaint}");
        output
    }

    /// Runs it for the lines of JSON that it prints.
    #[track_caller]
    pub(super) fn lines(&self, arguments: &[&str], code: i32) -> Vec<Value> {
        let output = self.run(&[arguments, &["--output", "json"]].concat(), code);
        let text = String::from_utf8(output.stdout).expect("text");
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON lines")
    }

    /// Looks at the log, also beside somebody who holds it.
    pub(super) async fn log(&self) -> EventStore {
        let looking = Options {
            access: Access::ReadOnly,
            ..Options::default()
        };
        let log = EventStore::open(&self.at.location(), looking).await;
        log.expect("the log is there")
    }

    async fn views(&self) -> Projections {
        let log = self.log().await;
        let views = Projections::open(&self.at.location(), log).await;
        views.expect("the views are there")
    }

    /// Where the live table is.
    pub(super) async fn position(&self, view: View) -> Position {
        self.views().await.position(view).await.expect("a position")
    }

    /// A digest of what readers of the customer and of the message view see.
    pub(super) async fn digest(&self) -> String {
        digest(&self.views().await).await
    }

    /// Runs SQL on the tables of the views.
    pub(super) fn tamper(&self, sql: &str) {
        match &self.at {
            TestLog::Postgres(database) => database.try_execute(sql).expect("done"),
            TestLog::Sqlite(dir) => {
                let file = dir.path().join("views.db");
                let connection = rusqlite::Connection::open(file).expect("the file");
                connection.execute_batch(sql).expect("done");
            }
        }
    }

    /// Whether a table is there.
    pub(super) fn has_table(&self, table: &str) -> bool {
        let look = format!("SELECT 1 FROM {table} LIMIT 0");
        match &self.at {
            TestLog::Postgres(database) => database.try_execute(&look).is_ok(),
            TestLog::Sqlite(dir) => {
                let file = dir.path().join("views.db");
                let connection = rusqlite::Connection::open(file).expect("the file");
                connection.prepare(&look).is_ok()
            }
        }
    }

    /// Makes so many rows of the first table say something else than the log.
    pub(super) fn drift(&self, rows: usize) {
        let some = format!("SELECT key FROM {FIRST_TABLE} ORDER BY key DESC LIMIT {rows}");
        let doc = match &self.at {
            TestLog::Postgres(_) => "jsonb_set(doc::jsonb, '{total}', '1')::json",
            TestLog::Sqlite(_) => "json_set(doc, '$.total', 1)",
        };
        self.tamper(&format!(
            "UPDATE {FIRST_TABLE} SET doc = {doc} WHERE key IN ({some})"
        ));
    }
}

/// Every row that readers of the customer or of the message view see, youngest first.
pub(super) async fn rows(views: &Projections, view: View) -> Vec<Value> {
    let mut request = PageRequest {
        size: 500,
        cursor: None,
    };
    let mut all = Vec::new();
    loop {
        request.cursor = if view == View::Customer {
            let filter = CustomerFilter::default();
            let page = views.customer_rows(&filter, &request).await.expect("rows");
            all.extend(page.rows.iter().map(|row| json!(row)));
            page.next
        } else {
            let filter = MessageFilter::default();
            let page = views.message_rows(&filter, &request).await.expect("rows");
            all.extend(page.rows.iter().map(|row| json!(row)));
            page.next
        };
        if request.cursor.is_none() {
            return all;
        }
    }
}

/// A digest of all rows of both views.
async fn digest(views: &Projections) -> String {
    let mut hash = Sha256::new();
    for view in [View::Customer, View::Message] {
        for row in rows(views, view).await {
            hash.update(row.to_string());
        }
    }
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a check on a shelf of each kind.
pub(super) async fn each(orders: u64, check: impl AsyncFn(Shelf)) {
    for at in [TestLog::sqlite(), TestLog::postgres()] {
        check(Shelf::with(at, orders).await).await;
    }
}
