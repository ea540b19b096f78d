//! `log export`: a file that has its name only when it is whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use eventstore::archive::{self, Exported};
use serde_json::json;

use super::{Fact, Pace, STANDARD, print};
use crate::cli::args::store::ExportArgs;
use crate::cli::interrupt::{INTERRUPTED, unless_interrupted};
use crate::cli::{output, store};
use crate::config::Settings;

/// Whose own it is: sealed or not, it is about customers.
const MODE: u32 = 0o600;

/// Exports the log.
pub(super) async fn run(settings: &Settings, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let store = store::to_look_at(&settings.store.location()?).await?;
    let pace = Pace::begin("exporting");
    let out = args.out.clone().filter(|out| out != Path::new(STANDARD));
    let Some(out) = out else {
        return to_stdout(&store, args.with_keys, &pace).await;
    };
    let draft = Draft::open(&out, args.resume)?;
    let file = draft.file.try_clone().context("cannot use the file")?;
    let exporting = archive::resume(&store, file, args.with_keys, |progress| pace.show(progress));
    let Some(exported) = unless_interrupted(exporting).await? else {
        let events = pace.stopped_at();
        output::note(format!(
            "interrupted after {events} events; {}",
            draft.left()
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let exported = exported.with_context(|| draft.left())?;
    let bytes = draft
        .finish()
        .with_context(|| format!("cannot finish {}", out.display()))?;
    let mut facts = vec![("file", json!(out)), ("bytes", json!(bytes))];
    facts.extend(pace.took(exported.last.0));
    facts.extend(told(&exported));
    print(settings.client.output, &facts)?;
    Ok(ExitCode::SUCCESS)
}

async fn to_stdout(
    store: &eventstore::EventStore,
    keys: bool,
    pace: &Pace,
) -> anyhow::Result<ExitCode> {
    if std::io::stdout().is_terminal() {
        bail!("an export is no text for a terminal: give --out FILE, or redirect it");
    }
    let out = Box::new(std::io::stdout());
    let exported = archive::export(store, out, keys, |progress| pace.show(progress)).await?;
    pace.stopped_at();
    for (name, value) in told(&exported) {
        output::note(format!("{name} {value}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(exported: &Exported) -> [Fact; 4] {
    [
        ("events", json!(exported.last)),
        ("keys", json!(exported.keys)),
        ("sha256", json!(exported.sha256)),
        ("content", json!(exported.content)),
    ]
}

/// The file while it is not whole.
struct Draft {
    file: File,
    path: PathBuf,
    wanted: PathBuf,
}

impl Draft {
    fn open(wanted: &Path, resume: bool) -> anyhow::Result<Draft> {
        if wanted.exists() {
            bail!(
                "{} is there already: remove it, or give another --out",
                wanted.display()
            );
        }
        let mut path = wanted.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(MODE);
        let file = if resume {
            options.create(true).truncate(false).open(&path)
        } else {
            options.create_new(true).open(&path)
        };
        let file = match file {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
                "{} is what an interrupted export has left: --resume goes on with it; else remove it",
                path.display()
            ),
            file => file.with_context(|| format!("cannot write {}", path.display()))?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("another export is writing {}", path.display())
            }
            locked => locked.with_context(|| format!("cannot lock {}", path.display()))?,
        }
        Ok(Draft {
            file,
            path,
            wanted: wanted.to_owned(),
        })
    }

    /// What to do when it is not finished.
    fn left(&self) -> String {
        format!(
            "the export is not whole: --resume goes on with {}",
            self.path.display()
        )
    }

    /// Has it on the disk and gives it its name; tells how large it is.
    fn finish(self) -> std::io::Result<u64> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, &self.wanted)?;
        let dir = self
            .wanted
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
        Ok(self.file.metadata()?.len())
    }
}
