//! The engine: starts sagas, wakes them, and stops without cutting anything in half.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::saga::SagaStarted;
use eventstore::{AppendError, EventStore, ReadError, StreamAppend};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::clock::{Clock, SystemClock};
use super::definition::{DefinitionError, RecordError, Saga};
use super::dispatch::{Begins, Dispatch, Rest};
use super::meter;
use super::observer::Observer;
use super::places::{Errand, PLACES, Place, Places};
use super::plan::span;
use super::registry::{Registry, Slot, lock};
use super::task::{New, Opening, Task};
use super::timers::Timers;
use super::unheeded::Hints;
use super::view::{LeftAlone, LoadError, Snapshot};

/// A saga whose task panicked is looked at again after this time; short enough that nobody waits for the sweeper.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// How an engine is set up.
pub struct Options {
    /// Where it takes its time from.
    pub clock: Arc<dyn Clock>,
    /// How long a saga with nothing to do keeps its task; then a timer takes its place.
    pub linger: Duration,
    /// Told of every point before the engine goes on.
    pub observer: Option<Arc<dyn Observer>>,
    /// Which steps it begins itself.
    pub begins: Begins,
    /// How it wakes engines that begin the others; without, they are left to the sweeper.
    pub dispatch: Option<Arc<dyn Dispatch>>,
    /// How many sagas woken by timers may have a task at once, and as many by the sweeper; more where the steps can carry more.
    pub places: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            linger: Duration::from_secs(3),
            observer: None,
            begins: Begins::All,
            dispatch: None,
            places: PLACES,
        }
    }
}

/// Why a saga could not be started. Only after `Unknown` it may run nevertheless.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine was not given this saga.
    #[error("no saga {0} is known")]
    NoSuchSaga(String),
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopping,
    /// There is such a saga, or one of the domain streams has moved.
    #[error("the saga exists, or what it rests on has changed")]
    Exists,
    /// The domain events could not be made.
    #[error("the events of the start")]
    Record(#[from] RecordError),
    /// The store refused it; nothing is stored unless the error says so.
    #[error("storing the start")]
    Append(#[source] AppendError),
}

/// A saga that has a task here.
#[derive(Debug, Clone)]
pub struct Running {
    engine: Engine,
    id: Uuid,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Running {
    /// The saga as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Resolves with the first snapshot from now on that satisfies the condition; `None`: the engine stopped, or the saga is not
    /// for this build. Keeps the saga's task alive while it waits.
    pub async fn wait_for(
        &mut self,
        mut holds: impl FnMut(&Snapshot) -> bool,
    ) -> Option<Arc<Snapshot>> {
        loop {
            let seen = |snapshot: &Arc<Snapshot>| snapshot.version.0 > 0 && holds(snapshot);
            if let Ok(snapshot) = self.snapshots.wait_for(seen).await {
                return Some(Arc::clone(&snapshot));
            }
            if self.engine.inner.stopping.is_cancelled() {
                return None;
            }
            self.snapshots = self.engine.follow(self.id).await.ok()?.snapshots;
        }
    }
}

/// Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("owner", &self.inner.owner)
            .finish_non_exhaustive()
    }
}

pub(super) struct Inner {
    pub(super) store: EventStore,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) linger: chrono::Duration,
    pub(super) begins: Begins,
    pub(super) dispatch: Option<Arc<dyn Dispatch>>,
    /// Whom attempts of this engine belong to.
    pub(super) owner: Uuid,
    pub(super) registry: Registry,
    pub(super) timers: Timers,
    /// What was hinted at while nobody could be asked.
    pub(super) hints: Hints,
    pub(super) places: Places,
    /// No attempt begins any more.
    pub(super) stopping: CancellationToken,
    /// Everything ends where it stands.
    pub(super) halted: CancellationToken,
    /// How often a saga was found that this build does not understand.
    pub(super) left_alone: AtomicU64,
    tasks: TaskTracker,
    /// What runs beside the sagas, by name.
    companions: Mutex<Vec<(&'static str, AbortHandle)>>,
    sagas: HashMap<(&'static str, u32), Arc<dyn Saga>>,
    permits: HashMap<(&'static str, u32, &'static str), Arc<Semaphore>>,
}

impl Engine {
    /// An engine for these sagas.
    pub fn new(
        store: EventStore,
        sagas: Vec<Arc<dyn Saga>>,
        options: Options,
    ) -> Result<Self, DefinitionError> {
        let mut permits = HashMap::new();
        for saga in &sagas {
            saga.definition().check()?;
            for step in saga.definition().steps() {
                let key = (saga.name(), saga.version(), step.name);
                permits.insert(key, Arc::new(Semaphore::new(step.concurrency)));
            }
        }
        let by_name = |saga: Arc<dyn Saga>| ((saga.name(), saga.version()), saga);
        let inner = Inner {
            store,
            clock: options.clock,
            observer: options.observer,
            linger: span(options.linger),
            begins: options.begins,
            dispatch: options.dispatch,
            owner: Uuid::now_v7(),
            registry: Registry::default(),
            timers: Timers::default(),
            hints: Hints::default(),
            places: Places::new(options.places, &sagas),
            stopping: CancellationToken::new(),
            halted: CancellationToken::new(),
            left_alone: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            companions: Mutex::default(),
            sagas: sagas.into_iter().map(by_name).collect(),
            permits,
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        engine.keep_time();
        Ok(engine)
    }

    /// Starts a saga: one append of the domain events, its start, and its first attempt if that can begin at once.
    pub async fn start(
        &self,
        saga: &str,
        id: Uuid,
        input: Value,
        domain: Vec<StreamAppend>,
    ) -> Result<Running, StartError> {
        if self.inner.stopping.is_cancelled() {
            return Err(StartError::Stopping);
        }
        let newest = self
            .inner
            .newest(saga)
            .ok_or_else(|| StartError::NoSuchSaga(saga.to_owned()))?;
        let slot = self
            .inner
            .registry
            .enter(id)
            .map_err(|_| StartError::Exists)?;
        let snapshots = slot.publish.subscribe();
        let at = self.inner.clock.now();
        let started = SagaStarted {
            saga: saga.to_owned(),
            version: newest.version(),
            input,
            at,
        };
        let (answer, opened) = oneshot::channel();
        self.spawn(
            id,
            slot,
            Opening::New(Box::new(New {
                saga: newest,
                started,
                domain,
                answer,
            })),
            None,
        );
        match opened.await {
            Ok(Ok(())) => Ok(Running {
                engine: self.clone(),
                id,
                snapshots,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Append(AppendError::Unknown)),
        }
    }

    /// The saga as it is and as it goes on; gives it a task if it has none.
    pub async fn follow(&self, id: Uuid) -> Result<Running, LoadError> {
        let mut snapshots = match self.inner.registry.enter(id) {
            Err(live) => {
                // It may have rested for want of an audience; who works on the saga elsewhere is followed for one.
                let snapshots = live.publish.subscribe();
                live.inbox.ring();
                snapshots
            }
            Ok(slot) => {
                let snapshots = slot.publish.subscribe();
                self.spawn(id, slot, Opening::Found, None);
                snapshots
            }
        };
        let loaded = snapshots
            .wait_for(|snapshot| snapshot.version.0 > 0)
            .await
            .is_ok();
        if !loaded {
            let (found, _) = Snapshot::load(&self.inner.store, id).await?;
            self.inner.saga(&found.state.saga, found.state.version)?;
            return Err(LoadError::Read(ReadError::Unavailable(
                "the saga's task has ended".to_owned(),
            )));
        }
        Ok(Running {
            engine: self.clone(),
            id,
            snapshots,
        })
    }

    /// Sagas that have a task here.
    pub fn live(&self) -> usize {
        self.inner.registry.len()
    }

    /// The definition behind a saga of that name and version, if this build has it.
    pub fn saga(&self, name: &str, version: u32) -> Option<Arc<dyn Saga>> {
        self.inner.saga(name, version).ok()
    }

    /// Whether that saga has a task here.
    pub fn is_live(&self, id: Uuid) -> bool {
        self.inner.registry.get(id).is_some()
    }

    /// Stops: no attempt begins any more; those in flight are waited for, at most this long, and then left to whoever takes
    /// over after their deadlines. `true`: nothing was left.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        let finished = tokio::time::timeout(grace, self.inner.tasks.wait())
            .await
            .is_ok();
        self.halt();
        finished
    }

    /// Ends everything where it stands, as a crash would.
    pub fn halt(&self) {
        self.inner.stopping.cancel();
        self.inner.halted.cancel();
    }

    /// Runs this beside the sagas until the engine stops. It is not meant to end before; if it does, [`Engine::ended`] tells.
    pub fn accompany(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.inner.stopping.clone();
        let running = self.inner.tasks.spawn(async move {
            stopping.run_until_cancelled(work).await;
        });
        lock(&self.inner.companions).push((name, running.abort_handle()));
    }

    /// Runs this until it comes to its end, or the engine to its own.
    pub fn aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.inner.stopping.clone();
        self.inner.tasks.spawn(async move {
            stopping.run_until_cancelled(work).await;
        });
    }

    /// Names of what ran beside the sagas and has ended although the engine runs on.
    pub fn ended(&self) -> Vec<&'static str> {
        if self.inner.stopping.is_cancelled() {
            return Vec::new();
        }
        let companions = lock(&self.inner.companions);
        let ended = companions.iter().filter(|(_, task)| task.is_finished());
        ended.map(|(name, _)| *name).collect()
    }

    /// The task keeps the place, if it needs one.
    pub(super) fn spawn(&self, id: Uuid, slot: Slot, opening: Opening, place: Option<Place>) {
        let engine = self.clone();
        self.inner.tasks.spawn(async move {
            let _place = place;
            let inner = Arc::clone(&engine.inner);
            let halted = inner.halted.clone();
            let work =
                AssertUnwindSafe(Task::run(Arc::clone(&inner), id, slot, opening)).catch_unwind();
            match halted.run_until_cancelled(work).await {
                Some(Ok(())) => return,
                // Whoever waits for a saga that goes no further here is to hear of it.
                None => return inner.registry.remove(id, Rest::default()),
                Some(Err(_)) => {}
            }
            // One bad saga never stops another: whatever it was, it is looked at again from the log.
            meter::panic("task");
            inner.registry.remove(id, Rest::default());
            let at = inner.clock.now() + span(AFTER_PANIC);
            inner.timers.arm(Errand::Call, id, at);
        });
    }
}

impl Inner {
    pub(super) fn saga(&self, name: &str, version: u32) -> Result<Arc<dyn Saga>, LeftAlone> {
        let known = self
            .sagas
            .iter()
            .find(|((known, v), _)| *known == name && *v == version);
        known
            .map(|(_, saga)| Arc::clone(saga))
            .ok_or_else(|| LeftAlone::UnknownSaga {
                saga: name.to_owned(),
                version,
            })
    }

    fn newest(&self, name: &str) -> Option<Arc<dyn Saga>> {
        let versions = self.sagas.values().filter(|saga| saga.name() == name);
        versions.max_by_key(|saga| saga.version()).cloned()
    }

    pub(super) fn permits(&self, saga: &dyn Saga, step: &'static str) -> Option<&Arc<Semaphore>> {
        self.permits.get(&(saga.name(), saga.version(), step))
    }
}
