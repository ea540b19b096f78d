//! The example worker in Python, as a process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A file of the examples.
pub(super) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/steps")
        .join(name)
}

/// The example worker; killed with this.
pub(crate) struct Python {
    child: Child,
}

impl Python {
    pub(crate) fn start(url: &str, journal: &Path) -> Python {
        let client = std::env::var_os("TEST_NATS_PYTHON")
            .expect("TEST_NATS_PYTHON is not set: run scripts/test.sh");
        let mut child = Command::new("python3")
            .arg(example("kakao_worker.py"))
            .arg(url)
            .arg(journal)
            .env("PYTHONPATH", client)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut ready = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut ready)
            .expect("it says something");
        assert_eq!(ready.trim(), "ready");
        Python { child }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        kill_process(process, signal).expect("it can be told");
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_some()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the worker has sent.
pub(crate) fn journal(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}
