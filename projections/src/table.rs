//! What a view's table looks like, and the one place that writes SQL for it, in both dialects.
//!
//! Every table has the same frame: `key` (the row's id), `seq` (which of all rows it is, in the order of
//! the events that made them: lists are ordered and paged by it), `position` (of the last event that it
//! has taken), the view's filter columns, and `doc`, the row as JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use uuid::Uuid;

mod queries;

pub use queries::Condition;
pub(crate) use queries::{Sort, needed};

/// The table of one view.
#[derive(Debug)]
pub struct TableDef {
    /// The view's name; also the first part of the table's name.
    pub view: &'static str,
    /// Raised whenever rows of an older build must not be folded on, or the frame of all tables has changed:
    /// the view is then rebuilt.
    pub version: i32,
    /// What lists can be filtered by.
    pub columns: &'static [Column],
    /// One per query that needs it; `seq` and `key` have theirs already.
    pub indexes: &'static [Index],
}

/// A filter column. All are nullable.
#[derive(Debug)]
pub struct Column {
    /// Its name in both dialects.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// The two types a filter column can have; moments are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A 64-bit integer.
    Int,
}

/// An index over a filter column and `seq`.
#[derive(Debug)]
pub struct Index {
    /// The column.
    pub column: &'static str,
    /// Which rows it holds.
    pub rows: Rows,
}

/// Which rows an index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All.
    All,
    /// Those that have a value at all.
    Set,
    /// All but those with this value, which most rows end with: a list of them finds enough of them in
    /// the order of `seq`, and the index stays small.
    Except(&'static str),
}

/// A value of a filter column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of a [`Kind::Text`] column.
    Text(Option<Cow<'a, str>>),
    /// Of a [`Kind::Int`] column.
    Int(Option<i64>),
}

impl<'a> Value<'a> {
    /// A text that is there.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(Some(text.into()))
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_deref(),
            Self::Int(_) => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => *int,
            Self::Text(_) => None,
        }
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            Self::Int(int) => Value::Int(int),
        }
    }
}

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// Adds a parameter and gives its placeholder.
    fn bind(self, params: &mut Vec<Param>, param: Param) -> String {
        params.push(param);
        match self {
            Self::Postgres => format!("${}", params.len()),
            Self::Sqlite => format!("?{}", params.len()),
        }
    }
}

/// A parameter of a list query, in the order of its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    Key(Uuid),
    Text(String),
    Int(i64),
}

impl TableDef {
    /// The table of one generation of this view.
    pub(crate) fn table(&self, generation: i64) -> String {
        format!("view_{}_{generation}", self.view)
    }

    /// Makes the bare table. In Postgres the indexes come later ([`Self::index_ddl`]): a bulk load is
    /// faster without them. In SQLite `seq` is the row id itself, so that lists read in table order.
    pub(crate) fn create_ddl(&self, dialect: Dialect, table: &str) -> String {
        let (key, seq, doc) = match dialect {
            Dialect::Postgres => ("uuid", "bigint NOT NULL", "json"),
            Dialect::Sqlite => ("blob", "integer PRIMARY KEY", "text"),
        };
        let mut ddl = format!(
            "CREATE TABLE {table} (key {key} NOT NULL, seq {seq}, position bigint NOT NULL"
        );
        for column in self.columns {
            let kind = match column.kind {
                Kind::Text => "text",
                Kind::Int => "bigint",
            };
            let _ = write!(ddl, ", {} {kind}", column.name);
        }
        let _ = write!(ddl, ", doc {doc} NOT NULL)");
        ddl
    }

    /// Makes the index that finds a row by its key.
    pub(crate) fn key_ddl(table: &str) -> String {
        format!("CREATE UNIQUE INDEX IF NOT EXISTS {table}_key ON {table} (key)")
    }

    /// Makes the indexes that lists need, as far as they are not there yet.
    pub(crate) fn index_ddl(&self, dialect: Dialect, table: &str) -> Vec<String> {
        let mut ddl = Vec::new();
        if dialect == Dialect::Postgres {
            ddl.push(format!(
                "CREATE UNIQUE INDEX IF NOT EXISTS {table}_seq ON {table} (seq)"
            ));
        }
        for Index { column, rows } in self.indexes {
            let only = match rows {
                Rows::All => String::new(),
                Rows::Set => format!(" WHERE {column} IS NOT NULL"),
                Rows::Except(usual) => format!(" WHERE {column} <> '{usual}'"),
            };
            ddl.push(format!(
                "CREATE INDEX IF NOT EXISTS {table}_{column} ON {table} ({column}, seq){only}"
            ));
        }
        ddl
    }

    /// Writes one new row (SQLite).
    pub(crate) fn insert(&self, table: &str) -> String {
        let mut sql = format!("INSERT INTO {table} ({}) VALUES (?1", self.column_list());
        for at in 2..=self.columns.len() + 4 {
            let _ = write!(sql, ", ?{at}");
        }
        sql.push(')');
        sql
    }

    /// Writes rows, new or known; one that has come further stays. Postgres takes one array per column and
    /// writes any number of rows; SQLite takes one row.
    pub(crate) fn upsert(&self, dialect: Dialect, table: &str) -> String {
        let mut sql = match dialect {
            Dialect::Postgres => self.insert_arrays(table),
            Dialect::Sqlite => self.insert(table),
        };
        sql.push_str(" ON CONFLICT (key) DO UPDATE SET doc = excluded.doc");
        let frame = ["seq", "position"].into_iter();
        for column in frame.chain(self.columns.iter().map(|column| column.name)) {
            let _ = write!(sql, ", {column} = excluded.{column}");
        }
        let _ = write!(sql, " WHERE {table}.position <= excluded.position");
        sql
    }

    /// Writes new rows from one array per column (Postgres).
    fn insert_arrays(&self, table: &str) -> String {
        let names = self.column_list();
        let cast = names.replace(", doc", ", doc::json");
        let mut sql = format!(
            "INSERT INTO {table} ({names}) SELECT {cast} FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]"
        );
        for (at, column) in self.columns.iter().enumerate() {
            let kind = match column.kind {
                Kind::Text => "text",
                Kind::Int => "bigint",
            };
            let _ = write!(sql, ", ${}::{kind}[]", at + 4);
        }
        let doc = self.columns.len() + 4;
        let _ = write!(sql, ", ${doc}::text[]) AS rows ({names})");
        sql
    }

    /// Finds the rows in which two tables differ, by their text: the keys that each has, the documents, then
    /// each column of both, by key.
    pub(crate) fn compare_query([old, new]: &[String; 2], columns: &[&str]) -> String {
        let doc = |table| format!("CAST({table}.doc AS text)");
        let (old_doc, new_doc) = (doc("o"), doc("n"));
        let mut wanted = format!("o.key, n.key, {old_doc}, {new_doc}");
        let mut differ = format!("{old_doc} IS DISTINCT FROM {new_doc}");
        for column in columns {
            let _ = write!(wanted, ", o.{column}, n.{column}");
            let _ = write!(differ, " OR o.{column} IS DISTINCT FROM n.{column}");
        }
        format!(
            "SELECT {wanted} FROM {old} o FULL JOIN {new} n ON n.key = o.key
             WHERE {differ} ORDER BY coalesce(o.key, n.key)"
        )
    }

    /// What two tables have parked of each key: which table, the key, how many events, and since when.
    pub(crate) fn parked_query(&self, [old, new]: [i64; 2]) -> String {
        let view = self.view;
        format!(
            "SELECT generation, key, count(*), min(position) FROM projection_parked
             WHERE view = '{view}' AND generation IN ({old}, {new}) GROUP BY generation, key"
        )
    }

    /// How many rows two tables have.
    pub(crate) fn counts_query([old, new]: &[String; 2]) -> String {
        format!("SELECT (SELECT count(*) FROM {old}), (SELECT count(*) FROM {new})")
    }

    /// All columns in their order, as `COPY` and the upsert take them.
    pub(crate) fn column_list(&self) -> String {
        let mut names = String::from("key, seq, position");
        for column in self.columns {
            names.push_str(", ");
            names.push_str(column.name);
        }
        names.push_str(", doc");
        names
    }
}
