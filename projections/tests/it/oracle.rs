//! A view equals a fresh replay of the log, computed here without tables, pages or caches.

use std::collections::BTreeMap;

use aggregates::codec;
use eventstore::testing::{TestLog, each_backend};
use eventstore::{Checkpoint, EventStore, Position, RecordedEvent};
use projections::customer::CustomerView;
use projections::message::MessageView;
use projections::saga::{SagaRow, SagaView};
use projections::{Facts, Projection};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::story::{Life, life};
use crate::world::{Shown, World, append};

/// What the views must show of this log.
pub(crate) async fn expected(log: &EventStore) -> Shown {
    expected_of(&all_events(log).await)
}

/// What the views must show of this log if the events at these positions are left out.
pub(crate) async fn expected_without(log: &EventStore, skipped: &[Position]) -> Shown {
    let mut events = all_events(log).await;
    events.retain(|event| !skipped.contains(&event.position));
    expected_of(&events)
}

/// What the views must show of these events.
pub(crate) fn expected_of(events: &[RecordedEvent]) -> Shown {
    Shown {
        customers: fold::<CustomerView>(events),
        messages: fold::<MessageView>(events),
        sagas: fold::<SagaView>(events)
            .into_iter()
            .map(SagaRow::from)
            .collect(),
    }
}

pub(crate) async fn all_events(log: &EventStore) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut after = Checkpoint::START;
    loop {
        let page = log.read_page(&after, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.checkpoint();
        events.extend(page);
    }
    events
}

/// Rows by the position that made them, youngest first.
pub(crate) fn fold<P: Projection>(events: &[RecordedEvent]) -> Vec<P::Row> {
    let mut rows: BTreeMap<Uuid, (i64, Option<P::Row>)> = BTreeMap::new();
    for recorded in events {
        if !P::CATEGORIES.contains(&recorded.stream.category.as_str()) {
            continue;
        }
        let facts = Facts::of(recorded);
        let event = codec::decode(
            &recorded.event_type,
            recorded.schema_version,
            &recorded.data,
        );
        let event = event.unwrap();
        for (nth, key) in (0..).zip(P::keys(&event, &facts).as_slice()) {
            let (seq, row) = rows.entry(*key).or_insert((0, None));
            if row.is_none() {
                *seq = facts.position.0 * i64::from(P::ROWS_PER_EVENT) + nth;
            }
            P::apply(*key, row, &event, &facts).unwrap();
        }
    }
    let mut rows: Vec<_> = rows
        .into_values()
        .filter_map(|(seq, row)| row.map(|row| (seq, row)))
        .collect();
    rows.sort_by_key(|(seq, _)| -seq);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A log of some orders whose appends are interleaved at random.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    lives: Vec<Life>,
    turns: Vec<usize>,
}

pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    let lives = prop::collection::vec(prop::sample::select(Life::ALL.to_vec()), 1..25);
    let turns = prop::collection::vec(0_usize..1_000, 0..200);
    (lives, turns).prop_map(|(lives, turns)| Script { lives, turns })
}

impl Script {
    /// Writes the log; `between` runs after each append.
    pub(crate) async fn write(&self, log: &EventStore, mut between: impl AsyncFnMut(usize)) {
        let mut stories: Vec<_> = self
            .lives
            .iter()
            .enumerate()
            .map(|(number, which)| {
                let story = life(number as u64, *which);
                (story.order_id, story.appends.into_iter())
            })
            .collect();
        let mut turns = self.turns.iter().copied().chain(std::iter::repeat(0));
        let mut done = 0;
        while !stories.is_empty() {
            let next = turns.next().unwrap() % stories.len();
            match stories[next].1.next() {
                Some(events) => {
                    append(log, stories[next].0, &events).await;
                    done += 1;
                    between(done).await;
                }
                None => drop(stories.remove(next)),
            }
        }
    }
}

/// Draws scripts the same way every time.
pub(crate) fn draw(count: usize) -> Vec<Script> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| scripts().new_tree(&mut runner).unwrap().current())
        .collect()
}

async fn check(at: TestLog, script: &Script) {
    let world = World::open(at).await;
    script
        .write(&world.log, async |done| {
            if done % 7 == 0 {
                world.catch_up().await;
            }
        })
        .await;
    world.catch_up().await;
    let expected = expected(&world.log).await;
    assert_eq!(world.shown().await, expected);
    for view in projections::View::ALL {
        world.views.rebuild(view, |_| {}).await.unwrap();
    }
    assert_eq!(world.shown().await, expected, "rebuilt");
}

#[tokio::test]
async fn a_view_equals_a_fresh_replay_of_the_log_live_and_rebuilt() {
    for script in draw(6) {
        each_backend(|at| check(at, &script)).await;
    }
}
