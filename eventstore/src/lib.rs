//! An append-only event log on Postgres or SQLite.
