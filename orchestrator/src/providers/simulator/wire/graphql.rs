//! As much of GraphQL as tracker.delivery's interface takes: one operation, fields with arguments, variables. Fragments and
//! directives are none of it.

use serde_json::{Map, Value};

/// Deeper than any query of that interface.
const MAX_DEPTH: usize = 16;

/// A field that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) fields: Vec<Field>,
}

/// The fields of a document's one operation, with the variables put in.
pub(super) fn parse(query: &str, variables: &Value) -> Option<Vec<Field>> {
    let mut parser = Parser {
        tokens: tokens(query)?,
        at: 0,
        variables,
    };
    // `query Name($a: ID!) {`: what stands before the first brace outside of brackets says nothing that is needed here.
    while parser.peek() != Some("{") {
        if parser.eat("(") {
            parser.skip_brackets()?;
        } else {
            parser.next()?;
        }
    }
    let fields = parser.selection(0)?;
    (parser.at == parser.tokens.len()).then_some(fields)
}

/// Of `value` what `fields` ask for.
pub(super) fn project(value: &Value, fields: &[Field]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| project(item, fields)).collect(),
        Value::Object(object) if !fields.is_empty() => {
            let wanted = fields.iter().map(|field| {
                let own = object.get(&field.name).unwrap_or(&Value::Null);
                (field.alias.clone(), project(own, &field.fields))
            });
            Value::Object(wanted.collect())
        }
        other => other.clone(),
    }
}

fn tokens(text: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&first) = rest.peek() {
        if first.is_whitespace() || first == ',' || first == '\u{feff}' {
            rest.next();
        } else if first == '#' {
            while rest.next_if(|c| *c != '\n').is_some() {}
        } else if first == '"' {
            tokens.push(string(&mut rest)?);
        } else if is_word(first) {
            let mut word = String::new();
            while let Some(next) = rest.next_if(|c| is_word(*c)) {
                word.push(next);
            }
            tokens.push(word);
        } else {
            tokens.push(first.to_string());
            rest.next();
        }
    }
    Some(tokens)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A string in its quotes, as JSON writes it.
fn string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut string = String::from(rest.next()?);
    loop {
        let next = rest.next()?;
        string.push(next);
        match next {
            '"' => return Some(string),
            '\\' => string.push(rest.next()?),
            _ => {}
        }
    }
}

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    variables: &'a Value,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn eat(&mut self, token: &str) -> bool {
        let eaten = self.peek() == Some(token);
        self.at += usize::from(eaten);
        eaten
    }

    fn skip_brackets(&mut self) -> Option<()> {
        let mut depth = 1;
        while depth > 0 {
            match self.next()?.as_str() {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
        }
        Some(())
    }

    fn name(&mut self) -> Option<String> {
        self.next()
            .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    }

    fn selection(&mut self, depth: usize) -> Option<Vec<Field>> {
        if !self.eat("{") || depth > MAX_DEPTH {
            return None;
        }
        let mut fields = Vec::new();
        while !self.eat("}") {
            let mut name = self.name()?;
            let mut alias = name.clone();
            if self.eat(":") {
                alias = name;
                name = self.name()?;
            }
            let arguments = if self.eat("(") {
                self.pairs(")", depth)?
            } else {
                Map::new()
            };
            let nested = self.peek() == Some("{");
            fields.push(Field {
                alias,
                name,
                arguments,
                fields: if nested {
                    self.selection(depth + 1)?
                } else {
                    Vec::new()
                },
            });
        }
        Some(fields)
    }

    fn pairs(&mut self, end: &str, depth: usize) -> Option<Map<String, Value>> {
        let mut pairs = Map::new();
        while !self.eat(end) {
            let name = self.name()?;
            if !self.eat(":") {
                return None;
            }
            pairs.insert(name, self.value(depth + 1)?);
        }
        Some(pairs)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.eat("$") {
            let name = self.name()?;
            return Some(self.variables.get(&name).cloned().unwrap_or(Value::Null));
        }
        if self.eat("{") {
            return self.pairs("}", depth).map(Value::Object);
        }
        let token = self.next()?;
        // What is no JSON is the name of an enum's value.
        Some(serde_json::from_str(&token).unwrap_or(Value::String(token)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_arguments_and_variables_are_read() {
        let query = r#"
            query Track($carrierId: ID!, $number: String!) { # the usual one
                parcel: track(carrierId: $carrierId, trackingNumber: $number) {
                    lastEvent { time, status { code } }
                    events(last: 10) { edges { node { time } } }
                }
            }"#;
        let fields = parse(query, &json!({ "carrierId": "kr.lotte", "number": "1" })).unwrap();
        let track = &fields[0];
        assert_eq!(
            (track.alias.as_str(), track.name.as_str()),
            ("parcel", "track")
        );
        assert_eq!(
            Value::Object(track.arguments.clone()),
            json!({ "carrierId": "kr.lotte", "trackingNumber": "1" })
        );
        assert_eq!(track.fields[1].arguments["last"], json!(10));
        let inline = parse(
            r#"mutation{register(input:{url:"a \"b\"",on:true,k:WORD})}"#,
            &Value::Null,
        );
        assert_eq!(
            inline.unwrap()[0].arguments["input"],
            json!({ "url": "a \"b\"", "on": true, "k": "WORD" })
        );
    }

    #[test]
    fn an_answer_holds_what_was_asked_for_and_no_more() {
        let fields = parse("{ a { b list { c } } missing }", &Value::Null).unwrap();
        let all = json!({ "a": { "b": 1, "x": 2, "list": [{ "c": 3, "y": 4 }] }, "z": 5 });
        assert_eq!(
            project(&all, &fields),
            json!({ "a": { "b": 1, "list": [{ "c": 3 }] }, "missing": null })
        );
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for query in [
            "", "{", "{ a", "{ a } }", "{ a(b) }", "{ 1 }", "{ ...F }", "\"", "query(",
        ] {
            assert_eq!(parse(query, &Value::Null), None, "{query}");
        }
        let deep = "{a".repeat(100) + &"}".repeat(100);
        assert_eq!(parse(&deep, &Value::Null), None);
    }
}
