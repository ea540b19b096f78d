//! The appender: sends what is waiting as one batch, one batch at a time, and gets over whatever happens to its connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::connect::Target;
use super::fault::Failure;
use super::reply::Reply;
use super::session::Session;
use super::settle::{self, Lost};
use crate::batch;
use crate::error::AppendError;
use crate::event::Appended;
use crate::hint::Hint;
use crate::invalid::InvalidEvent;
use crate::position::Position;
use crate::request::Pending;
use crate::stats::Counters;

pub(super) struct Appender {
    target: Target,
    session: Option<Session>,
    queue: mpsc::Receiver<Pending>,
    /// Taken from the queue, not yet sent.
    backlog: VecDeque<Pending>,
    /// Sent over a connection that is gone, outcome not known yet.
    lost: Option<Lost>,
    /// So many appends at the front of the backlog travel alone: one of them spoiled the batch they were in.
    alone: usize,
    /// The log reached at least here when the last reply came.
    known: Position,
    hint: Arc<Hint>,
    counters: Arc<Counters>,
}

/// Why the appender has to pause.
struct Trouble(String);

impl Appender {
    pub(super) fn new(
        target: Target,
        session: Session,
        queue: mpsc::Receiver<Pending>,
        hint: Arc<Hint>,
        counters: Arc<Counters>,
    ) -> Self {
        let known = session.head;
        let (backlog, session) = (VecDeque::new(), Some(session));
        Appender {
            target,
            session,
            queue,
            backlog,
            lost: None,
            alone: 0,
            known,
            hint,
            counters,
        }
    }

    /// Runs until every handle on the store is gone and everything is answered.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new();
        while self.wait_for_work().await {
            self.counters.set_round(Some(Instant::now()));
            let done = self.round().await;
            self.counters.set_round(None);
            match done {
                Ok(()) => {
                    self.counters.set_reachable(true);
                    backoff.reset();
                }
                Err(Trouble(reason)) => {
                    self.counters.set_reachable(false);
                    tracing::warn!(reason, "event store: appends are waiting");
                    // Those whose callers have given up must not keep others out of the queue.
                    self.backlog.retain(|pending| !pending.is_abandoned());
                    backoff.pause().await;
                }
            }
        }
    }

    async fn wait_for_work(&mut self) -> bool {
        self.lost.take_if(|lost| lost.is_abandoned());
        if self.backlog.is_empty() && self.lost.is_none() {
            let Some(first) = self.queue.recv().await else {
                return false;
            };
            self.backlog.push_back(first);
            // The callers of the last batch have just been woken: let them get their next append in.
            tokio::task::yield_now().await;
        }
        while self.backlog.len() < batch::APPENDS_MAX {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            self.backlog.push_back(next);
        }
        true
    }

    /// Sends one batch.
    async fn round(&mut self) -> Result<(), Trouble> {
        self.connect().await?;
        let batch = self.take_batch();
        let Some(session) = self.session.as_ref().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        self.counters.set_busy(true);
        let reply = session.append(&batch).await;
        self.counters.set_busy(false);
        match reply {
            Ok(reply) => {
                self.deliver(batch, &reply);
                Ok(())
            }
            Err(failure) => self.fail(batch, failure),
        }
    }

    /// Makes sure that there is a connection and that the outcome of everything sent before is known.
    async fn connect(&mut self) -> Result<(), Trouble> {
        if self.session.as_ref().is_some_and(Session::is_closed) {
            self.session = None;
        }
        if self.session.is_none() {
            let session = Session::open(&self.target)
                .await
                .map_err(|e| Trouble(e.to_string()))?;
            Counters::count(&self.counters.reconnects, 1);
            if session.head < self.known {
                tracing::error!(
                    head = session.head.0,
                    known = self.known.0,
                    "event store: the log is shorter than it was"
                );
                self.hint.rewind(session.head);
            }
            self.known = session.head;
            self.session = Some(session);
        }
        let (Some(session), Some(lost)) = (&self.session, &self.lost) else {
            return Ok(());
        };
        match settle::settle(session, lost).await {
            Ok(outcomes) => self.settled(outcomes),
            Err(reason) => {
                self.session = None;
                return Err(Trouble(reason));
            }
        }
        Ok(())
    }

    fn settled(&mut self, outcomes: Vec<Option<Appended>>) {
        let Some(lost) = self.lost.take() else { return };
        Counters::count(&self.counters.settled, lost.batch.len());
        for (pending, outcome) in lost.batch.into_iter().zip(outcomes).rev() {
            match outcome {
                Some(appended) => self.answer(pending, Ok(appended)),
                None => self.give_back(pending),
            }
        }
    }

    fn take_batch(&mut self) -> Vec<Pending> {
        let most = if self.alone > 0 {
            1
        } else {
            batch::APPENDS_MAX
        };
        let (mut batch, mut bytes) = (Vec::with_capacity(self.backlog.len()), 0);
        while batch.len() < most && batch::has_room(batch.len(), bytes) {
            let Some(pending) = self.backlog.pop_front() else {
                break;
            };
            self.alone = self.alone.saturating_sub(1);
            if pending.claim() {
                bytes += pending.bytes;
                batch.push(pending);
            }
        }
        batch
    }

    fn deliver(&mut self, batch: Vec<Pending>, reply: &Reply) {
        Counters::count(&self.counters.commits, 1);
        let outcomes = reply.outcomes(&batch);
        for (pending, outcome) in batch.into_iter().zip(outcomes) {
            self.answer(pending, outcome);
        }
    }

    fn fail(&mut self, batch: Vec<Pending>, failure: Failure) -> Result<(), Trouble> {
        match failure {
            Failure::Lost(reason) => {
                let session = self.session.take().map(|session| session.id);
                self.lost = session.map(|session| Lost {
                    session,
                    after: self.known,
                    batch,
                });
                Err(Trouble(reason))
            }
            Failure::Full(reason) => {
                Counters::count(&self.counters.full, batch.len());
                for pending in batch {
                    self.answer(pending, Err(AppendError::Full(reason.clone())));
                }
                Ok(())
            }
            Failure::Refused(sqlstate) if batch.len() == 1 => {
                for pending in batch {
                    let sqlstate = sqlstate.clone();
                    self.answer(pending, Err(InvalidEvent::Refused { sqlstate }.into()));
                }
                Ok(())
            }
            Failure::Refused(_) => {
                self.alone = batch.len();
                batch
                    .into_iter()
                    .rev()
                    .for_each(|pending| self.give_back(pending));
                Ok(())
            }
            Failure::Disconnect(reason) => {
                self.session = None;
                batch
                    .into_iter()
                    .rev()
                    .for_each(|pending| self.give_back(pending));
                Err(Trouble(reason))
            }
            Failure::Retry(reason) => {
                batch
                    .into_iter()
                    .rev()
                    .for_each(|pending| self.give_back(pending));
                Err(Trouble(reason))
            }
        }
    }

    /// Puts an append that is surely not stored back to the front.
    fn give_back(&mut self, pending: Pending) {
        pending.unclaim();
        self.backlog.push_front(pending);
    }

    fn answer(&mut self, pending: Pending, outcome: Result<Appended, AppendError>) {
        match &outcome {
            Ok(appended) => {
                Counters::count(&self.counters.appends, 1);
                Counters::count(&self.counters.events, pending.event_count());
                self.known = self.known.max(appended.last);
                self.hint.advance(appended.last);
            }
            Err(AppendError::Conflict { .. }) => Counters::count(&self.counters.conflicts, 1),
            Err(_) => {}
        }
        pending.answer(outcome);
    }
}
