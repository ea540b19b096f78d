//! Keeps a live table up with the log, whatever happens.

use std::convert::Infallible;
use std::time::Duration;

use eventstore::Position;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::{RebuildError, RunError, chain};
use crate::live::Activity;
use crate::projection::Projection;
use crate::projector::{Paged, Projector};
use crate::rebuild;
use crate::site::Site;
use crate::store::Generation;
use crate::verbs::{Verbs, pause_of};

/// Shortest time between two pages that are not full. Under load it gathers larger pages, which cost
/// far less per event; an event that comes alone, or that somebody waits for, is taken at once.
const GATHER: Duration = Duration::from_millis(25);

/// The same after pages that took long: a projector rests twice as long as it worked, so that a busy machine has orders to take
/// and the next page writes a row once where it would have been written three times.
const REST: u32 = 2;

/// Longest rest. Views stay within a quarter of a second of the log.
const REST_MAX: Duration = Duration::from_millis(100);

/// How often to look whether the own table was replaced, which a projector with nothing to store would
/// not notice.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Waits after errors: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// How often a second projector looks whether the first one still gets on.
const STAND_BY: Duration = Duration::from_millis(400);

/// How often a projection that stands still looks whether its view was rebuilt.
const STOPPED_LOOKS: Duration = Duration::from_secs(1);

/// How often a rebuild that is wanted looks whether another one of the view has ended, which takes minutes.
const RUNNING_LOOKS: Duration = Duration::from_secs(1);

/// How often a view that was told to stand still looks whether it may go on.
const PAUSED_LOOKS: Duration = Duration::from_millis(500);

/// Runs until `shutdown`.
pub(crate) async fn run<P: Projection>(site: &Site, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = keep_up::<P>(site) => {}
        () = rebuild_when_wanted::<P>(site) => {}
    }
    *site.live.activity() = Activity::Absent;
}

/// Runs once; the first error ends it.
pub(crate) async fn run_until_caught_up<P: Projection>(site: &Site) -> Result<Position, RunError> {
    let mut projector = open::<P>(site).await?;
    loop {
        match projector.page(site).await? {
            Paged::Applied { .. } | Paged::Verb => {
                site.live.set(projector.checkpoint().position);
            }
            Paged::CaughtUp => return Ok(projector.checkpoint().position),
            Paged::Fenced => projector = open::<P>(site).await?,
        }
    }
}

async fn keep_up<P: Projection>(site: &Site) {
    let mut wait = RETRY_FIRST;
    loop {
        let before = site.live.subscribe().borrow().0;
        let Err(error) = follow::<P>(site).await;
        if site.live.subscribe().borrow().0 > before {
            wait = RETRY_FIRST;
        }
        let reason = chain(&error);
        if error.is_final() {
            stand_still(site, reason).await;
            continue;
        }
        note_if_stuck(site, &error);
        tracing::warn!(view = site.name(), %reason, "projection failed, trying again");
        *site.live.activity() = Activity::Retrying(reason);
        sleep(shortened(wait)).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

fn note_if_stuck(site: &Site, error: &RunError) {
    if matches!(error, RunError::Stuck { .. }) {
        site.live.restarted();
        // On one of them the question still waits for its answer, and the next one would wait behind it.
        site.store.forget_connections();
    }
}

/// Takes page after page; ends with the first error.
async fn follow<P: Projection>(site: &Site) -> Result<Infallible, RunError> {
    let live = &site.live;
    let mut projector = open::<P>(site).await?;
    wait_while_paused(site).await?;
    let mut looked = Instant::now();
    loop {
        let started = Instant::now();
        let paged = timely(site, projector.page(site)).await?;
        if paged != Paged::Fenced {
            *live.activity() = Activity::Running;
            live.set(projector.checkpoint().position);
        }
        match paged {
            Paged::Applied { full: true } => {}
            Paged::Applied { full: false } => {
                let rest = (started.elapsed() * REST).clamp(GATHER, REST_MAX);
                gather(site, Instant::now() + rest).await;
            }
            Paged::CaughtUp => {
                let at = projector.checkpoint().position;
                site.log.wait_past(at, LOOK_EVERY).await?;
                gather(site, started + GATHER).await;
            }
            Paged::Verb => heed(site).await?,
            Paged::Fenced => {
                live.was_overtaken();
                stand_by::<P>(site, projector.generation()).await?;
                projector = open::<P>(site).await?;
            }
        }
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            let live = timely(site, async { Ok(site.store.live(P::TABLE).await?) });
            if live.await?.number != projector.generation() {
                projector = open::<P>(site).await?;
            }
            wait_while_paused(site).await?;
        }
    }
}

/// Whoever does not come back is taken for stuck, given up, and begun anew: a question that is never
/// answered must not hold a view up for ever.
async fn timely<T>(
    site: &Site,
    work: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    let after = site.options.stuck_after;
    match timeout(after, work).await {
        Ok(result) => result,
        Err(_) => Err(RunError::Stuck { after }),
    }
}

/// Does what the verb that was just taken has left to do.
async fn heed(site: &Site) -> Result<(), RunError> {
    let live = timely(site, async { Ok(site.store.live(site.def).await?) });
    if live.await?.rebuild_wanted.is_some() {
        site.live.want_rebuild();
    }
    wait_while_paused(site).await
}

/// Returns when nobody wants the view to stand still.
async fn wait_while_paused(site: &Site) -> Result<(), RunError> {
    let verbs = Verbs::of(site.name());
    while let Some(pause) = timely(site, verbs.paused(&site.log)).await? {
        *site.live.activity() = Activity::Paused(pause_of(&pause));
        sleep(PAUSED_LOOKS).await;
    }
    Ok(())
}

/// Folds the view anew beside the running projector whenever what an operator wanted needs it.
async fn rebuild_when_wanted<P: Projection>(site: &Site) {
    loop {
        site.live.rebuild_is_wanted().await;
        while let Err(error) = rebuild_if_wanted::<P>(site).await {
            // Whoever is at it may have begun before what is wanted now, or leave the live table as it is.
            if matches!(error, RebuildError::Running { .. }) {
                sleep(shortened(RUNNING_LOOKS)).await;
                continue;
            }
            if let RebuildError::Failed(error) = &error {
                note_if_stuck(site, error);
            }
            let reason = chain(&error);
            tracing::warn!(view = site.name(), %reason, "the view could not be folded anew, trying again");
            sleep(shortened(RETRY_LAST)).await;
        }
    }
}

async fn rebuild_if_wanted<P: Projection>(site: &Site) -> Result<(), RebuildError> {
    if site.store.live(P::TABLE).await?.rebuild_wanted.is_none() {
        return Ok(());
    }
    rebuild::redo::<P>(site).await.map(drop)
}

/// Another projector of the view is at work, or the table is being replaced: leaves the view alone until
/// the table is another one, or nothing moves although the log goes on.
async fn stand_by<P: Projection>(site: &Site, generation: i64) -> Result<(), RunError> {
    let live = &site.live;
    let mut before = None;
    loop {
        let look = async { Ok((site.store.live(P::TABLE).await?, site.log.head().await?)) };
        let (now, head) = timely(site, look).await?;
        let at = now.checkpoint.position;
        live.set(at);
        let stuck = before == Some(at) && head > at;
        if now.number != generation || stuck {
            return Ok(());
        }
        *live.activity() = Activity::StandingBy;
        before = Some(at);
        sleep(shortened(STAND_BY)).await;
    }
}

/// Waits until then, or until somebody is in a hurry.
async fn gather(site: &Site, until: Instant) {
    tokio::select! {
        () = sleep_until(until) => {}
        () = site.live.hurried() => {}
    }
}

/// A projector of the live table. A table of an older definition of the view is rebuilt first; one of a
/// newer build is left to that build.
async fn open<P: Projection>(site: &Site) -> Result<Projector<P>, RunError> {
    let look = async || timely(site, async { Ok(site.store.live(P::TABLE).await?) }).await;
    let mut generation = look().await?;
    while generation.version < P::TABLE.version {
        *site.live.activity() = Activity::StandingBy;
        renew::<P>(site).await?;
        generation = look().await?;
    }
    if generation.version != P::TABLE.version {
        return Err(other_version::<P>(&generation));
    }
    if generation.rebuild_wanted.is_some() {
        site.live.want_rebuild();
    }
    let projector = timely(site, resume(site, generation)).await?;
    // What an older build could not take may be more than this table can be given.
    if look().await?.rebuild_wanted.is_some() {
        site.live.want_rebuild();
    }
    Ok(projector)
}

/// Rebuilds a view whose definition has changed, or waits a little for whoever is at it: whether it is done shows in
/// what is live then.
async fn renew<P: Projection>(site: &Site) -> Result<(), RunError> {
    match rebuild::renew::<P>(site).await {
        Ok(report) => {
            let took = report.took;
            tracing::info!(
                view = site.name(),
                ?took,
                "the view's definition had changed, it is rebuilt"
            );
            Ok(())
        }
        Err(RebuildError::Running { .. }) => {
            sleep(shortened(STAND_BY)).await;
            Ok(())
        }
        Err(RebuildError::Failed(error)) => Err(error),
        Err(_) => Err(other_version::<P>(&site.store.live(P::TABLE).await?)),
    }
}

fn other_version<P: Projection>(live: &Generation) -> RunError {
    RunError::Version {
        found: live.version,
        known: P::TABLE.version,
    }
}

/// Goes on with the table, and with what an older build could not take.
async fn resume<P: Projection>(
    site: &Site,
    mut generation: Generation,
) -> Result<Projector<P>, RunError> {
    if generation.stopped.is_some() {
        site.store
            .note_stopped(P::TABLE, generation.number, None)
            .await?;
    }
    loop {
        let mut projector = Projector::resume(&site.store, &generation).await?;
        if projector.take_what_was_unknown(site).await? != Paged::Fenced {
            return Ok(projector);
        }
        generation = site.store.live(P::TABLE).await?;
    }
}

/// Says why and waits until the view was rebuilt.
async fn stand_still(site: &Site, reason: String) {
    let reason = format!(
        "{reason}; fold the view anew with `bookmarket replay {}`, or bring back the log that it was folded from",
        site.name()
    );
    tracing::error!(view = site.name(), %reason, "projection stopped");
    *site.live.activity() = Activity::Stopped(reason.clone());
    let mut stopped = None;
    loop {
        match site.store.live(site.def).await {
            Ok(generation) if stopped.is_none() => {
                let noted = site
                    .store
                    .note_stopped(site.def, generation.number, Some(reason.clone()))
                    .await;
                // Where it cannot be noted now, it is noted at the next look.
                stopped = noted.is_ok().then_some(generation.number);
            }
            Ok(generation) if stopped != Some(generation.number) => return,
            Ok(_) | Err(_) => {}
        }
        sleep(STOPPED_LOOKS).await;
    }
}

/// By up to a half, at random, so that several processes do not keep step.
fn shortened(wait: Duration) -> Duration {
    wait.mul_f64(1.0 - fastrand::f64() / 2.0)
}
