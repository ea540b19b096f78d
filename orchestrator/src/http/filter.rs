//! What the parameters of lists may be: checked before they reach a store, which would call some of them its own
//! failure (Postgres has no text with a NUL in it).

use aggregates::field::TextRule;
use eventstore::Position;
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
) -> Result<(), Problem> {
    text(name, value)?;
    match value.map(|value| T::deserialize(StrDeserializer::<UnknownName>::new(value))) {
        Some(Err(error)) => Err(refused(format!("{name}: {error}."))),
        _ => Ok(()),
    }
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
    fn nothing_is_before_the_first_event_and_no_page_is_empty_by_wish() {
        assert_eq!(after(0).expect("the start"), Position::ZERO);
        assert!(after(-1).is_err());
        assert!(page_size(Some(0)).is_err());
        assert!(page_size(Some(9_999)).is_ok());
    }
}
