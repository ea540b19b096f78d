//! Leases.

use std::time::Duration;

use eventstore::testing::each_backend;
use eventstore::{EventStore, Location, Options};
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_until_it_ends_or_is_given_back() {
    each_backend(async |log| {
        let store = log.open().await;
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let first = store
            .try_lease("sweeper", a, LONG)
            .await
            .expect("asked")
            .expect("free");
        assert_eq!(
            store.try_lease("sweeper", b, LONG).await.expect("asked"),
            None
        );
        assert!(
            store
                .try_lease("another", b, LONG)
                .await
                .expect("asked")
                .is_some()
        );
        let renewed = store
            .try_lease("sweeper", a, LONG)
            .await
            .expect("asked")
            .expect("renewed");
        assert_eq!(renewed, first);

        store.release_lease(&renewed).await.expect("given back");
        let taken = store
            .try_lease("sweeper", b, Duration::ZERO)
            .await
            .expect("asked")
            .expect("free again");
        assert!(taken.token > first.token, "a new holder has a higher token");
        let over = store
            .try_lease("sweeper", a, LONG)
            .await
            .expect("asked")
            .expect("the time of the last one is over");
        assert!(over.token > taken.token);
        store.release_lease(&taken).await.expect("ignored");
        assert_eq!(
            store.try_lease("sweeper", b, LONG).await.expect("asked"),
            None,
            "only the holder can give it back"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_an_embedded_log_finds_all_leases_free_as_nobody_else_can_hold_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::sqlite(dir.path());
    EventStore::migrate(&location).await.expect("migrated");
    let mut token = 0;
    for _ in 0..3 {
        let options = Options::default();
        let store = EventStore::open(&location, options).await.expect("opened");
        let lease = store.try_lease("sweeper", Uuid::new_v4(), LONG).await;
        let lease = lease.expect("asked").expect("free");
        assert!(lease.token > token, "a new holder has a higher token");
        token = lease.token;
        // As if it were killed: nothing is given back.
        drop(store);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_at_once_one_gets_the_lease() {
    each_backend(async |log| {
        let store = log.open().await;
        let asked = (0..16).map(|_| store.try_lease("sweeper", Uuid::new_v4(), LONG));
        let got = futures_util::future::join_all(asked).await;
        assert_eq!(
            got.iter()
                .filter(|lease| matches!(lease, Ok(Some(_))))
                .count(),
            1,
            "{got:?}"
        );
    })
    .await;
}
