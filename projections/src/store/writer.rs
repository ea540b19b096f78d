//! The one thread that writes `views.db`: it takes all waiting jobs and commits them together, each in
//! a savepoint of its own, so that one that fails does not touch its neighbours.

use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;

/// Jobs in one commit. A group is bounded so that the first of it does not wait for ever.
const GROUP_MAX: usize = 64;

/// Jobs that may wait; each caller has at most one, so this is never the limit in practice.
const QUEUE_MAX: usize = 256;

type Reply = Box<dyn FnOnce(Result<(), String>) + Send>;
type Job = Box<dyn FnOnce(Result<&Connection, String>) -> Reply + Send>;

/// A handle to the writer thread, which ends with the last handle.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new()
            .name(String::from("views-writer"))
            .spawn(move || write(&connection, queue))
            .expect("a thread can be started at start-up");
        Self { jobs }
    }

    /// The thread is gone: nothing will be written any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.jobs.is_closed()
    }

    /// Runs a job and answers after its commit. A caller that goes away leaves the job to be done as a
    /// whole or, if it was not queued yet, not at all.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection
                .map_err(StoreError::Group)
                .and_then(|connection| in_savepoint(connection, job));
            Box::new(move |committed| {
                // What the job itself ran into says more than what became of its group.
                let result =
                    result.and_then(|done| committed.map(|()| done).map_err(StoreError::Group));
                // The caller may have gone away; what it asked for is done all the same.
                let _ = answer.send(result);
            })
        });
        self.jobs
            .send(job)
            .await
            .map_err(|_| StoreError::WriterGone)?;
        answered.await.map_err(|_| StoreError::WriterGone)?
    }
}

fn write(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while queue.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        let committed = commit(connection, &mut group);
        for (reply, result) in committed {
            reply(result);
        }
    }
}

/// Runs the group in one transaction and pairs each job's reply with the fate of the commit. Where there
/// is no transaction, because it could not begin or an error has ended it, no job runs.
fn commit(connection: &Connection, group: &mut Vec<Job>) -> Vec<(Reply, Result<(), String>)> {
    let begun = connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(|error| error.to_string());
    let replies: Vec<Reply> = group
        .drain(..)
        .map(|job| match &begun {
            Ok(()) if connection.is_autocommit() => job(Err(String::from("rolled back"))),
            Ok(()) => job(Ok(connection)),
            Err(error) => job(Err(error.clone())),
        })
        .collect();
    let done = begun.and_then(|()| {
        if connection.is_autocommit() {
            return Err(String::from("rolled back with another write, which failed"));
        }
        connection
            .execute_batch("COMMIT")
            .map_err(|error| error.to_string())
    });
    if done.is_err() && !connection.is_autocommit() {
        // A failed rollback leaves the next BEGIN to fail, which is reported to its callers.
        let _ = connection.execute_batch("ROLLBACK");
    }
    replies
        .into_iter()
        .map(|reply| (reply, done.clone()))
        .collect()
}

fn in_savepoint<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT job")?;
    let result = job(connection);
    // An error such as a full disk may have ended the whole transaction, and with it the savepoint.
    if result.is_err() && connection.is_autocommit() {
        return result;
    }
    if result.is_err() {
        connection.execute_batch("ROLLBACK TO job")?;
    }
    connection.execute_batch("RELEASE job")?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_to_whoever_met_it_and_takes_the_group_along() {
        let connection = Connection::open_in_memory().expect("a database");
        let setup = "CREATE TABLE kept (it BLOB); PRAGMA max_page_count = 4";
        connection.execute_batch(setup).expect("set up");
        let (told, heard) = std::sync::mpsc::channel();
        let write = |bytes: u32| -> Job {
            let told = told.clone();
            Box::new(move |connection| {
                let insert = format!("INSERT INTO kept VALUES (zeroblob({bytes}))");
                let result = connection
                    .map_err(StoreError::Group)
                    .and_then(|connection| {
                        in_savepoint(connection, |it| Ok(it.execute_batch(&insert)?))
                    });
                Box::new(move |committed| {
                    let told_so = told.send((result, committed));
                    told_so.expect("somebody listens");
                })
            })
        };
        let mut group = vec![write(10), write(100_000), write(10)];
        for (reply, result) in commit(&connection, &mut group) {
            reply(result);
        }
        let outcomes: Vec<_> = heard.try_iter().collect();
        assert!(
            matches!(
                &outcomes[..],
                [
                    (Ok(()), Err(_)),
                    (Err(StoreError::Sqlite(_)), Err(_)),
                    (Err(_), Err(_))
                ]
            ),
            "{outcomes:?}"
        );
        let (Err(full), _) = &outcomes[1] else {
            unreachable!("just matched")
        };
        let cause = std::error::Error::source(full)
            .expect("a cause")
            .to_string();
        assert!(cause.contains("full"), "{cause}");
        assert!(
            outcomes.iter().all(|(_, group)| *group
                == Err("rolled back with another write, which failed".to_owned()))
        );
        let count: i64 = connection
            .query_row("SELECT count(*) FROM kept", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(count, 0);
    }

    #[tokio::test]
    async fn a_writer_whose_thread_has_died_says_so() {
        let writer = Writer::start(Connection::open_in_memory().expect("a database"));
        writer.run(|_| Ok(())).await.expect("written");
        assert!(!writer.has_ended());
        let answer = writer
            .run(|_| -> Result<(), StoreError> { panic!("planted") })
            .await;
        assert!(matches!(answer, Err(StoreError::WriterGone)));
        writer.jobs.closed().await;
        assert!(writer.has_ended());
    }
}
