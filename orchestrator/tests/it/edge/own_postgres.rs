//! A Postgres server that a test may set up as it likes.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_postgres::{Client, NoTls};

use super::child::complaint;

/// A server of the test's own, stopped and removed when dropped.
pub(super) struct OwnPostgres {
    dir: tempfile::TempDir,
    pub(super) url: String,
}

impl OwnPostgres {
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let output = script("start", dir.path())
            .output()
            .expect("the script runs");
        assert!(output.status.success(), "{}", complaint(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let url = text.lines().last().expect("a URL").to_owned();
        Self { dir, url }
    }

    /// Does something as its superuser, over a connection that is closed afterwards.
    pub(super) async fn administer(&self, work: impl AsyncFnOnce(&Client)) {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls)
            .await
            .expect("a connection");
        let driver = tokio::spawn(connection);
        work(&client).await;
        drop(client);
        driver.await.expect("it ends").expect("well");
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        // A server that is already stopped is fine.
        drop(script("stop", self.dir.path()).arg("immediate").output());
    }
}

fn script(word: &str, dir: &Path) -> Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres.sh");
    let mut command = Command::new(script);
    command.arg(word).arg(dir.join("cluster"));
    command
}
