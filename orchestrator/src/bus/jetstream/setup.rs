//! Stream and consumer: made, brought to their settings, and read back, because old brokers leave out what they do not know
//! without a word.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::super::wakeups::Limits;

/// The stream.
pub const STREAM: &str = "BOOKMARKET_WAKEUPS";

/// What it takes in.
const SUBJECTS: &str = "bookmarket.wakeups.>";

/// The one consumer, shared by all workers.
pub const CONSUMER: &str = "workers";

/// A hundred thousand wake-ups, more than the sweeper brings in minutes; beyond, the broker refuses more.
const STREAM_BYTES_MAX: i64 = 32 * 1024 * 1024;

/// A wake-up that nobody took for so long has long been replaced by one of the sweeper's.
const AGE_MAX: Duration = Duration::from_secs(3600);

/// Deliveries in the hands of all workers together; each bounds its own.
const UNACKNOWLEDGED_MAX: i64 = 20_000;

/// Why wake-ups cannot go through the broker.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("the broker does not give {0}: {1}")]
    Refused(&'static str, Box<dyn std::error::Error + Send + Sync>),
    #[error("{0} is something else than ours: delete it, and it is made anew")]
    Foreign(&'static str),
}

/// The queue as it is.
pub(super) struct Found {
    pub(super) consumer: PullConsumer,
    /// Settings that the broker did not take, in words.
    pub(super) differences: Vec<String>,
}

/// Makes both or sets them right. What the broker does not take is used all the same, as long as it is a queue. How many copies there are
/// of one that is there is changed only by who was told a number.
pub(super) async fn set_up(
    jetstream: &Context,
    replicas: Option<usize>,
    limits: &Limits,
) -> Result<Found, SetupError> {
    let found = jetstream
        .get_or_create_stream(stream_config(replicas, None))
        .await
        .map_err(|refusal| SetupError::Refused("a stream", refusal.into()))?;
    let found = found.cached_info().config.clone();
    let wanted = stream_config(replicas, Some(&found));
    let kept = if wanted == found {
        found
    } else {
        // One that cannot be changed now, because a server of the cluster is down, is no worse than it was.
        let updated = jetstream.update_stream(&wanted).await;
        updated.map_or(found, |info| info.config)
    };
    if kept.retention != wanted.retention || kept.subjects != wanted.subjects {
        return Err(SetupError::Foreign("the stream BOOKMARKET_WAKEUPS"));
    }
    let mut differences = stream_differences(&wanted, &kept);
    let wanted = consumer_config(limits);
    let made = jetstream
        .create_consumer_on_stream(wanted.clone(), STREAM)
        .await;
    let consumer: PullConsumer =
        made.map_err(|error| SetupError::Refused("a consumer", error.into()))?;
    let kept = &consumer.cached_info().config;
    if kept.ack_policy != wanted.ack_policy || kept.deliver_subject.is_some() {
        return Err(SetupError::Foreign("the consumer `workers`"));
    }
    differences.extend(unlike("ack_wait", &wanted.ack_wait, &kept.ack_wait));
    differences.extend(unlike(
        "max_deliver",
        &wanted.max_deliver,
        &kept.max_deliver,
    ));
    differences.extend(unlike(
        "max_ack_pending",
        &wanted.max_ack_pending,
        &kept.max_ack_pending,
    ));
    Ok(Found {
        consumer,
        differences,
    })
}

/// What we have no opinion on is as its operators have set it.
fn stream_config(replicas: Option<usize>, found: Option<&Config>) -> Config {
    let found = found.cloned().unwrap_or_else(|| Config {
        num_replicas: 1,
        ..Config::default()
    });
    Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_bytes: STREAM_BYTES_MAX,
        max_age: AGE_MAX,
        // Any of these would have wake-ups refused that there is room for, or taken without an answer.
        max_messages: -1,
        max_messages_per_subject: -1,
        discard_new_per_subject: false,
        max_message_size: -1,
        no_ack: false,
        num_replicas: replicas.unwrap_or(found.num_replicas),
        // The broker refuses one that is longer than messages live.
        duplicate_window: found.duplicate_window.min(AGE_MAX),
        ..found
    }
}

/// It has as many copies as the stream, because it asks for no number of its own.
fn consumer_config(limits: &Limits) -> pull::Config {
    pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: limits.ack_wait,
        // The last delivery is for dropping and counting it.
        max_deliver: i64::from(limits.max_deliver) + 1,
        max_ack_pending: UNACKNOWLEDGED_MAX,
        ..pull::Config::default()
    }
}

fn stream_differences(wanted: &Config, kept: &Config) -> Vec<String> {
    let lines = [
        unlike("storage", &wanted.storage, &kept.storage),
        unlike("discard", &wanted.discard, &kept.discard),
        unlike("max_bytes", &wanted.max_bytes, &kept.max_bytes),
        unlike("max_age", &wanted.max_age, &kept.max_age),
        unlike(
            "max_msgs",
            &limit(wanted.max_messages),
            &limit(kept.max_messages),
        ),
        unlike(
            "max_msgs_per_subject",
            &limit(wanted.max_messages_per_subject),
            &limit(kept.max_messages_per_subject),
        ),
        unlike(
            "max_msg_size",
            &limit(wanted.max_message_size.into()),
            &limit(kept.max_message_size.into()),
        ),
        unlike("no_ack", &wanted.no_ack, &kept.no_ack),
        unlike("num_replicas", &wanted.num_replicas, &kept.num_replicas),
    ];
    lines.into_iter().flatten().collect()
}

/// "No limit" is written as -1 or as 0.
fn limit(value: i64) -> i64 {
    if value > 0 { value } else { -1 }
}

fn unlike<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, kept: &T) -> Option<String> {
    (wanted != kept).then(|| format!("{what}: wanted {wanted:?}, is {kept:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_the_broker_has_not_taken_is_named() {
        let wanted = stream_config(Some(3), None);
        assert!(stream_differences(&wanted, &wanted).is_empty());
        let kept = Config {
            num_replicas: 1,
            storage: StorageType::Memory,
            ..wanted.clone()
        };
        let lines = stream_differences(&wanted, &kept);
        assert_eq!(
            lines,
            [
                "storage: wanted File, is Memory",
                "num_replicas: wanted 3, is 1"
            ]
        );
    }

    #[test]
    fn copies_are_as_many_as_there_are_unless_a_number_is_said() {
        assert_eq!(stream_config(None, None).num_replicas, 1);
        let found = stream_config(Some(3), None);
        assert_eq!(stream_config(None, Some(&found)), found);
        assert_eq!(stream_config(Some(1), Some(&found)).num_replicas, 1);
    }

    #[test]
    fn what_operators_have_set_beyond_our_settings_stays() {
        let theirs = Config {
            deny_delete: true,
            discard: DiscardPolicy::Old,
            duplicate_window: AGE_MAX * 2,
            ..stream_config(None, None)
        };
        let wanted = stream_config(None, Some(&theirs));
        assert!(wanted.deny_delete);
        assert_eq!(wanted.discard, DiscardPolicy::New);
        assert_eq!(wanted.duplicate_window, AGE_MAX);
    }

    #[test]
    fn limits_that_would_have_wakeups_refused_or_taken_without_an_answer_are_set_right_or_named() {
        let theirs = Config {
            max_messages: 5,
            max_messages_per_subject: 1,
            discard_new_per_subject: true,
            max_message_size: 10,
            no_ack: true,
            ..stream_config(None, None)
        };
        let wanted = stream_config(None, Some(&theirs));
        assert_eq!(wanted, stream_config(None, None));
        assert_eq!(
            stream_differences(&wanted, &theirs),
            [
                "max_msgs: wanted -1, is 5",
                "max_msgs_per_subject: wanted -1, is 1",
                "max_msg_size: wanted -1, is 10",
                "no_ack: wanted false, is true"
            ]
        );
        let unlimited = Config {
            max_messages: 0,
            max_messages_per_subject: 0,
            max_message_size: 0,
            ..wanted.clone()
        };
        assert!(stream_differences(&wanted, &unlimited).is_empty());
    }
}
