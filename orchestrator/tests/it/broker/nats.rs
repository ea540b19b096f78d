//! NATS servers of a test's own, with JetStream, that may be killed, frozen, wiped and put back.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::PATIENCE;
use crate::ports::free_port;
use crate::town::tell_if_it_fails;

/// How often a server is started anew because somebody took the port between the look and the bind.
pub(super) const START_TRIES: u32 = 5;

/// Who may do what at a server that asks who comes. Passwords are as the names.
pub(crate) const USERS: &str = r#"authorization { users: [
    { user: owner, password: owner },
    { user: asker, password: asker, permissions: { publish: "$JS.>" } }
] }"#;

/// One of them.
pub(crate) const MAY_DO_ALL: &str = "owner";

/// Another one: it may ask for anything, and publish nothing.
pub(crate) const MAY_NOT_PUBLISH: &str = "asker";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// The oldest that is supported.
    Old,
    /// A recent one.
    New,
}

impl Release {
    /// Both.
    pub(crate) const EACH: [Release; 2] = [Release::Old, Release::New];

    fn program(self) -> PathBuf {
        let variable = match self {
            Release::Old => "TEST_NATS_OLD",
            Release::New => "TEST_NATS_NEW",
        };
        std::env::var_os(variable).map_or_else(
            || {
                panic!(
                    "{variable} is not set: run scripts/test.sh, or `eval \"$(scripts/nats.sh install)\"` and export it"
                )
            },
            PathBuf::from,
        )
    }

    /// As its program has it, such as `2.9.10`.
    pub(crate) fn version(self) -> String {
        let told = Command::new(self.program()).arg("--version").output();
        let told = told.expect("the server's program starts").stdout;
        let told = String::from_utf8_lossy(&told);
        let version = told.trim().strip_prefix("nats-server: v");
        version
            .unwrap_or_else(|| panic!("no version of {self:?}: {told}"))
            .to_owned()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version())
    }
}

/// A server, gone with all it stored when dropped.
pub(crate) struct NatsServer {
    release: Release,
    pub(super) name: String,
    dir: TempDir,
    port: u16,
    jetstream: bool,
    /// What may be stored, as its configuration has it.
    room: &'static str,
    /// The largest message, likewise.
    payload: &'static str,
    /// Who may come, as its configuration has it.
    users: &'static str,
    /// Own port and those of all members, in a cluster.
    pub(super) routes: Option<(u16, Vec<u16>)>,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server that stores.
    pub(crate) fn start(release: Release) -> NatsServer {
        let mut server = NatsServer::stopped(release);
        for _ in 0..START_TRIES {
            if server.try_launch() {
                return server;
            }
            server.port = free_port();
        }
        panic!("no {release:?} server starts:\n{}", server.log());
    }

    /// A server that does not run yet, on an address that is already known.
    pub(crate) fn stopped(release: Release) -> NatsServer {
        NatsServer {
            release,
            name: "solo".to_owned(),
            dir: tempfile::tempdir().expect("a directory"),
            port: free_port(),
            jetstream: true,
            room: "1GB",
            payload: "1MB",
            users: "",
            routes: None,
            child: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// As this user.
    pub(crate) fn url_of(&self, user: &str) -> String {
        format!("nats://{user}:{user}@{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it again, with what it has stored.
    pub(crate) fn launch(&mut self) {
        assert!(
            self.try_launch(),
            "no server on {}:\n{}",
            self.port,
            self.log()
        );
    }

    /// From its next start on there is other room for what it stores.
    pub(crate) fn store_with_room(&mut self, room: &'static str) {
        self.room = room;
    }

    /// Starts it again, with other room for what it stores.
    pub(crate) fn launch_with_room(&mut self, room: &'static str) {
        self.store_with_room(room);
        self.launch();
    }

    /// Starts it again as another release, with what it has stored.
    pub(crate) fn launch_as(&mut self, release: Release) {
        self.release = release;
        self.launch();
    }

    /// Starts it again, with another limit to the size of a message.
    pub(crate) fn launch_with_payload(&mut self, payload: &'static str) {
        self.payload = payload;
        self.launch();
    }

    /// Starts it again, for other users.
    pub(crate) fn launch_with_users(&mut self, users: &'static str) {
        self.users = users;
        self.launch();
    }

    /// Starts it again, storing or not.
    pub(crate) fn launch_with_jetstream(&mut self, jetstream: bool) {
        self.jetstream = jetstream;
        self.launch();
    }

    /// As a crash of the process.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended by itself needs no killing.
            drop(child.kill());
            child.wait().expect("it ended");
        }
    }

    /// It keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on where it was.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Forgets everything, as after the loss of a disk.
    pub(crate) fn wipe(&mut self) {
        let running = self.child.is_some();
        self.kill();
        drop(fs::remove_dir_all(self.store()));
        if running {
            self.launch();
        }
    }

    /// A copy of what it has stored. The server is killed for it and started again.
    pub(crate) fn backup(&mut self) -> TempDir {
        self.kill();
        let copy = tempfile::tempdir().expect("a directory");
        copy_tree(&self.store(), &copy.path().join("store"));
        self.launch();
        copy
    }

    /// Puts a copy back, as a restored volume.
    pub(crate) fn restore(&mut self, copy: &TempDir) {
        self.kill();
        drop(fs::remove_dir_all(self.store()));
        copy_tree(&copy.path().join("store"), &self.store());
        self.launch();
    }

    /// Whether there is a directory of this name in its store, such as that of a stream.
    pub(crate) fn has_directory(&self, name: &str) -> bool {
        has_directory(&self.store(), name)
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let process = Pid::from_raw(child.id().cast_signed()).expect("a process id");
        kill_process(process, signal).expect("it can be told");
    }

    fn configuration(&self) -> String {
        let mut lines = vec![
            format!("listen: \"127.0.0.1:{}\"", self.port),
            format!("server_name: {}", self.name),
            format!("max_payload: {}", self.payload),
            format!("log_file: \"{}\"", self.dir.path().join("log").display()),
            self.users.to_owned(),
        ];
        if self.jetstream {
            lines.push(format!(
                "jetstream {{ store_dir: \"{}\", max_memory_store: 16MB, max_file_store: {} }}",
                self.store().display(),
                self.room
            ));
        }
        if let Some((own, all)) = &self.routes {
            let routes: Vec<_> = all
                .iter()
                .map(|port| format!("\"nats://127.0.0.1:{port}\""))
                .collect();
            lines.push(format!(
                "cluster {{ name: tests, listen: \"127.0.0.1:{own}\", routes: [{}] }}",
                routes.join(", ")
            ));
        }
        lines.join("\n")
    }

    pub(super) fn try_launch(&mut self) -> bool {
        let file = self.dir.path().join("nats.conf");
        fs::write(&file, self.configuration()).expect("a configuration");
        let child = Command::new(self.release.program())
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server's program starts");
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let child = self.child.as_mut().expect("it was started");
            if child.try_wait().expect("its state is known").is_some() {
                return false;
            }
            if says_who_it_is(self.address()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        tell_if_it_fails(&self.url(), || self.log());
    }
}

/// Whether a server greets whoever comes.
fn says_who_it_is(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    drop(stream.set_read_timeout(Some(Duration::from_secs(1))));
    let mut greeting = String::new();
    let read = BufReader::new(stream).read_line(&mut greeting);
    read.is_ok() && greeting.starts_with("INFO ")
}

/// What goes while it is looked at is not there.
fn has_directory(under: &Path, name: &str) -> bool {
    let entries = fs::read_dir(under).into_iter().flatten().flatten();
    let mut folders = entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
    folders.any(|it| it.file_name() == name || has_directory(&it.path(), name))
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
