//! `log verify`: whether a file is whole.

use std::process::ExitCode;

use eventstore::archive::{self, Verified};
use serde_json::json;

use super::{Pace, print, source};
use crate::cli::args::store::VerifyArgs;
use crate::config::Settings;

/// Reads the file to its end.
pub(super) async fn run(settings: &Settings, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let pace = Pace::begin("reading");
    let shown = pace.clone();
    let verified = archive::verify(source(&args.file)?, move |progress| shown.show(progress)).await;
    if verified.is_err() {
        pace.stopped_at();
    }
    let Verified {
        epoch,
        last,
        keys,
        sha256,
        content,
    } = verified?;
    let mut facts = vec![
        ("events", json!(last)),
        ("keys", json!(keys)),
        ("epoch", json!(epoch)),
    ];
    facts.extend(pace.took(last.0));
    facts.extend([("sha256", json!(sha256)), ("content", json!(content))]);
    print(settings.client.output, &facts)?;
    Ok(ExitCode::SUCCESS)
}
