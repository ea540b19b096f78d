//! Runs one trial: starts the saga, strikes, resumes on a fresh engine, and judges where it comes to rest.

use std::sync::Arc;
use std::time::Duration;

use chrono::{SubsecRound, Utc};
use eventstore::EventStore;
use eventstore::testing::TestLog;
use orchestrator::saga::clock::Clock;
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::verbs::Request;
use orchestrator::saga::view::Snapshot;
use uuid::Uuid;

use super::faults::Faulty;
use super::strike::Striker;
use super::{Strike, TestClock, Trial, World, check_rest};

/// Only a saga that is stuck takes this long; nothing waits for real time.
const STUCK: Duration = Duration::from_secs(60);
/// No saga of a trial gives up its task before it rests.
const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

pub(crate) struct Rig {
    store: EventStore,
    world: Arc<dyn World>,
    _log: TestLog,
}

/// How far a trial went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    /// Points the first engine passed.
    pub(crate) points: usize,
    /// The second blow found something to hit.
    pub(crate) twice_hit: bool,
}

/// One engine with its own clock and its own eyes.
struct Node {
    engine: Engine,
    clock: Arc<TestClock>,
    striker: Arc<Striker>,
    faulty: Arc<Faulty>,
}

impl Rig {
    pub(crate) async fn new(world: Arc<dyn World>, log: TestLog) -> Self {
        Self {
            store: log.open().await,
            world,
            _log: log,
        }
    }

    /// Runs it to rest and checks it.
    pub(crate) async fn run(&self, trial: Trial) -> Passed {
        let id = Uuid::now_v7();
        let first = self.node(id, &trial, None);
        let twice_hit = self.play(id, &trial, &first).await;
        let snapshot = self.read(id).await.expect("a trial leaves a saga");
        let verdict = match check_rest(&snapshot.state) {
            Ok(()) => self.world.check(&trial, &snapshot).await,
            wrong => wrong,
        };
        if let Err(wrong) = verdict {
            panic!("{trial:?}: {wrong}\n{}", self.tell(id).await);
        }
        first.engine.halt();
        Passed {
            points: first.striker.passed(),
            twice_hit,
        }
    }

    /// Plays the trial up to rest; whether the second blow found something to hit.
    async fn play(&self, id: Uuid, trial: &Trial, first: &Node) -> bool {
        let mut begun = Box::pin(self.begin(id, trial, first));
        tokio::select! {
            () = &mut begun => return false,
            () = first.striker.hit.notified() => {}
        }
        match trial.strike {
            Strike::Freeze(_) | Strike::FreezeAndCancel(_) => {
                drop(begun);
                self.thaw(id, trial, first).await;
                false
            }
            Strike::CancelAndFreeze(..) => {
                self.cancel(id, first).await;
                first.striker.release.notify_one();
                let frozen = tokio::select! {
                    () = &mut begun => false,
                    () = first.striker.hit.notified() => true,
                };
                if frozen {
                    drop(begun);
                    self.thaw(id, trial, first).await;
                }
                frozen
            }
            Strike::Cancel(_) if trial.then_crash.is_none() => {
                self.cancel(id, first).await;
                first.striker.release.notify_one();
                begun.await;
                false
            }
            strike => {
                if let Strike::Cancel(_) = strike {
                    self.cancel(id, first).await;
                }
                first.engine.halt();
                self.crash_again(id, trial, first).await
            }
        }
    }

    async fn crash_again(&self, id: Uuid, trial: &Trial, first: &Node) -> bool {
        let strike = trial.then_crash.map_or(Strike::None, Strike::Crash);
        let second = self.node(id, trial, Some((first, strike)));
        let hit = tokio::select! {
            () = self.resume(id, &second) => false,
            () = second.striker.hit.notified() => true,
        };
        second.engine.halt();
        if hit {
            let third = self.node(id, trial, Some((first, Strike::None)));
            self.resume(id, &third).await;
            third.engine.halt();
        }
        hit
    }

    /// Another engine finishes the saga while the first is frozen; then the first wakes up and does what it was about to do.
    async fn thaw(&self, id: Uuid, trial: &Trial, first: &Node) {
        let next = self.node(id, trial, Some((first, Strike::None)));
        if let Strike::FreezeAndCancel(_) = trial.strike {
            self.cancel(id, &next).await;
        }
        self.resume(id, &next).await;
        first.striker.release.notify_one();
        self.settle(id, first).await;
        self.resume(id, &next).await;
        next.engine.halt();
    }

    async fn begin(&self, id: Uuid, trial: &Trial, node: &Node) {
        let start = self.world.start(id).await;
        let name = self.world.saga().name();
        let started = node.engine.start(name, id, start.input, start.domain).await;
        let mut running = started.unwrap_or_else(|error| panic!("{trial:?}: {error:?}"));
        let rest = tokio::time::timeout(STUCK, running.wait_for(|now| now.state.is_at_rest()));
        if rest.await.is_err() {
            panic!("{trial:?}: stuck\n{}", self.tell(id).await);
        }
    }

    /// What whoever finds the saga does: looks when it is due, until it rests; starts it if it is not there.
    async fn resume(&self, id: Uuid, node: &Node) {
        let Some(found) = self.read(id).await else {
            let start = self.world.start(id).await;
            let started = node
                .engine
                .start(self.world.saga().name(), id, start.input, start.domain)
                .await;
            let mut running = started.expect("nobody else starts it");
            running.wait_for(|now| now.state.is_at_rest()).await;
            return;
        };
        match found.state.due_at() {
            Some(due) => node.clock.advance_to(due),
            None => assert!(found.state.is_at_rest(), "lost: {}", self.tell(id).await),
        }
        node.engine.wake(id);
        let rest = async {
            let mut running = node.engine.follow(id).await.expect("it can be followed");
            running.wait_for(|now| now.state.is_at_rest()).await
        };
        if tokio::time::timeout(STUCK, rest).await.is_err() {
            panic!("stuck after it was resumed\n{}", self.tell(id).await);
        }
    }

    /// Until nothing of that engine is under way any more.
    async fn settle(&self, id: Uuid, node: &Node) {
        let ended = async {
            while node.engine.is_live(id) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(STUCK, ended).await.is_err() {
            panic!(
                "the frozen engine does not come to an end\n{}",
                self.tell(id).await
            );
        }
    }

    async fn cancel(&self, id: Uuid, node: &Node) {
        let request = Request {
            actor: "somebody".to_owned(),
            reason: "changed their mind".to_owned(),
        };
        // Before the first append there is nothing to cancel.
        if self.read(id).await.is_some() {
            node.engine
                .cancel(id, &request)
                .await
                .expect("a request gets an answer");
        }
    }

    fn node(&self, id: Uuid, trial: &Trial, before: Option<(&Node, Strike)>) -> Node {
        let frozen = trial.strike.frozen_at().is_some();
        let clock = match before {
            // Time stands still for whoever is frozen, not for others.
            Some((node, _)) if frozen => Arc::new(TestClock::at(node.clock.now())),
            Some((node, _)) => Arc::clone(&node.clock),
            None => Arc::new(TestClock::at(Utc::now().trunc_subsecs(3))),
        };
        let strike = before.map_or(trial.strike, |(_, strike)| strike);
        let striker = Arc::new(Striker::new(Arc::clone(&clock), strike));
        let faulty = match before {
            Some((node, _)) => Arc::clone(&node.faulty),
            None => Arc::new(Faulty::new(self.world.saga(), Arc::clone(&clock))),
        };
        faulty.set(id, trial.fault);
        let options = Options {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            linger: FOR_EVER,
            observer: Some(Arc::clone(&striker) as _),
            ..Options::default()
        };
        let engine = Engine::new(self.store.clone(), vec![Arc::clone(&faulty) as _], options);
        Node {
            engine: engine.expect("the definition is sound"),
            clock,
            striker,
            faulty,
        }
    }

    async fn read(&self, id: Uuid) -> Option<Snapshot> {
        let events = self
            .store
            .read_related(id)
            .await
            .expect("the store is there");
        (!events.is_empty()).then(|| Snapshot::fold(id, events).expect("the log is lawful"))
    }

    async fn tell(&self, id: Uuid) -> String {
        let events = self
            .store
            .read_related(id)
            .await
            .expect("the store is there");
        let lines = events.iter().map(|event| {
            format!(
                "{:>3} {:<8} {:<18} {}",
                event.version,
                event.stream.category,
                event.event_type,
                event.data.get()
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
