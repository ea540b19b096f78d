//! What is refused before it reaches a database, and what the databases refuse by themselves.

use std::borrow::Cow;

use eventstore::testing::each_backend;
use eventstore::{
    AppendError, EVENTS_MAX, EventStore, Expected, InvalidEvent, NewEvent, STREAMS_MAX,
    StreamAppend, Version,
};

use crate::support::{append_one, event, event_with, order, tamper, to, whole_log};

async fn refusal(store: &EventStore, events: Vec<NewEvent>) -> InvalidEvent {
    let append = StreamAppend {
        stream: order(),
        expected: Expected::NoStream,
        events,
    };
    refusal_of(store, vec![append]).await
}

async fn refusal_of(store: &EventStore, streams: Vec<StreamAppend>) -> InvalidEvent {
    match store.append(streams).await {
        Err(AppendError::Invalid(reason)) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_get_a_typed_error_and_leave_no_trace() {
    each_backend(async |log| {
        let store = log.open().await;
        let data = async |json: &str| {
            refusal(&store, vec![event("Ordered"), event_with("Ordered", json)]).await
        };
        assert!(matches!(
            data(r#"{"a":"x\u0000"}"#).await,
            InvalidEvent::Nul { .. }
        ));
        assert!(matches!(
            data(r#"{"a":"\ud800"}"#).await,
            InvalidEvent::LoneSurrogate { .. }
        ));
        assert!(matches!(
            data(r#"{"a":1e200000}"#).await,
            InvalidEvent::Number { .. }
        ));
        assert!(matches!(
            data(&format!("[{}]", "9".repeat(5_000))).await,
            InvalidEvent::Number { .. }
        ));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(matches!(data(&deep).await, InvalidEvent::TooDeep { .. }));
        let large = format!("\"{}\"", "x".repeat(eventstore::DATA_MAX_BYTES));
        assert!(matches!(
            data(&large).await,
            InvalidEvent::DataTooLarge { .. }
        ));

        let mut wordy = event("Ordered");
        wordy.metadata = crate::support::json(&format!(
            "\"{}\"",
            "x".repeat(eventstore::METADATA_MAX_BYTES)
        ));
        assert!(matches!(
            refusal(&store, vec![wordy]).await,
            InvalidEvent::MetadataTooLarge { .. }
        ));
        for name in ["", "Ordered!", "Ordered\0", "Zusätzlich", &"x".repeat(101)] {
            let named = NewEvent {
                event_type: Cow::Owned(name.to_owned()),
                ..event("Ordered")
            };
            assert!(
                matches!(refusal(&store, vec![named]).await, InvalidEvent::Type(_)),
                "{name}"
            );
        }
        assert!(
            store
                .read_all(eventstore::Position::ZERO, 10, None)
                .await
                .expect("read")
                .events
                .is_empty()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_impossible_shape_get_a_typed_error() {
    each_backend(async |log| {
        let store = log.open().await;
        let stream = order();
        assert_eq!(refusal_of(&store, vec![]).await, InvalidEvent::Empty);
        assert_eq!(refusal(&store, vec![]).await, InvalidEvent::Empty);
        let many = (0..=EVENTS_MAX).map(|_| event("Ordered")).collect();
        assert_eq!(
            refusal(&store, many).await,
            InvalidEvent::TooManyEvents(EVENTS_MAX + 1)
        );
        let streams = (0..=STREAMS_MAX)
            .map(|_| to(&order(), Expected::Any, 1))
            .collect();
        assert_eq!(
            refusal_of(&store, streams).await,
            InvalidEvent::TooManyStreams(STREAMS_MAX + 1)
        );
        let twice = vec![
            to(&stream, Expected::NoStream, 1),
            to(&stream, Expected::NoStream, 1),
        ];
        assert_eq!(
            refusal_of(&store, twice).await,
            InvalidEvent::DuplicateStream(stream.to_string())
        );
        let same = event("Ordered");
        let id = same.event_id;
        assert_eq!(
            refusal(&store, vec![same.clone(), same]).await,
            InvalidEvent::DuplicateEvent(id)
        );
        let negative = vec![to(&stream, Expected::At(Version(-1)), 1)];
        assert_eq!(
            refusal_of(&store, negative).await,
            InvalidEvent::NegativeVersion(-1)
        );
        let idle = vec![
            to(&stream, Expected::Any, 0),
            to(&order(), Expected::Any, 1),
        ];
        assert_eq!(
            refusal_of(&store, idle).await,
            InvalidEvent::NothingExpected(stream.to_string())
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_any_language_survives() {
    each_backend(async |log| {
        let store = log.open().await;
        let stream = order();
        let data = r#"{"title":"책 📚 \ud83d\ude00 \"quoted\" \\ \u00e9 ' ; --","n":-12.5,"empty":[{},[],"",null,true]}"#;
        let append = StreamAppend { stream: stream.clone(), expected: Expected::NoStream, events: vec![event_with("Ordered", data)] };
        store.append(vec![append]).await.expect("stored");
        let read = store.read_stream(&stream, Version::ZERO, 1).await.expect("read");
        let value = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).expect("JSON");
        assert_eq!(value(read[0].data.get()), value(data));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_append_that_is_allowed_is_stored() {
    each_backend(async |log| {
        let store = log.open().await;
        let half = format!("\"{}\"", "x".repeat(eventstore::DATA_MAX_BYTES - 2));
        let large = (0..7).map(|_| event_with("Ordered", &half)).collect();
        let many = (0..EVENTS_MAX).map(|_| event("Ordered")).collect();
        for events in [large, many] {
            let append = StreamAppend {
                stream: order(),
                expected: Expected::NoStream,
                events,
            };
            store.append(vec![append]).await.expect("stored");
        }
        assert_eq!(store.head().await.expect("head").0, 7 + EVENTS_MAX as i64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_to_change_or_delete_events() {
    each_backend(async |log| {
        let store = log.open().await;
        append_one(&store).await.expect("stored");
        for sql in ["UPDATE events SET version = 9", "DELETE FROM events"] {
            let refused = tamper(&log, sql).expect_err("refused");
            assert!(refused.contains("append-only"), "{refused}");
        }
        if store.backend_name() == "postgres" {
            tamper(&log, "TRUNCATE events").expect_err("refused");
        }
        assert_eq!(whole_log(&store).await.len(), 1);
    })
    .await;
}
