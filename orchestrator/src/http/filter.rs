//! What the parameters of lists may be: checked before they reach a store, which would call some of them its own
//! failure (Postgres has no text with a NUL in it).

use aggregates::field::TextRule;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use eventstore::Position;
use projections::Span;
use serde::Deserialize;
use serde::de::value::{Error as UnknownName, StrDeserializer};

use super::catalogue;
use super::hal;
use super::problem::Problem;

/// Longest text that any list filters by, as long as the longest id that an order may have.
const TEXT_MAX: usize = 200;

/// A text to filter by, under the rule for texts in bodies.
pub fn text(name: &'static str, value: Option<&str>) -> Result<(), Problem> {
    let broken = value.and_then(|value| TextRule::line(name, TEXT_MAX).check("", value));
    broken.map_or(Ok(()), |error| Err(refused(error.detail)))
}

/// A name to filter by that must be one of those of `T`; the refusal lists them.
pub fn one_of<'v, T: Deserialize<'v>>(
    name: &'static str,
    value: Option<&'v str>,
) -> Result<Option<T>, Problem> {
    text(name, value)?;
    value
        .map(|value| T::deserialize(StrDeserializer::<UnknownName>::new(value)))
        .transpose()
        .map_err(|error| refused(format!("{name}: {error}.")))
}

/// How many rows were asked for; more than there may be on a page are cut to that.
pub fn size(name: &'static str, asked: Option<usize>, most: usize) -> Result<(), Problem> {
    match asked {
        Some(0) => Err(refused(format!("{name} must be 1 to {most}."))),
        _ => Ok(()),
    }
}

/// The size of a page of rows.
pub fn page_size(asked: Option<usize>) -> Result<(), Problem> {
    size("size", asked, hal::MAX_SIZE)
}

/// The position to read after.
pub fn after(position: i64) -> Result<Position, Problem> {
    if position < 0 {
        return Err(refused("after must be 0 or more.".to_owned()));
    }
    Ok(Position(position))
}

/// A stretch of time. A day is one in UTC; as an end it is meant with all its hours.
pub fn span(from: Option<&str>, to: Option<&str>) -> Result<Span, Problem> {
    let span = Span {
        from: from.map(|text| moment("from", text, 0)).transpose()?,
        to: to.map(|text| moment("to", text, 1)).transpose()?,
    };
    match (span.from, span.to) {
        (Some(from), Some(to)) if from >= to => Err(refused("from must lie before to.".to_owned())),
        _ => Ok(span),
    }
}

/// How a day is written.
const DAY: &str = "2026-11-22";

/// A moment, or the beginning of the day that comes so many days later.
fn moment(name: &'static str, text: &str, days: u64) -> Result<DateTime<Utc>, Problem> {
    // A plus that was not escaped arrives as a blank.
    let at = DateTime::parse_from_rfc3339(&text.replace(' ', "+"));
    let at = at.map(|at| at.to_utc()).ok().or_else(|| {
        let day: NaiveDate = (text.len() == DAY.len()).then(|| text.parse().ok())??;
        let day = day.checked_add_days(Days::new(days))?;
        Some(day.and_time(NaiveTime::MIN).and_utc())
    });
    at.ok_or_else(|| {
        refused(format!(
            "{name} must be a moment ({DAY}T09:30:00Z) or a day ({DAY})."
        ))
    })
}

/// A position that the log has reached.
pub fn written(name: &'static str, position: i64, head: Position) -> Result<Position, Problem> {
    if position < 0 || position > head.0 {
        return Err(refused(format!(
            "{name} must be a position of the log: 0 to {head}."
        )));
    }
    Ok(Position(position))
}

fn refused(detail: String) -> Problem {
    Problem::new(&catalogue::INVALID_QUERY, detail)
}

#[cfg(test)]
mod tests {
    use aggregates::saga::Status;

    use super::*;

    #[test]
    fn a_text_that_no_body_could_contain_is_no_filter() {
        assert!(text("step", None).is_ok() && text("step", Some("pay")).is_ok());
        for bad in ["", "a\0b", "\u{1b}", &"x".repeat(TEXT_MAX + 1)] {
            assert!(text("step", Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_does_not_exist_is_refused_with_those_that_do() {
        assert!(one_of::<Status>("status", Some("parked")).is_ok());
        let problem = one_of::<Status>("status", Some("Parked")).expect_err("no such status");
        let said = format!("{problem:?}");
        assert!(said.contains("status: unknown variant `Parked`"), "{said}");
        assert!(said.contains("`unwinding`, `parked`"), "{said}");
    }

    #[test]
    fn a_day_as_an_end_counts_whole_and_a_moment_is_the_first_that_does_not() {
        let at = |text: &str| Some(text.parse().expect("a moment"));
        let day = span(Some("2026-11-22"), Some("2026-11-22")).expect("a day");
        assert_eq!(day.from, at("2026-11-22T00:00:00Z"));
        assert_eq!(day.to, at("2026-11-23T00:00:00Z"));
        let hours = span(
            Some("2026-11-22T09:30:00+09:00"),
            Some("2026-11-22T01:00:00 09:00"),
        );
        assert!(
            hours.is_err(),
            "the end is eight hours before the beginning"
        );
        let hours = span(None, Some("2026-11-22T09:30:00 09:00")).expect("an unescaped plus");
        assert_eq!(hours.to, at("2026-11-22T00:30:00Z"));
        for bad in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-22 09:30",
            "+262142-12-31",
        ] {
            assert!(span(Some(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_before_the_first_event_and_no_page_is_empty_by_wish() {
        assert_eq!(after(0).expect("the start"), Position::ZERO);
        assert!(after(-1).is_err());
        assert!(page_size(Some(0)).is_err());
        assert!(page_size(Some(9_999)).is_ok());
    }
}
