//! Values of settings that have a form of their own, each refused at start when it cannot work.

use std::convert::Infallible;
use std::time::Duration;

use secrecy::SecretString;

/// Longest time that any setting may name.
const TIME_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// A length of time; one beyond every use would overflow where it is added to a clock.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time > TIME_MAX {
        return Err("that is longer than ten years".to_owned());
    }
    Ok(time)
}

/// A length of time for something that cannot be done in none.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        time => Ok(time),
    }
}

/// Longest time that a caller may be kept waiting for an answer. Clients and proxies give up after 30 to 60 seconds, and what is
/// done around the wait takes time as well.
pub const BUDGET_MAX: Duration = Duration::from_secs(30);

/// How long a caller waits.
pub(super) fn budget(text: &str) -> Result<Duration, String> {
    let budget = time(text)?;
    if budget > BUDGET_MAX {
        return Err(format!(
            "nobody waits longer than {} s for an answer",
            BUDGET_MAX.as_secs()
        ));
    }
    Ok(budget)
}

/// How long a caller waits for something that cannot be done in no time.
pub(super) fn some_budget(text: &str) -> Result<Duration, String> {
    some_time(text)?;
    budget(text)
}

/// What browsers send as `Origin`, to the letter: anything else would allow nobody without a word. Empty is unset.
pub(super) fn origin(text: &str) -> Result<String, String> {
    const FORM: &str = "it must be * or scheme://host[:port]";
    if text.is_empty() || text == "*" {
        return Ok(text.to_owned());
    }
    let origin = reqwest::Url::parse(text)
        .map_err(|error| format!("{FORM}: {error}"))?
        .origin();
    let sent = origin.ascii_serialization();
    if !origin.is_tuple() {
        return Err(FORM.to_owned());
    }
    if sent != text {
        return Err(format!("{FORM}; did you mean {sent}?"));
    }
    Ok(sent)
}

/// An address that paths are appended to. Empty is unset.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    const FORM: &str = "it must be http://host[:port][/path] or https://...";
    if text.is_empty() {
        return Ok(String::new());
    }
    let url = reqwest::Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(FORM.to_owned())
    }
}

/// `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("it must be KIND=ID".to_owned()),
    }
}

/// A share that is not nothing.
pub(super) fn percent(text: &str) -> Result<u8, String> {
    let percent = text.parse().ok();
    percent
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "it must be 1 to 100".to_owned())
}

/// A secret; never an error, which would print it.
pub(crate) fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_bounded_and_where_it_must_be_not_nothing() {
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        assert_eq!(some_time("250ms"), Ok(Duration::from_millis(250)));
        assert!(some_time("0s").is_err());
        assert!(some_time("100years").is_err());
        assert!(some_time("5").is_err());
    }

    #[test]
    fn nobody_is_kept_waiting_longer_than_clients_wait() {
        assert_eq!(budget("0s"), Ok(Duration::ZERO));
        assert_eq!(some_budget("30s"), Ok(BUDGET_MAX));
        assert!(budget("31s").is_err());
        assert!(some_budget("0s").is_err());
    }

    #[test]
    fn an_address_has_no_credentials_and_nothing_after_its_path() {
        assert_eq!(
            base_url("http://10.0.0.7:8090/").as_deref(),
            Ok("http://10.0.0.7:8090")
        );
        for bad in [
            "10.0.0.7:8090",
            "ftp://host",
            "https://u:p@host",
            "https://host/?a=b",
        ] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in ["", "*", "https://shop.example", "http://localhost:3000"] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        for bad in ["nope", "shop.example", "localhost:3000", "file:///tmp"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
        for nearly in [
            "https://shop.example/",
            "https://shop.example:443",
            "https://Shop.example",
            "https://shop.example/path",
        ] {
            let advice = origin(nearly).expect_err("not as browsers send it");
            assert!(
                advice.ends_with("did you mean https://shop.example?"),
                "{advice}"
            );
        }
    }
}
