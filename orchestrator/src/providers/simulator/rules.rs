//! Faults by rule: which calls go wrong, and how. What is drawn for a call depends on the seed, the order, the operation
//! and the number of the call, and on nothing else, so a run can be repeated.

mod parse;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{Op, Port};
pub(super) use parse::parse;

/// Orders whose calls are counted. The count of one that is forgotten begins anew.
const COUNTED: usize = 200_000;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Decline,
    Delay,
    CommitThenDrop,
    DropBeforeCommit,
    InProgress,
    ErrorAfterCommit,
    Drip,
    Huge,
    Garbage,
    Html,
    WebhookDuplicate,
    WebhookLate,
    WebhookReordered,
    WebhookContradictory,
    Async,
    Refuse,
    ForgetKey,
    Down,
}

/// What a rule may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum On {
    Charge,
    Refund,
    Ship,
    Hold,
    Cancel,
    Send,
    Handover,
    Deliver,
    /// Any look-up.
    Query,
}

impl From<Op> for On {
    fn from(op: Op) -> Self {
        match op {
            Op::Charge => Self::Charge,
            Op::Refund => Self::Refund,
            Op::Ship => Self::Ship,
            Op::Hold => Self::Hold,
            Op::Cancel => Self::Cancel,
            Op::Send => Self::Send,
            Op::Handover => Self::Handover,
            Op::Deliver => Self::Deliver,
        }
    }
}

impl On {
    /// Whose operation this is; look-ups are everybody's.
    const fn port(self) -> Option<Port> {
        match self {
            Self::Charge | Self::Refund => Some(Port::Payment),
            Self::Ship | Self::Hold | Self::Cancel | Self::Handover | Self::Deliver => {
                Some(Port::Carrier)
            }
            Self::Send => Some(Port::Kakao),
            Self::Query => None,
        }
    }
}

impl Kind {
    /// Whether this can happen to that.
    const fn fits(self, on: On) -> bool {
        let keyed = matches!(
            on,
            On::Charge | On::Refund | On::Ship | On::Hold | On::Cancel
        );
        let by_van = matches!(on, On::Handover | On::Deliver);
        match self {
            Self::Decline => matches!(on, On::Charge),
            Self::Async => matches!(on, On::Refund),
            Self::Refuse => keyed || matches!(on, On::Send),
            Self::InProgress => keyed,
            // The provider's own state still stands in the way of a second effect.
            Self::ForgetKey => keyed,
            Self::WebhookDuplicate
            | Self::WebhookLate
            | Self::WebhookReordered
            | Self::WebhookContradictory => {
                matches!(on, On::Charge | On::Refund | On::Send) || by_van
            }
            Self::Down
            | Self::Delay
            | Self::CommitThenDrop
            | Self::DropBeforeCommit
            | Self::ErrorAfterCommit
            | Self::Drip
            | Self::Huge
            | Self::Garbage
            | Self::Html => !by_van,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    /// Whose calls; nothing = everybody's.
    pub(super) port: Option<Port>,
    /// Which calls; nothing = all that have an effect and that this can happen to.
    pub(super) op: Option<On>,
    pub(super) fault: Kind,
    /// The share of those calls.
    pub(super) rate: f64,
    /// Only this order's.
    pub(super) order_id: Option<String>,
    /// How long, where the fault takes time.
    pub(super) delay_ms: u64,
    /// A delay is longer or shorter by up to this.
    pub(super) jitter_ms: u64,
    /// With which code, where the fault is a refusal.
    pub(super) code: Option<String>,
}

impl Rule {
    /// `fault` at every call of `op`.
    pub(super) const fn always(op: On, fault: Kind) -> Self {
        Self {
            port: op.port(),
            op: Some(op),
            fault,
            rate: 1.0,
            order_id: None,
            delay_ms: 0,
            jitter_ms: 0,
            code: None,
        }
    }

    fn is_about(&self, port: Port, on: On, order: &str) -> bool {
        let op = match self.op {
            Some(op) => op == on,
            None => on != On::Query || self.fault == Kind::Down,
        };
        op && self.port.is_none_or(|own| own == port)
            && self.fault.fits(on)
            && self.order_id.as_deref().is_none_or(|own| own == order)
    }
}

/// What was drawn for a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fate {
    /// How long it takes before anything happens.
    pub(super) delay: Duration,
    /// How it goes wrong.
    pub(super) fault: Option<Drawn>,
}

/// A fault with its details.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    pub(super) kind: Kind,
    pub(super) code: Option<String>,
    pub(super) delay: Option<Duration>,
}

impl Fate {
    /// Whether this is what goes wrong.
    pub(super) fn is(&self, kind: Kind) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.kind == kind)
    }

    /// The code of a refusal of this kind.
    pub(super) fn refusal(&self, kinds: &[Kind], otherwise: &str) -> Option<String> {
        let fault = self.fault.as_ref()?;
        kinds
            .contains(&fault.kind)
            .then(|| fault.code.clone().unwrap_or_else(|| otherwise.to_owned()))
    }
}

/// The rules in force, and how often each order was called under them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    seed: u64,
    rules: Vec<Rule>,
    /// How many calls each of them has struck.
    struck: Vec<u64>,
    calls: HashMap<(On, String), u32>,
    counted: VecDeque<(On, String)>,
}

impl Rules {
    /// Replaces all rules; calls are counted from here.
    pub(super) fn set(&mut self, seed: u64, rules: Vec<Rule>) {
        *self = Self {
            seed,
            struck: vec![0; rules.len()],
            rules,
            ..Self::default()
        };
    }

    /// Them as they are read, each with the number of calls that it has struck.
    pub(super) fn document(&self) -> serde_json::Value {
        let rules = self.rules.iter().zip(&self.struck).map(|(rule, struck)| {
            let mut rule = serde_json::json!(rule);
            rule["struck"] = (*struck).into();
            rule
        });
        serde_json::json!({ "seed": self.seed, "rules": rules.collect::<Vec<_>>() })
    }

    /// What happens to the next call of `on` for `order`.
    pub(super) fn draw(&mut self, port: Port, on: On, order: &str) -> Fate {
        let mut fate = Fate::default();
        if self.rules.is_empty() {
            return fate;
        }
        let call = self.count(on, order);
        for ((index, rule), struck) in (0_u64..).zip(&self.rules).zip(&mut self.struck) {
            if !rule.is_about(port, on, order) {
                continue;
            }
            let dice = dice(self.seed, index, on, order, call);
            if share(dice) >= rule.rate {
                continue;
            }
            if rule.fault == Kind::Delay {
                *struck += 1;
                fate.delay += delay(rule, dice);
            } else if fate.fault.is_none() {
                *struck += 1;
                fate.fault = Some(Drawn {
                    kind: rule.fault,
                    code: rule.code.clone(),
                    delay: (rule.delay_ms > 0).then(|| Duration::from_millis(rule.delay_ms)),
                });
            }
        }
        fate
    }

    fn count(&mut self, on: On, order: &str) -> u32 {
        let place = (on, order.to_owned());
        if !self.calls.contains_key(&place) {
            if self.counted.len() >= COUNTED
                && let Some(old) = self.counted.pop_front()
            {
                self.calls.remove(&old);
            }
            self.counted.push_back(place.clone());
        }
        let calls = self.calls.entry(place).or_default();
        *calls += 1;
        *calls
    }
}

/// A number that is as good as random and always the same.
fn dice(seed: u64, rule: u64, on: On, order: &str, call: u32) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let numbers = [seed, rule, on as u64, call.into()].map(u64::to_le_bytes);
    for byte in numbers.as_flattened().iter().chain(order.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(hash)
}

/// The finisher of SplitMix64: every bit of the input moves every bit of the output.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number in [0, 1).
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The rule's delay, longer or shorter by its jitter.
fn delay(rule: &Rule, dice: u64) -> Duration {
    let turn = share(mix(dice.wrapping_add(1))).mul_add(2.0, -1.0);
    let middle = Duration::from_millis(rule.delay_ms).as_secs_f64();
    let jitter = Duration::from_millis(rule.jitter_ms).as_secs_f64();
    Duration::from_secs_f64(turn.mul_add(jitter, middle).max(0.0))
}

/// The payment of the shop that this one is measured against: 400 ms, give or take 220.
pub(super) fn slow(op: On) -> Rule {
    Rule {
        delay_ms: 400,
        jitter_ms: 220,
        ..Rule::always(op, Kind::Delay)
    }
}

#[cfg(test)]
mod tests;
