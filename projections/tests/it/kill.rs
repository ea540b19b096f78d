//! A projecting process that is killed, again and again.

use std::process::{Child, Command, Stdio};

use eventstore::testing::{TestLog, each_backend};
use eventstore::{Access, EventStore, Location, Options, Position, RecordedEvent};
use projections::{Projections, View};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::oracle::{all_events, expected_of};
use crate::soak;
use crate::story::Life;
use crate::world::{SOON, Shown, World, tell};

const KILLS: u64 = 50;

const SEED: u64 = 20_261_128;

/// Names the log to a child.
const PLACE: &str = "PROJECTIONS_CHILD_LOG";

/// The test below, which is what a child runs.
const ENTRY: &str = "kill::a_child_process_projects_until_it_is_killed";

/// A projecting process; killed when dropped, as with `kill -9`.
struct Projecting(Child);

impl Drop for Projecting {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

fn start(at: &TestLog) -> Projecting {
    let place = match at {
        TestLog::Postgres(database) => database.url(),
        TestLog::Sqlite(dir) => dir.path().display().to_string(),
    };
    let child = Command::new(std::env::current_exe().expect("this binary"))
        .args([ENTRY, "--exact", "--test-threads=1"])
        .env(PLACE, place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child process starts");
    Projecting(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_process_projects_until_it_is_killed() {
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    let location = match place.starts_with("postgres") {
        true => Location::postgres(place),
        false => Location::sqlite(place),
    };
    // The parent writes the log.
    let reading = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let log = EventStore::open(&location, reading).await.expect("opened");
    let views = Projections::open(&location, log).await.expect("opened");
    let never = CancellationToken::new();
    let runs = View::ALL.map(|view| {
        let (views, never) = (views.clone(), never.clone());
        tokio::spawn(async move { views.run(view, never).await })
    });
    for run in runs {
        run.await.expect("it runs until it is killed");
    }
}

/// Writes one life after the other.
fn keep_writing(log: &EventStore, stop: &CancellationToken, mut number: u64) -> JoinHandle<u64> {
    let (log, stop) = (log.clone(), stop.clone());
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            tell(&log, number, Life::ALL[(number % 8) as usize]).await;
            number += 1;
        }
        number
    })
}

/// What the views must show, each at its own place in the log.
async fn expected_at(log: &EventStore, at: [Position; 3]) -> Shown {
    let events = all_events(log).await;
    let up_to = |position: Position| -> Vec<RecordedEvent> {
        let seen = events.iter().filter(|event| event.position <= position);
        seen.cloned().collect()
    };
    let [customer, message, saga] = at.map(|position| expected_of(&up_to(position)));
    Shown {
        customers: customer.customers,
        messages: message.messages,
        sagas: saga.sagas,
    }
}

async fn positions(views: &Projections) -> [Position; 3] {
    let mut at = [Position::ZERO; 3];
    for (at, view) in at.iter_mut().zip(View::ALL) {
        *at = views.position(view).await.unwrap();
    }
    at
}

async fn check(at: TestLog) {
    let world = World::open(at).await;
    let mut random = fastrand::Rng::with_seed(SEED);
    let (kills, mut number, mut under_way, mut equal) = (soak::size(KILLS), 0, 0, 0);
    for _ in 0..kills {
        let stop = CancellationToken::new();
        let writing = keep_writing(&world.log, &stop, number);
        let child = start(&world.at);
        let before = positions(&world.views).await;
        // Somewhere in what it does from the moment that it moves.
        let target = before[0].0 + random.i64(1..120);
        let moved = async {
            while positions(&world.views).await[0].0 < target {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, moved)
            .await
            .expect("it projects");
        drop(child);
        let behind = world.log.head().await.unwrap();
        stop.cancel();
        number = writing.await.unwrap();
        let at = positions(&world.views).await;
        under_way += usize::from(at.iter().any(|at| *at < behind));
        equal += u64::from(world.shown().await == expected_at(&world.log, at).await);
    }
    let backend = world.log.backend_name();
    soak::figure(&format!(
        "kill -9 while projecting: backend={backend} kills={kills} under-way={under_way} digest-equal={equal}"
    ));
    assert_eq!(equal, kills);
    assert!(
        under_way > 0,
        "it was never killed in the middle of anything"
    );
    world.catch_up().await;
    let head = world.log.head().await.unwrap();
    assert_eq!(
        world.shown().await,
        expected_at(&world.log, [head; 3]).await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_is_killed_at_random_leaves_each_view_equal_to_a_fresh_replay() {
    each_backend(check).await;
}
