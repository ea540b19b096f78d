//! The stream: made, brought to its settings, and read back, because a broker ignores what it does not know without a word.

use std::time::Duration;

use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Compression, Config, DiscardPolicy, Info, RetentionPolicy, StorageType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{STREAM, SUBJECT_PREFIX};
use super::trouble::Trouble;
use crate::bus::connection::Broker;

/// The oldest release on which all of this was tried.
const OLDEST: (i64, i64, i64) = (2, 9, 0);

/// How long a new stream keeps messages where nobody has said it.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// How much the stream keeps. What is not said stays as it is: any process may relay, and one that was not told must not take from the
/// stream what another one was told to give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Messages go when they are older; zero keeps them for ever. A new stream keeps them for a week.
    pub max_age: Option<Duration>,
    /// No message is taken beyond this size; zero leaves it to the broker, as does a new stream.
    pub max_bytes: Option<u64>,
    /// Servers of a cluster that hold a copy; one, of a new stream.
    pub replicas: Option<usize>,
    /// How far back the broker looks for a message with the same id: as far as messages live, at most.
    pub duplicate_window: Duration,
}

/// Whether the broker is of a release on which all of this was tried.
#[must_use]
pub fn is_recent_enough(broker: &Broker) -> bool {
    let (major, minor, patch) = OLDEST;
    broker.client().is_server_compatible(major, minor, patch)
}

/// The stream as it is; one that is not there is made.
pub(super) async fn find(broker: &Broker, settings: &StreamSettings) -> Result<Info, Trouble> {
    if !is_recent_enough(broker) {
        let version = broker.server_version().unwrap_or_default();
        return Err(Trouble::TooOld(version));
    }
    match look(broker).await {
        Err(Trouble::Gone) => {
            tracing::info!(stream = STREAM, "making the stream");
            let made: Result<Info, Trouble> = ask(broker, "CREATE", &wanted(settings, None)).await;
            made.map_err(unmade)?;
            look(broker).await
        }
        found => found,
    }
}

/// In what it is not as wanted, in words.
pub(super) fn unlike(settings: &StreamSettings, found: &Config) -> Vec<String> {
    differences(&wanted(settings, Some(found)), found)
}

/// Sets it right if it is not as wanted, and gives the settings that the broker did not take, in words.
pub(super) async fn set_right(
    broker: &Broker,
    settings: &StreamSettings,
    found: &Config,
) -> Result<Vec<String>, Trouble> {
    let wanted = wanted(settings, Some(found));
    if differences(&wanted, found).is_empty() {
        return Ok(Vec::new());
    }
    // What we have no opinion on stays as its operators have set it.
    let updated: Result<Info, Trouble> = ask(broker, "UPDATE", &merged(&wanted, found)).await;
    let refusal = updated.err();
    let mut left = differences(&wanted, &look(broker).await?.config);
    if let (Some(refusal), false) = (refusal, left.is_empty()) {
        left.push(refusal.to_string());
    }
    Ok(left)
}

/// The stream as the broker has it now.
pub(super) async fn look(broker: &Broker) -> Result<Info, Trouble> {
    ask(broker, "INFO", &()).await
}

async fn ask<T: DeserializeOwned>(
    broker: &Broker,
    verb: &str,
    question: &impl Serialize,
) -> Result<T, Trouble> {
    let subject = format!("STREAM.{verb}.{STREAM}");
    let answer = broker.jetstream().request(subject, question).await;
    match answer.map_err(|error| Trouble::of_request(&error))? {
        Response::Ok(answer) => Ok(answer),
        Response::Err { error } => Err(Trouble::of_answer(&error)),
    }
}

/// A stream for which there is no room from the start is not one that is full.
fn unmade(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Full(why) => Trouble::Refused(why),
        other => other,
    }
}

/// The stream as it should be, of one that is found or is to be made.
fn wanted(settings: &StreamSettings, found: Option<&Config>) -> Config {
    let unsaid = found.cloned().unwrap_or_else(|| Config {
        max_age: MAX_AGE,
        num_replicas: 1,
        ..Config::default()
    });
    let max_age = settings.max_age.unwrap_or(unsaid.max_age);
    let max_bytes = settings.max_bytes.map(i64::try_from);
    Config {
        name: STREAM.to_owned(),
        description: Some(
            "The log of Book Market, one message per event, in the log's order".to_owned(),
        ),
        subjects: vec![format!("{SUBJECT_PREFIX}.>")],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        // Dropping the oldest instead would lose, without a word, what somebody has not read yet.
        discard: DiscardPolicy::New,
        max_age,
        max_bytes: match max_bytes.unwrap_or(Ok(unsaid.max_bytes)) {
            Ok(0) | Err(_) => -1,
            Ok(bytes) => bytes,
        },
        max_messages: -1,
        max_messages_per_subject: -1,
        num_replicas: settings.replicas.unwrap_or(unsaid.num_replicas),
        // The broker refuses one that is longer than messages live.
        duplicate_window: if max_age.is_zero() {
            settings.duplicate_window
        } else {
            settings.duplicate_window.min(max_age)
        },
        allow_direct: true,
        compression: Some(Compression::S2),
        ..Config::default()
    }
}

fn merged(wanted: &Config, found: &Config) -> Config {
    Config {
        subjects: wanted.subjects.clone(),
        discard: wanted.discard,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        max_messages: wanted.max_messages,
        max_messages_per_subject: wanted.max_messages_per_subject,
        num_replicas: wanted.num_replicas,
        duplicate_window: wanted.duplicate_window,
        no_ack: wanted.no_ack,
        allow_direct: wanted.allow_direct,
        compression: wanted.compression.clone(),
        ..found.clone()
    }
}

/// What the broker did not take, one line each.
fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, wanted: String, found: String| {
        if wanted != found {
            lines.push(format!("{what}: wanted {wanted}, is {found}"));
        }
    };
    let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
    // "No limit" is written as -1 or as 0.
    let limit = |value: i64| {
        if value > 0 {
            value.to_string()
        } else {
            "none".to_owned()
        }
    };
    compare("subjects", text(&wanted.subjects), text(&found.subjects));
    compare("storage", text(&wanted.storage), text(&found.storage));
    compare("retention", text(&wanted.retention), text(&found.retention));
    compare("discard", text(&wanted.discard), text(&found.discard));
    compare("max_age", text(&wanted.max_age), text(&found.max_age));
    compare("max_bytes", limit(wanted.max_bytes), limit(found.max_bytes));
    compare(
        "max_msgs",
        limit(wanted.max_messages),
        limit(found.max_messages),
    );
    compare(
        "max_msgs_per_subject",
        limit(wanted.max_messages_per_subject),
        limit(found.max_messages_per_subject),
    );
    compare(
        "num_replicas",
        wanted.num_replicas.to_string(),
        found.num_replicas.to_string(),
    );
    compare(
        "duplicate_window",
        text(&wanted.duplicate_window),
        text(&found.duplicate_window),
    );
    // Nobody would ever hear that a message was taken.
    compare("no_ack", text(&wanted.no_ack), text(&found.no_ack));
    // Whatever was stored before would be missing.
    let first = |config: &Config| config.first_sequence.unwrap_or_default().max(1);
    compare(
        "first_seq",
        first(wanted).to_string(),
        first(found).to_string(),
    );
    compare(
        "allow_direct",
        text(&wanted.allow_direct),
        text(&found.allow_direct),
    );
    compare(
        "compression (since 2.10)",
        text(&wanted.compression),
        text(&found.compression),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> StreamSettings {
        StreamSettings {
            max_age: Some(Duration::from_secs(60)),
            max_bytes: Some(0),
            replicas: Some(1),
            duplicate_window: Duration::from_secs(120),
        }
    }

    fn unsaid() -> StreamSettings {
        StreamSettings {
            max_age: None,
            max_bytes: None,
            replicas: None,
            ..settings()
        }
    }

    /// A stream that somebody else was told about, and that lacks something.
    fn theirs() -> Config {
        Config {
            max_age: Duration::from_hours(30 * 24),
            max_bytes: 1 << 30,
            num_replicas: 3,
            compression: None,
            ..wanted(&unsaid(), None)
        }
    }

    fn kept(config: &Config) -> (u64, i64, usize, u64) {
        (
            config.max_age.as_secs(),
            config.max_bytes,
            config.num_replicas,
            config.duplicate_window.as_secs(),
        )
    }

    #[test]
    fn what_is_not_said_is_as_always_in_a_new_stream_and_stays_in_one_that_is_there() {
        let new = wanted(&unsaid(), None);
        assert_eq!(kept(&new), (7 * 24 * 3600, -1, 1, 120));
        let theirs = theirs();
        let wanted = wanted(&unsaid(), Some(&theirs));
        assert_eq!(
            differences(&wanted, &theirs),
            ["compression (since 2.10): wanted Some(S2), is None"]
        );
        let merged = merged(&wanted, &theirs);
        assert_eq!(kept(&merged), (30 * 24 * 3600, 1 << 30, 3, 120));
        assert_eq!(merged.compression, Some(Compression::S2));
    }

    #[test]
    fn what_is_said_is_set_also_where_there_were_more_copies() {
        let theirs = theirs();
        let wanted = wanted(&settings(), Some(&theirs));
        assert_eq!(kept(&merged(&wanted, &theirs)), (60, -1, 1, 60));
        let lines = differences(&wanted, &theirs).join("\n");
        for line in [
            "max_age: wanted 60s, is 2592000s",
            "max_bytes: wanted none, is 1073741824",
            "num_replicas: wanted 1, is 3",
        ] {
            assert!(lines.contains(line), "{line} is not in {lines}");
        }
    }

    #[test]
    fn a_duplicate_is_looked_for_no_further_back_than_messages_really_live() {
        let lives = |seconds| Config {
            max_age: Duration::from_secs(seconds),
            ..theirs()
        };
        for (found, window) in [(30, 30), (3600, 120), (0, 120)] {
            let wanted = wanted(&unsaid(), Some(&lives(found)));
            assert_eq!(wanted.duplicate_window.as_secs(), window);
        }
        let wanted = wanted(&settings(), Some(&lives(30)));
        assert_eq!(wanted.duplicate_window.as_secs(), 60);
    }

    #[test]
    fn a_setting_that_the_broker_has_ignored_is_named() {
        let wanted = wanted(&settings(), None);
        let old = Config {
            compression: None,
            max_bytes: 0,
            ..wanted.clone()
        };
        let lines = differences(&wanted, &old);
        assert_eq!(
            lines,
            ["compression (since 2.10): wanted Some(S2), is None"]
        );
        assert!(differences(&wanted, &wanted).is_empty());
    }

    #[test]
    fn a_stream_that_acknowledges_nothing_or_begins_late_is_told_and_the_former_set_right() {
        let wanted = wanted(&settings(), None);
        let theirs = Config {
            no_ack: true,
            first_sequence: Some(50),
            ..wanted.clone()
        };
        assert_eq!(
            differences(&wanted, &theirs),
            [
                "no_ack: wanted false, is true",
                "first_seq: wanted 1, is 50"
            ]
        );
        let merged = merged(&wanted, &theirs);
        assert!(!merged.no_ack);
        assert_eq!(merged.first_sequence, Some(50), "it cannot be changed");
    }

    #[test]
    fn what_operators_have_set_beyond_our_settings_stays() {
        let wanted = wanted(&settings(), None);
        let theirs = Config {
            deny_delete: true,
            discard: DiscardPolicy::Old,
            ..wanted.clone()
        };
        let merged = merged(&wanted, &theirs);
        assert!(merged.deny_delete);
        assert_eq!(merged.discard, DiscardPolicy::New);
    }
}
