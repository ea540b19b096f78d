//! What can be asked of a view's table, and the SQL for it.

use std::borrow::Cow;

use super::{Dialect, Param, Rows, TableDef};
use crate::error::StoreError;

/// A condition of a list.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The column has this text.
    Is(&'static str, String),
    /// The column has any value.
    Set(&'static str),
    /// The column has a value of at most this.
    AtMost(&'static str, i64),
    /// The column has a value of at least this.
    AtLeast(&'static str, i64),
    /// The column has a value below this.
    Below(&'static str, i64),
}

impl Condition {
    fn column(&self) -> &'static str {
        match self {
            Self::Is(column, _)
            | Self::Set(column)
            | Self::AtMost(column, _)
            | Self::AtLeast(column, _)
            | Self::Below(column, _) => column,
        }
    }
}

/// In which order a list comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Youngest rows first, from below this `seq` on.
    NewestFirst { below: i64 },
    /// Smallest value of this column first, from beyond this value and `seq` on.
    By {
        column: &'static str,
        after: Option<(i64, i64)>,
    },
    /// Largest value of this column first, from below this value and `seq` on.
    LatestFirst {
        column: &'static str,
        below: (i64, i64),
    },
}

impl Sort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::NewestFirst { .. } => None,
            Self::By { column, .. } | Self::LatestFirst { column, .. } => Some(column),
        }
    }
}

/// The columns that a list needs, beside those of the frame.
pub(crate) fn needed(
    conditions: &[Condition],
    sort: Option<Sort>,
) -> impl Iterator<Item = &'static str> {
    conditions
        .iter()
        .map(Condition::column)
        .chain(sort.and_then(Sort::column))
}

fn all_of(clauses: &[String]) -> String {
    if clauses.is_empty() {
        String::from("true")
    } else {
        clauses.join(" AND ")
    }
}

impl TableDef {
    /// Lists rows that meet every condition.
    pub(crate) fn page_query(
        &self,
        dialect: Dialect,
        table: &str,
        conditions: &[Condition],
        sort: Sort,
        limit: usize,
    ) -> (String, Vec<Param>) {
        let (mut clauses, mut params) = self.clauses(dialect, conditions);
        let mut bind = |param: Param| dialect.bind(&mut params, param);
        let order = match sort {
            Sort::NewestFirst { below } => {
                clauses.push(format!("seq < {}", bind(Param::Int(below))));
                Cow::Borrowed("seq DESC")
            }
            Sort::By { column, after } => {
                if let Some((value, seq)) = after {
                    let (value, seq) = (bind(Param::Int(value)), bind(Param::Int(seq)));
                    clauses.push(format!("({column}, seq) > ({value}, {seq})"));
                }
                Cow::Owned(format!("{column}, seq"))
            }
            Sort::LatestFirst { column, below } => {
                let (value, seq) = (bind(Param::Int(below.0)), bind(Param::Int(below.1)));
                clauses.push(format!("({column}, seq) < ({value}, {seq})"));
                Cow::Owned(format!("{column} DESC, seq DESC"))
            }
        };
        let filter = all_of(&clauses);
        let sql = format!(
            "SELECT seq, CAST(doc AS text) FROM {table} WHERE {filter} ORDER BY {order} LIMIT {limit}"
        );
        (sql, params)
    }

    /// Counts the rows that meet every condition.
    pub(crate) fn count_query(
        &self,
        dialect: Dialect,
        table: &str,
        conditions: &[Condition],
    ) -> (String, Vec<Param>) {
        let (clauses, params) = self.clauses(dialect, conditions);
        let filter = all_of(&clauses);
        (
            format!("SELECT count(*) FROM {table} WHERE {filter}"),
            params,
        )
    }

    /// Counts the rows that meet every condition by the values of a column, in one statement and so at one
    /// moment: a row for each value but the usual one, which no index holds, and one of all for nobody.
    pub(crate) fn tally_query(
        &self,
        dialect: Dialect,
        table: &str,
        conditions: &[Condition],
        column: &str,
    ) -> (String, Vec<Param>) {
        let (clauses, params) = self.clauses(dialect, conditions);
        let filter = all_of(&clauses);
        let usual = self.usual(column).unwrap_or_default();
        let sql = format!(
            "SELECT {column}, count(*) FROM {table} WHERE {column} <> '{usual}' AND {filter} GROUP BY {column}
             UNION ALL SELECT NULL, count(*) FROM {table} WHERE {filter}"
        );
        (sql, params)
    }

    /// Refuses what needs a column that is not among those known.
    pub(crate) fn require(
        &self,
        known: &[String],
        mut needed: impl Iterator<Item = &'static str>,
    ) -> Result<(), StoreError> {
        if needed.all(|column| known.iter().any(|known| known == column)) {
            Ok(())
        } else {
            Err(StoreError::OtherVersion { view: self.view })
        }
    }

    /// The value of a column that its index leaves out.
    pub(crate) fn usual(&self, column: &str) -> Option<&'static str> {
        self.indexes.iter().find_map(|index| match index.rows {
            Rows::Except(usual) if index.column == column => Some(usual),
            _ => None,
        })
    }

    fn clauses(&self, dialect: Dialect, conditions: &[Condition]) -> (Vec<String>, Vec<Param>) {
        let mut params = Vec::new();
        let mut bind = |param: Param| dialect.bind(&mut params, param);
        let clauses = conditions.iter().map(|condition| match condition {
            Condition::Is(column, text) => {
                let equal = format!("{column} = {}", bind(Param::Text(text.clone())));
                equal + &self.partial(column, text)
            }
            Condition::Set(column) => format!("{column} IS NOT NULL"),
            Condition::AtMost(column, most) => {
                format!("{column} <= {}", bind(Param::Int(*most)))
            }
            Condition::AtLeast(column, least) => {
                format!("{column} >= {}", bind(Param::Int(*least)))
            }
            Condition::Below(column, end) => {
                format!("{column} < {}", bind(Param::Int(*end)))
            }
        });
        (clauses.collect(), params)
    }

    /// Says again what an index leaves out, so that a planner that does not see the parameter can use it.
    fn partial(&self, column: &str, text: &str) -> String {
        self.usual(column)
            .filter(|usual| *usual != text)
            .map(|usual| format!(" AND {column} <> '{usual}'"))
            .unwrap_or_default()
    }
}
