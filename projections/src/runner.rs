//! Keeps a live table up with the log, whatever happens.

use std::convert::Infallible;
use std::time::Duration;

use eventstore::Position;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::{RebuildError, RunError};
use crate::live::Activity;
use crate::projection::Projection;
use crate::projections::{Inner, View};
use crate::projector::{Paged, Projector};
use crate::rebuild;

/// Shortest time between two pages that are not full. Under load it gathers larger pages, which cost
/// far less per event; an event that comes alone, or that somebody waits for, is taken at once.
const GATHER: Duration = Duration::from_millis(25);

/// How often to drop replaced tables, and to look whether the own one was replaced, which a projector
/// with nothing to store would not notice.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Waits after errors: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// How often a second projector looks whether the first one still gets on.
const STAND_BY: Duration = Duration::from_millis(400);

/// How often a projection that stands still looks whether its view was rebuilt.
const STOPPED_LOOKS: Duration = Duration::from_secs(1);

/// Runs until `shutdown`.
pub(crate) async fn run<P: Projection>(inner: &Inner, view: View, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = keep_up::<P>(inner, view) => {}
    }
    *inner.live(view).activity() = Activity::Absent;
}

/// Runs once; the first error ends it.
pub(crate) async fn run_until_caught_up<P: Projection>(
    inner: &Inner,
    view: View,
) -> Result<Position, RunError> {
    let mut projector = open::<P>(inner, view).await?;
    loop {
        match projector.page(&inner.store, &inner.tail).await? {
            Paged::Applied { .. } => inner.live(view).set(projector.checkpoint().position),
            Paged::CaughtUp => return Ok(projector.checkpoint().position),
            Paged::Fenced => projector = open::<P>(inner, view).await?,
        }
    }
}

async fn keep_up<P: Projection>(inner: &Inner, view: View) {
    let mut wait = RETRY_FIRST;
    loop {
        let before = inner.live(view).subscribe().borrow().0;
        let Err(error) = follow::<P>(inner, view).await;
        if inner.live(view).subscribe().borrow().0 > before {
            wait = RETRY_FIRST;
        }
        let reason = chain(&error);
        if error.is_final() {
            stand_still(inner, view, reason).await;
            continue;
        }
        tracing::warn!(view = view.as_str(), %reason, "projection failed, trying again");
        *inner.live(view).activity() = Activity::Retrying(reason);
        sleep(shortened(wait)).await;
        wait = (wait * 2).min(RETRY_LAST);
    }
}

/// Takes page after page; ends with the first error.
async fn follow<P: Projection>(inner: &Inner, view: View) -> Result<Infallible, RunError> {
    let live = inner.live(view);
    let mut projector = open::<P>(inner, view).await?;
    let mut tidied = Instant::now();
    loop {
        let started = Instant::now();
        let paged = projector.page(&inner.store, &inner.tail).await?;
        if paged != Paged::Fenced {
            *live.activity() = Activity::Running;
            live.set(projector.checkpoint().position);
        }
        match paged {
            Paged::Applied { full: true } => {}
            Paged::Applied { full: false } => gather(inner, view, started).await,
            Paged::CaughtUp => {
                let at = projector.checkpoint().position;
                inner.log.wait_past(at, TIDY_EVERY).await?;
                gather(inner, view, started).await;
            }
            Paged::Fenced => {
                stand_by::<P>(inner, view, projector.generation()).await?;
                projector = open::<P>(inner, view).await?;
            }
        }
        if tidied.elapsed() >= TIDY_EVERY {
            tidied = Instant::now();
            inner.store.drop_retired(P::TABLE).await?;
            if inner.store.live(P::TABLE).await?.number != projector.generation() {
                projector = open::<P>(inner, view).await?;
            }
        }
    }
}

/// Another projector of the view is at work, or the table is being replaced: leaves the view alone until
/// the table is another one, or nothing moves although the log goes on.
async fn stand_by<P: Projection>(
    inner: &Inner,
    view: View,
    generation: i64,
) -> Result<(), RunError> {
    let live = inner.live(view);
    let mut before = None;
    loop {
        let now = inner.store.live(P::TABLE).await?;
        let at = now.checkpoint.position;
        live.set(at);
        let stuck = before == Some(at) && inner.log.head().await? > at;
        if now.number != generation || stuck {
            return Ok(());
        }
        *live.activity() = Activity::StandingBy;
        before = Some(at);
        sleep(shortened(STAND_BY)).await;
    }
}

/// Waits until `GATHER` after `started`, or until somebody is in a hurry.
async fn gather(inner: &Inner, view: View, started: Instant) {
    tokio::select! {
        () = sleep_until(started + GATHER) => {}
        () = inner.live(view).hurried() => {}
    }
}

/// A projector of the live table. A table of an older definition of the view is rebuilt first; one of a
/// newer build is left to that build.
async fn open<P: Projection>(inner: &Inner, view: View) -> Result<Projector<P>, RunError> {
    let mut generation = inner.store.live(P::TABLE).await?;
    if generation.version < P::TABLE.version {
        tracing::info!(
            view = view.as_str(),
            "the view's definition has changed, rebuilding it"
        );
        match rebuild::rebuild::<P>(inner, view, |_| {}).await {
            Err(RebuildError::Failed(error)) => return Err(error),
            // Somebody else is at it: whether it is done shows in what is live now.
            Ok(_) | Err(RebuildError::Running { .. }) => {}
        }
        generation = inner.store.live(P::TABLE).await?;
    }
    if generation.version != P::TABLE.version {
        return Err(RunError::Version {
            found: generation.version,
            known: P::TABLE.version,
        });
    }
    if generation.stopped.is_some() {
        inner
            .store
            .note_stopped(P::TABLE, generation.number, None)
            .await?;
    }
    Projector::resume(&inner.store, &generation).await
}

/// Says why and waits until the view was rebuilt.
async fn stand_still(inner: &Inner, view: View, reason: String) {
    tracing::error!(view = view.as_str(), %reason, "projection stopped: rebuild the view or repair the log");
    *inner.live(view).activity() = Activity::Stopped(reason.clone());
    let mut stopped = None;
    loop {
        match inner.store.live(view.table()).await {
            Ok(generation) if stopped.is_none() => {
                let noted = inner
                    .store
                    .note_stopped(view.table(), generation.number, Some(reason.clone()))
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
