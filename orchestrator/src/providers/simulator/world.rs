//! What the simulated providers know and how they decide: a function of the ledger's lines, the notes and the call.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::account::{Account, Hook, Parcel};
use super::archive::Archive;
use super::call::{Ask, Reply, stored_reply};
use super::failures::Failures;
use super::fold::{ALREADY_PROCESSED, currency, move_money, move_parcel, sent};
use super::lanes::{Lane, Scan, Waiting};
use super::ledger::{Line, Op, Port, Verdict};
use super::memory::{Memory, Stored};
use super::names::{account_key, call_id, order_key, payment_name, reference};
use super::notes::{Detail, Pending};
use super::sessions::Sessions;

/// Lines whose accounts stay in memory: several seconds of work at full speed, until an order is shipped and its customer told,
/// in about 20 MB (a line and what it leaves takes one kilobyte).
pub(super) const WINDOW: usize = 20_000;

/// The code of a call about a parcel whose label is void.
pub(super) const LABEL_VOID: &str = "label-void";

/// The simulated world.
#[derive(Debug)]
pub(super) struct World {
    last_seq: u64,
    memory: Memory,
    lanes: [Lane; 2],
    failures: Failures,
    pub(super) sessions: Sessions,
    /// Refunds under way, by order and key.
    pending: BTreeMap<(Uuid, String), Pending>,
    delivery_after: Duration,
    /// Only while the ledger is read.
    waiting: Option<Waiting>,
}

impl World {
    /// An empty one that is about to read its ledger; [`World::opened`] ends that.
    pub(super) fn new(
        handover_after: Duration,
        delivery_after: Duration,
        window: usize,
        archive: Archive,
    ) -> Self {
        Self {
            last_seq: 0,
            memory: Memory::new(window, archive),
            lanes: [
                Lane::new(Scan::HandOver, handover_after),
                Lane::new(Scan::Deliver, delivery_after),
            ],
            failures: Failures::default(),
            sessions: Sessions::default(),
            pending: BTreeMap::new(),
            delivery_after,
            waiting: Some(Waiting::default()),
        }
    }

    /// The ledger is read: from here on vans come.
    pub(super) fn opened(&mut self) {
        let waiting = self.waiting.take().unwrap_or_default();
        self.lanes[0].begin_at(waiting.first(Scan::HandOver));
        self.lanes[1].begin_at(waiting.first(Scan::Deliver));
    }

    /// The last line.
    pub(super) const fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Decides a call and makes its line. The caller applies nothing: it is done here.
    pub(super) fn ask(&mut self, ask: &Ask, now: DateTime<Utc>) -> (Line, Reply) {
        let seq = self.last_seq + 1;
        let known = if ask.op == Op::Send {
            None
        } else {
            self.memory
                .call(ask.account(), call_id(ask.op, &ask.key))
                .map(|stored| stored_reply(ask.op, stored))
        };
        let reply = match known.or_else(|| self.shipped_before(ask)) {
            Some(stored) => Reply { seq, ..stored },
            None => {
                let refusal = ask.refusal.clone().or_else(|| self.rule_against(ask));
                Reply {
                    seq,
                    origin: seq,
                    result: refusal.map_or_else(|| Ok(reference(ask.op, seq)), Err),
                    money: ask.money.clone(),
                }
            }
        };
        let result = match (&reply.result, reply.is_repeat()) {
            (_, true) => Verdict::Repeated,
            (Ok(_), false) => Verdict::Done,
            (Err(_), false) => Verdict::Refused,
        };
        let line = Line {
            seq,
            at: now,
            port: ask.port,
            op: ask.op,
            key: ask.key.clone(),
            order_id: ask.order_id.clone(),
            kind: ask.kind.clone(),
            amount: reply.money.as_ref().map(|(amount, _)| *amount),
            currency: reply.money.as_ref().map(|(_, currency)| currency.clone()),
            result,
            reference: reply.result.clone().unwrap_or_else(|code| code),
        };
        self.apply(&line, ask.detail.as_ref());
        (line, reply)
    }

    /// An order has one shipment: whoever asks for it under another key, or one that was forgotten, gets that one.
    fn shipped_before(&mut self, ask: &Ask) -> Option<Reply> {
        let account = self.memory.account(order_key(&ask.order_id))?;
        let shipped = ask.op == Op::Ship && account.parcel != Parcel::None;
        shipped.then(|| Reply {
            seq: account.shipped_seq,
            origin: account.shipped_seq,
            result: Ok(reference(Op::Ship, account.shipped_seq)),
            money: None,
        })
    }

    /// The providers' own rules.
    pub(super) fn rule_against(&mut self, ask: &Ask) -> Option<String> {
        let order = order_key(&ask.order_id);
        let wanted = ask.money.as_ref().map_or(0, |(amount, _)| *amount);
        let under_way: i64 = self
            .pending_of(order)
            .filter(|pending| pending.key != ask.key)
            .map(|pending| pending.amount)
            .sum();
        let code = match ask.op {
            Op::Charge => match &ask.detail {
                Some(Detail::Payment { payment_key }) => {
                    let used = self.memory.named(payment_name(payment_key)).is_some();
                    let account = self.memory.account(order);
                    let paid = account.is_some_and(|account| !account.charges.is_empty());
                    (used || paid).then_some(ALREADY_PROCESSED)
                }
                _ => None,
            },
            Op::Refund => {
                let account = self.memory.account(order);
                let left = account.and_then(|account| {
                    let charge = account.charge_for(ask.charge, wanted)?;
                    Some(account.left_of(charge) - under_way)
                });
                (wanted > left.unwrap_or(0)).then_some("not-cancelable-amount")
            }
            Op::Hold | Op::Cancel => match self.parcel_of(order) {
                Parcel::Accepted | Parcel::Held => None,
                Parcel::None => Some("no-such-parcel"),
                Parcel::HandedOver | Parcel::Delivered => Some("handed-over"),
                Parcel::Canceled => Some(LABEL_VOID),
            },
            Op::Ship | Op::Send | Op::Handover | Op::Deliver => None,
        };
        code.map(str::to_owned)
    }

    fn parcel_of(&mut self, order: Uuid) -> Parcel {
        self.account(order)
            .map_or(Parcel::None, |account| account.parcel)
    }

    /// What a scan does to a parcel now. `force` takes along even what was to be held, as real vans sometimes do.
    pub(super) fn scan(
        &mut self,
        order: Uuid,
        scan: Scan,
        force: bool,
        now: DateTime<Utc>,
    ) -> Option<Line> {
        let account = self.memory.account(order)?;
        let (op, moved) = match (scan, account.parcel) {
            (Scan::HandOver, Parcel::Accepted) => (Op::Handover, "handover"),
            (Scan::HandOver, Parcel::Held | Parcel::Canceled) if force => {
                (Op::Handover, "handover")
            }
            (Scan::Deliver, Parcel::HandedOver) => (Op::Deliver, "deliver"),
            _ => return None,
        };
        let waybill = reference(Op::Ship, account.shipped_seq);
        let line = Line {
            seq: self.last_seq + 1,
            at: now,
            port: Port::Carrier,
            op,
            key: format!("{waybill}/{moved}"),
            order_id: order.to_string(),
            kind: None,
            amount: None,
            currency: None,
            result: Verdict::Done,
            reference: waybill,
        };
        self.apply(&line, None);
        Some(line)
    }

    /// Folds one line; the same code for a fresh call and for recovery.
    pub(super) fn apply(&mut self, line: &Line, detail: Option<&Detail>) {
        self.last_seq = line.seq;
        let id = account_key(line.op, &line.key, &line.order_id);
        let account = self.memory.touch(id, line.seq);
        if line.op != Op::Send && account.name.is_none() && Uuid::try_parse(&line.order_id).is_err()
        {
            account.name = Some(line.order_id.as_str().into());
        }
        if line.result == Verdict::Repeated {
            return;
        }
        let refused = line.result == Verdict::Refused;
        let stored = Stored {
            account: id,
            seq: line.seq,
            money: line.amount.zip(line.currency.as_deref().and_then(currency)),
            refusal: refused.then(|| line.reference.as_str().into()),
        };
        self.memory.remember(call_id(line.op, &line.key), stored);
        if line.op == Op::Refund {
            self.pending.remove(&(id, line.key.clone()));
        }
        if line.op == Op::Charge {
            self.memory
                .rename(id, |account| move_money(account, line, detail));
        }
        let Some(account) = self.memory.account(id) else {
            return;
        };
        match line.op {
            Op::Charge => {}
            Op::Refund => move_money(account, line, detail),
            Op::Send => account.sends.push(sent(line, detail)),
            _ if refused => {}
            _ => {
                move_parcel(account, line);
                let shipped = account.shipped_seq;
                match &mut self.waiting {
                    Some(waiting) => waiting.follow(line, shipped),
                    None => self.lanes.iter_mut().for_each(|lane| lane.push(line)),
                }
            }
        }
    }

    /// When the next van comes.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.lanes.iter().filter_map(Lane::next_due).min()
    }

    /// Takes the first scan that is due at `now`.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<(Uuid, Scan)> {
        self.lanes.iter_mut().find_map(|lane| lane.take_due(now))
    }

    /// The lane that has to be filled from the ledger, and from which line on.
    pub(super) fn wanting_lane(&self) -> Option<(usize, u64)> {
        let mut lanes = self.lanes.iter().enumerate();
        lanes.find_map(|(index, lane)| lane.wants().map(|seq| (index, seq)))
    }

    /// Fills it.
    pub(super) fn fill_lane(&mut self, index: usize, lines: &[Line], upto: u64) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.fill(lines, upto, self.last_seq);
        }
    }

    /// The stored answer of a key that was used for this order, or message.
    pub(super) fn lookup(&mut self, op: Op, order_id: &str, key: &str) -> Option<Reply> {
        self.memory
            .call(account_key(op, key, order_id), call_id(op, key))
            .map(|stored| stored_reply(op, stored))
    }

    /// The stored answer of a key, whatever it was used for, with the account that it belongs to.
    pub(super) fn lookup_anywhere(&mut self, op: Op, key: &str) -> Option<(Uuid, Reply)> {
        let stored = self.memory.call_anywhere(call_id(op, key))?;
        Some((stored.account, stored_reply(op, stored)))
    }

    /// Forgets a key, as providers do after its lifetime.
    pub(super) fn forget(&mut self, op: Op, order_id: &str, key: &str) {
        let account = account_key(op, key, order_id);
        self.memory.forget(account, call_id(op, key));
        self.failures.forget(call_id(op, key));
    }

    /// The failure that is kept as the answer under a key.
    pub(super) fn failure(&self, op: Op, key: &str) -> Option<String> {
        self.failures.get(call_id(op, key)).map(str::to_owned)
    }

    /// Keeps a failure as the answer under a key.
    pub(super) fn set_failure(&mut self, op: Op, key: &str, code: String) {
        self.failures.keep(call_id(op, key), code);
    }

    /// All that is known of an order or a message.
    pub(super) fn account(&mut self, id: Uuid) -> Option<&Account> {
        self.memory.account(id).map(|account| &*account)
    }

    /// The order that a payment is for.
    pub(super) fn order_of_payment(&mut self, payment_key: &str) -> Option<Uuid> {
        self.memory.named(payment_name(payment_key))
    }

    /// Between the van and the door a parcel is first on the road and then on the last van. Nobody acts on that, so it
    /// needs no lines: it follows from the clock.
    pub(super) fn on_the_way(
        &self,
        account: &Account,
        now: DateTime<Utc>,
    ) -> [Option<DateTime<Utc>>; 2] {
        [1, 2].map(|part| {
            let at = account.handed_over_at? + self.delivery_after * part / 3;
            let at = account.delivered_at.map_or(at, |end| at.min(end));
            (at <= now).then_some(at)
        })
    }

    /// Registers where changes of an order's parcel are told.
    pub(super) fn set_hook(&mut self, order: Uuid, hook: Hook) {
        if let Some(account) = self.memory.account(order) {
            account.hook = Some(hook);
        }
    }

    /// A refund begins that will be through later.
    pub(super) fn set_pending(&mut self, pending: Pending) {
        let order = order_key(&pending.order_id);
        // One that was through before a crash is not begun again.
        if self
            .lookup(Op::Refund, &pending.order_id, &pending.key)
            .is_none()
        {
            self.pending.insert((order, pending.key.clone()), pending);
        }
    }

    /// The refunds of an order that are under way.
    pub(super) fn pending_of(&self, order: Uuid) -> impl Iterator<Item = &Pending> {
        self.pending
            .range((order, String::new())..)
            .take_while(move |((of, _), _)| *of == order)
            .map(|(_, pending)| pending)
    }

    /// The refund under way that is due first.
    pub(super) fn next_pending(&self) -> Option<&Pending> {
        self.pending.values().min_by_key(|pending| pending.due)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> [usize; 4] {
        self.memory.held()
    }
}

#[cfg(test)]
mod tests;
