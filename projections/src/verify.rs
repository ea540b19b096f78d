//! In what two tables of one view differ: which rows, in which fields, and what each table says.
//!
//! The database finds the rows whose stored text differs; here is decided whether they mean something
//! else, and what is told of them.

use std::collections::BTreeMap;

use eventstore::Position;
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::table::Value;

/// Rows told of at most; the count is always exact.
pub const DIFFERENCES_LISTED: usize = 100;

/// Fields told of a row at most.
const FIELDS_LISTED: usize = 20;

/// Longest value told, in characters; of a longer one the beginning.
const VALUE_MAX: usize = 300;

/// Under which name a document's fields are told.
const DOC: &str = "doc";

/// What a row as a whole is called, where only one table has it.
const ROW: &str = "row";

/// What is parked of a key, where the tables do not agree on it.
const PARKED: &str = "parked";

/// What comparing a rebuilt table with the live one has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Up to where both tables had taken the log.
    pub position: Position,
    /// Rows of the live table.
    pub live_rows: u64,
    /// Rows of the rebuilt table.
    pub rebuilt_rows: u64,
    /// Rows that differ, that only one table has, or of which not the same is parked.
    pub differing: u64,
    /// The first [`DIFFERENCES_LISTED`] of them, by key.
    pub differences: Vec<RowDifference>,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowDifference {
    /// Its key.
    pub key: Uuid,
    /// In what: the first few fields.
    pub fields: Vec<FieldDifference>,
    /// Fields beyond those.
    pub more_fields: usize,
}

/// What the two tables say of one field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldDifference {
    /// A column, or a path into the document (`doc.payment.paid`); `row` where one table has no such row; `parked` where not the
    /// same is parked of it.
    pub field: String,
    /// In the live table; nothing if it has no such field.
    pub old: Option<Json>,
    /// In the rebuilt table.
    pub new: Option<Json>,
}

/// A row as one of the tables has it: the columns that are compared, and its document.
pub(crate) struct Side {
    pub(crate) columns: Vec<Value<'static>>,
    pub(crate) doc: String,
}

/// A row whose text differs.
pub(crate) struct Pair {
    pub(crate) key: Uuid,
    pub(crate) old: Option<Side>,
    pub(crate) new: Option<Side>,
}

/// What is parked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParkedSide {
    pub(crate) events: i64,
    pub(crate) since: i64,
}

impl ParkedSide {
    fn told(self) -> Json {
        json!({ "events": self.events, "since": self.since })
    }
}

/// Counts and lists differences.
pub(crate) struct Tally {
    columns: Vec<&'static str>,
    /// What the live and the rebuilt table have parked, as long as no row of the key was met.
    parked: BTreeMap<Uuid, [Option<ParkedSide>; 2]>,
    differing: u64,
    differences: Vec<RowDifference>,
}

impl Tally {
    /// For rows with these columns beside their document.
    pub(crate) fn new(columns: Vec<&'static str>) -> Self {
        Self {
            columns,
            parked: BTreeMap::new(),
            differing: 0,
            differences: Vec::new(),
        }
    }

    /// The columns that are compared, in the order of [`Side::columns`].
    pub(crate) fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Takes what one of the tables has parked of a key, before any row.
    pub(crate) fn park(&mut self, rebuilt: bool, key: Uuid, parked: ParkedSide) {
        self.parked.entry(key).or_default()[usize::from(rebuilt)] = Some(parked);
    }

    /// Takes rows in the order of their keys.
    pub(crate) fn take(&mut self, pair: &Pair) {
        let mut fields = self.fields(pair);
        let parked = self.parked.remove(&pair.key);
        fields.extend(parked.and_then(unlike));
        if fields.is_empty() {
            return;
        }
        self.differing += 1;
        if self.differences.len() < DIFFERENCES_LISTED {
            let more_fields = fields.len().saturating_sub(FIELDS_LISTED);
            fields.truncate(FIELDS_LISTED);
            self.differences.push(RowDifference {
                key: pair.key,
                fields,
                more_fields,
            });
        }
    }

    /// The keys whose rows are alike, if they have any, and of which not the same is parked.
    fn take_parked(&mut self) {
        for (key, sides) in std::mem::take(&mut self.parked) {
            if let Some(field) = unlike(sides) {
                self.differing += 1;
                self.differences.push(RowDifference {
                    key,
                    fields: vec![field],
                    more_fields: 0,
                });
            }
        }
        self.differences.sort_by_key(|row| row.key);
        self.differences.truncate(DIFFERENCES_LISTED);
    }

    /// The result; `rows` are the rows of the live and of the rebuilt table.
    pub(crate) fn into_verification(
        mut self,
        position: Position,
        [live_rows, rebuilt_rows]: [u64; 2],
    ) -> Verification {
        self.take_parked();
        Verification {
            position,
            live_rows,
            rebuilt_rows,
            differing: self.differing,
            differences: self.differences,
        }
    }

    fn fields(&self, pair: &Pair) -> Vec<FieldDifference> {
        let (Some(old), Some(new)) = (&pair.old, &pair.new) else {
            let side = |side: &Option<Side>| side.as_ref().map(|side| short(&parse(&side.doc)));
            return vec![FieldDifference {
                field: ROW.to_owned(),
                old: side(&pair.old),
                new: side(&pair.new),
            }];
        };
        let mut found = Vec::new();
        for (at, name) in self.columns.iter().enumerate() {
            if old.columns[at] != new.columns[at] {
                found.push(FieldDifference {
                    field: (*name).to_owned(),
                    old: Some(to_json(&old.columns[at])),
                    new: Some(to_json(&new.columns[at])),
                });
            }
        }
        if old.doc != new.doc {
            let (old, new) = (parse(&old.doc), parse(&new.doc));
            walk(DOC, Some(&old), Some(&new), &mut found);
        }
        found
    }
}

fn unlike([old, new]: [Option<ParkedSide>; 2]) -> Option<FieldDifference> {
    (old != new).then(|| FieldDifference {
        field: PARKED.to_owned(),
        old: old.map(ParkedSide::told),
        new: new.map(ParkedSide::told),
    })
}

/// A document; what is no JSON differs as a whole.
fn parse(doc: &str) -> Json {
    serde_json::from_str(doc).unwrap_or_else(|_| Json::from(doc))
}

fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Text(text) => text.as_deref().into(),
        Value::Int(int) => (*int).into(),
    }
}

/// Adds every place in which two documents differ.
fn walk(path: &str, old: Option<&Json>, new: Option<&Json>, found: &mut Vec<FieldDifference>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Json::Object(old)), Some(Json::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                let path = format!("{path}.{name}");
                walk(&path, old.get(name), new.get(name), found);
            }
        }
        (Some(Json::Array(old)), Some(Json::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                walk(&format!("{path}.{at}"), old.get(at), new.get(at), found);
            }
        }
        (old, new) => found.push(FieldDifference {
            field: path.to_owned(),
            old: old.map(short),
            new: new.map(short),
        }),
    }
}

/// The value, or the beginning of its text.
fn short(value: &Json) -> Json {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Object(_) | Json::Array(_) => value.to_string(),
        Json::Null | Json::Bool(_) | Json::Number(_) => return value.clone(),
    };
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => Json::String(format!("{}…", &text[..end])),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(status: &str, doc: &str) -> Option<Side> {
        Some(Side {
            columns: vec![Value::Int(Some(1)), Value::text(status.to_owned())],
            doc: doc.to_owned(),
        })
    }

    fn tally(pairs: impl IntoIterator<Item = (Option<Side>, Option<Side>)>) -> Verification {
        let mut tally = Tally::new(vec!["seq", "status"]);
        for (key, (old, new)) in (0..).zip(pairs) {
            let key = Uuid::from_u128(key);
            tally.take(&Pair { key, old, new });
        }
        tally.into_verification(Position(7), [1, 1])
    }

    fn told(verification: &Verification) -> Vec<(&str, String, String)> {
        let text = |value: &Option<Json>| value.as_ref().map_or_else(String::new, Json::to_string);
        let rows = verification.differences.iter();
        rows.flat_map(|row| &row.fields)
            .map(|it| (it.field.as_str(), text(&it.old), text(&it.new)))
            .collect()
    }

    #[test]
    fn what_is_parked_of_a_key_differs_with_its_row_or_alone_and_in_the_order_of_keys() {
        let mut tally = Tally::new(vec!["seq", "status"]);
        let parked = |events| ParkedSide { events, since: 9 };
        let key = Uuid::from_u128;
        for (rebuilt, of, events) in [
            (false, 1, 1),
            (true, 1, 1),
            (false, 2, 1),
            (true, 3, 2),
            (false, 4, 1),
            (true, 4, 2),
        ] {
            tally.park(rebuilt, key(of), parked(events));
        }
        let (old, new) = (side("Paid", "{}"), side("Shipped", "{}"));
        tally.take(&Pair {
            key: key(3),
            old,
            new,
        });
        let found = tally.into_verification(Position(7), [1, 1]);
        let keys: Vec<_> = found.differences.iter().map(|row| row.key).collect();
        assert_eq!((found.differing, keys), (3, vec![key(2), key(3), key(4)]));
        let two = r#"{"events":2,"since":9}"#.to_owned();
        let one = two.replace('2', "1");
        let expected = [
            ("parked", one.clone(), String::new()),
            ("status", r#""Paid""#.into(), r#""Shipped""#.into()),
            ("parked", String::new(), two.clone()),
            ("parked", one, two),
        ];
        assert_eq!(told(&found), expected);
    }

    #[test]
    fn a_difference_is_told_by_column_and_by_path_into_the_document() {
        let found = tally([(
            side("Paid", r#"{"a":1,"b":{"c":[1,2]},"gone":true}"#),
            side("Shipped", r#"{"a":1,"b":{"c":[1,3,4]}}"#),
        )]);
        let owned = |(field, old, new): (_, &str, &str)| (field, old.to_owned(), new.to_owned());
        let expected = [
            ("status", r#""Paid""#, r#""Shipped""#),
            ("doc.b.c.1", "2", "3"),
            ("doc.b.c.2", "", "4"),
            ("doc.gone", "true", ""),
        ];
        assert_eq!(told(&found), expected.map(owned));
        assert_eq!(found.differing, 1);
    }

    #[test]
    fn another_spelling_of_the_same_is_no_difference() {
        let found = tally([(
            side("Paid", r#"{"a":1,"b":"é"}"#),
            side("Paid", r#"{ "b": "\u00e9", "a": 1 }"#),
        )]);
        assert_eq!(found.differing, 0);
    }

    #[test]
    fn a_row_that_one_table_lacks_and_one_that_is_no_json_are_differences() {
        let found = tally([
            (None, side("Paid", r#"{"a":1}"#)),
            (side("Paid", r#"{"a":1}"#), None),
            (side("Paid", "rubbish"), side("Paid", r#"{"a":1}"#)),
        ]);
        assert_eq!(found.differing, 3);
        let fields: Vec<&str> = told(&found).iter().map(|it| it.0).collect();
        assert_eq!(fields, ["row", "row", "doc"]);
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let many = (0..DIFFERENCES_LISTED + 5).map(|_| (side("a", "{}"), side("b", "{}")));
        let found = tally(many);
        assert_eq!(found.differing, DIFFERENCES_LISTED as u64 + 5);
        assert_eq!(found.differences.len(), DIFFERENCES_LISTED);
        let long = "x".repeat(1_000);
        let found = tally([(
            side("a", "{}"),
            side(&long, &format!(r#"{{"a":"{long}"}}"#)),
        )]);
        let value = told(&found)[1].2.clone();
        assert_eq!(value.chars().count(), VALUE_MAX + 3, "{value}");
    }
}
