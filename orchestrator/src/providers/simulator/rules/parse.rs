//! Reads rules, and says of the first that makes no sense which field it is.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Kind, Rule};
use crate::providers::simulator::ledger::Port;

/// More rules than anybody writes, few enough to be looked at for every call.
const MAX_RULES: usize = 1_000;

/// An hour; a call that is to wait longer is one that never comes back.
const MAX_DELAY_MS: u64 = 3_600_000;

/// Why a document is no set of rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub(in super::super) struct Invalid {
    /// As `rules[0].rate`.
    pub(in super::super) field: String,
    pub(in super::super) why: String,
}

/// The seed and the rules.
pub(in super::super) fn parse(text: &[u8]) -> Result<(u64, Vec<Rule>), Invalid> {
    let document: Value = serde_json::from_slice(text)
        .map_err(|error| invalid("body", format!("is not JSON: {error}")))?;
    let fields = object("body", &document)?;
    only(fields, "", &["seed", "rules"])?;
    let seed = whole(fields, "", "seed", u64::MAX)?.unwrap_or(1);
    let rules = match fields.get("rules") {
        Some(Value::Array(rules)) if rules.len() <= MAX_RULES => rules,
        Some(Value::Array(_)) => {
            return Err(invalid("rules", format!("has more than {MAX_RULES} rules")));
        }
        Some(_) => return Err(invalid("rules", "is not a list")),
        None => return Err(invalid("rules", "is missing")),
    };
    let rules = rules
        .iter()
        .enumerate()
        .map(|(index, value)| rule(&format!("rules[{index}]"), value));
    Ok((seed, rules.collect::<Result<_, _>>()?))
}

fn rule(place: &str, value: &Value) -> Result<Rule, Invalid> {
    let fields = object(place, value)?;
    let dot = format!("{place}.");
    only(
        fields,
        &dot,
        &[
            "port", "op", "fault", "rate", "orderId", "delayMs", "jitterMs", "code",
            // Only told, but what was read may be written back.
            "struck",
        ],
    )?;
    let fault = one_of(fields, &dot, "fault")?
        .ok_or_else(|| invalid(format!("{dot}fault"), "is missing"))?;
    let rule = Rule {
        port: one_of(fields, &dot, "port")?,
        op: one_of(fields, &dot, "op")?,
        fault,
        rate: rate(fields, &dot)?,
        order_id: text(fields, &dot, "orderId", 200)?,
        delay_ms: whole(fields, &dot, "delayMs", MAX_DELAY_MS)?.unwrap_or(0),
        jitter_ms: whole(fields, &dot, "jitterMs", MAX_DELAY_MS)?.unwrap_or(0),
        code: text(fields, &dot, "code", 64)?,
    };
    makes_sense(&dot, rule)
}

fn makes_sense(dot: &str, rule: Rule) -> Result<Rule, Invalid> {
    if let (Some(port), Some(own)) = (rule.port, rule.op.and_then(super::On::port))
        && port != own
    {
        return Err(invalid(format!("{dot}op"), "is no operation of this port"));
    }
    if rule.op.is_some_and(|op| !rule.fault.fits(op)) {
        return Err(invalid(
            format!("{dot}fault"),
            "cannot happen to this operation",
        ));
    }
    if rule.fault == Kind::Async && rule.port.is_some_and(|port| port != Port::Payment) {
        return Err(invalid(format!("{dot}fault"), "happens to refunds only"));
    }
    if rule.fault == Kind::Delay && rule.delay_ms == 0 && rule.jitter_ms == 0 {
        return Err(invalid(format!("{dot}delayMs"), "is missing"));
    }
    if rule.jitter_ms > rule.delay_ms {
        return Err(invalid(format!("{dot}jitterMs"), "is more than delayMs"));
    }
    Ok(rule)
}

fn rate(fields: &Map<String, Value>, dot: &str) -> Result<f64, Invalid> {
    match fields.get("rate") {
        None | Some(Value::Null) => Ok(1.0),
        Some(value) => value
            .as_f64()
            .filter(|rate| (0.0..=1.0).contains(rate))
            .ok_or_else(|| invalid(format!("{dot}rate"), "is not a number from 0 to 1")),
    }
}

fn whole(
    fields: &Map<String, Value>,
    dot: &str,
    name: &str,
    max: u64,
) -> Result<Option<u64>, Invalid> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .filter(|number| *number <= max)
            .map(Some)
            .ok_or_else(|| {
                invalid(
                    format!("{dot}{name}"),
                    format!("is not a whole number from 0 to {max}"),
                )
            }),
    }
}

fn text(
    fields: &Map<String, Value>,
    dot: &str,
    name: &str,
    max: usize,
) -> Result<Option<String>, Invalid> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= max => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(invalid(
            format!("{dot}{name}"),
            format!("is not a text of 1 to {max} bytes"),
        )),
    }
}

fn one_of<T: DeserializeOwned>(
    fields: &Map<String, Value>,
    dot: &str,
    name: &str,
) -> Result<Option<T>, Invalid> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        // The error lists the words that there are.
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|error| invalid(format!("{dot}{name}"), format!("is wrong: {error}"))),
    }
}

fn object<'a>(place: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Invalid> {
    value
        .as_object()
        .ok_or_else(|| invalid(place, "is not an object"))
}

fn only(fields: &Map<String, Value>, dot: &str, known: &[&str]) -> Result<(), Invalid> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(invalid(format!("{dot}{name}"), "is no field of this")),
        None => Ok(()),
    }
}

fn invalid(field: impl Into<String>, why: impl Into<String>) -> Invalid {
    Invalid {
        field: field.into(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::simulator::rules::On;

    #[test]
    fn a_rule_says_as_much_as_it_needs() {
        let text = br#"{"seed":3,"rules":[{"fault":"down"},{"port":"payment","op":"charge","fault":"commit-then-drop","rate":0.3,"orderId":null,"delayMs":0,"code":null}]}"#;
        let (seed, rules) = parse(text).unwrap();
        assert_eq!(seed, 3);
        assert_eq!((rules[0].fault, rules[0].rate), (Kind::Down, 1.0));
        assert_eq!(
            rules[1],
            Rule {
                rate: 0.3,
                ..Rule::always(On::Charge, Kind::CommitThenDrop)
            }
        );
        assert_eq!(parse(br#"{"rules":[]}"#).unwrap(), (1, Vec::new()));
    }

    #[test]
    fn every_mistake_is_named_by_its_field() {
        for (text, field) in [
            ("{", "body"),
            ("[]", "body"),
            ("{}", "rules"),
            (r#"{"rules":{}}"#, "rules"),
            (r#"{"rules":[],"speed":1}"#, "speed"),
            (r#"{"rules":[],"seed":-1}"#, "seed"),
            (r#"{"rules":[1]}"#, "rules[0]"),
            (r#"{"rules":[{}]}"#, "rules[0].fault"),
            (r#"{"rules":[{"fault":"vanish"}]}"#, "rules[0].fault"),
            (
                r#"{"rules":[{"fault":"down"},{"fault":"down","port":"bank"}]}"#,
                "rules[1].port",
            ),
            (
                r#"{"rules":[{"fault":"down","op":"steal"}]}"#,
                "rules[0].op",
            ),
            (
                r#"{"rules":[{"fault":"down","port":"kakao","op":"ship"}]}"#,
                "rules[0].op",
            ),
            (
                r#"{"rules":[{"fault":"down","rate":1.5}]}"#,
                "rules[0].rate",
            ),
            (
                r#"{"rules":[{"fault":"down","rate":"all"}]}"#,
                "rules[0].rate",
            ),
            (r#"{"rules":[{"fault":"delay"}]}"#, "rules[0].delayMs"),
            (
                r#"{"rules":[{"fault":"delay","delayMs":3600001}]}"#,
                "rules[0].delayMs",
            ),
            (
                r#"{"rules":[{"fault":"delay","delayMs":1,"jitterMs":2}]}"#,
                "rules[0].jitterMs",
            ),
            (
                r#"{"rules":[{"fault":"decline","op":"ship"}]}"#,
                "rules[0].fault",
            ),
            (
                r#"{"rules":[{"fault":"async","port":"kakao"}]}"#,
                "rules[0].fault",
            ),
            (
                r#"{"rules":[{"fault":"down","orderId":7}]}"#,
                "rules[0].orderId",
            ),
            (
                r#"{"rules":[{"fault":"decline","code":""}]}"#,
                "rules[0].code",
            ),
            (
                r#"{"rules":[{"fault":"down","when":"now"}]}"#,
                "rules[0].when",
            ),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.field, field, "{text}: {error}");
        }
    }
}
