//! The sweeper over the saga view, with more to do than fits into one page of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aggregates::saga::{SagaEvent, SagaStarted};
use eventstore::testing::TestLog;
use eventstore::{Category, Expected};
use futures_util::future::join_all;
use projections::View;
use uuid::Uuid;

use super::*;
use crate::execute::to_stream;
use crate::saga::engine::{Engine, Options};
use crate::saga::sweeper::{Pace, Sweeper};

const SAGA: Category = Category::from_static("saga");

/// More than one page of the view, and more than one batch of the sweeper.
const SAGAS: usize = projections::PAGE_MAX + 120;

async fn start_sagas(store: &EventStore) -> HashSet<Uuid> {
    let at = aggregates::instant::to_millis(Utc::now() - chrono::Duration::hours(1));
    let started = |id| {
        let event = SagaEvent::SagaStarted(SagaStarted {
            saga: "unheard-of".to_owned(),
            version: 1,
            input: serde_json::Value::Null,
            at,
        });
        store.append(vec![to_stream(SAGA, id, Expected::NoStream, [event], id)])
    };
    let ids: HashSet<Uuid> = (0..SAGAS).map(|_| Uuid::now_v7()).collect();
    for stored in join_all(ids.iter().map(|id| started(*id))).await {
        stored.expect("stored");
    }
    ids
}

async fn check(log: TestLog) {
    let store = log.open().await;
    let location = log.location();
    Projections::migrate(&location).await.expect("migrated");
    let projections = Projections::open(&location, store.clone())
        .await
        .expect("opened");
    let ids = start_sagas(&store).await;
    let caught_up = projections.run_until_caught_up(View::Saga).await;
    caught_up.expect("projected");
    // Knows no saga at all, so that every one that is woken stays due: as if all waited for a provider that is away.
    let engine = Engine::new(store.clone(), Vec::new(), Options::default()).expect("an engine");
    let index = Arc::new(SagaViewIndex::new(projections, store.clone()));
    let pace = Pace {
        again_after: Duration::from_secs(3_600),
        ..Pace::default()
    };
    let mut sweeper = Sweeper::new(store, engine.clone(), index, pace);
    let first = sweeper.sweep().await.expect("swept");
    assert_eq!(first.woken.len(), pace.batch);
    assert_eq!((first.wedged, first.oldest.len()), (SAGAS, 10));
    let second = sweeper.sweep().await.expect("swept");
    assert_eq!(second.woken.len(), SAGAS - pace.batch);
    assert_eq!(second.wedged, SAGAS);
    let woken: HashSet<Uuid> = first.woken.into_iter().chain(second.woken).collect();
    assert_eq!(woken, ids);
    engine.halt();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_full_of_sagas_that_stay_due_does_not_hide_the_others() {
    eventstore::testing::each_backend(check).await;
}
