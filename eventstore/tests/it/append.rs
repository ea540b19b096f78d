//! Appending: expectations, atomicity, what comes back.

use eventstore::testing::each_backend;
use eventstore::{AppendError, Expected, Position, StreamId, Version};

use crate::support::{PAYMENT, order, to};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_read_back_as_it_was() {
    each_backend(async |log| {
        let store = log.open().await;
        let stream = order();
        let append = to(&stream, Expected::NoStream, 2);
        let events = append.events.clone();
        let appended = store.append(vec![append]).await.expect("stored");
        assert_eq!((appended.first, appended.last), (Position(1), Position(2)));
        assert_eq!(appended.versions, [Version(2)]);
        let read = store
            .read_stream(&stream, Version::ZERO, 10)
            .await
            .expect("read");
        assert_eq!(read.len(), 2);
        for (nth, (read, written)) in read.iter().zip(&events).enumerate() {
            assert_eq!(read.position, Position(nth as i64 + 1));
            assert_eq!(read.version, Version(nth as i64 + 1));
            assert_eq!(read.stream, stream);
            assert_eq!(read.event_id, written.event_id);
            assert_eq!(*read.event_type, *written.event_type);
            assert_eq!(read.schema_version, written.schema_version);
            assert_eq!(read.recorded_at, appended.recorded_at);
            let value = |raw: &str| serde_json::from_str::<serde_json::Value>(raw).expect("JSON");
            assert_eq!(value(read.data.get()), value(written.data.get()));
            assert_eq!(value(read.metadata.get()), value(written.metadata.get()));
        }
        assert_eq!(store.head().await.expect("head"), Position(2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_typed_and_carries_expected_and_actual() {
    each_backend(async |log| {
        let store = log.open().await;
        let stream = order();
        store
            .append(vec![to(&stream, Expected::NoStream, 3)])
            .await
            .expect("stored");
        for expected in [
            Expected::NoStream,
            Expected::At(Version(2)),
            Expected::At(Version(4)),
        ] {
            let refused = store.append(vec![to(&stream, expected, 1)]).await;
            assert_eq!(
                refused,
                Err(AppendError::Conflict {
                    stream: stream.clone(),
                    expected,
                    actual: Version(3)
                })
            );
        }
        store
            .append(vec![to(&stream, Expected::At(Version(3)), 1)])
            .await
            .expect("stored");
        store
            .append(vec![to(&stream, Expected::Any, 1)])
            .await
            .expect("stored");
        assert_eq!(store.head().await.expect("head"), Position(5));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_is_atomic_across_streams() {
    each_backend(async |log| {
        let store = log.open().await;
        let stream = order();
        let payment = StreamId::new(PAYMENT, stream.id);
        store
            .append(vec![to(&payment, Expected::NoStream, 1)])
            .await
            .expect("stored");
        let refused = store
            .append(vec![
                to(&stream, Expected::NoStream, 2),
                to(&payment, Expected::NoStream, 1),
            ])
            .await;
        let conflict = AppendError::Conflict {
            stream: payment.clone(),
            expected: Expected::NoStream,
            actual: Version(1),
        };
        assert_eq!(refused, Err(conflict));
        assert!(
            store
                .read_stream(&stream, Version::ZERO, 10)
                .await
                .expect("read")
                .is_empty()
        );
        assert_eq!(store.head().await.expect("head"), Position(1));

        let both = store
            .append(vec![
                to(&stream, Expected::NoStream, 2),
                to(&payment, Expected::At(Version(1)), 1),
            ])
            .await
            .expect("stored");
        assert_eq!(
            (both.first, both.last, both.versions),
            (Position(2), Position(4), vec![Version(2), Version(2)])
        );
        let related = store.read_related(stream.id).await.expect("read");
        let places: Vec<_> = related
            .iter()
            .map(|e| (e.position.0, e.stream.category.to_string(), e.version.0))
            .collect();
        let expected = [
            (1, "payment", 1),
            (2, "order", 1),
            (3, "order", 2),
            (4, "payment", 2),
        ];
        assert_eq!(places, expected.map(|(p, c, v)| (p, c.to_owned(), v)));
    })
    .await;
}
