//! Everybody a trip is booked with, in memory. Those who honour keys give a known key its stored answer; the airline and the mail do
//! not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use orchestrator::saga::definition::{Outcome, Probe};
use serde_json::{Value, json};
use uuid::Uuid;

/// What was done for one trip.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dossier {
    /// Effects by name; a compensation counts under its own name.
    pub(crate) effects: BTreeMap<&'static str, u32>,
    answers: HashMap<String, Outcome>,
    voided: Vec<String>,
    looks: u32,
}

impl Dossier {
    pub(crate) fn count(&self, effect: &str) -> u32 {
        self.effects.get(effect).copied().unwrap_or(0)
    }

    /// Booked more often than given back.
    pub(crate) fn held(&self, effect: &str, undone_by: &str) -> bool {
        self.count(effect) > self.count(undone_by)
    }
}

#[derive(Default)]
pub(crate) struct Agency(Mutex<HashMap<Uuid, Dossier>>);

impl Agency {
    pub(crate) fn dossier(&self, trip: Uuid) -> Dossier {
        self.with(trip, |dossier| dossier.clone())
    }

    fn with<T>(&self, trip: Uuid, act: impl FnOnce(&mut Dossier) -> T) -> T {
        act(self.0.lock().unwrap().entry(trip).or_default())
    }

    /// One effect per key, and one answer for ever.
    pub(crate) fn keyed(&self, trip: Uuid, effect: &'static str, key: &str) -> Outcome {
        self.with(trip, |dossier| {
            if dossier.voided.iter().any(|voided| voided == key) {
                return Outcome::Refused {
                    code: "voided".to_owned(),
                    reason: "its key was voided".to_owned(),
                };
            }
            if let Some(answer) = dossier.answers.get(key) {
                return answer.clone();
            }
            let answer = act(dossier, effect);
            dossier.answers.insert(key.to_owned(), answer.clone());
            answer
        })
    }

    /// An effect per call.
    pub(crate) fn unkeyed(&self, trip: Uuid, effect: &'static str) -> Outcome {
        self.with(trip, |dossier| act(dossier, effect))
    }

    pub(crate) fn find_keyed(&self, trip: Uuid, key: &str) -> Probe {
        self.with(trip, |dossier| match dossier.answers.get(key) {
            Some(Outcome::Done(output)) => Probe::Done(output.clone()),
            Some(Outcome::Refused { code, reason }) => Probe::Refused {
                code: code.clone(),
                reason: reason.clone(),
            },
            _ => Probe::NotFound,
        })
    }

    pub(crate) fn find_unkeyed(&self, trip: Uuid, effect: &'static str) -> Probe {
        self.with(trip, |dossier| match dossier.count(effect) {
            0 => Probe::NotFound,
            _ => Probe::Done(receipt(effect)),
        })
    }

    pub(crate) fn void(&self, trip: Uuid, key: &str) -> Probe {
        self.with(trip, |dossier| match dossier.answers.get(key) {
            Some(Outcome::Done(output)) => Probe::Done(output.clone()),
            _ => {
                dossier.voided.push(key.to_owned());
                Probe::Refused {
                    code: "voided".to_owned(),
                    reason: "its key was voided".to_owned(),
                }
            }
        })
    }

    /// Gives back all seats of the trip, however many were bought.
    pub(crate) fn give_back_seats(&self, trip: Uuid) -> Outcome {
        self.with(trip, |dossier| {
            let bought = dossier.count("flight");
            dossier.effects.insert("cancel-flight", bought);
            Outcome::Done(json!({ "seats": bought }))
        })
    }

    /// The traveller boards at the second look, unless taken off the list before.
    pub(crate) fn boarding(&self, trip: Uuid) -> Probe {
        self.with(trip, |dossier| {
            dossier.looks += 1;
            if dossier.count("board") == 0
                && dossier.looks >= 2
                && dossier.count("offload") == 0
                && dossier.count("flight") > 0
            {
                dossier.effects.insert("board", 1);
            }
            match dossier.count("board") {
                0 => Probe::NotFound,
                _ => Probe::Done(Value::Null),
            }
        })
    }
}

fn act(dossier: &mut Dossier, effect: &'static str) -> Outcome {
    if effect == "offload" && dossier.count("board") > 0 {
        return Outcome::Refused {
            code: "boarded".to_owned(),
            reason: "the traveller is on board".to_owned(),
        };
    }
    *dossier.effects.entry(effect).or_default() += 1;
    Outcome::Done(receipt(effect))
}

fn receipt(effect: &str) -> Value {
    json!({ "receipt": effect })
}
