//! Reads the shape of a JSON body field by field and remembers everything that is wrong with it.
//!
//! Deserializing straight into structs stops at the first error and knows no pointers; a client with three typos
//! should learn of three. What a value must be like beyond its type is the domain's business.

use std::collections::BTreeMap;

use aggregates::field::{FieldError, pointer_token};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// An object of the body and the pointer that leads to it.
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    pointer: String,
    known: Vec<&'static str>,
    errors: &'a mut Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub fn root(body: &'a Value, errors: &'a mut Vec<FieldError>) -> Option<Fields<'a>> {
        Fields::at(body, String::new(), errors)
    }

    fn at(
        value: &'a Value,
        pointer: String,
        errors: &'a mut Vec<FieldError>,
    ) -> Option<Fields<'a>> {
        if let Value::Object(object) = value {
            return Some(Fields {
                object,
                pointer,
                known: Vec::new(),
                errors,
            });
        }
        errors.push(FieldError::new(
            pointer,
            format!("This must be an object, not {}.", kind_of(value)),
        ));
        None
    }

    /// Whether the field is there and not null.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// Reports a field of this object.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = self.pointer_to(name);
        self.errors.push(FieldError::new(pointer, detail));
    }

    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, pointer_token(name))
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, expected: &str, value: &Value) {
        self.refuse(
            name,
            format!("{name} must be {expected}, not {}.", kind_of(value)),
        );
    }

    /// Reports the field if it is absent. One that is there but wrong was reported already.
    fn required<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(name) {
            self.refuse(name, format!("{name} is missing."));
        }
        value
    }

    /// A text, if there is one.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong(name, "a string", other);
                None
            }
        }
    }

    /// A text that has to be there.
    pub fn required_text(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name);
        self.required(name, text)
    }

    /// An id that has to be there; an integer, which is what the old services' ids were, counts as its digits.
    pub fn required_id(&mut self, name: &'static str) -> Option<String> {
        let id = match self.take(name) {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Some(number.to_string())
            }
            Some(Value::Number(_)) => {
                self.refuse(
                    name,
                    format!("{name} must be a string or an integer of 64 bits."),
                );
                None
            }
            Some(other) => {
                self.wrong(name, "a string or an integer", other);
                None
            }
        };
        self.required(name, id)
    }

    /// An integer, if there is one.
    pub fn integer(&mut self, name: &'static str) -> Option<i64> {
        let value = self.take(name)?;
        let number = value.as_i64();
        match number {
            Some(_) => {}
            None if value.is_number() => {
                self.refuse(name, format!("{name} must be a whole number of 64 bits."))
            }
            None => self.wrong(name, "an integer", value),
        }
        number
    }

    /// An integer that has to be there.
    pub fn required_integer(&mut self, name: &'static str) -> Option<i64> {
        let number = self.integer(name);
        self.required(name, number)
    }

    /// A truth value, if there is one.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong(name, "true or false", value);
        }
        flag
    }

    /// A moment, if there is one.
    pub fn moment(&mut self, name: &'static str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let moment = DateTime::parse_from_rfc3339(&text)
            .ok()
            .map(|moment| moment.with_timezone(&Utc));
        if moment.is_none() {
            self.refuse(
                name,
                format!("{name} must be a moment such as 2026-01-31T09:00:00Z."),
            );
        }
        moment
    }

    /// Any JSON value, if there is one.
    pub fn any(&mut self, name: &'static str) -> Option<Value> {
        self.take(name).cloned()
    }

    /// An object from texts to texts, if there is one.
    pub fn texts(&mut self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let Value::Object(entries) = self.take(name)? else {
            self.refuse(name, format!("{name} must be an object of strings."));
            return None;
        };
        let place = self.pointer_to(name);
        let mut texts = BTreeMap::new();
        for (key, value) in entries {
            match value {
                Value::String(text) => {
                    texts.insert(key.clone(), text.clone());
                }
                other => {
                    let pointer = format!("{place}/{}", pointer_token(key));
                    self.errors.push(FieldError::new(
                        pointer,
                        format!("This must be a string, not {}.", kind_of(other)),
                    ));
                }
            }
        }
        Some(texts)
    }

    /// Reads the object under `name`, if there is one.
    pub fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Fields<'_>) -> T,
    ) -> Option<T> {
        let value = self.take(name)?;
        let pointer = self.pointer_to(name);
        Fields::at(value, pointer, self.errors).map(read)
    }

    /// Reads the objects in the array under `name`, if there is one.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Fields<'_>) -> T,
    ) -> Option<Vec<T>> {
        let value = self.take(name)?;
        let Value::Array(items) = value else {
            self.wrong(name, "an array", value);
            return None;
        };
        let place = self.pointer_to(name);
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            all.extend(Fields::at(item, format!("{place}/{index}"), self.errors).map(&mut read));
        }
        Some(all)
    }

    /// Refuses every field that nobody asked for: a typo must not pass as "absent". Null is absent.
    pub fn finish(mut self) {
        let known = std::mem::take(&mut self.known);
        let unknown: Vec<&String> = self
            .object
            .iter()
            .filter(|(key, value)| !value.is_null() && !known.contains(&key.as_str()))
            .map(|(key, _)| key)
            .collect();
        for name in unknown {
            self.refuse(name, "This field is not known.");
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(errors: &[FieldError]) -> Vec<&str> {
        errors.iter().map(|error| error.pointer.as_str()).collect()
    }

    #[test]
    fn every_wrong_field_is_reported_with_its_pointer() {
        let body = json!({"a": 1, "lines": [{"qty": 0.5}, 7, {"qty": "x"}], "b/c": 1, "at": "noon", "to": {"x": 1}});
        let mut errors = Vec::new();
        let mut fields = Fields::root(&body, &mut errors).expect("an object");
        assert_eq!(fields.required_text("a"), None);
        assert_eq!(fields.required_text("gone"), None);
        assert_eq!(fields.moment("at"), None);
        assert!(fields.texts("to").is_some());
        fields.list("lines", |mut line| line.required_integer("qty"));
        fields.finish();
        let expected = [
            "/a",
            "/gone",
            "/at",
            "/to/x",
            "/lines/0/qty",
            "/lines/1",
            "/lines/2/qty",
            "/b~1c",
        ];
        assert_eq!(pointers(&errors), expected);
    }

    #[test]
    fn an_integer_id_becomes_its_digits() {
        let body = json!({"customerId": 42});
        let mut errors = Vec::new();
        let mut fields = Fields::root(&body, &mut errors).expect("an object");
        assert_eq!(fields.required_id("customerId").as_deref(), Some("42"));
        fields.finish();
        assert_eq!(errors, []);
    }

    #[test]
    fn a_number_that_is_no_id_is_told_apart_from_other_types() {
        let body: Value =
            serde_json::from_str(r#"{"a": 1e30, "b": 0.5, "c": 99999999999999999999, "d": []}"#)
                .expect("JSON");
        let mut errors = Vec::new();
        let mut fields = Fields::root(&body, &mut errors).expect("an object");
        for name in ["a", "b", "c", "d"] {
            assert_eq!(fields.required_id(name), None);
        }
        for (error, name) in errors.iter().zip(["a", "b", "c"]) {
            let expected = format!("{name} must be a string or an integer of 64 bits.");
            assert_eq!(error.detail, expected);
        }
        assert_eq!(
            errors[3].detail,
            "d must be a string or an integer, not an array."
        );
    }

    #[test]
    fn null_counts_as_absent() {
        let body = json!({"title": null, "qty": null});
        let mut errors = Vec::new();
        let mut fields = Fields::root(&body, &mut errors).expect("an object");
        assert_eq!(fields.text("title"), None);
        assert_eq!(fields.required_integer("qty"), None);
        assert_eq!(pointers(&errors), ["/qty"]);
    }
}
