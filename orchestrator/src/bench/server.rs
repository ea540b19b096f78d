//! `bookmarket serve` as a process of its own, with its own data directory.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::http::HttpClient;

/// A server that is not ready by then will not become so.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// More than the server's own grace, so that a slow but orderly stop is not taken for a hang.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of the server's log is shown when it fails.
const LOG_LINES_SHOWN: usize = 20;

/// Stopped and cleaned up when dropped.
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts on a free port and waits until it is ready. Settings of the caller's environment do not reach it.
    pub(super) async fn start(database: &SecretString) -> anyhow::Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("bookmarket-bench-{}", Uuid::now_v7().simple()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let address = free_address().context("looking for a free port")?;
        let log = File::create(folder.join("server.log")).context("making the server's log")?;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        for (name, _) in std::env::vars_os()
            .filter(|(name, _)| name.to_string_lossy().starts_with("BOOKMARKET_"))
        {
            command.env_remove(name);
        }
        let child = command
            .args(["serve", "--listen", &address.to_string(), "--data-dir"])
            .arg(folder.join("data"))
            .env_remove("DATABASE_URL_FILE")
            .env("DATABASE_URL", database.expose_secret())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting the server")?;
        let mut server = Self {
            child,
            folder,
            address,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to stop and waits until it has.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("the server's process id")?;
        kill_process(pid, Signal::TERM).context("asking the server to stop")?;
        let until = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(
                    status.success(),
                    "the server ended with {status}:\n{}",
                    self.last_lines()
                );
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!(
            "the server did not stop within {STOPPED_WITHIN:?}:\n{}",
            self.last_lines()
        )
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", self.last_lines());
            }
            if is_ready(self.address).await {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!(
            "the server was not ready within {READY_WITHIN:?}:\n{}",
            self.last_lines()
        )
    }

    fn last_lines(&self) -> String {
        let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After an orderly stop there is nothing left to kill; both errors say just that.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut client) = HttpClient::connect(address).await else {
        return false;
    };
    client
        .get("/readyz")
        .await
        .is_ok_and(|reply| reply.status == 200)
}

/// Free a moment ago; whoever takes it in between makes the start fail, which is then said.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
