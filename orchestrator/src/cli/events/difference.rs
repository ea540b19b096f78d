//! What is different between two JSON documents, leaf by leaf.

use serde::Serialize;
use serde_json::Value;

/// A leaf that one document has otherwise than the other, or that only one of them has.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    /// JSON pointer (RFC 6901).
    pub(super) path: String,
    /// What was there; absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Value>,
    /// What is there now; absent where there is nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Value>,
}

/// Every leaf of two documents: those that are the same in both, and those that are not.
#[derive(Debug, PartialEq)]
pub(super) enum Leaf {
    Same(String, Value),
    Changed(Change),
}

/// What changed.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let leaves = leaves(before, after).into_iter();
    leaves
        .filter_map(|leaf| match leaf {
            Leaf::Same(..) => None,
            Leaf::Changed(change) => Some(change),
        })
        .collect()
}

/// Both documents, leaf beside leaf, in the order of their names. `null` counts as nothing.
pub(super) fn leaves(before: &Value, after: &Value) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    compare(String::new(), before, after, &mut leaves);
    leaves
}

fn compare(path: String, before: &Value, after: &Value, leaves: &mut Vec<Leaf>) {
    match (before, after) {
        (Value::Null, Value::Null) => {}
        (Value::Object(_) | Value::Null, Value::Object(_)) | (Value::Object(_), Value::Null) => {
            for name in names(before, after) {
                let path = format!("{path}/{}", escape(&name));
                let part = |of: &'_ Value| of.get(&name).cloned().unwrap_or_default();
                compare(path, &part(before), &part(after), leaves);
            }
        }
        (Value::Array(_) | Value::Null, Value::Array(_)) | (Value::Array(_), Value::Null) => {
            for at in 0..length(before).max(length(after)) {
                let part = |of: &'_ Value| of.get(at).cloned().unwrap_or_default();
                compare(format!("{path}/{at}"), &part(before), &part(after), leaves);
            }
        }
        (before, after) if before == after => leaves.push(Leaf::Same(path, after.clone())),
        (before, after) => leaves.push(Leaf::Changed(Change {
            path,
            before: present(before),
            after: present(after),
        })),
    }
}

/// The names in either object, each once.
fn names(before: &Value, after: &Value) -> Vec<String> {
    let of = |object: &Value| -> Vec<String> {
        let object = object.as_object();
        object.map_or_else(Vec::new, |object| object.keys().cloned().collect())
    };
    let mut names = of(before);
    names.extend(of(after));
    names.sort_unstable();
    names.dedup();
    names
}

fn length(array: &Value) -> usize {
    array.as_array().map_or(0, Vec::len)
}

fn present(value: &Value) -> Option<Value> {
    Some(value).filter(|value| !value.is_null()).cloned()
}

/// A name as a part of a JSON pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_a_change_and_its_path_leads_to_it() {
        let before = json!({ "status": "Paid", "lines": [{ "qty": 1 }], "a/b": 1, "gone": true, "same": null });
        let after = json!({ "status": "Shipped", "lines": [{ "qty": 1 }, { "qty": 2 }], "a/b": 2 });
        let changes = changes(&before, &after);
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["/a~1b", "/gone", "/lines/1/qty", "/status"]);
        for change in &changes {
            assert_eq!(before.pointer(&change.path), change.before.as_ref());
            assert_eq!(after.pointer(&change.path), change.after.as_ref());
        }
    }

    #[test]
    fn what_turns_from_a_value_into_an_object_is_one_change() {
        let (before, after) = (json!({ "until": 5 }), json!({ "until": { "at": 5 } }));
        let changed = Change {
            path: "/until".to_owned(),
            before: Some(json!(5)),
            after: Some(json!({ "at": 5 })),
        };
        assert_eq!(changes(&before, &after), [changed]);
    }

    #[test]
    fn out_of_nothing_every_leaf_is_new_and_equal_documents_have_no_change() {
        let document = json!({ "a": { "b": 1 }, "c": [true] });
        let new = changes(&Value::Null, &document);
        assert!(new.iter().all(|change| change.before.is_none()) && new.len() == 2);
        assert_eq!(changes(&document, &document), []);
    }
}
