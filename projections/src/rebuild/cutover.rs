//! The end of a rebuild: the new table is held against the live one, and takes its place.

use std::time::Duration;

use eventstore::{Position, ReadError};
use tokio::time::{Instant, sleep};

use super::report::{Phase, Reporter};
use crate::error::{RebuildError, RunError, StoreError};
use crate::projection::Projection;
use crate::projector::{Paged, Projector};
use crate::site::Site;
use crate::store::{Generation, RebuildClaim};
use crate::verify::{Tally, Verification};

/// How long a comparison waits for a live table that is not as far as the new one, and how often it looks.
const LIVE_WAITED_FOR: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Catches up with the log as far as `until`, holds the live projector, catches up with it and moves the
/// pointer, so that no reader ever sees less than before.
pub(super) async fn cut_over<P: Projection>(
    site: &Site,
    projector: &mut Projector<P>,
    claim: &mut RebuildClaim,
    until: Position,
    report: &mut Reporter<'_>,
) -> Result<(), RunError> {
    let mut more = true;
    while more {
        more = goes_on(site, projector.page_up_to(site, until).await?)?;
        let position = projector.checkpoint().position;
        let total = site.log.head().await?.min(until).max(position);
        report.tell(Phase::CatchingUp, position, total);
    }
    let live = claim.hold_live(P::TABLE).await?;
    let reached = match live {
        Some(live) if belongs(site, &live).await? => live.checkpoint.position,
        // The live table was folded from another log: there is nothing to catch up with.
        _ => Position::ZERO,
    };
    advance(site, projector, reached.min(until)).await?;
    claim.cut_over(P::TABLE, projector.generation()).await?;
    let position = projector.checkpoint().position;
    report.tell(Phase::CatchingUp, position, position);
    Ok(())
}

/// Compares the new table with the live one at the same position. The live projector is held for the few
/// events that come in while the last page is taken, and for a glance: the rows are compared in a
/// snapshot.
pub(super) async fn verify<P: Projection>(
    site: &Site,
    projector: &mut Projector<P>,
    claim: &mut RebuildClaim,
    report: &mut Reporter<'_>,
) -> Result<Verification, RebuildError> {
    let position = projector.checkpoint().position;
    report.tell(Phase::Comparing, position, position);
    let live = hold_within_reach(site, projector, claim).await?;
    advance(site, projector, live.checkpoint.position).await?;
    let snapshot = site.store.snapshot().await?;
    claim.release_live().await?;
    let position = live.checkpoint.position;
    report.tell(Phase::Comparing, position, position);
    // An older definition may have other columns; what they hold is in the documents, too.
    let columns = if live.version == P::TABLE.version {
        let own = P::TABLE.columns.iter().map(|column| column.name);
        ["seq", "position"].into_iter().chain(own).collect()
    } else {
        Vec::new()
    };
    let generations = [live.number, projector.generation()];
    let compared = snapshot.compare(P::TABLE, generations, Tally::new(columns));
    let (tally, rows) = compared.await?;
    Ok(tally.into_verification(position, rows))
}

/// Holds the live table once the new one is at most a page behind it.
async fn hold_within_reach<P: Projection>(
    site: &Site,
    projector: &mut Projector<P>,
    claim: &mut RebuildClaim,
) -> Result<Generation, RebuildError> {
    let deadline = Instant::now() + LIVE_WAITED_FOR;
    loop {
        let near = site.store.live(P::TABLE).await?.checkpoint.position;
        let mut more = true;
        while more {
            let paged = projector.page_up_to(site, near).await;
            more = goes_on(site, paged.map_err(RebuildError::Failed)?)?;
        }
        let live = claim.hold_live(P::TABLE).await?;
        let live = live.ok_or(StoreError::NoTable { view: site.name() })?;
        if live.checkpoint.position >= projector.checkpoint().position {
            return Ok(live);
        }
        claim.release_live().await?;
        if Instant::now() >= deadline {
            return Err(RebuildError::LiveBehind {
                view: site.name(),
                live: live.checkpoint.position,
                rebuilt: projector.checkpoint().position,
            });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Whether there is more to take. Nobody else writes to the table that is built, unless they have taken it over.
fn goes_on(site: &Site, paged: Paged) -> Result<bool, StoreError> {
    match paged {
        Paged::Applied { full } => Ok(full),
        Paged::Verb => Ok(true),
        Paged::CaughtUp => Ok(false),
        Paged::Fenced => Err(StoreError::Replaced { view: site.name() }),
    }
}

/// Takes the log exactly up to a position that it has.
async fn advance<P: Projection>(
    site: &Site,
    projector: &mut Projector<P>,
    to: Position,
) -> Result<(), RunError> {
    while projector.checkpoint().position < to {
        match projector.page_up_to(site, to).await? {
            Paged::Applied { .. } | Paged::Verb => {}
            Paged::CaughtUp | Paged::Fenced => {
                return Err(StoreError::Replaced { view: site.name() }.into());
            }
        }
    }
    Ok(())
}

/// Whether a table was folded from this log.
pub(super) async fn belongs(site: &Site, table: &Generation) -> Result<bool, RunError> {
    match site.log.read_page(&table.checkpoint, 1).await {
        Ok(_) => Ok(true),
        Err(ReadError::CheckpointMismatch { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
