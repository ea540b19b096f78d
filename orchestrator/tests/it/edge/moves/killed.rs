//! Exports and imports that are killed, again and again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eventstore::testing::TestLog;
use eventstore::{EventStore, Location, OpenError, Options};
use secrecy::ExposeSecret;
use tokio_postgres::NoTls;

use super::super::child::{complaint, with};
use super::super::server::PATIENCE;
use super::{fill, on, part, text, told};
use crate::soak;

/// Events of the log. A process must still be at it when it is killed.
const EVENTS: usize = 600_000;
/// Kills that must hit for the check to prove anything.
const KILLS: usize = 3;
/// A process that was done before it was hit proves nothing. It is tried again, so often at most.
const TRIES: usize = 5;
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(1);

/// A process that is killed with this.
struct Doomed(Child);

impl Doomed {
    fn start(command: &mut Command) -> Doomed {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Doomed(child.expect("it starts"))
    }

    /// Whether it has ended by itself, which it does only when it is done.
    fn has_ended(&mut self) -> bool {
        let status = self.0.try_wait().expect("its status");
        assert!(status.is_none_or(|it| it.success()), "{status:?}");
        status.is_some()
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        // Gone already, if it was faster than the kill.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What comes of the first try that hits a process at its work.
async fn hit<T>(mut one: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..TRIES {
        if let Some(hit) = one().await {
            return hit;
        }
    }
    panic!("it was done before it was hit, each time");
}

/// Starts it again and again, and kills it each time that it has got on. `reached` tells how far it is; gives whether each kill
/// came before it was whole.
async fn kill(
    start: impl Fn() -> Command,
    reached: impl AsyncFn() -> u64,
    is_whole: impl AsyncFn() -> bool,
) -> bool {
    let deadline = Instant::now() + 2 * PATIENCE;
    for _ in 0..KILLS {
        let before = reached().await;
        let mut process = Doomed::start(&mut start());
        while reached().await <= before {
            assert!(Instant::now() < deadline, "it does not get on");
            if process.has_ended() {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        if process.has_ended() {
            return false;
        }
        drop(process);
        if is_whole().await {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_killed_again_and_again_comes_to_the_same_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for log in [TestLog::sqlite(), TestLog::postgres()] {
        drop(fill(&log, soak::size(EVENTS)).await);
        let [whole, file] = ["whole.gz", "killed.gz"].map(|name| folder.path().join(name));
        let from = || on(&log.location(), folder.path());
        told(from(), &["log", "export", "--out", text(&whole)]);
        let export = ["log", "export", "--resume", "--out", text(&file)];
        let start = || with(from(), &export);
        let size = async || std::fs::metadata(part(&file)).map_or(0, |file| file.len());
        hit(async || {
            let killed = kill(&start, &size, async || file.exists()).await;
            if !killed {
                // From the beginning.
                std::fs::remove_file(&file).expect("it was done");
            }
            killed.then_some(())
        })
        .await;
        assert!(!file.exists(), "it has no name before it is whole");
        told(from(), &export);
        assert!(std::fs::read(&whole).expect("read") == std::fs::read(&file).expect("read"));
        std::fs::remove_file(whole)
            .and_then(|()| std::fs::remove_file(file))
            .expect("removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_again_and_again_is_opened_by_nobody_until_it_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, soak::size(EVENTS)).await);
    let file = folder.path().join("log.gz");
    let exported = told(
        on(&log.location(), folder.path()),
        &["log", "export", "--out", text(&file)],
    );
    let import = ["log", "import", "--in", text(&file)];
    for make in [TestLog::sqlite as fn() -> TestLog, TestLog::postgres] {
        let half = async || half_imported(make(), folder.path(), &import).await;
        let (copy, below) = hit(half).await;
        let location = copy.location();
        let to = || on(&location, folder.path());
        let opened = EventStore::open(&location, Options::default()).await;
        assert!(matches!(opened, Err(OpenError::HalfImport)), "{opened:?}");
        let before = below.head().await;
        let imported = told(to(), &import);
        assert_eq!(imported["content"], exported["content"]);
        assert_eq!(imported["added"], soak::size(EVENTS) as u64 - before);
        let out = folder.path().join("copy.gz");
        let copied = told(to(), &["log", "export", "--out", text(&out)]);
        assert_eq!(copied["content"], exported["content"]);
        std::fs::remove_file(out).expect("removed");
    }
}

/// A log into which an import was begun and killed again and again; nothing where it was whole before.
async fn half_imported(copy: TestLog, folder: &Path, import: &[&str]) -> Option<(TestLog, Below)> {
    let location = copy.location();
    EventStore::migrate(&location).await.expect("migrated");
    let below = Below::of(&location).await;
    let start = || with(on(&location, folder), import);
    let is_whole = async || {
        below.is_free().await;
        let opened = EventStore::open(&location, Options::default()).await;
        opened.is_ok()
    };
    let killed = kill(start, async || below.head().await, is_whole).await;
    killed.then_some((copy, below))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_interrupted_is_told_how_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, soak::size(EVENTS)).await);
    let file = folder.path().join("log.gz");
    let export = ["log", "export", "--resume", "--out", text(&file)];
    let size = async || std::fs::metadata(part(&file)).map_or(0, |file| file.len());
    let said = hit(async || {
        let command = with(on(&log.location(), folder.path()), &export);
        let said = interrupt(command, &size).await;
        if said.is_none() {
            // From the beginning.
            std::fs::remove_file(&file).expect("it was done");
        }
        said
    });
    let said = said.await;
    assert!(said.contains("--resume goes on with"), "{said}");
    told(on(&log.location(), folder.path()), &export);

    let import = ["log", "import", "--in", text(&file)];
    let interrupted = hit(async || {
        let copy = TestLog::sqlite();
        let location = copy.location();
        EventStore::migrate(&location).await.expect("migrated");
        let below = Below::of(&location).await;
        let command = with(on(&location, folder.path()), &import);
        let said = interrupt(command, async || below.head().await).await;
        said.map(|said| (said, copy))
    });
    let (said, copy) = interrupted.await;
    assert!(said.contains("the same command goes on there"), "{said}");
    let imported = told(on(&copy.location(), folder.path()), &import);
    assert_eq!(imported["events"], soak::size(EVENTS));
}

/// Interrupts it as Ctrl-C does once it has got on, and gives what it says; nothing where it was done before.
async fn interrupt(mut command: Command, reached: impl AsyncFn() -> u64) -> Option<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    let mut has_ended = false;
    while !has_ended && reached().await == 0 {
        assert!(Instant::now() < deadline, "it does not get on");
        tokio::time::sleep(LOOK).await;
        has_ended = child.try_wait().expect("its status").is_some();
    }
    if !has_ended {
        let id = i32::try_from(child.id()).expect("a process id");
        let process = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it is there");
    }
    let output = child.wait_with_output().expect("it ends");
    let said = complaint(&output);
    if output.status.success() {
        return None;
    }
    assert_eq!(output.status.code(), Some(130), "{said}");
    Some(said)
}

/// A log that nobody opens, seen from below.
enum Below {
    Sqlite(PathBuf),
    Postgres(tokio_postgres::Client),
}

impl Below {
    async fn of(location: &Location) -> Below {
        match location {
            Location::Sqlite { dir } => Below::Sqlite(dir.join("events.db")),
            Location::Postgres { url } => {
                let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls)
                    .await
                    .expect("connected");
                tokio::spawn(connection);
                Below::Postgres(client)
            }
        }
    }

    /// How far it is.
    async fn head(&self) -> u64 {
        const HEAD: &str = "SELECT position FROM log_head";
        let head: i64 = match self {
            Below::Sqlite(file) => {
                let connection = rusqlite::Connection::open(file).expect("opened");
                connection.busy_timeout(PATIENCE).expect("set");
                let head = connection.query_row(HEAD, [], |row| row.get(0));
                head.expect("read")
            }
            Below::Postgres(client) => client.query_one(HEAD, &[]).await.expect("read").get(0),
        };
        u64::try_from(head).expect("a position")
    }

    /// Waits until nobody writes it: Postgres may learn late that a process is gone, and stores until then what that has sent.
    async fn is_free(&self) {
        const TURNS: &str = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
             WHERE l.locktype = 'advisory' AND d.datname = current_database()";
        let Below::Postgres(client) = self else {
            return;
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let turns = client.query_one(TURNS, &[]).await.expect("read");
            if turns.get::<_, i64>(0) == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "somebody writes it still");
            tokio::time::sleep(LOOK).await;
        }
    }
}
