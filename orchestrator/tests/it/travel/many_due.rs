//! More sagas stay due than are woken at a time, as while a participant is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use orchestrator::saga::clock::Clock;
use orchestrator::saga::dispatch::{Begins, Dispatch};
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::index::{Due, IndexError, SagaIndex};
use orchestrator::saga::sweeper::{Pace, Sweeper};
use uuid::Uuid;

use super::desk::Desk;
use super::sweepers::Hole;
use crate::harness::TestClock;
use crate::town::{STUCK, until};

/// Woken in a sweep.
const BATCH: usize = 4;
/// That stay due, whatever is done.
const STUCK_SAGAS: usize = 40;

/// What it was told is due.
#[derive(Default)]
struct Listed(Mutex<Vec<Due>>);

impl Listed {
    fn add(&self, at: DateTime<Utc>) -> Uuid {
        let due = Due {
            at,
            id: Uuid::now_v7(),
        };
        let mut listed = self.0.lock().expect("nobody panicked");
        listed.push(due);
        listed.sort();
        due.id
    }
}

impl SagaIndex for Listed {
    fn due<'a>(
        &'a self,
        before: DateTime<Utc>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Due>, IndexError>> {
        let listed = self.0.lock().expect("nobody panicked");
        let due = listed.iter().filter(|due| due.at < before).take(limit);
        let due = due.copied().collect();
        Box::pin(async move { Ok(due) })
    }

    fn count<'a>(&'a self, _: DateTime<Utc>) -> BoxFuture<'a, Result<usize, IndexError>> {
        Box::pin(async { Ok(0) })
    }
}

/// Sweeps so often, two seconds apart; how often each was woken.
async fn swept(
    sweeper: &mut Sweeper,
    engine: &Engine,
    clock: &TestClock,
    times: usize,
) -> HashMap<Uuid, usize> {
    let mut woken = HashMap::new();
    for _ in 0..times {
        clock.advance_to(clock.now() + TimeDelta::seconds(2));
        for id in sweeper.sweep().await.expect("swept").woken {
            *woken.entry(id).or_default() += 1;
        }
        // There is no such saga, which those that were woken here find out.
        until("nobody looks", STUCK, async || {
            (engine.live() == 0).then_some(())
        })
        .await;
    }
    woken
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_due_has_its_turn_at_once_although_more_stay_due_than_are_woken_at_a_time() {
    let desk = Desk::open().await;
    let clock = Arc::new(TestClock::at(Utc::now()));
    let options = Options {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        begins: Begins::All,
        dispatch: Some(Hole::new(true) as Arc<dyn Dispatch>),
        ..Options::default()
    };
    let engine = Engine::new(desk.store.clone(), Vec::new(), options).expect("no sagas");
    let index = Arc::new(Listed::default());
    let long_ago = clock.now() - TimeDelta::minutes(1);
    let stuck: Vec<Uuid> = (0..STUCK_SAGAS).map(|_| index.add(long_ago)).collect();
    let pace = Pace {
        batch: BATCH,
        grace: Duration::ZERO,
        again_after: Duration::from_secs(1),
        ..Pace::default()
    };
    let asked = Arc::clone(&index) as Arc<dyn SagaIndex>;
    let mut sweeper = Sweeper::new(desk.store.clone(), engine.clone(), asked, pace);
    // Half of each sweep is for those that were not woken yet.
    let first = swept(&mut sweeper, &engine, &clock, STUCK_SAGAS * 2 / BATCH).await;
    assert!(stuck.iter().all(|id| first.contains_key(id)), "{first:?}");
    let young = index.add(clock.now());
    let next = swept(&mut sweeper, &engine, &clock, 1).await;
    assert!(next.contains_key(&young), "{next:?}");
    // And none of the others waits for longer than all of them take.
    let round = (STUCK_SAGAS + 1).div_ceil(BATCH);
    let round = swept(&mut sweeper, &engine, &clock, round).await;
    assert!(stuck.iter().all(|id| round.contains_key(id)), "{round:?}");
}
