//! Bookmarks.

use std::time::Duration;

use eventstore::testing::each_backend;
use eventstore::{Checkpoint, Position};
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(600);

fn at(position: i64) -> Checkpoint {
    Checkpoint {
        position: Position(position),
        event_id: Uuid::from_u128(7),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_holds_the_lease_now_moves_its_bookmark() {
    each_backend(async |log| {
        let store = log.open().await;
        let take = async |name, ttl| {
            let lease = store.try_lease(name, Uuid::new_v4(), ttl).await;
            lease.expect("asked").expect("free")
        };
        assert_eq!(store.bookmark("relay").await.expect("read"), None);
        let former = take("relay", Duration::ZERO).await;
        assert!(store.set_bookmark(&former, at(5)).await.expect("written"));
        assert!(
            store.set_bookmark(&former, at(3)).await.expect("written"),
            "also back"
        );

        let present = take("relay", LONG).await;
        let refused = store.set_bookmark(&former, at(9)).await.expect("asked");
        assert!(!refused, "the new holder has not even written yet");
        assert_eq!(store.bookmark("relay").await.expect("read"), Some(at(3)));
        assert!(store.set_bookmark(&present, at(4)).await.expect("written"));
        assert!(!store.set_bookmark(&former, at(9)).await.expect("asked"));

        let other = take("another", LONG).await;
        assert!(store.set_bookmark(&other, at(1)).await.expect("written"));
        assert_eq!(store.bookmark("relay").await.expect("read"), Some(at(4)));
    })
    .await;
}
