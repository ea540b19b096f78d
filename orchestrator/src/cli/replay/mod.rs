//! `replay`: folds views anew from the log, here or in the server that holds the embedded store, or as they
//! were.

use std::process::ExitCode;

use anyhow::Context;
use projections::{OpenError, Options, Places, Projections};

use super::{output, store};
use crate::config::{Output, Settings};

mod args;
mod done;
mod here;
mod past;
mod progress;
mod there;

pub use args::{Cutover, ReplayArgs, ReplayView};

use done::Done;
use there::Server;

/// Does what was asked and prints what was done. Fails where a comparison found differences.
pub(super) async fn run(settings: &Settings, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    if let Some(out) = &args.out {
        past::run(settings, args, out).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let doer = Doer::find(settings).await?;
    if args.drop_old {
        for name in args.view.names() {
            output::note(match doer.drop_old(name).await? {
                true => format!("the old table of the view {name} is dropped"),
                false => format!("the view {name} has no old table"),
            });
        }
        return Ok(ExitCode::SUCCESS);
    }
    let form = settings.client.output;
    let mut all: Vec<Done> = Vec::new();
    for name in args.view.names() {
        let done = doer.rebuild(name, args, form).await;
        all.extend(done.with_context(|| format!("the view {name} could not be rebuilt"))?);
    }
    anyhow::ensure!(
        !all.is_empty(),
        "no view has a rebuild to resume: start one without --resume"
    );
    done::tell(&all, form)?;
    Ok(match all.iter().any(|done| done.differing() > 0) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Who does the work.
enum Doer {
    /// This process.
    Here(Projections),
    /// The server that holds the embedded store.
    There(Server),
}

impl Doer {
    async fn find(settings: &Settings) -> anyhow::Result<Doer> {
        let places = settings.store.places()?;
        if let Some(log) = store::existing(&places.log).await? {
            migrate(&places).await?;
            // Whoever asks for it waits for it.
            let options = Options {
                gentle: false,
                ..Options::default()
            };
            match Projections::open_with(places, log, options).await {
                Ok(views) => return Ok(Doer::Here(views)),
                Err(OpenError::InUse(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Doer::There(Server::of(settings)?))
    }

    /// Whether there was an old table.
    async fn drop_old(&self, name: &str) -> anyhow::Result<bool> {
        Ok(match self {
            Doer::Here(views) => views.drop_old(name.parse()?).await? > 0,
            Doer::There(server) => server.drop_old(name).await?,
        })
    }

    /// Rebuilds a view; nothing where all views are to be resumed and this one has nothing to resume.
    async fn rebuild(
        &self,
        name: &'static str,
        args: &ReplayArgs,
        form: Output,
    ) -> anyhow::Result<Option<Done>> {
        match self {
            Doer::Here(views) => here::rebuild(views, name, args, form).await,
            Doer::There(server) => server.rebuild(name, args, form).await,
        }
    }
}

async fn migrate(places: &Places) -> anyhow::Result<()> {
    for place in places.each() {
        Projections::migrate(place.location).await?;
    }
    Ok(())
}
