//! Several workers fold what one would.

use eventstore::testing::{TestLog, each_backend};
use projections::{Options, Projections, RebuildOptions, View, ViewOf};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::oracle::{all_events, expected, fold};
use crate::own::{Counts, counts};
use crate::story::{late_message, order_of};
use crate::world::{World, shown, stream_append, tell_late, tell_many};

fn workers(workers: usize) -> RebuildOptions {
    RebuildOptions {
        workers,
        ..RebuildOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_workers_fold_the_same_rows_with_little_memory() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..400).await;
        for number in 0..60 {
            tell_late(&world.log, number).await;
        }
        let options = Options {
            rows_in_memory: 60,
            ..Options::default()
        };
        let location = world.at.location();
        let tight = Projections::open_with(&location, world.log.clone(), options)
            .await
            .unwrap();
        let own = ViewOf::<Counts>::open(&location, world.log.clone())
            .await
            .unwrap();
        let expected_counts = fold::<Counts>(&all_events(&world.log).await);
        let expected = expected(&world.log).await;
        assert!(world.log.head().await.unwrap().0 > 3_000, "several pages");
        for number in [1, 2, 3, 7] {
            for view in View::ALL {
                tight
                    .rebuild_with(view, &workers(number), |_| {})
                    .await
                    .unwrap();
            }
            own.rebuild_with(&workers(number), |_| {}).await.unwrap();
            assert!(shown(&tight).await == expected, "{number} workers");
            assert!(counts(&own).await == expected_counts, "{number} workers");
        }
    })
    .await;
}

/// The undecodable events are on other pages of the log than what follows them, and these are decoded at
/// the same time.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_undecodable_event_is_parked_whoever_decodes_it() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        tell_many(&world.log, 0..120).await;
        let message = late_message(0).head().unwrap().id;
        for (category, stream) in [("order", order_of(1)), ("kakao", message)] {
            let data = RawValue::from_string(String::from("{}")).unwrap();
            let poison = stream_append(category, stream, "Teleported", 1, data);
            world.log.append(vec![poison]).await.unwrap();
        }
        tell_many(&world.log, 120..240).await;
        tell_late(&world.log, 0).await;
        for number in 1..20 {
            tell_late(&world.log, number).await;
        }
        world.catch_up().await;
        let live = (world.shown().await, parked(&world).await);
        let events = |view: View| live.1[view.as_str()].iter().map(|key| key.1).sum::<u64>();
        let (customer, message) = (events(View::Customer), events(View::Message));
        assert!(customer >= 4 && message >= 2, "{customer}, {message}");
        for number in [1, 2, 5] {
            let options = workers(number);
            for view in View::ALL {
                let report = world.views.rebuild_with(view, &options, |_| {});
                let report = report.await.unwrap();
                let parked: u64 = live.1[view.as_str()].iter().map(|key| key.1).sum();
                assert_eq!(report.parked_events, parked, "{number} workers");
            }
            assert!(world.shown().await == live.0, "{number} workers");
            assert_eq!(parked(&world).await, live.1, "{number} workers");
        }
    })
    .await;
}

async fn parked(world: &World) -> std::collections::BTreeMap<&'static str, Vec<(Uuid, u64, i64)>> {
    let mut all = std::collections::BTreeMap::new();
    for status in world.views.status().await.unwrap() {
        let parked = status.parked.into_iter();
        let parked = parked.map(|event| (event.key, event.events, event.first.position.0));
        all.insert(status.name, parked.collect());
    }
    all
}
