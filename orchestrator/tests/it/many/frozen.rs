//! Processes that are frozen for longer than anybody waits for them, and then wake up.

mod turns;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::crew::{Crew, all_told, at_most_once, counted, more_than_once, ordering, setup};
use crate::broker::nats::Release;
use crate::checker::Reply;
use crate::soak::{self, size};
use crate::storm::{MENDED, crowd, judged_but_for_repeats};
use crate::town::{Customers, until};
use turns::{Turns, all_equal_a_replay, asked};

/// Longer than every lease (the longest, of sweeper and reconciler, is 15 s), than the wait for a sign of life about a wake-up, and than the
/// longest attempt at a step.
const FROZEN_FOR: Duration = Duration::from_secs(18);

/// What a parcel takes, so that whoever is frozen has some in hand. It is more for a small crowd, or all of its parcels might be gone before.
fn slow() -> Duration {
    Duration::from_millis(if soak::is_on() { 400 } else { 1_500 })
}

/// So many parcels a worker has in hand, or it is not frozen: a single one might be gone in that very moment.
const IN_HAND: f64 = 2.0;

/// Orders that come once those who were frozen are awake.
const AFTERWARDS: usize = 8;

/// A relay is replaced within its lease and the moment after which the next one asks, on a busy machine.
const REPLACED_WITHIN: Duration = Duration::from_secs(12);

/// What the log tells of attempts that were taken from their owners.
#[derive(Debug, Default)]
struct Taken {
    /// Attempts that were begun while the one before had not ended.
    over: usize,
    /// Outcomes of such an attempt that were accepted as if it had not been taken over.
    stale: usize,
}

/// Goes through the saga's events, in the order of the log.
fn taken(events: &[Value]) -> Taken {
    // Of each step: the attempt under way, and whether it has ended.
    let mut steps: BTreeMap<(&str, &str), (i64, bool)> = BTreeMap::new();
    let mut taken = Taken::default();
    for event in events {
        let (stream, data) = (event["stream"].as_str().unwrap_or_default(), &event["data"]);
        let (Some(step), Some(attempt)) = (data["step"].as_str(), data["attempt"].as_i64()) else {
            continue;
        };
        let known = steps.entry((stream, step)).or_insert((0, true));
        match event["type"].as_str().unwrap_or_default() {
            "StepStarted" => {
                taken.over += usize::from(!known.1);
                *known = (attempt, false);
            }
            "StepDone" | "StepRefused" | "AttemptEnded" => {
                let late = data["late"].as_bool().unwrap_or_default();
                taken.stale += usize::from(attempt < known.0 && !late);
                known.1 |= attempt >= known.0;
            }
            _ => {}
        }
    }
    taken
}

/// The member that relays now.
async fn relaying(crew: &Crew) -> Option<usize> {
    for (at, member) in crew.members.iter().enumerate() {
        if member.roles == "relay"
            && let Some(answer) = asked(crew, at, "/readyz").await
            && answer.body["broker"]["relay"]["phase"] == "active"
        {
            return Some(at);
        }
    }
    None
}

/// Waits until a member that was frozen serves again and has ended what it was at: only then has it had the time to do harm.
async fn is_awake(crew: &Crew, at: usize) {
    let in_flight = "bookmarket_provider_calls_in_flight{";
    until("an end of what was frozen", MENDED, async || {
        let ready = asked(crew, at, "/readyz").await?.status == 200;
        let url = &crew.members[at].process.url;
        let calls = counted(&crew.town.http, url, in_flight, &[]).await;
        (ready && calls < 1.0).then_some(())
    })
    .await;
}

/// How many parcels a member is at.
async fn parcels(crew: &Crew, at: usize) -> f64 {
    let url = &crew.members[at].process.url;
    let words = ["fulfilment", "step=\"ship\""];
    counted(&crew.town.http, url, "saga_in_flight{", &words).await
}

/// Lets an order come for each key, and counts those that were answered.
fn come(
    doors: Vec<Customers>,
    keys: Range<usize>,
    done: &Arc<AtomicUsize>,
) -> impl Future<Output = Vec<Reply>> + use<> {
    let done = Arc::clone(done);
    let coming = crowd(keys.len(), move |nth| {
        let ordering = ordering(doors.clone(), keys.start + nth, nth);
        let done = Arc::clone(&done);
        async move {
            let replies = ordering.await;
            done.fetch_add(1, Ordering::Relaxed);
            replies
        }
    });
    coming.concat()
}

/// What came of freezing them again and again.
#[derive(Default)]
struct Frozen {
    /// What customers were told.
    replies: Vec<Reply>,
    /// The longest time in which nobody relayed.
    slowest: Duration,
    /// Turns that others had when their owners woke.
    replaced: usize,
    /// Pages that projectors wanted to store after they woke, and could not.
    refused: f64,
    /// Projectors that were frozen with a page half stored, which nobody else can get past.
    half_stored: usize,
}

/// Half way through a crowd, a worker, a projector and a relay whose turn it is are frozen, and wake when the others have their turns
/// and have done all of it. A few more orders come then.
async fn freeze(crew: &Crew, turns: &Turns, round: usize, each: usize, told: &mut Frozen) {
    let first = round * (each + AFTERWARDS);
    let (during, afterwards) = (first..first + each, first + each..first + each + AFTERWARDS);
    let done = Arc::new(AtomicUsize::new(0));
    let coming = tokio::spawn(come(crew.doors(), during.clone(), &done));
    until("the crowd is half through", MENDED, async || {
        (done.load(Ordering::Relaxed) >= each / 2).then_some(())
    })
    .await;
    let wanted = "an owner of every turn, among them a worker with parcels in hand";
    let holders = until(wanted, MENDED, async || {
        let holders = turns.holders(crew, round).await?;
        let in_hand = parcels(crew, holders.worker).await;
        (in_hand >= IN_HAND).then_some(holders)
    })
    .await;
    for at in holders.all() {
        crew.members[at].process.signal(Signal::STOP);
    }
    let since = Instant::now();
    until("another relay", MENDED, async || {
        relaying(crew).await.filter(|now| *now != holders.relay)
    })
    .await;
    told.slowest = told.slowest.max(since.elapsed());
    told.replies
        .extend(coming.await.expect("everybody went home"));
    // The others do what was theirs, without them.
    all_told(crew, during.end).await;
    tokio::time::sleep(FROZEN_FOR.saturating_sub(since.elapsed())).await;
    let passed_on = turns.passed_on(crew, &holders).await;
    for at in holders.all() {
        crew.members[at].process.signal(Signal::CONT);
    }
    for at in holders.all() {
        is_awake(crew, at).await;
    }
    let more = come(crew.doors(), afterwards.clone(), &done).await;
    told.replies.extend(more);
    all_told(crew, afterwards.end).await;
    told.replaced += passed_on.turns;
    told.half_stored += usize::from(passed_on.half_stored);
    told.refused += holders.refused(crew).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_a_projector_and_a_relay_that_were_frozen_for_long_do_no_harm_when_they_wake() {
    for release in soak::brokers(Release::New) {
        frozen_again_and_again(release).await;
    }
}

#[expect(clippy::print_stdout, reason = "a figure of the long run")]
async fn frozen_again_and_again(release: Release) {
    // That parcels take long is no reason to leave the carrier alone.
    let patience = ["--reconcile-every", "2s", "--breaker-slow-call", "10s"];
    let mut crew = Crew::with_nats(release, setup().shop(&patience)).await;
    let turns = Turns::of(&mut crew).await;
    let slow = json!([{ "port": "carrier", "op": "ship", "fault": "delay", "rate": 1.0, "delayMs": slow().as_millis() }]);
    crew.town.faults(&slow).await;
    let (rounds, each) = (size(10), size(500));
    let mut told = Frozen::default();
    for round in 0..rounds {
        freeze(&crew, &turns, round, each, &mut told).await;
    }
    let evidence = judged_but_for_repeats(&crew.town, std::mem::take(&mut told.replies)).await;
    let (taken, stream) = (taken(&evidence.events), crew.published().await);
    let late_pages = turns.written_late("projection_generations").await;
    let late_bookmarks = turns.written_late("log_bookmarks").await;
    let views_equal = all_equal_a_replay(&crew).await;
    println!(
        "figure: many-frozen broker={release} rounds={rounds} orders={} attempts-taken-over={} stale-appends={} stale-publishes={} double={} \
         unkeyed-double={} relay-replaced-within={:.1?} stream-missing={} stream-double={} stale-view-writes={late_pages} \
         stale-bookmarks={late_bookmarks} views-equal={views_equal} owners-replaced={} pages-refused={} pages-half-stored={}",
        rounds * (each + AFTERWARDS),
        taken.over,
        taken.stale,
        stream.stale,
        at_most_once(&evidence.ledger),
        more_than_once(&evidence.ledger, "send"),
        told.slowest,
        stream.missing,
        stream.double,
        told.replaced,
        told.refused,
        told.half_stored,
    );
    assert_eq!(at_most_once(&evidence.ledger), 0);
    assert_eq!((taken.stale, stream.stale), (0, 0));
    assert_eq!((late_pages, late_bookmarks), (0, 0));
    assert!(views_equal);
    assert!(taken.over > 0, "whoever was frozen had nothing in hand");
    let met = told.refused > 0.0 || told.half_stored > 0;
    assert!(met, "no projector woke with anything to store");
    assert!(told.slowest < REPLACED_WITHIN, "{:?}", told.slowest);
}

#[test]
fn an_outcome_of_an_attempt_that_was_taken_over_counts_as_stale_unless_it_says_so() {
    let event = |kind: &str, attempt: i64, late: bool| json!({ "stream": "saga-1", "type": kind, "data": { "step": "ship", "attempt": attempt, "late": late } });
    let began = [
        event("StepStarted", 1, false),
        event("StepStarted", 2, false),
    ];
    for (late, stale) in [(false, 1), (true, 0)] {
        let mut events = began.to_vec();
        events.extend([event("StepDone", 1, late), event("StepDone", 2, false)]);
        let taken = taken(&events);
        assert_eq!((taken.over, taken.stale), (1, stale));
    }
}
