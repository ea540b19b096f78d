//! A rebuild by this process.

use projections::{Projections, RebuildError, RebuildOptions};

use super::args::{Cutover, ReplayArgs, ReplayView};
use super::done::Done;
use super::progress::{Progress, Step};
use crate::cli::interrupt::unless_interrupted;
use crate::config::Output;

/// Rebuilds a view; nothing where all views are to be resumed and this one has nothing to resume.
pub(super) async fn rebuild(
    views: &Projections,
    name: &'static str,
    args: &ReplayArgs,
    form: Output,
) -> anyhow::Result<Option<Done>> {
    let options = RebuildOptions {
        workers: args.workers(),
        verify: args.verify,
        cutover: match args.cutover {
            Cutover::Auto => projections::Cutover::Auto,
            Cutover::Manual => projections::Cutover::Manual,
        },
        resume: args.resume,
        checkpoint_every: args.checkpoint_every,
    };
    let mut progress = Progress::of(name, form);
    let work = views.rebuild_with(name.parse()?, &options, |now| {
        progress.tell(&Step::from(now));
    });
    let Some(report) = unless_interrupted(work).await? else {
        anyhow::bail!(
            "interrupted; `bookmarket replay {name} --resume` goes on from the last checkpoint"
        );
    };
    match report {
        Ok(report) => Ok(Some(Done::new(name, serde_json::to_value(report)?))),
        Err(RebuildError::NothingToResume { .. }) if args.view == ReplayView::All => Ok(None),
        Err(error) => Err(error.into()),
    }
}
