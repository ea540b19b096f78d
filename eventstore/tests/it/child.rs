//! Child processes: this test binary run again, told by variables what to do and which log to use.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use eventstore::testing::TestLog;
use eventstore::{EventStore, Expected, Location, Options, Version};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{order, to};

const ROLE: &str = "EVENTSTORE_CHILD_ROLE";
const PLACE: &str = "EVENTSTORE_CHILD_LOG";
/// The test below, which is what a child runs.
const ENTRY: &str = "child::a_child_process_does_what_it_was_started_for";

/// What a child is started for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// So many writers append one event after the other, each to its own streams, and say what they do.
    Write { writers: usize, appends: usize },
    /// Migrate and say so.
    Migrate,
    /// Open the log for writing and say how that went.
    Open,
    /// Open the log for reading and say how many events it has.
    Read,
}

impl Role {
    fn to_variable(self) -> String {
        match self {
            Role::Write { writers, appends } => format!("write {writers} {appends}"),
            Role::Migrate => "migrate".to_owned(),
            Role::Open => "open".to_owned(),
            Role::Read => "read".to_owned(),
        }
    }

    fn from_variable(text: &str) -> Role {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["write", writers, appends] => Role::Write {
                writers: writers.parse().expect("a number"),
                appends: appends.parse().expect("a number"),
            },
            ["migrate"] => Role::Migrate,
            ["open"] => Role::Open,
            ["read"] => Role::Read,
            _ => panic!("not a role: {text}"),
        }
    }
}

/// A child and the lines it says. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(role: Role, log: &TestLog) -> Process {
        let place = match log {
            TestLog::Postgres(database) => database.url(),
            TestLog::Sqlite(dir) => dir.path().display().to_string(),
        };
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command
            .args([ENTRY, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role.to_variable())
            .env(PLACE, place);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a child process starts");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        Process { child, said }
    }

    /// The next thing it says; `None` when it has ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let line = self.said.next_line().await.expect("readable output")?;
            // The harness prints lines of its own, one of them without an end.
            if let Some((_, said)) = line.split_once("child: ") {
                return Some(said.to_owned());
            }
        }
    }

    /// Kills it at once, as with `kill -9`. What it had said before can still be read.
    pub(crate) fn kill(&mut self) {
        self.child.start_kill().expect("killed");
    }

    pub(crate) async fn wait(&mut self) {
        self.child.wait().await.expect("ended");
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // One write per line: what a killed process has said must not end in half a line that reads like a whole one.
    out.write_all(format!("child: {line}.\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_process_does_what_it_was_started_for() {
    let (Ok(role), Ok(place)) = (std::env::var(ROLE), std::env::var(PLACE)) else {
        return;
    };
    let location = if place.starts_with("postgres") {
        Location::postgres(place)
    } else {
        Location::sqlite(place)
    };
    match Role::from_variable(&role) {
        Role::Write { writers, appends } => {
            let store = EventStore::open(&location, Options::default())
                .await
                .expect("opened");
            let store = Arc::new(store);
            let tasks: Vec<_> = (0..writers)
                .map(|_| tokio::spawn(write(Arc::clone(&store), appends)))
                .collect();
            for task in tasks {
                task.await.expect("a writer finishes");
            }
        }
        Role::Migrate => {
            let report = EventStore::migrate(&location).await.expect("migrated");
            say(&format!("applied {}", report.applied.len()));
        }
        Role::Open => match EventStore::open(&location, Options::default()).await {
            Ok(_) => say("opened"),
            Err(error) => say(&format!("{error:?}")),
        },
        Role::Read => {
            let options = Options {
                access: eventstore::Access::ReadOnly,
                ..Options::default()
            };
            let store = EventStore::open(&location, options).await.expect("opened");
            say(&format!("head {}", store.head().await.expect("head")));
        }
    }
}

/// Each stream gets three events, then comes a new one; what is asked for and what is acknowledged is said in between.
async fn write(store: Arc<EventStore>, appends: usize) {
    let mut stream = order();
    for nth in 0..appends {
        let before = (nth % 3) as i64;
        if before == 0 {
            stream = order();
        }
        let expected = if before == 0 {
            Expected::NoStream
        } else {
            Expected::At(Version(before))
        };
        let append = to(&stream, expected, 1);
        let id = append.events[0].event_id;
        say(&format!("sent {id}"));
        store.append(vec![append]).await.expect("stored");
        say(&format!("stored {id}"));
    }
}
