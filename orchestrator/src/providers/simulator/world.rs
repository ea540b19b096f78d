//! What the simulated providers know and how they decide: pure, a function of the ledger's lines and the call.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ledger::{Line, Op, Port, Verdict};
use crate::providers::ports::Tracking;

/// Namespace of the hashes under which calls are remembered. Fixed for ever.
const CALLS: Uuid = Uuid::from_u128(0x2f5a_6f6e_91a7_4f0e_8a51_6f3b_0f6c_77d1);

/// A call as the provider receives it.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) port: Port,
    pub(super) op: Op,
    pub(super) key: String,
    pub(super) order_id: String,
    pub(super) kind: Option<String>,
    pub(super) money: Option<(i64, String)>,
    /// A refusal that was decided before the provider's own rules: a bad card, a closed window, a script.
    pub(super) refusal: Option<&'static str>,
}

/// The provider's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The line that must be on disk before anyone hears this.
    pub(super) seq: u64,
    /// The reference, or the code of the refusal.
    pub(super) result: Result<String, String>,
    /// Minor units and currency, where money moved.
    pub(super) money: Option<(i64, String)>,
}

/// What is remembered of a key. References are made from the sequence, so this stays small.
#[derive(Debug)]
struct Stored {
    seq: u64,
    money: Option<(i64, [u8; 3])>,
    refusal: Option<Box<str>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Parcel {
    #[default]
    None,
    Accepted,
    Held,
    HandedOver,
    Delivered,
    Canceled,
}

/// What the providers know of one order.
#[derive(Debug, Default)]
struct Account {
    charged: i64,
    refunded: i64,
    parcel: Parcel,
    shipped_seq: u64,
    handed_over_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
}

/// What a van does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scan {
    /// It takes the parcel along.
    HandOver,
    /// It brings it to the door.
    Deliver,
}

/// The simulated world.
#[derive(Debug)]
pub(super) struct World {
    last_seq: u64,
    calls: HashMap<Uuid, Stored>,
    orders: HashMap<Uuid, Account>,
    due: BTreeSet<(DateTime<Utc>, Uuid, Scan)>,
    handover_after: Duration,
    delivery_after: Duration,
}

impl World {
    pub(super) fn new(handover_after: Duration, delivery_after: Duration) -> Self {
        Self {
            last_seq: 0,
            calls: HashMap::new(),
            orders: HashMap::new(),
            due: BTreeSet::new(),
            handover_after,
            delivery_after,
        }
    }

    /// Decides a call and makes its line. The caller applies nothing: it is done here.
    pub(super) fn ask(&mut self, ask: &Ask, now: DateTime<Utc>) -> (Line, Reply) {
        let seq = self.last_seq + 1;
        let known = (ask.op != Op::Send)
            .then(|| self.calls.get(&call_id(ask.op, &ask.key)))
            .flatten();
        let (verdict, reply) = if let Some(stored) = known {
            (
                Verdict::Repeated,
                Reply {
                    seq,
                    ..stored_reply(ask.op, stored)
                },
            )
        } else {
            let money = ask.money.clone();
            match ask.refusal.or_else(|| self.rule_against(ask)) {
                Some(code) => (
                    Verdict::Refused,
                    Reply {
                        seq,
                        result: Err(code.to_owned()),
                        money,
                    },
                ),
                None => (
                    Verdict::Done,
                    Reply {
                        seq,
                        result: Ok(reference(ask.op, seq)),
                        money,
                    },
                ),
            }
        };
        let line = Line {
            seq,
            at: now,
            port: ask.port,
            op: ask.op,
            key: ask.key.clone(),
            order_id: ask.order_id.clone(),
            kind: ask.kind.clone(),
            amount: ask.money.as_ref().map(|(amount, _)| *amount),
            currency: ask.money.as_ref().map(|(_, currency)| currency.clone()),
            result: verdict,
            reference: reply.result.clone().unwrap_or_else(|code| code),
        };
        self.apply(&line);
        (line, reply)
    }

    /// The providers' own rules.
    fn rule_against(&self, ask: &Ask) -> Option<&'static str> {
        let account = self.orders.get(&order_key(&ask.order_id));
        let parcel = account.map(|account| account.parcel).unwrap_or_default();
        match ask.op {
            Op::Refund => {
                let left = account.map_or(0, |account| account.charged - account.refunded);
                let wanted = ask.money.as_ref().map_or(0, |(amount, _)| *amount);
                (wanted > left).then_some("not-cancelable-amount")
            }
            Op::Hold | Op::Cancel => match parcel {
                Parcel::Accepted | Parcel::Held => None,
                Parcel::None => Some("no-such-parcel"),
                Parcel::HandedOver | Parcel::Delivered => Some("handed-over"),
                Parcel::Canceled => Some("label-void"),
            },
            Op::Charge | Op::Ship | Op::Send | Op::Handover | Op::Deliver => None,
        }
    }

    /// What a scan does to a parcel now. `force` takes along even what was to be held, as real vans sometimes do.
    pub(super) fn scan(
        &mut self,
        order: Uuid,
        scan: Scan,
        force: bool,
        now: DateTime<Utc>,
    ) -> Option<Line> {
        let account = self.orders.get(&order)?;
        let (op, possible) = match (scan, account.parcel) {
            (Scan::HandOver, Parcel::Accepted) => (Op::Handover, true),
            (Scan::HandOver, Parcel::Held | Parcel::Canceled) => (Op::Handover, force),
            (Scan::Deliver, Parcel::HandedOver) => (Op::Deliver, true),
            _ => (Op::Handover, false),
        };
        if !possible {
            return None;
        }
        let waybill = reference(Op::Ship, account.shipped_seq);
        let moved = if op == Op::Handover {
            "handover"
        } else {
            "deliver"
        };
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
        self.apply(&line);
        Some(line)
    }

    /// Folds one line; the same code for a fresh call and for recovery.
    pub(super) fn apply(&mut self, line: &Line) {
        self.last_seq = line.seq;
        if line.result != Verdict::Repeated {
            let refusal = (line.result == Verdict::Refused).then(|| line.reference.as_str().into());
            let currency = line
                .currency
                .as_deref()
                .and_then(|code| code.as_bytes().try_into().ok());
            let stored = Stored {
                seq: line.seq,
                money: line.amount.zip(currency),
                refusal,
            };
            self.calls
                .entry(call_id(line.op, &line.key))
                .or_insert(stored);
        }
        if line.result == Verdict::Done && line.op != Op::Send {
            self.move_things(line);
        }
    }

    fn move_things(&mut self, line: &Line) {
        let order = order_key(&line.order_id);
        let account = self.orders.entry(order).or_default();
        let amount = line.amount.unwrap_or(0);
        match line.op {
            Op::Charge => account.charged += amount,
            Op::Refund => account.refunded += amount,
            Op::Ship => {
                account.parcel = Parcel::Accepted;
                account.shipped_seq = line.seq;
                self.due
                    .insert((line.at + self.handover_after, order, Scan::HandOver));
            }
            Op::Hold => account.parcel = Parcel::Held,
            Op::Cancel => account.parcel = Parcel::Canceled,
            Op::Handover => {
                account.parcel = Parcel::HandedOver;
                account.handed_over_at = Some(line.at);
                self.due
                    .insert((line.at + self.delivery_after, order, Scan::Deliver));
            }
            Op::Deliver => {
                account.parcel = Parcel::Delivered;
                account.delivered_at = Some(line.at);
            }
            Op::Send => {}
        }
    }

    /// When the next van comes.
    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// Takes the first scan that is due at `now`.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<(Uuid, Scan)> {
        if self.next_due()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, order, scan)| (order, scan))
    }

    /// The stored answer of a key.
    pub(super) fn lookup(&self, op: Op, key: &str) -> Option<Reply> {
        self.calls
            .get(&call_id(op, key))
            .map(|stored| stored_reply(op, stored))
    }

    /// The scans of an order's parcel; nothing when there is none. With the last sequence, so that the answer can wait
    /// until all it says is on disk.
    pub(super) fn tracking(&self, order: Uuid) -> Option<(u64, Tracking)> {
        let account = self
            .orders
            .get(&order)
            .filter(|account| account.parcel != Parcel::None)?;
        let Account {
            handed_over_at,
            delivered_at,
            ..
        } = *account;
        Some((
            self.last_seq,
            Tracking {
                handed_over_at,
                delivered_at,
            },
        ))
    }
}

/// Orders are named by UUIDs; whatever else a caller writes is hashed into one.
fn order_key(text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| Uuid::new_v5(&CALLS, text.as_bytes()))
}

fn call_id(op: Op, key: &str) -> Uuid {
    Uuid::new_v5(&CALLS, format!("{op:?}/{key}").as_bytes())
}

fn stored_reply(op: Op, stored: &Stored) -> Reply {
    let result = stored.refusal.as_deref().map_or_else(
        || Ok(reference(op, stored.seq)),
        |code| Err(code.to_owned()),
    );
    let currency = |code: [u8; 3]| String::from_utf8_lossy(&code).into_owned();
    Reply {
        seq: stored.seq,
        result,
        money: stored.money.map(|(amount, code)| (amount, currency(code))),
    }
}

fn reference(op: Op, seq: u64) -> String {
    let prefix = match op {
        Op::Charge => "sim-charge-",
        Op::Refund => "sim-refund-",
        Op::Ship | Op::Handover | Op::Deliver => "SIM",
        Op::Hold => "sim-hold-",
        Op::Cancel => "sim-void-",
        Op::Send => "sim-message-",
    };
    format!("{prefix}{seq:010}")
}
