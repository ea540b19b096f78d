//! The binary as a process that can be killed and started again at the same address.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};

use super::{STUCK, tell_if_it_fails, until};
use crate::ports::free_port;

/// What a server logs once it serves.
const SERVING: &str = "serving";

/// The binary of this build.
pub(crate) const THIS_BUILD: &str = env!("CARGO_BIN_EXE_bookmarket");

/// A command of the binary with its address.
pub(crate) struct Process {
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    lines: PathBuf,
    pub(crate) url: String,
    child: Option<Child>,
    /// Handed to every life of it, in place of an address of its own.
    socket: Option<Arc<TcpListener>>,
    /// Where it runs, in an environment of nothing but what it is given; where and as the tests run, if nowhere.
    home: Option<PathBuf>,
}

impl Process {
    /// Not started yet. Log lines of all its lives go to one file in `folder`.
    pub(crate) fn new(folder: &Path, command: &str, arguments: &[String]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let own = [command, "--listen", &address].map(str::to_owned);
        Self {
            binary: THIS_BUILD.into(),
            arguments: own.into_iter().chain(arguments.iter().cloned()).collect(),
            environment: Vec::new(),
            lines: folder.join(format!("{command}-{}.lines", address.replace(':', "-"))),
            url: format!("http://{address}"),
            child: None,
            socket: None,
            home: None,
        }
    }

    /// The same of another release.
    pub(crate) fn of(mut self, binary: &Path) -> Self {
        self.binary = binary.to_owned();
        self
    }

    /// A server that is given this and nothing else, and finds itself an address. It runs in a folder of its own. Not started yet.
    pub(crate) fn bare(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let own = ["serve", "--listen", "127.0.0.1:0"];
        let all = own.iter().chain(arguments);
        let bare = Self {
            binary: THIS_BUILD.into(),
            arguments: all.map(ToString::to_string).collect(),
            environment: Vec::new(),
            lines: home.join("lines"),
            url: String::new(),
            child: None,
            socket: None,
            home: Some(home.to_owned()),
        };
        let with = |bare: Self, (name, value): &(&str, &str)| bare.with(name, value);
        environment.iter().fold(bare, with)
    }

    /// With one more flag.
    pub(crate) fn argument(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag, value].map(str::to_owned));
        self
    }

    /// With a variable in its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listening on a socket that others may listen on, too.
    pub(crate) fn inheriting(mut self, socket: &Arc<TcpListener>) -> Self {
        self.url = format!("http://{}", socket.local_addr().expect("an address"));
        self.socket = Some(Arc::clone(socket));
        self
    }

    /// Another one, word for word like it: the same arguments, the same environment. On one machine no two can listen at one address,
    /// so it is handed a socket in place of that.
    pub(crate) fn twin(&self, socket: &Arc<TcpListener>) -> Self {
        let twin = Self {
            binary: self.binary.clone(),
            arguments: self.arguments.clone(),
            environment: self.environment.clone(),
            lines: self.lines.with_extension("twin"),
            url: String::new(),
            child: None,
            socket: None,
            home: None,
        };
        twin.inheriting(socket)
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self, http: &reqwest::Client) {
        let (before, shared) = (self.lives(), self.socket.is_some());
        let lines = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.lines)
            .expect("a file");
        let mut command = self.command();
        match &self.home {
            Some(home) => {
                command.env_clear().current_dir(home);
            }
            None => forget_settings(&mut command),
        }
        command
            .envs(self.environment.iter().cloned())
            .args(&self.arguments);
        command.stdout(Stdio::null()).stderr(lines);
        self.child = Some(command.spawn().expect("it starts"));
        let known = Some(self.url.clone()).filter(|_| self.home.is_none());
        let lines = self.lines.clone();
        let child = self.child.as_mut().expect("just started");
        let url = until("an answer of /livez", STUCK, async || {
            if let Some(status) = child.try_wait().expect("its status") {
                let lines = std::fs::read_to_string(&lines).unwrap_or_default();
                panic!("it ended by itself: {status}\n{lines}");
            }
            // Behind a shared socket somebody else might answer.
            if shared && lives(&lines) == before {
                return None;
            }
            let url = known.clone().or_else(|| address(&lines))?;
            let answer = http.get(format!("{url}/livez")).send().await.ok()?;
            answer.status().is_success().then_some(url)
        })
        .await;
        self.url = url;
    }

    /// The binary, or a shell that puts the socket where the binary looks for it and becomes the binary.
    fn command(&self) -> Command {
        let Some(socket) = &self.socket else {
            let mut command = Command::new(&self.binary);
            command.stdin(Stdio::null());
            return command;
        };
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null"]);
        command.arg(&self.binary);
        let socket = socket.try_clone().expect("a second handle");
        command.stdin(Stdio::from(OwnedFd::from(socket)));
        command.env("LISTEN_FDS", "1");
        command
    }

    /// How often it has begun to serve.
    fn lives(&self) -> usize {
        lives(&self.lines)
    }

    /// What it was given, as the system has it: its arguments, and its environment in the order of the alphabet.
    pub(crate) fn given(&self) -> (Vec<String>, Vec<String>) {
        let read = |what: &str| {
            let words = std::fs::read_to_string(format!("/proc/{}/{what}", self.id()));
            let words = words.expect("it runs");
            let words = words.split_terminator('\0').map(str::to_owned);
            words.collect::<Vec<_>>()
        };
        let (arguments, mut environment) = (read("cmdline"), read("environ"));
        environment.sort_unstable();
        // The first one is the program.
        (arguments[1..].to_vec(), environment)
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).expect("a process id");
        let process = Pid::from_raw(id).expect("a process id");
        kill_process(process, signal).expect("it can be told");
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let status = until("its end", STUCK, async || {
            child.try_wait().expect("its status")
        });
        status.await.code()
    }

    /// Kills it where it stands.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already, if it ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Everything it ever logged.
    pub(crate) fn lines(&self) -> String {
        std::fs::read_to_string(&self.lines).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        tell_if_it_fails(&self.url, || self.lines());
    }
}

fn lives(lines: &Path) -> usize {
    let lines = std::fs::read_to_string(lines).unwrap_or_default();
    lines.lines().filter(|line| line.contains(SERVING)).count()
}

/// Where the latest life of a server says that it serves.
fn address(lines: &Path) -> Option<String> {
    let lines = std::fs::read_to_string(lines).ok()?;
    let line = lines.lines().rfind(|line| line.contains(SERVING))?;
    let (_, url) = line.split_once("url=\"")?;
    Some(url.split('"').next()?.to_owned())
}

/// Whatever the environment of the tests says about a shop, it is not this one.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BOOKMARKET_")
            || matches!(name.to_str(), Some("DATABASE_URL" | "NATS_URL"))
        {
            command.env_remove(name);
        }
    }
}
