//! The model: what can happen next, and what it leads to.

use std::sync::Arc;

use aggregates::saga::{AttemptResult, SagaEvent, SagaStarted, State};
use chrono::{DateTime, Duration, Utc};
use eventstore::{Position, Version};
use orchestrator::lineage::Lineage;
use orchestrator::saga::draft::Draft;
use orchestrator::saga::finding::Finding;
use orchestrator::saga::plan::Mode;
use orchestrator::saga::verbs::{Request, decide_cancel};
use orchestrator::saga::view::Snapshot;
use serde_json::Value;
use stateright::{Model, Property};
use uuid::Uuid;

use super::checks;
use super::node::{InHand, Node, Stage, begun, ended, open, seen};
use super::parcel::{Bug, Parcel, WINDOW};
use super::post::Post;

/// Attempts beyond the first of each step; more are more of the same.
const AGAIN_MAX: u32 = 2;

/// How often each misfortune may happen on one way through the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Luck {
    pub(super) crashes: u8,
    pub(super) lost_replies: u8,
    pub(super) lost_requests: u8,
    pub(super) refusals: u8,
    pub(super) cancels: u8,
}

/// Everything at one moment.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) now: DateTime<Utc>,
    /// The fold of the log, and how often it was appended to.
    pub(super) state: Arc<State>,
    pub(super) version: usize,
    pub(super) nodes: [Node; 2],
    pub(super) post: Post,
    pub(super) luck: Luck,
    /// An append that the fold refuses got into the log.
    pub(super) broken: bool,
    /// Appends get in whatever they were decided on.
    pub(super) versions_unchecked: bool,
}

/// Something that can happen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// A node writes down what it thinks is next.
    Act(usize),
    /// A node writes down what it heard.
    Report(usize, usize),
    /// A call goes out and its answer is heard.
    Send(usize, usize),
    /// The participant refuses.
    SendRefused(usize, usize),
    /// It has its effect and the answer is lost.
    LoseReply(usize, usize),
    /// It never arrives.
    LoseRequest(usize, usize),
    /// A node is told that the step it waits for may have happened, looks, and writes it down.
    Hint(usize),
    /// A node is told that the log may have moved.
    Wake(usize),
    /// A node loses all it had in memory.
    Crash(usize),
    /// Somebody asks to undo.
    Cancel,
    /// The carrier's van leaves.
    HandOver,
    /// Time goes on to the next moment that matters to anybody.
    Pass,
}

pub(super) struct System {
    pub(super) saga: Parcel,
    pub(super) keyed: bool,
    pub(super) bug: Bug,
    pub(super) luck: Luck,
}

impl System {
    pub(super) fn new(keyed: bool, bug: Bug, luck: Luck) -> Self {
        Self {
            saga: Parcel::new(keyed, bug),
            keyed,
            bug,
            luck,
        }
    }

    fn draft<'a>(&'a self, from: &'a Snapshot, now: DateTime<Utc>) -> Draft<'a> {
        Draft::new(&self.saga, from, now, 1.0)
    }

    /// What a node appends: the outcome it reports, what follows, and the attempts it begins. `None`: nothing.
    fn write(&self, world: &mut World, node: usize, outcome: Option<&InHand>) -> Option<()> {
        // Whatever an engine would append to a log that has moved conflicts: it reads again.
        if world.nodes[node].version != world.version && !world.versions_unchecked {
            reload(world, node);
            if self.bug == Bug::ConflictDropped {
                forget(world, node, outcome);
            }
            return Some(());
        }
        let from = snapshot(Arc::clone(&world.nodes[node].view));
        let mut draft = self.draft(&from, world.now);
        if let Some(outcome) = outcome {
            draft.outcome(&ended(outcome));
        }
        let plan = draft.settle();
        let mut starts = Vec::new();
        for begin in plan.begin {
            let busy = world.nodes[node].holds(begin.step)
                && outcome.is_none_or(|ended| ended.step != begin.step);
            if let Some(spec) =
                orchestrator::saga::definition::Saga::definition(&self.saga).step(begin.step)
                && !busy
            {
                starts.push(draft.begin(spec, begin, Uuid::from_u128(node as u128)));
            }
        }
        if draft.events.is_empty() {
            return outcome.map(|_| forget(world, node, outcome));
        }
        append(world, &draft.events);
        forget(world, node, outcome);
        reload(world, node);
        let unasked = self.bug == Bug::NoProbe;
        let begun = starts.into_iter().map(|start| match begun(start) {
            call if unasked && call.mode == Mode::ProbeThenExecute => InHand {
                stage: Stage::Checked,
                ..call
            },
            call => call,
        });
        world.nodes[node].calls.extend(begun);
        Some(())
    }

    fn send(&self, world: &mut World, node: usize, call: usize, accepts: bool) -> Option<Finding> {
        let in_hand = world.nodes[node].calls.get(call)?.clone();
        let keyed = self.keyed || in_hand.step != "ship";
        if in_hand.stage == Stage::Asking {
            let found = world.post.find(in_hand.step, &in_hand.key, keyed);
            return match (found, in_hand.mode) {
                (Some(finding), _) => Some(finding),
                (None, Mode::Probe(Some(code))) => Some(Finding::Absent { code }),
                (None, Mode::ProbeThenExecute) if world.now < in_hand.send_by => {
                    world.nodes[node].calls[call].stage = Stage::Checked;
                    None
                }
                _ => Some(open(AttemptResult::NotFound)),
            };
        }
        world.nodes[node].calls[call].sent = true;
        if !keyed && world.now >= in_hand.send_by + Duration::seconds(1) {
            world.post.overdue += 1;
        }
        // The bank takes nothing new after its window.
        let open = in_hand.step != "pay" || world.now < start() + WINDOW;
        Some(
            world
                .post
                .execute(in_hand.step, &in_hand.key, keyed, accepts && open),
        )
    }

    fn calls(&self, world: &World, steps: &mut Vec<Step>) {
        for (node, engine) in world.nodes.iter().enumerate() {
            for (call, in_hand) in engine.calls.iter().enumerate() {
                if let Stage::Heard(_) = in_hand.stage {
                    steps.push(Step::Report(node, call));
                    continue;
                }
                steps.push(Step::Send(node, call));
                if in_hand.stage == Stage::Checked && world.luck.lost_replies > 0 {
                    steps.push(Step::LoseReply(node, call));
                }
                if world.luck.lost_requests > 0 {
                    steps.push(Step::LoseRequest(node, call));
                }
                let may_refuse = matches!(in_hand.step, "pay" | "ship" | "refund");
                if in_hand.stage == Stage::Checked && may_refuse && world.luck.refusals > 0 {
                    steps.push(Step::SendRefused(node, call));
                }
            }
        }
    }

    fn happen(&self, world: &mut World, step: &Step) -> Option<()> {
        match *step {
            Step::Act(node) => self.write(world, node, None)?,
            Step::Report(node, call) => {
                let outcome = world.nodes[node].calls.get(call)?.clone();
                self.write(world, node, Some(&outcome))?;
            }
            Step::Send(node, call) => {
                if let Some(finding) = self.send(world, node, call, true) {
                    world.nodes[node].calls[call].stage = Stage::Heard(finding);
                }
            }
            Step::SendRefused(node, call) => {
                world.luck.refusals -= 1;
                let finding = self.send(world, node, call, false)?;
                world.nodes[node].calls[call].stage = Stage::Heard(finding);
            }
            Step::LoseReply(node, call) => {
                world.luck.lost_replies -= 1;
                self.send(world, node, call, true)?;
                world.nodes[node].calls[call].stage = Stage::Heard(open(AttemptResult::Unknown));
            }
            Step::LoseRequest(node, call) => {
                world.luck.lost_requests -= 1;
                let unanswered = &mut world.nodes[node].calls[call];
                let checked = unanswered.stage == Stage::Checked;
                let keyed = self.keyed || unanswered.step != "ship";
                let goes_on = !checked && keyed && unanswered.mode == Mode::ProbeThenExecute;
                if goes_on && world.now < unanswered.send_by {
                    unanswered.stage = Stage::Checked;
                } else {
                    unanswered.sent = checked;
                    unanswered.stage = Stage::Heard(open(AttemptResult::Unknown));
                }
            }
            Step::Hint(node) => self.write(world, node, Some(&seen(world.now)))?,
            Step::Wake(node) => reload(world, node),
            Step::Crash(node) => {
                world.luck.crashes -= 1;
                world.nodes[node].calls.clear();
                reload(world, node);
            }
            Step::Cancel => {
                world.luck.cancels -= 1;
                let request = Request {
                    actor: String::new(),
                    reason: String::new(),
                };
                let (_, events) = decide_cancel(&self.saga, &world.state, &request, world.now);
                if events.is_empty() {
                    return None;
                }
                append(world, &events);
            }
            Step::HandOver => world.post.handed_over = true,
            Step::Pass => world.now = next_moment(world)?,
        }
        Some(())
    }
}

impl Model for System {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let started = SagaStarted {
            saga: "parcel".to_owned(),
            version: 1,
            input: Value::Null,
            at: start(),
        };
        let mut world = World {
            now: start(),
            state: Arc::default(),
            version: 0,
            nodes: Default::default(),
            post: Post::default(),
            luck: self.luck,
            broken: false,
            versions_unchecked: self.bug == Bug::NoExpectedVersion,
        };
        append(&mut world, &[started.into()]);
        reload(&mut world, 0);
        reload(&mut world, 1);
        vec![world]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        // Nothing follows a log that cannot be folded; the world itself is still judged.
        if world.broken {
            return;
        }
        self.calls(world, steps);
        for (node, engine) in world.nodes.iter().enumerate() {
            if engine.version != world.version {
                steps.push(Step::Wake(node));
            }
            if engine.version == world.version || self.bug == Bug::NoExpectedVersion {
                steps.push(Step::Act(node));
            }
            if world.luck.crashes > 0 && !engine.calls.is_empty() {
                steps.push(Step::Crash(node));
            }
            let settled = world
                .state
                .step("handover")
                .is_some_and(aggregates::saga::Step::is_settled);
            let current = engine.version == world.version;
            if current && world.post.handed_over && !settled {
                steps.push(Step::Hint(node));
            }
        }
        if world.luck.cancels > 0 {
            steps.push(Step::Cancel);
        }
        if world.post.can_leave() && !world.post.handed_over {
            steps.push(Step::HandOver);
        }
        steps.push(Step::Pass);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        self.happen(&mut world, &step)?;
        Some(world)
    }

    fn within_boundary(&self, world: &World) -> bool {
        let again = world
            .state
            .steps
            .iter()
            .map(|step| step.attempt.saturating_sub(1));
        again.sum::<u32>() <= AGAIN_MAX
    }

    fn properties(&self) -> Vec<Property<Self>> {
        checks::properties()
    }
}

/// When every saga of the model starts.
pub(super) fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn snapshot(state: Arc<State>) -> Snapshot {
    Snapshot {
        id: Uuid::nil(),
        state,
        history: Arc::default(),
        version: Version::ZERO,
        position: Position::ZERO,
        lineage: Lineage::default(),
    }
}

fn append(world: &mut World, events: &[SagaEvent]) {
    let mut state = State::clone(&world.state);
    for event in events {
        match state.evolve(event) {
            Ok(next) => state = next,
            Err(_) => {
                world.broken = true;
                return;
            }
        }
    }
    world.state = Arc::new(state);
    world.version += 1;
}

fn reload(world: &mut World, node: usize) {
    world.nodes[node].view = Arc::clone(&world.state);
    world.nodes[node].version = world.version;
}

fn forget(world: &mut World, node: usize, outcome: Option<&InHand>) {
    if let Some(outcome) = outcome {
        world.nodes[node].calls.retain(|call| call != outcome);
    }
}

/// The next moment at which somebody may decide otherwise than now.
fn next_moment(world: &World) -> Option<DateTime<Utc>> {
    let timers = world
        .state
        .steps
        .iter()
        .filter_map(aggregates::saga::Step::timer);
    let opens = world.state.steps.iter().filter_map(|step| step.open_until);
    let window = start() + WINDOW;
    timers
        .chain(opens)
        .chain([window])
        .filter(|at| *at > world.now)
        .min()
}
