//! The body of `POST /sagas/bulk`.

use std::time::Duration;

use aggregates::saga::Status;
use serde::Deserialize;
use serde::de::value::{Error as UnknownName, StrDeserializer};
use serde_json::Value;

use super::wish::{VERBS, wish};
use crate::http::catalogue;
use crate::http::fields::Fields;
use crate::http::problem::Problem;
use crate::saga::bulk::Bulk;
use crate::saga::verbs::{Request, Selection, Verb};

/// Most sagas of one request: an hour at the rate of one who looks while it goes.
const LIMIT_MAX: i64 = 10_000;

/// How many when the client names no number.
const DEFAULT_LIMIT: i64 = 1_000;

/// Fastest rate per second; a provider that has just come back is not to be met with more.
const RATE_MAX: u32 = 100;

/// The rate when the client names none.
const DEFAULT_RATE: Duration = Duration::from_millis(200);

/// How long a saga is watched when the client does not say: a few attempts of an ordinary step.
const DEFAULT_WAIT: i64 = 30;

/// The longest pause between two attempts: after it every step has been tried once more.
const WAIT_MAX: i64 = 300;

/// What is to be done, and to how many at most.
pub(super) struct Order {
    pub(super) bulk: Bulk,
    pub(super) limit: usize,
}

/// Reads the body.
pub(super) fn order(body: &Value, actor: &str) -> Result<Order, Problem> {
    let mut errors = Vec::new();
    let order = Fields::root(body, &mut errors).and_then(|fields| read(fields, actor));
    match order {
        Some(order) if errors.is_empty() => Ok(order),
        _ => Err(Problem::fields(&catalogue::INVALID_REQUEST, errors)),
    }
}

fn read(mut fields: Fields<'_>, actor: &str) -> Option<Order> {
    let name = fields.required_text("verb");
    if name.as_deref().is_some_and(|name| !VERBS.contains(&name)) {
        fields.refuse("verb", "verb must be retry, resolve, skip or cancel.");
    }
    let wish = wish(&mut fields, name.as_deref());
    let only = fields.object("where", selection);
    if !fields.has("where") {
        fields.refuse("where", "where is missing.");
    }
    let every = fields.text("rate").map(|text| rate(&text));
    if every == Some(None) {
        fields.refuse(
            "rate",
            format!("rate must be like 5/s or 30/m, at most {RATE_MAX}/s."),
        );
    }
    let canary = number(&mut fields, "canary", 0, 0..=LIMIT_MAX);
    let limit = number(&mut fields, "limit", DEFAULT_LIMIT, 1..=LIMIT_MAX);
    let patience = number(&mut fields, "waitSeconds", DEFAULT_WAIT, 0..=WAIT_MAX);
    let dry_run = fields.flag("dryRun").unwrap_or_default();
    fields.finish();
    let verb = wish.verb?;
    let every = match (&verb, dry_run) {
        // A rehearsal asks a participant only about a claim that is not forced.
        (Verb::Resolve(finding), true) if !finding.force => every.flatten(),
        (_, true) => Some(Duration::ZERO),
        _ => every.flatten(),
    };
    let only = only?;
    let bulk = Bulk {
        step: wish.step.or_else(|| only.step.clone()),
        verb,
        only,
        request: Request {
            actor: actor.to_owned(),
            reason: wish.reason,
        },
        every: every.unwrap_or(DEFAULT_RATE),
        canary: if dry_run { 0 } else { size(canary) },
        patience: Duration::from_secs(size(patience) as u64),
        dry_run,
    };
    Some(Order {
        bulk,
        limit: size(limit),
    })
}

/// Which sagas; those that are parked, unless another status is named.
fn selection(mut fields: Fields<'_>) -> Selection {
    let status = fields.text("status");
    let status = match status.as_deref().map(known_status) {
        Some(Ok(status)) => Some(status),
        Some(Err(error)) => {
            fields.refuse("status", format!("{error}."));
            None
        }
        None => Some(Status::Parked),
    };
    let only = Selection {
        saga: fields.text("saga"),
        status,
        step: fields.text("step"),
        reason: fields.text("reason"),
    };
    fields.finish();
    only
}

fn known_status(name: &str) -> Result<Status, UnknownName> {
    Status::deserialize(StrDeserializer::<UnknownName>::new(name))
}

fn number(
    fields: &mut Fields<'_>,
    name: &'static str,
    otherwise: i64,
    allowed: std::ops::RangeInclusive<i64>,
) -> i64 {
    let number = fields.integer(name).unwrap_or(otherwise);
    if !allowed.contains(&number) {
        let (least, most) = (allowed.start(), allowed.end());
        fields.refuse(name, format!("{name} must be {least} to {most}."));
    }
    number
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

/// The time between two of `5/s`, `30/m` or `100/h`.
fn rate(text: &str) -> Option<Duration> {
    let (count, unit) = text.split_once('/')?;
    let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
    let unit = match unit.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    let every = unit / count;
    (every >= Duration::from_secs(1) / RATE_MAX).then_some(every)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rate_is_a_count_per_unit_and_bounded() {
        assert_eq!(rate("5/s"), Some(Duration::from_millis(200)));
        assert_eq!(rate("30/m"), Some(Duration::from_secs(2)));
        assert_eq!(rate("100/s"), Some(Duration::from_millis(10)));
        for bad in ["5", "0/s", "101/s", "5/d", "-1/s", "a/s", "7000/m"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn parked_ones_are_meant_unless_another_status_is_named() {
        let body = json!({ "verb": "retry", "reason": "x", "where": { "step": "pay" } });
        let order = order(&body, "kim").expect("a good body");
        assert_eq!(order.bulk.only.status, Some(Status::Parked));
        assert_eq!(order.bulk.step.as_deref(), Some("pay"));
        assert_eq!(order.limit, 1_000);
    }
}
