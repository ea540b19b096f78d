//! Moments as the providers write them: in Korean time.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone, Utc};

const fn korea() -> FixedOffset {
    match FixedOffset::east_opt(9 * 3600) {
        Some(offset) => offset,
        None => unreachable!(),
    }
}

/// As `2026-11-22T19:00:00+09:00`.
pub(super) fn kst(at: DateTime<Utc>) -> String {
    at.with_timezone(&korea())
        .to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// As `2026-11-22T19:00:00.123+09:00`.
pub(super) fn kst_millis(at: DateTime<Utc>) -> String {
    at.with_timezone(&korea())
        .to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// As `2026-11-22T19:00:00.123456`, without saying that it is Korean time.
pub(super) fn local_micros(at: DateTime<Utc>) -> String {
    at.with_timezone(&korea())
        .format("%Y-%m-%dT%H:%M:%S%.6f")
        .to_string()
}

/// A moment in any of the forms that the providers take: with an offset, or in Korean time with or without a time of day.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    // A plus sign that was not escaped arrives as a blank.
    let text = text.replace(' ', "+");
    if let Ok(at) = DateTime::parse_from_rfc3339(&text) {
        return Some(at.to_utc());
    }
    let local = text
        .parse::<NaiveDateTime>()
        .ok()
        .or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0))?;
    Some(korea().from_local_datetime(&local).single()?.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read_in_korean_time() {
        let at: DateTime<Utc> = "2026-11-22T10:00:00.123Z".parse().unwrap();
        assert_eq!(kst(at), "2026-11-22T19:00:00+09:00");
        assert_eq!(kst_millis(at), "2026-11-22T19:00:00.123+09:00");
        assert_eq!(local_micros(at), "2026-11-22T19:00:00.123000");
        for text in [
            "2026-11-22T19:00:00.123+09:00",
            "2026-11-22T19:00:00.123 09:00",
            "2026-11-22T10:00:00.123Z",
            "2026-11-22T19:00:00.123",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        assert_eq!(
            parse("2026-11-22").unwrap().to_rfc3339(),
            "2026-11-21T15:00:00+00:00"
        );
        assert_eq!(parse("yesterday"), None);
    }
}
