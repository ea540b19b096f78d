//! Exports and imports that are killed, again and again.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eventstore::testing::TestLog;
use eventstore::{EventStore, Location, OpenError, Options};
use secrecy::ExposeSecret;
use tokio_postgres::NoTls;

use super::super::child::complaint;
use super::super::server::PATIENCE;
use super::{fill, on, part, text, told};
use crate::soak;

/// Events of the log. A process must still be at it when it is killed.
const EVENTS: usize = 600_000;
/// Kills that must hit for the check to prove anything.
const KILLS: usize = 3;
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

    /// Whether it has ended by itself.
    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("its status").is_some()
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        // Gone already, if it was faster than the kill.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts it again and again, and kills it each time that it has got on. `reached` tells how far it is; gives how often it was
/// killed before it was done.
async fn kill(mut start: impl FnMut() -> Command, reached: impl AsyncFn() -> u64) -> usize {
    let deadline = Instant::now() + 6 * PATIENCE;
    for kills in 0..KILLS {
        let before = reached().await;
        let mut process = Doomed::start(&mut start());
        while reached().await <= before {
            assert!(Instant::now() < deadline, "it does not get on");
            if process.has_ended() {
                return kills;
            }
            tokio::time::sleep(LOOK).await;
        }
        if process.has_ended() {
            return kills;
        }
        drop(process);
    }
    KILLS
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
        let start = || {
            let mut command = from();
            command.args(export);
            command
        };
        let size = async || std::fs::metadata(part(&file)).map_or(0, |file| file.len());
        let kills = kill(start, size).await;
        assert_eq!(kills, KILLS, "it was done before it was killed");
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
    for copy in [TestLog::sqlite(), TestLog::postgres()] {
        let location = copy.location();
        EventStore::migrate(&location).await.expect("migrated");
        let to = || on(&location, folder.path());
        let import = ["log", "import", "--in", text(&file)];
        let start = || {
            let mut command = to();
            command.args(import);
            command
        };
        let below = Below::of(&location).await;
        let kills = kill(start, async || below.head().await).await;
        assert_eq!(kills, KILLS, "it was done before it was killed");
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

#[tokio::test(flavor = "multi_thread")]
async fn who_is_interrupted_is_told_how_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = TestLog::sqlite();
    drop(fill(&log, soak::size(EVENTS)).await);
    let file = folder.path().join("log.gz");
    let export = ["log", "export", "--resume", "--out", text(&file)];
    let mut command = on(&log.location(), folder.path());
    command.args(export);
    let size = async || std::fs::metadata(part(&file)).map_or(0, |file| file.len());
    let said = interrupt(&mut command, size).await;
    assert!(said.contains("--resume goes on with"), "{said}");
    told(on(&log.location(), folder.path()), &export);

    let copy = TestLog::sqlite();
    let location = copy.location();
    EventStore::migrate(&location).await.expect("migrated");
    let import = ["log", "import", "--in", text(&file)];
    let mut command = on(&location, folder.path());
    command.args(import);
    let below = Below::of(&location).await;
    let said = interrupt(&mut command, async || below.head().await).await;
    assert!(said.contains("the same command goes on there"), "{said}");
    let imported = told(on(&location, folder.path()), &import);
    assert_eq!(imported["events"], soak::size(EVENTS));
}

/// Interrupts it as Ctrl-C does once it has got on, and gives what it says.
async fn interrupt(command: &mut Command, reached: impl AsyncFn() -> u64) -> String {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    while reached().await == 0 {
        assert!(Instant::now() < deadline, "it does not get on");
        tokio::time::sleep(LOOK).await;
    }
    let id = i32::try_from(child.id()).expect("a process id");
    let process = rustix::process::Pid::from_raw(id).expect("a process id");
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it is there");
    let output = child.wait_with_output().expect("it ends");
    let said = complaint(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    said
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
}
