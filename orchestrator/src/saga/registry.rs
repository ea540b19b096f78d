//! The sagas that have a task in this process, and how to reach them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dispatch::Rest;
use super::meter;
use super::view::Snapshot;

/// What a saga's task was told since it last listened. Wake-ups coalesce.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    news: Mutex<News>,
    bell: Notify,
    /// The task has ended, and how.
    ended: CancellationToken,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
pub(super) struct News {
    /// Somebody else may have written to the log.
    pub(super) reload: bool,
    /// Steps that somebody says are worth a look.
    pub(super) look: Vec<String>,
    /// Those of them that are others' to look at, none of whom can be told.
    pub(super) lent: Vec<String>,
}

/// What a saga's task is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word<'a> {
    /// Somebody else may have written to the log.
    Reload,
    /// This step is worth a look, by whoever begins it.
    Look(&'a str),
    /// This step is worth a look, and nobody else can be told.
    LookHere(&'a str),
}

impl News {
    fn is_empty(&self) -> bool {
        !self.reload && self.look.is_empty()
    }
}

impl Inbox {
    pub(super) fn tell(&self, word: Word<'_>) {
        {
            let mut news = lock(&self.news);
            match word {
                Word::Reload => news.reload = true,
                Word::Look(step) => note(&mut news.look, step),
                Word::LookHere(step) => {
                    // Those who would look otherwise have brought the saga to where it is.
                    news.reload = true;
                    note(&mut news.look, step);
                    note(&mut news.lent, step);
                }
            }
        }
        self.bell.notify_one();
    }

    pub(super) fn take(&self) -> News {
        std::mem::take(&mut lock(&self.news))
    }

    /// Has the task look up although there is no news.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Before the task ends: how it leaves the saga.
    pub(super) fn rests(&self, how: Rest) {
        *lock(&self.rest) = how;
    }

    /// Resolves when the task has ended.
    pub(super) async fn ended(&self) -> Rest {
        self.ended.cancelled().await;
        *lock(&self.rest)
    }
}

/// One saga that has a task here.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) inbox: Arc<Inbox>,
    /// Whoever waits for the saga subscribes here, and nobody else does: a task sees when its last listener has gone.
    pub(super) publish: watch::Sender<Arc<Snapshot>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Registry {
    live: Mutex<HashMap<Uuid, Live>>,
}

/// What a new task is given.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) inbox: Arc<Inbox>,
    pub(super) publish: watch::Sender<Arc<Snapshot>>,
}

impl Registry {
    /// The task of that saga, or a slot for the caller to start one.
    pub(super) fn enter(&self, id: Uuid) -> Result<Slot, Live> {
        let mut live = lock(&self.live);
        if let Some(known) = live.get(&id) {
            return Err(known.clone());
        }
        Ok(open(&mut live, id))
    }

    /// Tells the saga's task, or gives the caller a slot to start one with. In one piece: a task does not end between being found
    /// and being told.
    pub(super) fn tell(&self, id: Uuid, word: Word<'_>) -> Result<Arc<Inbox>, Slot> {
        let mut live = lock(&self.live);
        if let Some(known) = live.get(&id) {
            known.inbox.tell(word);
            return Ok(Arc::clone(&known.inbox));
        }
        let slot = open(&mut live, id);
        // A new task reads the log anyway.
        if !matches!(word, Word::Reload) {
            slot.inbox.tell(word);
        }
        Err(slot)
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Live> {
        lock(&self.live).get(&id).cloned()
    }

    /// Takes the saga out, unless it was told something in between.
    pub(super) fn leave(&self, id: Uuid, inbox: &Inbox) -> bool {
        let mut live = lock(&self.live);
        if !lock(&inbox.news).is_empty() {
            return false;
        }
        live.remove(&id);
        inbox.ended.cancel();
        meter::live(live.len());
        true
    }

    /// Takes the saga out, whatever it was told.
    pub(super) fn remove(&self, id: Uuid, how: Rest) {
        let mut live = lock(&self.live);
        if let Some(removed) = live.remove(&id) {
            removed.inbox.rests(how);
            removed.inbox.ended.cancel();
        }
        meter::live(live.len());
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.live).len()
    }
}

fn note(steps: &mut Vec<String>, step: &str) {
    if !steps.iter().any(|known| known == step) {
        steps.push(step.to_owned());
    }
}

fn open(live: &mut HashMap<Uuid, Live>, id: Uuid) -> Slot {
    let publish = watch::Sender::new(Arc::new(Snapshot::empty(id)));
    let inbox = Arc::new(Inbox::default());
    let entry = Live {
        inbox: Arc::clone(&inbox),
        publish: publish.clone(),
    };
    live.insert(id, entry);
    meter::live(live.len());
    Slot { inbox, publish }
}

/// No code that holds these locks can panic half way through a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
