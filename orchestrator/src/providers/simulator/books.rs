//! What the providers' books say of a stretch of time, read from the ledger page by page.

use aggregates::money::Money;
use chrono::{DateTime, SubsecRound, Utc};

use super::account::Parcel;
use super::carrier::label;
use super::ledger::{Line, Op, Port, Verdict};
use super::names::{order_key, reference, seq_of};
use super::{Core, lock};
use crate::providers::ports::{
    ChargeName, ChargeNow, Direction, Found, MoneyRecord, Page, ParcelRecord, ParcelState,
};

/// Lines that one page looks at: a few milliseconds of reading.
const LINES: usize = 2_000;

const UNREACHABLE: &str = "the simulated provider cannot be reached";

impl Core {
    /// Who was charged and who got money back.
    pub(super) async fn money_records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> Found<Page<MoneyRecord>> {
        let page = self.lines_since(Port::Payment, since, cursor).await;
        page.map(|page| self.each(page, |core, line| core.money_record(line)))
    }

    /// Which parcels were accepted.
    pub(super) async fn parcel_records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> Found<Page<ParcelRecord>> {
        let page = self.lines_since(Port::Carrier, since, cursor).await;
        page.map(|page| self.each(page, |core, line| core.parcel_record(line)))
    }

    /// What is left of one charge.
    pub(super) fn charge_now(&self, charge: &ChargeName) -> Found<ChargeNow> {
        if lock(&self.faults).is_down(Port::Payment) {
            return Found::Unknown(UNREACHABLE.into());
        }
        let mut world = lock(&self.world);
        let account = world.account(charge.order_id);
        let seq = seq_of(Op::Charge, &charge.charge_ref);
        let Some((account, seq)) = account.zip(seq) else {
            return Found::Nothing;
        };
        let Some(charged) = account.charges.iter().find(|it| it.seq == seq) else {
            return Found::Nothing;
        };
        let Ok(currency) = String::from_utf8_lossy(&charged.currency).parse() else {
            return Found::Unknown("the charge names no currency".into());
        };
        let mut back = account.returns.iter().filter(|it| it.charge == seq);
        let returned = charged.amount - account.left_of(charged);
        let last = back.next_back();
        Found::Done(ChargeNow {
            amount: Money::new(charged.amount, currency),
            returned: Money::new(returned, currency),
            last_refund: last.map(|it| reference(Op::Refund, it.seq)),
        })
    }

    fn each<T>(&self, page: Page<Line>, record: impl Fn(&Self, Line) -> Option<T>) -> Page<T> {
        let records = page.records.into_iter();
        Page {
            records: records.filter_map(|line| record(self, line)).collect(),
            next: page.next,
        }
    }

    async fn lines_since(
        &self,
        port: Port,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> Found<Page<Line>> {
        if lock(&self.faults).is_down(port) {
            return Found::Unknown(UNREACHABLE.into());
        }
        // Lines tell milliseconds.
        let since = since.trunc_subsecs(3);
        let after = match cursor.map(|cursor| cursor.parse()).transpose() {
            Ok(after) => after,
            Err(_) => return Found::Unknown("the provider knows no such page".into()),
        };
        let (reader, upto) = (self.reader.clone(), self.ledger.synced_seq());
        let page = tokio::task::spawn_blocking(move || {
            let after = match after {
                Some(after) => after,
                None => reader.before(since)?,
            };
            reader.page(after, upto, LINES)
        });
        let Ok(Ok(mut lines)) = page.await else {
            return Found::Unknown("the simulator cannot read its ledger".into());
        };
        let last = lines.last().map_or(upto, |line| line.seq);
        lines.retain(|line| line.port == port && line.result == Verdict::Done && line.at >= since);
        Found::Done(Page {
            records: lines,
            next: (last < upto).then(|| last.to_string()),
        })
    }

    fn money_record(&self, line: Line) -> Option<MoneyRecord> {
        let (direction, charge_ref) = match line.op {
            Op::Charge => (Direction::Charged, Some(line.reference.clone())),
            Op::Refund => (Direction::Returned, self.charge_of(&line)),
            _ => return None,
        };
        Some(MoneyRecord {
            direction,
            charge_ref: charge_ref.unwrap_or_default(),
            amount: Money::new(line.amount?, line.currency?.parse().ok()?),
            order_id: line.order_id,
            reference: line.reference,
            at: line.at,
        })
    }

    fn parcel_record(&self, line: Line) -> Option<ParcelRecord> {
        if line.op != Op::Ship {
            return None;
        }
        Some(ParcelRecord {
            state: self.parcel(&line.order_id)?,
            order_id: line.order_id,
            label: label(line.reference),
            at: line.at,
        })
    }

    /// The reference of the charge that a refund returns.
    fn charge_of(&self, refund: &Line) -> Option<String> {
        let mut world = lock(&self.world);
        let account = world.account(order_key(&refund.order_id))?;
        let own = account.returns.iter().find(|it| it.seq == refund.seq)?;
        Some(reference(Op::Charge, own.charge))
    }

    /// Where an order's parcel is; nothing when there is none.
    fn parcel(&self, order_id: &str) -> Option<ParcelState> {
        match lock(&self.world).account(order_key(order_id))?.parcel {
            Parcel::None => None,
            Parcel::Accepted => Some(ParcelState::Accepted),
            Parcel::Held => Some(ParcelState::Held),
            Parcel::HandedOver => Some(ParcelState::HandedOver),
            Parcel::Delivered => Some(ParcelState::Delivered),
            Parcel::Canceled => Some(ParcelState::Canceled),
        }
    }
}
