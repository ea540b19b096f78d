//! The writer thread: takes what is waiting, stores it in one transaction, and answers after the commit.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::append;
use super::fault::Fault;
use crate::batch;
use crate::error::AppendError;
use crate::event::Appended;
use crate::hint::Hint;
use crate::position::Position;
use crate::request::Pending;
use crate::stats::Counters;

/// Work for the writer thread.
pub(crate) enum Job {
    Append(Pending),
    /// Any other write. What it returns is called with the outcome of the commit.
    Write(Box<dyn FnOnce(&Connection) -> Answer + Send>),
}

/// Tells a waiting caller how the commit went.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), Fault>) + Send>;

struct Writer {
    connection: Connection,
    head: Position,
    hint: Arc<Hint>,
    counters: Arc<Counters>,
    /// Held for as long as this thread can write.
    _lock: File,
}

pub(super) fn spawn(
    connection: Connection,
    lock: File,
    head: Position,
    hint: Arc<Hint>,
    counters: Arc<Counters>,
) -> std::io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel(batch::QUEUE);
    counters.set_reachable(true);
    let writer = Writer {
        connection,
        head,
        hint,
        counters,
        _lock: lock,
    };
    std::thread::Builder::new()
        .name("eventstore-writer".to_owned())
        .spawn(move || writer.run(jobs))?;
    Ok(sender)
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut bytes = size(&first);
            let mut group = vec![first];
            while batch::has_room(group.len(), bytes) {
                let Ok(next) = jobs.try_recv() else { break };
                bytes += size(&next);
                group.push(next);
            }
            self.counters.set_round(Some(Instant::now()));
            self.commit(group);
            self.counters.set_round(None);
        }
    }

    fn commit(&mut self, group: Vec<Job>) {
        self.counters.set_busy(true);
        let before = self.head;
        let mut answers = Answers::default();
        let stored = self.store(group, &mut answers);
        let outcome = stored.and_then(|()| {
            self.connection
                .execute_batch("COMMIT")
                .map_err(|e| Fault::of_commit(&e))
        });
        match &outcome {
            Ok(()) => {
                Counters::count(&self.counters.commits, 1);
                self.hint.advance(self.head);
            }
            Err(fault) => {
                self.head = before;
                self.roll_back(fault);
            }
        }
        self.counters.set_busy(false);
        answers.send(&outcome, &self.counters);
    }

    fn begin(&self) -> Result<(), Fault> {
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|e| Fault::before_commit(&e))
    }

    /// Runs every job. A job that fails is answered; an error of the database ends the whole group.
    fn store(&mut self, group: Vec<Job>, answers: &mut Answers) -> Result<(), Fault> {
        let mut outcome = self.begin();
        for job in group {
            match job {
                Job::Append(pending) if outcome.is_err() => answers.appends.push((pending, None)),
                Job::Append(pending) if pending.claim() => {
                    let result = append::store(&self.connection, self.head, &pending.streams);
                    let result = result
                        .map_err(|error| outcome = Err(Fault::before_commit(&error)))
                        .ok();
                    if let Some(Ok(appended)) = &result {
                        self.head = appended.last;
                    }
                    answers.appends.push((pending, result));
                }
                Job::Append(_withdrawn) => {}
                // Dropped unrun, which its caller takes for a failure.
                Job::Write(_) if outcome.is_err() => {}
                Job::Write(work) => answers.writes.push(work(&self.connection)),
            }
            // Without this, what follows an error that ended the transaction would commit one by one.
            if outcome.is_ok() && self.connection.is_autocommit() {
                outcome = Err(Fault::NotStored(
                    "the transaction was ended by an error".to_owned(),
                ));
            }
        }
        outcome?;
        append::set_head(&self.connection, self.head).map_err(|e| Fault::before_commit(&e))
    }

    fn roll_back(&self, fault: &Fault) {
        tracing::error!(?fault, "event store: a group of writes was not stored");
        // Some errors end the transaction by themselves.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "event store: the rollback failed");
        }
    }
}

#[derive(Default)]
struct Answers {
    appends: Vec<(Pending, Option<Result<Appended, AppendError>>)>,
    writes: Vec<Answer>,
}

impl Answers {
    fn send(self, outcome: &Result<(), Fault>, counters: &Counters) {
        for write in self.writes {
            write(outcome.clone());
        }
        for (pending, result) in self.appends {
            let answer = match (outcome, result) {
                (Ok(()), Some(result)) => result,
                (Ok(()), None) => Err(AppendError::Unknown),
                // Also a conflict: it may have been with a neighbour that is not stored now.
                (Err(fault), _) => Err(AppendError::from(fault.clone())),
            };
            count(&answer, &pending, counters);
            pending.answer(answer);
        }
    }
}

fn count(answer: &Result<Appended, AppendError>, pending: &Pending, counters: &Counters) {
    match answer {
        Ok(_) => {
            Counters::count(&counters.appends, 1);
            Counters::count(&counters.events, pending.event_count());
        }
        Err(AppendError::Conflict { .. }) => Counters::count(&counters.conflicts, 1),
        Err(AppendError::Full(_)) => Counters::count(&counters.full, 1),
        Err(_) => {}
    }
}

fn size(job: &Job) -> usize {
    match job {
        Job::Append(pending) => pending.bytes,
        Job::Write(_) => 0,
    }
}
