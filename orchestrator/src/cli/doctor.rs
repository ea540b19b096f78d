//! `doctor`: looks at everything a server needs, and says what to do about what is wrong.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use comfy_table::Table;
use eventstore::{Access, EventStore, Location, MasterKeyFile, OpenError, Options, Position};
use serde::Serialize;

use super::client::Client;
use super::output;
use crate::config::Settings;
use crate::http::auth::Callers;

/// Room for about a million events; below it a server should not start.
const DISK_LOW: u64 = 1 << 30;

/// Two clocks that differ by more than this will misjudge deadlines of steps.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Mind,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            check,
            verdict: Verdict::Good,
            found: found.into(),
            advice: None,
        }
    }

    fn mind(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            check,
            verdict: Verdict::Mind,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }

    fn bad(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding {
            check,
            verdict: Verdict::Bad,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }
}

/// Looks at everything; fails if anything is bad.
pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let location = settings.store.location();
    let mut findings = vec![
        Finding::good("version", env!("CARGO_PKG_VERSION")),
        callers(settings),
        master_key(&settings.store.master_key()),
        disk(&settings.store.data_dir),
    ];
    match location {
        Ok(location) => findings.extend(store(&location).await),
        Err(error) => findings.push(Finding::bad(
            "store",
            error.to_string(),
            "correct the setting",
        )),
    }
    findings.push(server(settings).await);
    let any_bad = findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Bad);
    output::document(settings.client.output, &findings, || table(&findings))?;
    Ok(if any_bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn table(findings: &[Finding]) -> Table {
    let mut table = output::table(&["", "check", "found", "what to do"]);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok",
            Verdict::Mind => "mind",
            Verdict::Bad => "BAD",
        };
        table.add_row([
            mark,
            finding.check,
            &finding.found,
            finding.advice.as_deref().unwrap_or_default(),
        ]);
    }
    table
}

fn callers(settings: &Settings) -> Finding {
    let listen = settings.edge.listen;
    match Callers::load(settings.edge.api_tokens.as_deref()) {
        Err(error) => Finding::bad(
            "API tokens",
            error.to_string(),
            "correct the file; `serve` refuses to start with it",
        ),
        Ok(Callers::Known(entries)) => Finding::good(
            "API tokens",
            format!("{} tokens, listening on {listen}", entries.len()),
        ),
        Ok(Callers::Open) if listen.ip().is_loopback() => Finding::good(
            "API tokens",
            format!("none; only this machine can reach {listen}"),
        ),
        Ok(Callers::Open) if settings.edge.insecure => Finding::mind(
            "API tokens",
            format!("none, and --insecure on {listen}"),
            "anyone who reaches the port may do anything: give --api-tokens FILE",
        ),
        Ok(Callers::Open) => Finding::bad(
            "API tokens",
            format!("none, but {listen} can be reached from other machines"),
            "give --api-tokens FILE, or listen on 127.0.0.1",
        ),
    }
}

fn master_key(key: &MasterKeyFile) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let (MasterKeyFile::Existing(file) | MasterKeyFile::CreateIfMissing(file)) = key;
    match std::fs::metadata(file) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => Finding::mind(
            "master key",
            format!("{} can be read by others", file.display()),
            format!("chmod 600 {}", file.display()),
        ),
        Ok(_) => Finding::good("master key", file.display().to_string()),
        Err(error) if matches!(key, MasterKeyFile::Existing(_)) => Finding::bad(
            "master key",
            format!("{}: {error}", file.display()),
            "put the key there, or correct the setting",
        ),
        Err(_) => Finding::mind(
            "master key",
            format!("{} is not there", file.display()),
            "`serve` makes it; back it up apart from the log: without it no name or address can be read again",
        ),
    }
}

fn disk(data_dir: &Path) -> Finding {
    // Before the first start the directory is not there yet; its nearest ancestor lies on the same disk.
    let absolute = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let existing: PathBuf = absolute
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(&absolute)
        .to_owned();
    match rustix::fs::statvfs(&existing) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!(
                "{:.1} GiB free at {}",
                free as f64 / f64::from(1 << 30),
                existing.display()
            );
            if free < DISK_LOW {
                Finding::bad(
                    "disk",
                    found,
                    "make room: when it is full, orders are refused with 503 store-unavailable",
                )
            } else {
                Finding::good("disk", found)
            }
        }
        Err(error) => Finding::bad(
            "disk",
            format!("{}: {error}", existing.display()),
            "check the data directory",
        ),
    }
}

async fn store(location: &Location) -> Vec<Finding> {
    let options = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let opened = tokio::time::timeout(PATIENCE, EventStore::open(location, options)).await;
    let store = match opened {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => return vec![cannot_open(&error)],
        Err(_) => {
            return vec![Finding::bad(
                "log",
                "no answer",
                "check that the database runs and can be reached",
            )];
        }
    };
    let Ok(head) = store.head().await else {
        return vec![Finding::bad(
            "log",
            "it opens but cannot be read",
            "look at the database's own log",
        )];
    };
    let durable = match location {
        Location::Postgres { .. } => "fsync, full_page_writes and synchronous_commit are on",
        Location::Sqlite { .. } => "write-ahead log with synchronous=FULL",
    };
    vec![
        Finding::good(
            "log",
            format!("{} with {} events", store.backend_name(), head.0),
        ),
        Finding::good("durability", durable),
        clock(&store, head).await,
    ]
}

fn cannot_open(error: &OpenError) -> Finding {
    let advice = match error {
        OpenError::Locked(_) => "stop the other process, or use another --data-dir",
        OpenError::NotMigrated { .. } => "bookmarket migrate (`serve` does it by itself)",
        OpenError::BinaryTooOld { .. } => {
            "install the release that made these tables, or a later one"
        }
        OpenError::NotDurable { .. } => {
            "turn it on in postgresql.conf; acknowledged orders could be lost"
        }
        OpenError::ReadOnly => "connect to the primary",
        OpenError::Url(_) => "correct DATABASE_URL: postgres://user:password@host:5432/database",
        OpenError::Unavailable(_) => {
            "check that the database runs, can be reached, and lets this user in"
        }
        OpenError::Full(_) => "make room",
        OpenError::Io { .. } | OpenError::Migration(_) => "see the message",
    };
    match error {
        // Before the first start there is nothing to open.
        OpenError::NotMigrated { applied: 0, .. } => {
            Finding::mind("log", "there are no tables yet", advice)
        }
        _ => Finding::bad("log", error.to_string(), advice),
    }
}

/// Events are stamped by the clock of the store; one from the future shows that the clocks disagree.
async fn clock(store: &EventStore, head: Position) -> Finding {
    let before = Position((head.0 - 1).max(0));
    let last = store
        .read_all(before, 1, None)
        .await
        .ok()
        .and_then(|page| page.events.into_iter().next());
    let Some(last) = last else {
        return Finding::good("clock", "there is no event to compare with");
    };
    let ahead = (last.recorded_at - Utc::now()).to_std().unwrap_or_default();
    if ahead > CLOCK_TOLERANCE {
        let found = format!("the last event is {} s in the future", ahead.as_secs());
        return Finding::bad(
            "clock",
            found,
            "set the clocks of this machine and of the database by NTP",
        );
    }
    Finding::good(
        "clock",
        format!(
            "the last event was stored at {}",
            last.recorded_at.format("%F %T UTC")
        ),
    )
}

async fn server(settings: &Settings) -> Finding {
    let client = match Client::from_settings(&settings.client) {
        Ok(client) => client,
        Err(error) => {
            return Finding::bad(
                "server",
                format!("{error:#}"),
                "correct --server or --token-file",
            );
        }
    };
    match tokio::time::timeout(PATIENCE, client.get("/readyz")).await {
        Ok(Ok(_)) => Finding::good("server", format!("{} is ready", client.server())),
        Ok(Err(_)) | Err(_) => Finding::mind(
            "server",
            format!("{} does not answer", client.server()),
            "start it with `bookmarket serve` if it should",
        ),
    }
}
