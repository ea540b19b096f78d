//! Folds a view anew from the first event on, beside the live table, and cuts over at the end.
//!
//! The log is read in bulk and folded in memory; rows that have not moved for long leave it in bulk
//! writes, while the next pages are folded already. Now and then everything is written, with a
//! checkpoint, so that a rebuild that was cut off can be taken up again. Then come the indexes, what was
//! appended meanwhile, a comparison with the live table if one is wanted, and the one moment in which the
//! live projector waits and the pointer moves.

use std::thread::available_parallelism;
use std::time::Duration;

use eventstore::{Checkpoint, Position};

use crate::error::{RebuildError, RunError};
use crate::parking::{BUILD, Skips};
use crate::projection::Projection;
use crate::projector::Projector;
use crate::site::Site;
use crate::store::{Building, Generation, RebuildClaim};
use crate::verbs::Verbs;

mod build;
mod crew;
mod cutover;
mod hand;
mod report;
mod seen;

pub use report::{Phase, RebuildProgress, RebuildReport};

use build::Build;
use cutover::belongs;
use report::Reporter;

/// Most workers of one rebuild. They all wait for one reader of the log.
pub const WORKERS_MAX: usize = 16;

/// How a rebuild goes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Workers that decode and fold side by side; 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// Compare the new table with the live one before it takes its place. Where they differ, it does not.
    pub verify: bool,
    /// Whether the new table takes the place of the live one.
    pub cutover: Cutover,
    /// Go on with the table that a rebuild has left behind that was cut off or did not cut over.
    pub resume: bool,
    /// How often what was done is made safe against a kill.
    pub checkpoint_every: Duration,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            verify: false,
            cutover: Cutover::Auto,
            resume: false,
            // A checkpoint costs about a second of work; most rebuilds are shorter than this.
            checkpoint_every: Duration::from_secs(30),
        }
    }
}

impl RebuildOptions {
    /// With no more workers than this process may use cores: what one core has to fold goes no faster by
    /// being handed from one thread to another.
    #[must_use]
    pub fn within_cores(mut self) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        self.workers = self.workers.min(cores);
        self
    }
}

/// What becomes of a table that is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cutover {
    /// It takes the place of the live one.
    #[default]
    Auto,
    /// It waits for a rebuild that resumes it.
    Manual,
}

/// Rebuilds one view.
pub(crate) async fn rebuild<P: Projection>(
    site: &Site,
    options: &RebuildOptions,
    mut progress: impl FnMut(RebuildProgress) + Send,
) -> Result<RebuildReport, RebuildError> {
    let start = match options.resume {
        true => Start::Resume,
        false => Start::Anew,
    };
    run::<P>(site, options, start, None, &mut progress).await
}

/// Rebuilds a view whose definition has changed; goes on with what an earlier process has left behind.
pub(crate) async fn renew<P: Projection>(site: &Site) -> Result<RebuildReport, RebuildError> {
    watched::<P>(site, Start::Either).await
}

/// Rebuilds a view beside its projector, which wants it.
pub(crate) async fn redo<P: Projection>(site: &Site) -> Result<RebuildReport, RebuildError> {
    watched::<P>(site, Start::Beside).await
}

/// A rebuild that nobody looks at: one that makes no progress is given up, so that whoever wanted it can begin anew.
async fn watched<P: Projection>(site: &Site, start: Start) -> Result<RebuildReport, RebuildError> {
    let options = RebuildOptions::default();
    let after = site.options.stuck_after;
    let mut nobody = |_| {};
    tokio::select! {
        biased;
        done = run::<P>(site, &options, start, None, &mut nobody) => done,
        () = site.live.rebuild_pulse().stalled(after) => Err(RunError::Stuck { after }.into()),
    }
}

/// Rebuilds one view as it was at a position.
pub(crate) async fn rebuild_up_to<P: Projection>(
    site: &Site,
    options: &RebuildOptions,
    position: Position,
    mut progress: impl FnMut(RebuildProgress) + Send,
) -> Result<RebuildReport, RebuildError> {
    run::<P>(site, options, Start::Anew, Some(position), &mut progress).await
}

async fn run<P: Projection>(
    site: &Site,
    options: &RebuildOptions,
    start: Start,
    until: Option<Position>,
    progress: &mut (dyn FnMut(RebuildProgress) + Send),
) -> Result<RebuildReport, RebuildError> {
    let claimed = site.store.claim_rebuild(P::TABLE).await?;
    let mut claim = claimed.ok_or(RebuildError::Running { view: site.name() })?;
    let mut report = Reporter::new(site, progress);
    let result = work::<P>(site, options, start, until, &mut claim, &mut report).await;
    claim.give_back().await;
    result
}

async fn work<P: Projection>(
    site: &Site,
    options: &RebuildOptions,
    start: Start,
    until: Option<Position>,
    claim: &mut RebuildClaim,
    report: &mut Reporter<'_>,
) -> Result<RebuildReport, RebuildError> {
    let live = site.store.live(P::TABLE).await?;
    if options.verify && !belongs(site, &live).await? {
        return Err(RebuildError::NothingToVerify { view: site.name() });
    }
    let until = until.unwrap_or(Position(i64::MAX));
    let mut to = site.log.head().await?.min(until);
    if options.verify {
        // Both have to be at the same place then, and only the new one can be made to wait.
        to = to.min(live.checkpoint.position);
    }
    let begun = begin::<P>(site, start, to).await?;
    let workers = options.workers.clamp(1, WORKERS_MAX);
    let mut build = Build::<P>::new(site, begun, workers, options.checkpoint_every).await?;
    build.scan(site, to, report).await?;
    let (generation, parked_events) = build.finish(report).await?;

    let mut projector = Projector::<P>::resume(&site.store, &generation).await?;
    let mut verification = None;
    if options.verify {
        let verified = cutover::verify(site, &mut projector, claim, report).await?;
        verification = Some(verified);
    }
    let differs = verification.as_ref().is_some_and(|it| it.differing > 0);
    let live = options.cutover == Cutover::Auto && !differs;
    if live {
        cutover::cut_over(site, &mut projector, claim, until, report).await?;
        site.live.set(projector.checkpoint().position);
    } else {
        let generation = projector.generation();
        site.store.note_waiting(P::TABLE, generation).await?;
    }
    let position = projector.checkpoint().position;
    Ok(RebuildReport {
        events: position.0,
        position,
        generation: projector.generation(),
        parked_events,
        workers,
        live,
        verification,
        took: report.elapsed(),
    })
}

/// Where a rebuild starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At the first event.
    Anew,
    /// Where one before it has stopped.
    Resume,
    /// There, if one has and its table is of use; else at the first event.
    Either,
    /// At the first event, without anybody asking: a table that waits for somebody is left to them.
    Beside,
}

/// The table that is built.
pub(crate) struct Begun {
    generation: Generation,
    /// There is no row in it yet.
    anew: bool,
    /// What operators had left out.
    skips: Skips,
}

/// Finds or makes the table; the old one that an earlier rebuild has replaced makes room for it.
async fn begin<P: Projection>(
    site: &Site,
    start: Start,
    to: Position,
) -> Result<Begun, RebuildError> {
    let skips = Verbs::of(site.name()).skips(&site.log, to).await?;
    if matches!(start, Start::Resume | Start::Either) {
        match left_behind::<P>(site).await {
            Ok(mut generation) => {
                generation.heeded = generation.heeded.max(Some(to));
                site.store.drop_old(P::TABLE).await?;
                site.store.take_up(P::TABLE, &generation).await?;
                return Ok(Begun {
                    generation,
                    anew: false,
                    skips,
                });
            }
            Err(RebuildError::Failed(error)) => return Err(error.into()),
            Err(error) if start == Start::Resume => return Err(error),
            // What is there is of no use.
            Err(_) => {}
        }
    }
    site.store.drop_old(P::TABLE).await?;
    let building = Building {
        heeded: to,
        spare: start == Start::Beside,
    };
    Ok(Begun {
        generation: site.store.create_building(P::TABLE, building).await?,
        anew: true,
        skips,
    })
}

/// The table of a rebuild that was cut off or did not cut over, if this build can go on with it.
async fn left_behind<P: Projection>(site: &Site) -> Result<Generation, RebuildError> {
    let view = site.name();
    let found = site.store.building(P::TABLE).await?;
    let found = found.ok_or(RebuildError::NothingToResume { view })?;
    if found.version != P::TABLE.version {
        return Err(RebuildError::OtherVersion {
            view,
            found: found.version,
            known: P::TABLE.version,
        });
    }
    if found.checkpoint != Checkpoint::START && !belongs(site, &found).await? {
        return Err(RebuildError::OtherLog { view });
    }
    if found.build.as_deref() != Some(BUILD) {
        return Err(RebuildError::OtherBuild {
            view,
            found: found.build.unwrap_or_default(),
        });
    }
    // Its rows may be further than its checkpoint, and what they have taken nobody takes out of them.
    let reached = found.checkpoint.position;
    let furthest = {
        let _held = site.live.rebuild_pulse().hold();
        site.store.furthest(P::TABLE, found.number).await?
    };
    let (heeded, taken) = (
        reached.max(found.heeded.unwrap_or(reached)),
        reached.max(furthest),
    );
    let verbs = Verbs::of(view);
    match verbs.skipped_since(&site.log, heeded, taken).await? {
        true => Err(RebuildError::SkippedSince { view }),
        false => Ok(found),
    }
}
