//! One verb for many sagas: at a bounded rate, a few first, and never in the dark about what came of it.
//!
//! Each saga gets an event of its own, decided on its own log; one that has moved since it was selected is left as it is. Ending
//! early leaves no saga half done: what is begun is in the log, the rest is untouched.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::aftermath::Aftermath;
use super::engine::Engine;
use super::verbs::{Request, Selection, Verb, VerbError};

/// Sagas that are watched at once. Each holds a task of the engine; at the highest rate this is a few seconds of them.
const AT_ONCE: usize = 256;

/// What is to be done to many sagas.
#[derive(Debug, Clone)]
pub struct Bulk {
    /// What.
    pub verb: Verb,
    /// At which step; without one at the step that each hangs on.
    pub step: Option<String>,
    /// Only to those that are still like this.
    pub only: Selection,
    /// Who, and why.
    pub request: Request,
    /// Between two sagas.
    pub every: Duration,
    /// So many are done first; the rest only if all of these went well.
    pub canary: usize,
    /// How long each is watched.
    pub patience: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What is told while it goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// This saga's turn has come.
    Begun(Uuid),
    /// What came of it.
    Ended {
        /// The saga.
        id: Uuid,
        /// One of the first.
        canary: bool,
        /// What.
        fate: Fate,
    },
}

/// What came of one saga.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It would be done, at this step.
    Would(Option<String>),
    /// It was done, and this followed.
    Went(Aftermath),
    /// It was not done; after [`VerbError::Unknown`] it may have been.
    Not(VerbError),
}

impl Fate {
    /// Nobody has to look at the saga again because of what was asked.
    #[must_use]
    pub fn is_well(&self) -> bool {
        match self {
            // Somebody else was faster with a saga that has moved.
            Self::Would(_) | Self::Not(VerbError::Moved) => true,
            Self::Went(aftermath) => aftermath.end.is_well(),
            Self::Not(_) => false,
        }
    }
}

/// Why it ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// One of the first did not go well.
    Canary,
    /// Somebody told it to stop, or nobody listens any more.
    Told,
}

impl Bulk {
    /// Does it, and tells what happens to whoever listens.
    pub async fn run(
        &self,
        engine: &Engine,
        mut sagas: impl Iterator<Item = Uuid> + Send,
        news: &mpsc::Sender<News>,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        // A timer of no time at all would panic; a rehearsal that only reads needs no pace.
        let mut pace = interval(self.every.max(Duration::from_millis(1)));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first: Vec<Uuid> = sagas.by_ref().take(self.canary).collect();
        let wave = Wave {
            bulk: self,
            engine,
            news,
            stop,
        };
        if !wave.pass(first.into_iter(), true, &mut pace).await? {
            return Err(Stopped::Canary);
        }
        wave.pass(sagas, false, &mut pace).await?;
        Ok(())
    }
}

struct Wave<'a> {
    bulk: &'a Bulk,
    engine: &'a Engine,
    news: &'a mpsc::Sender<News>,
    stop: &'a CancellationToken,
}

impl Wave<'_> {
    /// Whether all of these went well.
    async fn pass(
        &self,
        mut sagas: impl Iterator<Item = Uuid> + Send,
        canary: bool,
        pace: &mut Interval,
    ) -> Result<bool, Stopped> {
        let mut under_way: FuturesUnordered<BoxFuture<'_, (Uuid, Fate)>> = FuturesUnordered::new();
        let mut well = true;
        let mut next = sagas.next();
        let told = self.told();
        tokio::pin!(told);
        let mut stopped = false;
        while next.is_some() || !under_way.is_empty() {
            let room = next.is_some() && under_way.len() < AT_ONCE;
            tokio::select! {
                biased;
                () = &mut told, if !stopped => (stopped, next) = (true, None),
                Some((id, fate)) = under_way.next() => {
                    well &= fate.is_well();
                    self.tell(News::Ended { id, canary, fate }).await;
                }
                _ = pace.tick(), if room => {
                    if let Some(id) = std::mem::replace(&mut next, sagas.next()) {
                        self.tell(News::Begun(id)).await;
                        under_way.push(Box::pin(async move { (id, self.one(id).await) }));
                    }
                }
            }
        }
        if stopped {
            Err(Stopped::Told)
        } else {
            Ok(well)
        }
    }

    async fn one(&self, id: Uuid) -> Fate {
        let Bulk {
            verb,
            step,
            only,
            request,
            ..
        } = self.bulk;
        let step = step.as_deref();
        if self.bulk.dry_run {
            let would = self.engine.rehearse(id, verb, step, only, request).await;
            return would.map_or_else(Fate::Not, Fate::Would);
        }
        let taken = match self.engine.act(id, verb, step, only, request).await {
            Ok(taken) => taken,
            Err(error) => return Fate::Not(error),
        };
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(self.bulk.patience) => {}
                () = self.told() => {}
            }
        };
        Fate::Went(self.engine.aftermath(id, &taken, patience).await)
    }

    async fn told(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.news.closed() => {}
        }
    }

    /// Nobody listening is no reason to leave the account of what is begun.
    async fn tell(&self, news: News) {
        drop(self.news.send(news).await);
    }
}
