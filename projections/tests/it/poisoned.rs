//! A view equals a fresh replay also of a log that was poisoned and mended at random.

use std::cell::Cell;

use eventstore::testing::{TestLog, each_backend};
use eventstore::{Location, Position};
use projections::{ParkedKey, Projections, View};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::soak;
use crate::story::{Life, late_message, life, order_of};
use crate::verbs::{retried, say, skipped};
use crate::world::{Shown, World, append, shown, stream_append};

/// Orders in one log.
const ORDERS: u64 = 8;

/// Things that happen to it.
const DEEDS: usize = 200;

/// All that a view shows, and all that it does not.
type Everything = (Shown, Vec<Vec<ParkedKey>>);

struct Deeds {
    world: World,
    random: fastrand::Rng,
    stories: Vec<(Uuid, std::vec::IntoIter<Vec<aggregates::Event>>)>,
}

impl Deeds {
    async fn one(&mut self) {
        match self.random.u8(0..24) {
            0..=1 => self.poison().await,
            2..=4 => self.skip().await,
            5 => self.retry().await,
            6..=8 => self.late().await,
            9..=12 => self.world.catch_up().await,
            _ => self.go_on().await,
        }
    }

    /// An event that no build knows, or one that fits no row.
    async fn poison(&mut self) {
        let order = order_of(self.random.u64(0..ORDERS));
        let message = late_message(self.random.u64(0..ORDERS)).head().unwrap().id;
        let streams = [
            ("order", order),
            ("payment", order),
            ("delivery", order),
            ("kakao", message),
            ("kakao", message),
            ("saga", order),
        ];
        let (category, stream) = streams[self.random.usize(0..streams.len())];
        if self.random.bool() {
            let data = RawValue::from_string(String::from("{}")).unwrap();
            let event = stream_append(category, stream, "OrderTeleported", 1, data);
            self.world.log.append(vec![event]).await.unwrap();
        } else {
            // It is placed twice.
            let number = self.random.u64(0..ORDERS);
            let placed = &life(number, Life::Open).appends[0];
            append(&self.world.log, order_of(number), placed).await;
        }
    }

    async fn skip(&mut self) {
        let view = View::ALL[self.random.usize(0..View::ALL.len())];
        let status = self.world.views.status_of(view).await.unwrap();
        let Some(parked) = self.random.choice(&status.parked) else {
            return;
        };
        let verb = skipped(view, parked.key, parked.first.position);
        say(&self.world.log, view, verb).await;
    }

    async fn retry(&mut self) {
        let view = View::ALL[self.random.usize(0..View::ALL.len())];
        let order = order_of(self.random.u64(0..ORDERS));
        let key = self.random.bool().then_some(order);
        say(&self.world.log, view, retried(view, key)).await;
    }

    async fn late(&mut self) {
        let late = late_message(self.random.u64(0..ORDERS));
        append(&self.world.log, late.head().unwrap().id, &[late]).await;
    }

    async fn go_on(&mut self) {
        let at = self.random.usize(0..self.stories.len());
        let (order, story) = &mut self.stories[at];
        if let Some(events) = story.next() {
            append(&self.world.log, *order, &events).await;
        }
    }
}

/// What the views show after what they wanted was done.
async fn settled(views: &Projections) -> Everything {
    let mut parked = Vec::new();
    for view in View::ALL {
        views.run_until_caught_up(view).await.unwrap();
        let status = views.status_of(view).await.unwrap();
        if status.rebuild_wanted.is_some() {
            views.rebuild(view, |_| {}).await.unwrap();
        }
        parked.push(views.status_of(view).await.unwrap().parked);
    }
    (shown(views).await, parked)
}

async fn check(at: TestLog, seed: u64) -> usize {
    let stories = (0..ORDERS).map(|number| {
        let story = life(number, Life::ALL[(number % 8) as usize]);
        (story.order_id, story.appends.into_iter())
    });
    let mut deeds = Deeds {
        world: World::open(at).await,
        random: fastrand::Rng::with_seed(seed),
        stories: stories.collect(),
    };
    for _ in 0..DEEDS {
        deeds.one().await;
    }
    let Deeds { world, .. } = deeds;
    let live = settled(&world.views).await;
    for view in View::ALL {
        world.views.rebuild(view, |_| {}).await.unwrap();
    }
    assert_eq!(settled(&world.views).await, live, "rebuilt, seed {seed}");

    let elsewhere = tempfile::tempdir().unwrap();
    let place = Location::sqlite(elsewhere.path());
    Projections::migrate(&place).await.unwrap();
    let fresh = Projections::open(&place, world.log.clone()).await.unwrap();
    for view in View::ALL {
        assert_eq!(fresh.position(view).await.unwrap(), Position::ZERO);
    }
    assert_eq!(
        settled(&fresh).await,
        live,
        "from the beginning, seed {seed}"
    );
    live.1.iter().map(Vec::len).sum()
}

#[tokio::test]
async fn a_log_that_was_poisoned_and_mended_at_random_gives_the_same_view_live_rebuilt_and_afresh()
{
    let parked = Cell::new(0);
    for seed in 0..soak::size(40) {
        each_backend(async |at: TestLog| parked.set(parked.get() + check(at, seed).await)).await;
    }
    assert!(parked.get() > 0, "nothing was left parked in any of them");
}
