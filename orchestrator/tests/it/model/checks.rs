//! What must hold in every state of the model, and that the planted bugs are found.

use std::time::{Duration, Instant};

use aggregates::saga::Phase;
use orchestrator::saga::plan::plan;
use stateright::{Checker, HasDiscoveries, Model, Property};

use super::parcel::Bug;
use super::system::{Luck, System, World};

const DOUBLE: &str = "no step has two effects";
const LAWFUL: &str = "the log stays lawful";
const LOST: &str = "something is due, or the saga rests";
const MONEY: &str = "at rest, either the money is kept and the parcel has left, or neither";
const LEAVES: &str = "no money goes back while the parcel can leave";

/// A model that takes longer than this has grown too large; many times what it takes on two quiet cores.
const LIMIT: Duration = Duration::from_secs(200);

pub(super) fn properties() -> Vec<Property<System>> {
    vec![
        Property::always(DOUBLE, |system, world: &World| once(system, world)),
        Property::always(LAWFUL, |_, world: &World| !world.broken),
        Property::always(LOST, |system, world: &World| {
            world.broken || world.state.is_at_rest() || goes_on(system, world)
        }),
        Property::always(MONEY, |_, world: &World| !quiet(world) || settled(world)),
        Property::always(LEAVES, |_, world: &World| {
            world.post.refunds == 0
                || world.post.overdue > 0
                || !(world.post.can_leave() || world.post.handed_over)
        }),
        Property::sometimes("a parcel is delivered", |_, world: &World| {
            world.state.phase == Phase::Completed
        }),
        Property::sometimes("everything is undone", |_, world: &World| {
            world.state.phase == Phase::Unwound && world.post.refunds == 1
        }),
        Property::sometimes("a request comes too late", |_, world: &World| {
            world.state.turns > 0
        }),
    ]
}

/// A carrier that ignores keys may get a parcel twice only from somebody who was frozen.
fn once(system: &System, world: &World) -> bool {
    let post = &world.post;
    let spare = if system.keyed { 0 } else { post.overdue };
    post.charges <= 1 && post.refunds <= 1 && post.shipments <= 1 + spare
}

/// Whether there is anything that the plan would do now or later.
fn goes_on(system: &System, world: &World) -> bool {
    let Some(due) = world.state.due_at() else {
        return false;
    };
    !plan(&system.saga, &world.state, due.max(world.now)).is_idle() || world.state.unanswered
}

/// The saga rests and nobody has anything in hand.
fn quiet(world: &World) -> bool {
    world.state.is_at_rest() && world.nodes.iter().all(|node| node.calls.is_empty())
}

fn settled(world: &World) -> bool {
    let post = &world.post;
    let kept = post.charges - post.refunds;
    // A second parcel by somebody frozen is in the log, and counted there.
    if world
        .state
        .step("ship")
        .is_some_and(|ship| ship.repeats > 0)
    {
        return true;
    }
    match world.state.phase {
        Phase::Completed => kept == 1 && post.handed_over,
        Phase::Unwound => kept == 0 && !post.can_leave() && !post.handed_over,
        _ => world.state.steps.iter().any(|step| step.parked.is_some()),
    }
}

/// Engines come and go, and answers get lost.
const ROUGH: Luck = Luck {
    crashes: 1,
    lost_replies: 1,
    lost_requests: 0,
    refusals: 0,
    cancels: 1,
};

/// Participants refuse, and requests get lost.
const SOUR: Luck = Luck {
    crashes: 0,
    lost_replies: 0,
    lost_requests: 1,
    refusals: 1,
    cancels: 1,
};

/// Checks the model and tells how many states it has.
fn check(system: System) -> usize {
    let since = Instant::now();
    let checker = system
        .checker()
        .threads(2)
        .timeout(LIMIT)
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    assert!(
        since.elapsed() < LIMIT,
        "the model is too large: {states} states and more"
    );
    checker.assert_properties();
    states
}

/// What the model finds wrong first.
fn find(bug: Bug, keyed: bool, luck: Luck) -> Vec<&'static str> {
    find_until(HasDiscoveries::AnyFailures, bug, keyed, luck)
}

/// What the model has found wrong by then.
fn find_until(until: HasDiscoveries, bug: Bug, keyed: bool, luck: Luck) -> Vec<&'static str> {
    let checker = System::new(keyed, bug, luck)
        .checker()
        .threads(2)
        .timeout(LIMIT)
        .finish_when(until)
        .spawn_bfs()
        .join();
    let mut wrong: Vec<_> = checker.discoveries().into_keys().collect();
    wrong.retain(|name| [DOUBLE, LAWFUL, LOST, MONEY, LEAVES].contains(name));
    wrong
}

#[test]
fn every_interleaving_of_two_engines_is_safe_when_they_crash_and_answers_are_lost() {
    let states = check(System::new(true, Bug::None, ROUGH));
    super::likeness::states("crashes and lost answers", states);
}

#[test]
fn every_interleaving_of_two_engines_is_safe_when_requests_are_lost_and_refused() {
    let states = check(System::new(true, Bug::None, SOUR));
    super::likeness::states("lost and refused requests", states);
}

#[test]
fn every_interleaving_of_two_engines_is_safe_when_the_carrier_ignores_keys() {
    // A process that freezes at the wrong moment and then dies takes the knowledge of its parcel along: nobody can be safe from that.
    let luck = Luck {
        crashes: 0,
        ..ROUGH
    };
    let states = check(System::new(false, Bug::None, luck));
    super::likeness::states("a carrier that ignores keys, lost answers", states);
}

#[test]
fn every_interleaving_of_two_engines_is_safe_when_the_carrier_ignores_keys_and_refuses() {
    let states = check(System::new(false, Bug::None, SOUR));
    super::likeness::states(
        "a carrier that ignores keys, lost and refused requests",
        states,
    );
}

#[test]
fn the_model_finds_appends_without_an_expected_version() {
    let until = HasDiscoveries::AllOf([LAWFUL].into());
    let wrong = find_until(until, Bug::NoExpectedVersion, true, ROUGH);
    assert!(wrong.contains(&LAWFUL), "{wrong:?}");
}

#[test]
fn the_model_finds_an_execution_without_a_look_after_a_take_over() {
    assert_eq!(find(Bug::NoProbe, false, ROUGH), [DOUBLE]);
}

#[test]
fn the_model_finds_a_refund_before_the_parcel_is_held() {
    assert_eq!(find(Bug::RefundBeforeHold, true, ROUGH), [LEAVES]);
}

#[test]
fn the_model_finds_a_conflicting_outcome_that_is_dropped() {
    let luck = Luck {
        crashes: 0,
        ..ROUGH
    };
    assert_eq!(find(Bug::ConflictDropped, false, luck), [MONEY]);
}
