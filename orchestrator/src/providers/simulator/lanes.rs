//! Which parcels wait for a van, in the order in which the vans come. Each lane holds the first of them; the rest stand in
//! the ledger, and are read from there when their turn comes near. So it does not matter how many wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ledger::{Line, Op, Verdict};
use super::names::order_key;

/// Parcels that one lane holds: two megabytes.
const HELD: usize = 65_536;

/// What a van does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scan {
    /// It takes the parcel along.
    HandOver,
    /// It brings it to the door.
    Deliver,
}

impl Scan {
    /// The kind of line after which a parcel waits for this.
    pub(super) const fn after(self) -> Op {
        match self {
            Self::HandOver => Op::Ship,
            Self::Deliver => Op::Handover,
        }
    }
}

/// Parcels that wait for one kind of scan.
#[derive(Debug)]
pub(super) struct Lane {
    scan: Scan,
    wait: Duration,
    held: usize,
    queue: VecDeque<(DateTime<Utc>, Uuid)>,
    /// The first line whose parcel may be missing in the queue.
    behind: Option<u64>,
}

impl Lane {
    pub(super) fn new(scan: Scan, wait: Duration) -> Self {
        Self {
            scan,
            wait,
            held: HELD,
            queue: VecDeque::new(),
            behind: None,
        }
    }

    /// A parcel begins to wait.
    pub(super) fn push(&mut self, line: &Line) {
        if line.op != self.scan.after() || self.behind.is_some() {
            return;
        }
        if self.queue.len() < self.held {
            let order = order_key(&line.order_id);
            self.queue.push_back((line.at, order));
        } else {
            self.behind = Some(line.seq);
        }
    }

    /// When the first van comes, as far as is known without reading.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.queue.front().map(|(at, _)| *at + self.wait)
    }

    /// The order whose parcel is due.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<(Uuid, Scan)> {
        if self.next_due()? > now {
            return None;
        }
        self.queue.pop_front().map(|(_, order)| (order, self.scan))
    }

    /// The line from which this lane has to be filled from the ledger.
    pub(super) fn wants(&self) -> Option<u64> {
        self.behind.filter(|_| self.queue.is_empty())
    }

    /// Takes in lines read from where it wanted them. `upto` is the last line that was looked at, `last` the last there is.
    pub(super) fn fill(&mut self, lines: &[Line], upto: u64, last: u64) {
        self.behind = None;
        for line in lines.iter().filter(|line| line.result == Verdict::Done) {
            self.push(line);
        }
        if self.behind.is_none() && upto < last {
            self.behind = Some(upto + 1);
        }
    }

    /// Begins at line `seq` instead of empty.
    pub(super) fn begin_at(&mut self, seq: Option<u64>) {
        self.queue.clear();
        self.behind = seq;
    }
}

/// While the ledger is read at a start: which parcels still wait, so that the lanes begin at the first of them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Sequences of shipments.
    shipped: BTreeSet<u64>,
    /// Sequence of the shipment to that of the hand-over.
    handed_over: BTreeMap<u64, u64>,
}

impl Waiting {
    /// Follows one line about the parcel that was accepted with line `shipped`.
    pub(super) fn follow(&mut self, line: &Line, shipped: u64) {
        match line.op {
            Op::Ship => {
                self.shipped.insert(line.seq);
            }
            Op::Handover => {
                self.shipped.remove(&shipped);
                self.handed_over.insert(shipped, line.seq);
            }
            Op::Cancel => {
                self.shipped.remove(&shipped);
            }
            Op::Deliver => {
                self.handed_over.remove(&shipped);
            }
            _ => {}
        }
    }

    /// Where the lane of this scan begins.
    pub(super) fn first(&self, scan: Scan) -> Option<u64> {
        match scan {
            Scan::HandOver => self.shipped.first().copied(),
            Scan::Deliver => self.handed_over.values().min().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::simulator::ledger::Port;

    fn line(seq: u64) -> Line {
        Line {
            seq,
            at: DateTime::UNIX_EPOCH + Duration::from_secs(seq),
            port: Port::Carrier,
            op: Op::Ship,
            key: String::new(),
            order_id: Uuid::from_u128(seq.into()).to_string(),
            kind: None,
            amount: None,
            currency: None,
            result: Verdict::Done,
            reference: String::new(),
        }
    }

    #[test]
    fn every_parcel_gets_its_turn_in_order_however_few_a_lane_holds() {
        let mut lane = Lane {
            held: 3,
            ..Lane::new(Scan::HandOver, Duration::from_secs(5))
        };
        let (mut written, mut taken) = (Vec::new(), Vec::new());
        for seq in 1..=40 {
            written.push(line(seq));
            lane.push(&line(seq));
            // Vans come late and two at a time, so the lane spills and has to read.
            if seq % 3 == 0 {
                continue;
            }
            while let Some((order, _)) = lane.take_due(line(seq).at) {
                taken.push(order.as_u128());
            }
            if let Some(from) = lane.wants() {
                let page: Vec<_> = written[from as usize - 1..]
                    .iter()
                    .take(4)
                    .cloned()
                    .collect();
                let upto = page.last().unwrap().seq;
                lane.fill(&page, upto, seq);
            }
            assert!(lane.queue.len() <= 3);
        }
        let due = 40 - 5 - 4;
        assert_eq!(taken, (1..=taken.len() as u128).collect::<Vec<_>>());
        assert!(taken.len() >= due, "only {} of {due}", taken.len());
    }
}
