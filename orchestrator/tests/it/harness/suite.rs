//! All trials of one kind, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eventstore::testing::TestLog;
use futures_util::StreamExt;
use orchestrator::saga::step::Kind;

use super::{Fault, Passed, Rig, Strike, Trial, World};
use crate::soak;

/// The tests of a saga that has so many steps outside the log on its way forward.
macro_rules! survives {
    ($suite:path, steps: $steps:expr) => {
        use eventstore::testing::TestLog;

        #[tokio::test]
        async fn every_step_may_run_twice() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                assert!($suite(log).await.every_step_twice().await > 2 * $steps);
            }
        }

        #[tokio::test]
        async fn every_kind_of_failure_at_each_step_leaves_the_world_consistent() {
            let kinds = crate::harness::Fault::all_at("any").len();
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                let trials = $suite(log).await.every_fault_forward().await;
                assert_eq!(trials, $steps * kinds);
            }
        }

        #[tokio::test]
        async fn every_kind_of_failure_on_the_way_back_leaves_the_world_consistent() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                let trials = $suite(log).await.every_fault_on_the_way_back().await;
                assert!(trials > 20 * $steps);
            }
        }

        #[tokio::test]
        async fn a_crash_at_each_append_and_around_each_effect_loses_nothing() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                assert!($suite(log).await.a_crash_at_every_point().await > 10 * $steps);
            }
        }

        #[tokio::test]
        async fn a_crash_at_any_point_loses_no_effect_that_nobody_heard_of() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                let suite = $suite(log).await;
                let trials = suite.a_crash_at_every_point_with_silent_effects();
                assert!(trials.await > 10 * $steps);
            }
        }

        #[tokio::test]
        async fn a_cancel_at_any_point_is_carried_out_or_refused() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                assert!($suite(log).await.a_cancel_at_every_point().await > 2 * $steps);
            }
        }

        #[tokio::test]
        async fn a_crash_at_any_point_after_a_cancel_loses_nothing() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                assert!($suite(log).await.a_cancel_then_a_crash().await > 20 * $steps);
            }
        }

        #[tokio::test]
        async fn an_owner_that_was_frozen_does_no_harm_when_it_wakes() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                let trials = $suite(log).await.a_frozen_owner_at_each_step().await;
                assert_eq!(trials, 2 * $steps);
            }
        }

        #[tokio::test]
        async fn an_owner_that_was_frozen_on_the_way_back_does_no_harm_when_it_wakes() {
            for log in [TestLog::sqlite(), TestLog::postgres()] {
                assert!($suite(log).await.a_frozen_owner_on_the_way_back().await > 2 * $steps);
            }
        }
    };
}
pub(crate) use survives;

/// Trials under way at once; they share one store and its group commit.
const AT_ONCE: usize = 32;

/// On Postgres, where each append waits for a disk, every so many of the trials are made, and all of them with `SOAK`. A prime, so
/// that in time it meets every kind of fault at every step.
const STRIDE: usize = 7;

/// Every method makes the trials of one kind, and says how many there are of it.
pub(crate) struct Suite {
    rig: Rig,
    stride: usize,
    /// Trials so far, made or gone past.
    seen: AtomicUsize,
    forward: Vec<&'static str>,
    unwind: Vec<&'static str>,
    /// Those of them that do something outside, and do not only look.
    undoing: Vec<&'static str>,
}

impl Suite {
    pub(crate) async fn new(world: Arc<dyn World>, log: TestLog) -> Self {
        let saga = world.saga();
        let definition = saga.definition();
        let branches = definition.branches.iter().map(|branch| &branch.step);
        let outside = |kind: Kind| kind != Kind::Local;
        let forward = definition.forward.iter().chain(branches);
        let forward = forward
            .filter(|spec| outside(spec.kind))
            .map(|spec| spec.name)
            .collect();
        let undoing = definition.unwind.iter();
        let undoing = undoing
            .filter(|spec| spec.kind == Kind::Call)
            .map(|spec| spec.name)
            .collect();
        let unwind = definition.unwind.iter();
        let unwind = unwind
            .filter(|spec| outside(spec.kind))
            .map(|spec| spec.name)
            .collect();
        let stride = match log {
            TestLog::Postgres(_) if !soak::is_on() => STRIDE,
            TestLog::Postgres(_) | TestLog::Sqlite(_) => 1,
        };
        Self {
            rig: Rig::new(world, log).await,
            stride,
            seen: AtomicUsize::new(0),
            forward,
            unwind,
            undoing,
        }
    }

    /// Makes these trials.
    async fn all(&self, trials: impl IntoIterator<Item = Trial>) -> Vec<Passed> {
        let runs = futures_util::stream::iter(trials).map(|trial| self.rig.run(trial));
        runs.buffered(AT_ONCE).collect().await
    }

    /// Makes as many of these trials as the suite does; how many there are, and what came of those that were made.
    async fn some(&self, trials: impl IntoIterator<Item = Trial>) -> (usize, Vec<Passed>) {
        let trials: Vec<Trial> = trials.into_iter().collect();
        let first = self.seen.fetch_add(trials.len(), Ordering::Relaxed);
        let due = |nth: &usize| (first + nth).is_multiple_of(self.stride);
        let picked = (0..trials.len()).filter(due).map(|nth| trials[nth]);
        (trials.len(), self.all(picked).await)
    }

    /// Each step twice: forward, and on the way back from every point.
    pub(crate) async fn every_step_twice(&self) -> usize {
        let points = self.rig.run(Trial::HAPPY).await.points;
        let back = (0..points).map(|at| Trial {
            strike: Strike::Cancel(at),
            ..Trial::fault(Fault::Twice)
        });
        let forward = [Trial::fault(Fault::Twice)].into_iter();
        self.some(forward.chain(back)).await.0
    }

    /// Every kind of failure at each forward step and branch.
    pub(crate) async fn every_fault_forward(&self) -> usize {
        let faults = self.forward.iter().flat_map(|step| Fault::all_at(step));
        self.some(faults.map(Trial::fault)).await.0
    }

    /// Every kind of failure at each unwind step, on the way back from various points.
    pub(crate) async fn every_fault_on_the_way_back(&self) -> usize {
        let points = self.rig.run(Trial::HAPPY).await.points;
        let faults = self.unwind.iter().flat_map(|step| Fault::all_at(step));
        let trials = faults.flat_map(|fault| {
            let points = (1..points).step_by(3);
            points.map(move |at| Trial {
                strike: Strike::Cancel(at),
                ..Trial::fault(fault)
            })
        });
        self.some(trials).await.0
    }

    /// A crash at every point: of the happy way, and of the way back from each step's refusal.
    pub(crate) async fn a_crash_at_every_point(&self) -> usize {
        let refusals = self.forward.iter().map(|step| Fault::Refuse(step));
        let mut trials = Vec::new();
        for fault in [Fault::None].into_iter().chain(refusals) {
            let base = Trial::fault(fault);
            let points = self.rig.run(base).await.points;
            trials.extend((0..points).map(|at| Trial {
                strike: Strike::Crash(at),
                ..base
            }));
        }
        self.some(trials).await.0
    }

    /// A crash at every point after an effect happened that nobody heard of.
    pub(crate) async fn a_crash_at_every_point_with_silent_effects(&self) -> usize {
        let mut trials = Vec::new();
        for step in &self.forward {
            let base = Trial::fault(Fault::Silent(step));
            let points = self.rig.run(base).await.points;
            trials.extend((0..points).map(|at| Trial {
                strike: Strike::Crash(at),
                ..base
            }));
        }
        self.some(trials).await.0
    }

    /// A request to undo at every point.
    pub(crate) async fn a_cancel_at_every_point(&self) -> usize {
        let points = self.rig.run(Trial::HAPPY).await.points;
        let trials = (0..points).map(|at| Trial {
            strike: Strike::Cancel(at),
            ..Trial::HAPPY
        });
        self.some(trials).await.0
    }

    /// A request to undo at every point, and a crash at every point of the way back.
    pub(crate) async fn a_cancel_then_a_crash(&self) -> usize {
        let points = self.rig.run(Trial::HAPPY).await.points;
        let (mut trials, mut without_a_hit) = (0, 0);
        for crash in 0.. {
            let cancels = (1..points).map(|at| Trial {
                strike: Strike::Cancel(at),
                then_crash: Some(crash),
                ..Trial::HAPPY
            });
            let (count, passed) = self.some(cancels).await;
            trials += count;
            without_a_hit += 1;
            if passed.iter().any(|passed| passed.twice_hit) {
                without_a_hit = 0;
            }
            // Of the longest ways back one may just have been gone past.
            if without_a_hit == self.stride {
                break;
            }
        }
        trials
    }

    /// A process frozen between its last check and the call of each step on the way back, from various points; how often there
    /// was such a call.
    pub(crate) async fn a_frozen_owner_on_the_way_back(&self) -> usize {
        let points = self.rig.run(Trial::HAPPY).await.points;
        let mut frozen = 0;
        for step in &self.undoing {
            let trials = (1..points).map(|at| Trial {
                strike: Strike::CancelAndFreeze(at, step),
                ..Trial::HAPPY
            });
            let passed = self.all(trials).await;
            let hits = passed.iter().filter(|passed| passed.twice_hit).count();
            assert!(hits > 0, "nobody ever froze before {step}");
            frozen += hits;
        }
        frozen
    }

    /// A process frozen between its last check and each call, while another one takes over.
    pub(crate) async fn a_frozen_owner_at_each_step(&self) -> usize {
        let steps = self.forward.iter();
        let trials = steps.flat_map(|step| [Strike::Freeze(step), Strike::FreezeAndCancel(step)]);
        self.all(trials.map(|strike| Trial {
            strike,
            ..Trial::HAPPY
        }))
        .await
        .len()
    }
}
