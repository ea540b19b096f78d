//! `doctor`: looks at everything a server needs, and says what to do about what is wrong.

mod broker;
mod providers;
mod store;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use eventstore::MasterKeyFile;
use serde::Serialize;

use super::client::Client;
use super::output;
use crate::config::Settings;
use crate::http::auth::Callers;

/// Room for about a million events; below it a server should not start.
const DISK_LOW: u64 = 1 << 30;

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
    let places = settings.store.places();
    let mut findings = vec![
        Finding::good("version", env!("CARGO_PKG_VERSION")),
        callers(settings),
        master_key(&settings.store.master_key()),
        disk(&settings.store.data_dir),
    ];
    findings.extend(providers::look(settings));
    findings.extend(together(settings));
    match places {
        Ok(places) => findings.extend(store::look(&places).await),
        Err(error) => findings.push(Finding::bad(
            "store",
            error.to_string(),
            "correct the setting",
        )),
    }
    findings.extend(broker::look(&settings.broker).await);
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

/// Whether what is good alone goes together. What is not good alone is told where it belongs.
fn together(settings: &Settings) -> Option<Finding> {
    let alone = settings.store.places().is_ok()
        && settings.providers.choose().is_ok()
        && settings.broker.target().is_ok();
    if !alone {
        return None;
    }
    Some(match settings.check() {
        Ok(()) => Finding::good("configuration", "nothing contradicts itself"),
        Err(error) => Finding::bad(
            "configuration",
            error.to_string(),
            "correct the setting; `serve` refuses to start with it",
        ),
    })
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
    if let Err(error) = key.check() {
        return Finding::bad(
            "master key",
            error.to_string(),
            "put the right key there, from its backup, or correct the setting; a new key cannot read what the old one sealed",
        );
    }
    match std::fs::metadata(file) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => Finding::mind(
            "master key",
            format!("{} can be read by others", file.display()),
            format!("chmod 600 {}", file.display()),
        ),
        Ok(_) => Finding::good("master key", file.display().to_string()),
        Err(_) => Finding::mind(
            "master key",
            format!("{} is not there", file.display()),
            "`serve` makes it for a new store, and where others serve that store already, copy theirs; back it up apart from the log: without it no name or address can be read again",
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

/// Whether somebody between could read along: what goes to this URL in clear goes beyond this machine.
fn readable_on_the_way(url: &str, in_clear: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let here = url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    });
    url.scheme() == in_clear && !here
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_clear_are_noticed_beyond_this_machine_only() {
        for near in [
            "http://127.0.0.1:8090/toss",
            "http://localhost:1",
            "http://[::1]:1",
            "https://label.example",
        ] {
            assert!(!readable_on_the_way(near, "http"), "{near}");
        }
        assert!(readable_on_the_way("http://label.example", "http"));
    }
}
