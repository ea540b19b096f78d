//! What the providers' ledger says.

use std::collections::HashMap;

use crate::providers::simulator::ledger::{Line, Op, Verdict};

/// Something that really happened outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) op: Op,
    pub(super) key: String,
    pub(super) amount: i64,
    pub(super) reference: String,
}

/// The effects by order, each order's in sequence.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) orders: HashMap<String, Vec<Effect>>,
    /// How often each message was sent, by message id.
    pub(super) sends: HashMap<String, Vec<String>>,
    /// Keyed calls with more than one effect, and gaps in the sequence.
    pub(super) faults: Vec<String>,
}

impl Outside {
    pub(super) fn read(lines: &[Line]) -> Self {
        let mut outside = Self::default();
        let mut keys = std::collections::HashSet::new();
        for (line, expected) in lines.iter().zip(1_u64..) {
            if line.seq != expected {
                outside
                    .faults
                    .push(format!("line {expected} has sequence {}", line.seq));
            }
            if line.result != Verdict::Done {
                continue;
            }
            if line.op == Op::Send {
                let sent = outside.sends.entry(line.key.clone()).or_default();
                sent.push(line.reference.clone());
                continue;
            }
            if !keys.insert((line.op, line.key.as_str())) {
                outside
                    .faults
                    .push(format!("key {} had two effects", line.key));
            }
            outside
                .orders
                .entry(line.order_id.clone())
                .or_default()
                .push(Effect {
                    op: line.op,
                    key: line.key.clone(),
                    amount: line.amount.unwrap_or(0),
                    reference: line.reference.clone(),
                });
        }
        outside
    }
}
