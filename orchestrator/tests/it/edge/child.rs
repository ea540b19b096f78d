//! The binary as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::server::PATIENCE;

/// The binary on a directory, in an environment that says nothing about it.
pub(super) fn bookmarket(data_dir: &Path) -> Command {
    let mut command = unsettled();
    command.arg("--data-dir").arg(data_dir);
    command
}

/// The binary where nothing is said to it.
pub(super) fn unsettled() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookmarket"));
    let ours =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOOKMARKET_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_URL_FILE")
        .env_remove("NATS_URL")
        .env_remove("NATS_URL_FILE");
    command
}

/// The same command where no file can grow beyond so many blocks of the shell's `ulimit`: to whoever writes, a disk
/// without room, and one that needs no rights to set up.
pub(super) fn without_room(command: &Command, blocks: u32) -> Command {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &script])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Runs it to its end.
pub(super) fn run(mut command: Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// What it wrote to stderr.
pub(super) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Runs it, and checks that it ends with one line and a non-zero exit.
#[track_caller]
pub(super) fn fails(command: Command, says: &str) {
    let output = run(command);
    let complaint = complaint(&output);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(
        complaint.starts_with("error: ") && complaint.contains(says),
        "{complaint}"
    );
    assert!(output.stdout.is_empty());
}

/// The last line that it printed, as JSON: commands that take long print a line for each step before it.
#[track_caller]
pub(super) fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().next_back().expect("a line");
    serde_json::from_str(last).expect("JSON")
}

/// A command with its arguments.
pub(super) fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// A serving process; killed with this.
pub(super) struct Serving {
    pub(super) child: Child,
    pub(super) url: String,
}

impl Serving {
    /// Starts a server and waits until it says where it serves.
    pub(super) fn start(mut command: Command) -> Serving {
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, receiver) = std::sync::mpsc::channel();
        // Reads to the end, or the server would block on a full pipe.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(url) = line["url"].as_str() {
                    drop(sender.send(url.to_owned()));
                }
            }
        });
        let url = receiver.recv_timeout(PATIENCE).expect("it serves");
        Serving { child, url }
    }

    pub(super) fn terminate(&self) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let process = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(process, rustix::process::Signal::TERM)
            .expect("it can be told");
    }

    pub(super) async fn exit_code(&mut self) -> Option<i32> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status.code();
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already, after an orderly end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
