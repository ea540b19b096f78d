//! The bulk part of a rebuild: the log is read once, in order; its pages are decoded side by side, and
//! each worker folds the events of its rows, in the order of the log.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use eventstore::{Checkpoint, Position, RecordedEvent, Scan};
use futures_util::future::try_join_all;

use super::Begun;
use super::hand::{Hand, Page, Room, Steps, Works};
use super::report::{Phase, Reporter};
use super::seen::Seen;
use crate::error::{RunError, StoreError};
use crate::fold::{Changes, Part, decode};
use crate::parking::{ParkedRecord, Parking};
use crate::projection::Projection;
use crate::site::Site;
use crate::store::{Committed, Generation, PageCommit};

/// Connections that read the log: each takes a core of the database.
const READERS_MAX: usize = 4;

/// Parked events kept in memory before a checkpoint takes them to the table.
const PARKED_MAX: usize = 10_000;

/// The workers, and how far they are.
pub(super) struct Build<P: Projection> {
    works: Arc<Works>,
    hands: Vec<Hand<P>>,
    /// What is known of it before a page is decoded.
    parking: Arc<Parking>,
    generation: Generation,
    last: Option<(Checkpoint, DateTime<Utc>)>,
    parked: u64,
    saved: Instant,
    save_every: Duration,
}

impl<P: Projection> Build<P> {
    /// Goes on with a table from its checkpoint.
    pub(super) async fn new(
        site: &Site,
        Begun {
            generation,
            anew,
            skips,
        }: Begun,
        workers: usize,
        save_every: Duration,
    ) -> Result<Self, RunError> {
        let mut parking = site.store.parking(P::TABLE, generation.number).await?;
        parking.skips = skips;
        let room = Room::of(site.options.rows_in_memory, workers);
        let hand = |(nth, part)| {
            let seen = match anew {
                true => Seen::none(workers),
                false => Seen::Unknown,
            };
            Hand::new(nth, part, parking.clone(), seen, room)
        };
        let works = Arc::new(Works::new(site, generation.number, workers)?);
        if !anew {
            // Rows have to be found from the first page on, and whoever was cut off may not have come to it.
            works.index_key().await?;
        }
        Ok(Self {
            works,
            hands: Part::all(workers).enumerate().map(hand).collect(),
            parking: Arc::new(parking),
            generation,
            last: None,
            parked: 0,
            saved: Instant::now(),
            save_every,
        })
    }

    /// Takes the log up to `to`.
    pub(super) async fn scan(
        &mut self,
        site: &Site,
        to: Position,
        report: &mut Reporter<'_>,
    ) -> Result<(), RunError> {
        report.tell(Phase::Reading, self.generation.checkpoint.position, to);
        let after = self.generation.checkpoint;
        let mut scan = site
            .log
            .scan_ahead(after, to, self.hands.len().min(READERS_MAX));
        loop {
            let pages = self.next_pages(&mut scan).await?;
            let Some(last) = pages.last().and_then(|page| page.last()) else {
                return Ok(());
            };
            let (reached, recorded_at) = (last.checkpoint(), last.recorded_at);
            self.round(pages).await?;
            self.last = Some((reached, recorded_at));
            report.tell(Phase::Reading, reached.position, to);
            let parked: usize = self.hands.iter().map(Hand::parked).sum();
            if self.saved.elapsed() >= self.save_every || parked > PARKED_MAX {
                self.save().await?;
            }
        }
    }

    /// A page for each worker to decode; fewer at the end of the log.
    async fn next_pages(&self, scan: &mut Scan) -> Result<Vec<Page>, RunError> {
        let mut pages = Vec::with_capacity(self.hands.len());
        while pages.len() < self.hands.len() {
            match scan.next().await {
                Some(page) => pages.push(Arc::new(page?)),
                None => break,
            }
        }
        pages.retain(|page: &Arc<Vec<RecordedEvent>>| !page.is_empty());
        Ok(pages)
    }

    async fn round(&mut self, pages: Vec<Page>) -> Result<(), RunError> {
        let steps = self.decode(&pages).await?;
        let works = &self.works;
        let hands = self.hands.iter_mut();
        let folds = hands.map(|hand| hand.fold(works, pages.clone(), steps.clone()));
        let folds = try_join_all(folds);
        // The last worker that is done with them frees them, on its own thread.
        drop((pages, steps));
        folds.await?;
        Ok(())
    }

    /// The steps of each page.
    async fn decode(&mut self, pages: &[Page]) -> Result<Vec<Steps>, RunError> {
        let mut steps = Vec::with_capacity(pages.len());
        while steps.len() < pages.len() {
            let rest = pages[steps.len()..].iter().enumerate();
            let decoded = rest.map(|(nth, page)| {
                let (page, parking) = (Arc::clone(page), Arc::clone(&self.parking));
                let work = move || {
                    let decoded = decode::<P>(&page, &parking);
                    (Arc::new(decoded.steps), decoded.broken)
                };
                self.works.crew.run(nth, work)
            });
            for (decoded, broken) in try_join_all(decoded).await? {
                steps.push(decoded);
                if !broken.is_empty() {
                    // The pages behind it were decoded without knowing that.
                    Arc::make_mut(&mut self.parking).broken.extend(broken);
                    break;
                }
            }
        }
        Ok(steps)
    }

    /// Writes all rows and then the checkpoint, from which a rebuild that is cut off can go on.
    async fn save(&mut self) -> Result<(), RunError> {
        let works = &self.works;
        let left = try_join_all(self.hands.iter_mut().map(|hand| hand.flush(works))).await?;
        works.index_key().await?;
        self.saved = Instant::now();
        let Some((to, recorded_at)) = self.last.take() else {
            return Ok(());
        };
        let mut parked: Vec<ParkedRecord> = Vec::new();
        let mut deleted = Vec::new();
        for mut left in left {
            parked.append(&mut left.parked);
            deleted.append(&mut left.deleted);
        }
        self.parked += parked.len() as u64;
        let commit = PageCommit {
            generation: self.generation.number,
            from: self.generation.checkpoint,
            to,
            recorded_at,
            changes: Changes {
                written: Vec::new(),
                deleted,
            },
            parked,
            released: Vec::new(),
            rebuild_wanted: None,
        };
        match works.store.commit(P::TABLE, commit).await? {
            Committed::Yes => self.generation.checkpoint = to,
            Committed::Fenced => {
                return Err(StoreError::Replaced {
                    view: P::TABLE.view,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Writes what is left and makes the indexes; returns the table and how many events were parked.
    pub(super) async fn finish(
        mut self,
        report: &mut Reporter<'_>,
    ) -> Result<(Generation, u64), RunError> {
        self.save().await?;
        let position = self.generation.checkpoint.position;
        report.tell(Phase::Indexing, position, position);
        let works = &self.works;
        let _held = works.pulse.hold();
        works.store.index_lists(P::TABLE, works.generation).await?;
        Ok((self.generation, mem::take(&mut self.parked)))
    }
}
