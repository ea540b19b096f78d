//! The sagas that have a task in this process, and how to reach them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::meter;
use super::view::Snapshot;

/// What a saga's task was told since it last listened. Wake-ups coalesce.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    news: Mutex<News>,
    bell: Notify,
}

#[derive(Debug, Default)]
pub(super) struct News {
    /// Somebody else may have written to the log.
    pub(super) reload: bool,
    /// Steps that somebody says are worth a look.
    pub(super) look: Vec<String>,
}

impl News {
    fn is_empty(&self) -> bool {
        !self.reload && self.look.is_empty()
    }
}

impl Inbox {
    pub(super) fn tell(&self, step: Option<&str>) {
        {
            let mut news = lock(&self.news);
            match step {
                None => news.reload = true,
                Some(step) if !news.look.iter().any(|known| known == step) => {
                    news.look.push(step.to_owned())
                }
                Some(_) => {}
            }
        }
        self.bell.notify_one();
    }

    pub(super) fn take(&self) -> News {
        std::mem::take(&mut lock(&self.news))
    }

    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// One saga that has a task here.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) inbox: Arc<Inbox>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Registry {
    live: Mutex<HashMap<Uuid, Live>>,
}

/// What a new task is given.
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
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::empty(id)));
        let inbox = Arc::new(Inbox::default());
        live.insert(
            id,
            Live {
                inbox: Arc::clone(&inbox),
                snapshots,
            },
        );
        meter::live(live.len());
        Ok(Slot { inbox, publish })
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
        meter::live(live.len());
        true
    }

    /// Takes the saga out, whatever it was told.
    pub(super) fn remove(&self, id: Uuid) {
        let mut live = lock(&self.live);
        live.remove(&id);
        meter::live(live.len());
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.live).len()
    }
}

/// No code that holds these locks can panic half way through a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
