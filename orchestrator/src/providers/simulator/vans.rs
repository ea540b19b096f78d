//! The vans: parcels are handed over and delivered when their time has come, without anyone asking.

use std::sync::{Arc, Weak};

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::{Core, lock, now};

/// Scans of one round share an fsync; a round is bounded so that calls get the lock in between.
const ROUND: usize = 256;

/// Lines read at once for a lane that has run empty.
const PAGE: usize = 2_000;

/// Runs until the simulator is gone.
pub(super) async fn run(core: Weak<Core>, dispatch: Arc<Notify>, hints: mpsc::Sender<Uuid>) {
    while let Some(alive) = core.upgrade() {
        if fill_lane(&alive).await {
            continue;
        }
        let next = lock(&alive.world).next_due();
        let wait = next.map(|at| (at - now()).to_std().unwrap_or_default());
        if wait.is_some_and(|wait| wait.is_zero()) {
            scan_due(&alive, &hints).await;
            continue;
        }
        drop(alive);
        let due = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = dispatch.notified() => {}
        }
    }
}

/// Reads on in the ledger for a lane that has run empty; whether there was anything to read.
async fn fill_lane(core: &Core) -> bool {
    let wanting = lock(&core.world).wanting_lane();
    let Some((lane, from)) = wanting else {
        return false;
    };
    let (reader, synced) = (core.reader.clone(), core.ledger.synced_seq());
    let page = tokio::task::spawn_blocking(move || reader.page(from - 1, synced, PAGE));
    match page.await {
        Ok(Ok(lines)) => {
            let upto = lines.last().map_or(from - 1, |line| line.seq);
            lock(&core.world).fill_lane(lane, &lines, upto);
            !lines.is_empty()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the simulator cannot read its ledger; its vans stand still");
            false
        }
        // The runtime is going down.
        Err(_) => false,
    }
}

async fn scan_due(core: &Core, hints: &mpsc::Sender<Uuid>) {
    let mut scanned = Vec::new();
    let mut last = 0;
    for _ in 0..ROUND {
        // Held and voided parcels are due as well; the van finds nothing to take.
        let due = lock(&core.world).take_due(now());
        let Some((order, scan)) = due else { break };
        if let Some(seq) = core.scan(order, scan, false) {
            last = seq;
            scanned.push(order);
        }
    }
    if core.ledger.synced(last).await {
        for order in scanned {
            let _ = hints.try_send(order);
        }
    }
}
