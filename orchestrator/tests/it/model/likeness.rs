//! Two states of the model are the same when nobody in it can tell them apart: times count from now, and what is past is past.

use std::hash::{Hash, Hasher};
use std::io::Write;

use aggregates::saga::{Standing, State};
use chrono::{DateTime, TimeDelta, Utc};
use orchestrator::saga::finding::Finding;

use super::node::{InHand, Node, Stage};
use super::parcel::WINDOW;
use super::system::{World, start};

const ALLOWANCE: TimeDelta = TimeDelta::seconds(1);

/// Tells how large a model was. Straight to the terminal: the figure is for whoever runs the tests, however they pass.
pub(super) fn states(model: &str, states: usize) {
    let line = format!("figure: model, {model}: {states} states\n");
    drop(std::io::stdout().write_all(line.as_bytes()));
}

impl Hash for World {
    fn hash<H: Hasher>(&self, to: &mut H) {
        state(&self.state, self.now, to);
        // The two engines are alike: which of them is first does not matter.
        let mut prints = self.nodes.each_ref().map(|node| fingerprint(node, self));
        prints.sort_unstable();
        prints.hash(to);
        self.post.hash(to);
        self.luck.hash(to);
        self.broken.hash(to);
        if !self.state.is_done("pay") {
            from_now(start() + WINDOW, self.now).hash(to);
        }
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.likeness() == other.likeness()
    }
}

impl World {
    fn likeness(&self) -> u64 {
        let mut to = std::hash::DefaultHasher::new();
        self.hash(&mut to);
        to.finish()
    }
}

fn fingerprint(node: &Node, world: &World) -> u64 {
    let mut to = std::hash::DefaultHasher::new();
    let stale = node.version != world.version;
    stale.hash(&mut to);
    // What it believes does not matter when it has to read again anyway.
    if stale && world.versions_unchecked {
        state(&node.view, world.now, &mut to);
    }
    for call in &node.calls {
        in_hand(call, world.now, &mut to);
    }
    to.finish()
}

/// Of a call that was answered only the answer matters.
fn in_hand(call: &InHand, now: DateTime<Utc>, to: &mut impl Hasher) {
    (call.step, call.attempt).hash(to);
    let asking = call.stage == Stage::Asking;
    // When a call is sent matters to those who look first, and to a carrier that ignores keys.
    let times = (asking || call.step == "ship").then(|| {
        (
            from_now(call.send_by, now),
            from_now(call.send_by + ALLOWANCE, now),
        )
    });
    let waiting = (&call.key, call.mode, times);
    match &call.stage {
        Stage::Asking => (0, waiting).hash(to),
        Stage::Checked => (1, waiting).hash(to),
        Stage::Heard(Finding::Done(_)) => 2.hash(to),
        Stage::Heard(Finding::Refused { code, .. }) => (3, code).hash(to),
        Stage::Heard(Finding::Open { result, .. }) => (4, *result as u8, call.sent).hash(to),
        Stage::Heard(Finding::NotYet | Finding::Progress { .. }) => 5.hash(to),
        Stage::Heard(Finding::Absent { code }) => (6, code).hash(to),
    }
}

fn state(state: &State, now: DateTime<Utc>, to: &mut impl Hasher) {
    (state.phase, state.turns, state.unanswered, state.rested).hash(to);
    state.unwind.is_some().hash(to);
    for step in &state.steps {
        (&step.name, step.unwinding, step.repeats).hash(to);
        step.parked.as_ref().map(|parked| &parked.code).hash(to);
        standing(&step.standing, now, to);
        if step.is_done() {
            continue;
        }
        (
            step.attempt,
            step.round,
            step.asking,
            step.in_doubt,
            step.doubted,
        )
            .hash(to);
        // Only what is looked for depends on who may still send it.
        if matches!(step.name.as_str(), "pay" | "ship") {
            step.open_until.map(|at| from_now(at, now)).hash(to);
        }
    }
}

fn standing(standing: &Standing, now: DateTime<Utc>, to: &mut impl Hasher) {
    match standing {
        Standing::Idle => 0.hash(to),
        Standing::Running { deadline, .. } => (1, from_now(*deadline, now)).hash(to),
        Standing::Backoff {
            next_at, result, ..
        } => (2, from_now(*next_at, now), *result as u8).hash(to),
        Standing::Polling { next_at } => (3, from_now(*next_at, now)).hash(to),
        Standing::Done => 4.hash(to),
        Standing::Refused { code, .. } => (5, code).hash(to),
        Standing::Skipped => 6.hash(to),
    }
}

/// All that is past is equally past.
fn from_now(at: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (at - now).num_milliseconds().max(0)
}
