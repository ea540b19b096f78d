//! The trip goes through all that a saga must survive.

use std::sync::Arc;

use aggregates::saga::{Phase, State};
use eventstore::{Expected, StreamAppend, StreamId};
use futures_util::future::BoxFuture;
use orchestrator::saga::definition::Saga;
use orchestrator::saga::view::Snapshot;
use serde_json::json;
use uuid::Uuid;

use super::agency::{Agency, Dossier};
use super::trip::{TRIP, Trip, noted};
use crate::harness::{Start, Suite, Trial, World};

struct Travel {
    agency: Arc<Agency>,
    saga: Arc<Trip>,
}

impl Travel {
    fn world() -> Arc<dyn World> {
        let agency = Arc::new(Agency::default());
        let saga = Arc::new(Trip::new(Arc::clone(&agency)));
        Arc::new(Self { agency, saga })
    }
}

impl World for Travel {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.saga) as Arc<dyn Saga>
    }

    fn start(&self, id: Uuid) -> BoxFuture<'_, Start> {
        let stream = StreamId::new(TRIP.clone(), id);
        let events = vec![noted("asked for")];
        let domain = vec![StreamAppend {
            stream,
            expected: Expected::NoStream,
            events,
        }];
        Box::pin(async move {
            Start {
                input: json!({ "to": "Busan" }),
                domain,
            }
        })
    }

    fn check<'a>(
        &'a self,
        trial: &'a Trial,
        rest: &'a Snapshot,
    ) -> BoxFuture<'a, Result<(), String>> {
        let dossier = self.agency.dossier(rest.id);
        Box::pin(async move {
            once_each(trial, rest, &dossier)?;
            match rest.state.phase {
                Phase::Completed => completed(&rest.state, &dossier),
                Phase::Unwound => unwound(&dossier),
                _ if rest.state.steps.iter().any(|step| step.parked.is_some()) => Ok(()),
                phase => Err(format!("it rests in {phase:?}")),
            }
        })
    }
}

/// Keyed effects happen at most once per key; unkeyed ones are repeated only by somebody frozen, and then counted.
fn once_each(trial: &Trial, rest: &Snapshot, dossier: &Dossier) -> Result<(), String> {
    let turns = rest.state.turns + 1;
    for (effect, count) in &dossier.effects {
        let repeats = rest.state.step(effect).map_or(0, |step| step.repeats);
        let frozen = trial.strike.frozen_at() == Some(*effect);
        let allowed = match *effect {
            "flight" | "mail" if frozen => 1 + repeats,
            "flight" | "mail" => 1,
            "cancel-flight" => dossier.count("flight"),
            _ => turns,
        };
        if *count > allowed {
            return Err(format!("{effect} happened {count} times"));
        }
    }
    let travelled = rest
        .history
        .events()
        .filter(|event| event.data.get().contains("travelled"))
        .count();
    if travelled > 1 {
        return Err("it was noted twice".to_owned());
    }
    Ok(())
}

fn completed(state: &State, dossier: &Dossier) -> Result<(), String> {
    for effect in ["deposit", "hotel", "seat", "flight", "board", "miles"] {
        if dossier.count(effect) == 0 {
            return Err(format!("completed without {effect}"));
        }
    }
    for undo in ["refund", "cancel-hotel", "free-seat", "cancel-flight"] {
        if dossier.count(undo) > 0 {
            return Err(format!("completed after {undo}"));
        }
    }
    let mail = state
        .step("mail")
        .is_some_and(aggregates::saga::Step::is_settled);
    mail.then_some(())
        .ok_or_else(|| "completed before the mail was settled".to_owned())
}

fn unwound(dossier: &Dossier) -> Result<(), String> {
    let pairs = [
        ("deposit", "refund"),
        ("hotel", "cancel-hotel"),
        ("seat", "free-seat"),
        ("flight", "cancel-flight"),
    ];
    for (effect, undo) in pairs {
        if dossier.held(effect, undo) {
            return Err(format!("unwound, and {effect} is still held"));
        }
    }
    match dossier.count("board") {
        0 => Ok(()),
        _ => Err("unwound, and the traveller is on board".to_owned()),
    }
}

async fn suite(log: TestLog) -> Suite {
    Suite::new(Travel::world(), log).await
}

crate::harness::survives!(suite, steps: 7);
