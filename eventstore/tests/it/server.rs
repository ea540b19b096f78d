//! A Postgres server that a check may stop and change.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use eventstore::Location;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// How long a condition of the server is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server of its own, stopped and removed when dropped.
pub(crate) struct Server {
    dir: TempDir,
}

impl Server {
    pub(crate) async fn start() -> (Server, Location) {
        let server = Server {
            dir: tempfile::tempdir().expect("a directory"),
        };
        let url = server.command(&["start"]).await;
        (server, Location::postgres(url))
    }

    /// Runs `scripts/postgres.sh` and gives the last line of what it says.
    pub(crate) async fn command(&self, words: &[&str]) -> String {
        let mut command = script(self.dir.path(), words);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("ran")
            .expect("the script runs");
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is already stopped is fine.
        drop(script(self.dir.path(), &["stop", "immediate"]).output());
    }
}

fn script(dir: &Path, words: &[&str]) -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres.sh");
    let mut command = Command::new(path);
    command
        .arg(words[0])
        .arg(dir.join("cluster"))
        .args(&words[1..]);
    command
}

/// A superuser's connection to a server.
pub(crate) async fn administrator(location: &Location) -> Client {
    let Location::Postgres { url } = location else {
        unreachable!("a server's location")
    };
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls)
        .await
        .expect("connected");
    tokio::spawn(async move { drop(connection.await) });
    client
}
