//! `log import`: a store filled from a file.

use std::process::ExitCode;

use eventstore::archive::{self, ImportError, Imported};
use eventstore::{Access, EventStore, Location, OpenError, Options};
use serde_json::json;

use super::{Pace, print, source};
use crate::cli::args::store::LogImportArgs;
use crate::cli::interrupt::{INTERRUPTED, unless_interrupted};
use crate::cli::output;
use crate::config::Settings;

/// Imports the log.
pub(super) async fn run(settings: &Settings, args: &LogImportArgs) -> anyhow::Result<ExitCode> {
    let location = settings.store.location()?;
    let pace = Pace::begin("importing");
    let shown = pace.clone();
    let source = source(&args.from)?;
    let importing = archive::import(&location, source, move |progress| shown.show(progress));
    let Some(imported) = unless_interrupted(importing).await? else {
        let events = pace.stopped_at();
        output::note(format!(
            "interrupted after {events} events; the same command goes on there"
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => {
            pace.stopped_at();
            return Err(failure(&location, error).await);
        }
    };
    let mut facts = vec![
        ("events", json!(imported.last)),
        ("added", json!(imported.added)),
        ("keys", json!(imported.keys)),
    ];
    facts.extend(pace.took(imported.last.0));
    facts.extend(imported.epoch.map(|epoch| ("epoch", json!(epoch))));
    facts.push(("content", json!(imported.content)));
    print(settings.client.output, &facts)?;
    output::note(advice(&imported));
    Ok(ExitCode::SUCCESS)
}

fn advice(imported: &Imported) -> String {
    if imported.epoch.is_none() {
        return "nothing to do: the store held all of it already".to_owned();
    }
    let keys = if imported.keys == 0 {
        "no keys were in the file: personal data stays sealed in this copy; "
    } else {
        "the keys need the master key of the shop they come from; "
    };
    format!("{keys}`bookmarket replay all` folds the views now, else `serve` does")
}

/// The error, and whether it has left a store behind that nobody opens.
async fn failure(location: &Location, error: ImportError) -> anyhow::Error {
    let looking = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let error = anyhow::Error::from(error);
    match EventStore::open(location, looking).await {
        Err(OpenError::HalfImport) => error.context(
            "not imported, and nothing opens the store until an import of the whole log has ended well",
        ),
        _ => error,
    }
}
