//! Booking a trip: deposit, hotel, seat, flight, boarding (the point of no return), miles; a mail beside it.

use std::sync::Arc;
use std::time::Duration;

use aggregates::saga::{SagaEvent, Stake, State};
use eventstore::{Category, NewEvent, StreamAppend, StreamId};
use futures_util::future::BoxFuture;
use orchestrator::saga::definition::{
    Branch, Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use orchestrator::saga::history::History;
use orchestrator::saga::step::{Class, Closing, OnRefusal, RetryPolicy, StepSpec};
use serde_json::json;
use serde_json::value::to_raw_value;
use uuid::Uuid;

use super::agency::Agency;

pub(crate) static TRIP: Category = Category::from_static("trip");

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) struct Trip {
    version: u32,
    definition: Definition,
    agency: Arc<Agency>,
    /// Nothing can be noted about this step.
    unrecordable: Option<&'static str>,
}

impl Trip {
    pub(crate) fn new(agency: Arc<Agency>) -> Self {
        Self {
            version: 1,
            definition: definition(),
            agency,
            unrecordable: None,
        }
    }

    /// The next version: insured before anything is booked.
    pub(crate) fn second(agency: Arc<Agency>) -> Self {
        let mut trip = Self::new(agency);
        let insurance = StepSpec::call("insurance", Class::Retriable);
        trip.definition.forward.insert(0, insurance);
        Self { version: 2, ..trip }
    }

    pub(crate) fn unrecordable(mut self, step: &'static str) -> Self {
        self.unrecordable = Some(step);
        self
    }
}

fn definition() -> Definition {
    let undo = |name| StepSpec::call(name, Class::Compensation).needs(&["offload", "board"]);
    let looks = RetryPolicy::new(Duration::from_secs(600), DAY);
    Definition {
        forward: vec![
            StepSpec::call("deposit", Class::Compensatable)
                .undone_by("refund")
                .execute_until(Duration::from_secs(600), "offer-expired"),
            StepSpec::call("hotel", Class::Compensatable).undone_by("cancel-hotel"),
            StepSpec::call("seat", Class::Compensatable)
                .undone_by("free-seat")
                .closing(Closing::Void),
            StepSpec::call("flight", Class::Compensatable)
                .unkeyed()
                .undone_by("cancel-flight"),
            StepSpec::awaiting("board", Class::Pivot, looks),
            StepSpec::call("miles", Class::Retriable),
        ],
        branches: vec![Branch {
            after: "hotel",
            step: StepSpec::call("mail", Class::Retriable)
                .unkeyed()
                .on_refusal(OnRefusal::Accept)
                .give_up_after(DAY),
        }],
        unwind: vec![
            StepSpec::call("offload", Class::Compensation)
                .on_refusal(OnRefusal::RefuseCancel("boarded")),
            undo("cancel-flight"),
            undo("free-seat"),
            undo("cancel-hotel"),
            undo("refund"),
            StepSpec::local("close-file", Class::Compensation).needs(&["offload", "board"]),
            StepSpec::call("apology", Class::Retriable)
                .on_refusal(OnRefusal::Accept)
                .needs(&["close-file"]),
        ],
    }
}

impl Saga for Trip {
    fn name(&self) -> &'static str {
        "trip"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn unwind(&self, state: &State) -> Vec<&'static str> {
        let mut list = Vec::new();
        if state.is_done("flight") {
            list.extend(["offload", "cancel-flight"]);
        }
        for (step, undo) in [
            ("seat", "free-seat"),
            ("hotel", "cancel-hotel"),
            ("deposit", "refund"),
        ] {
            if state.is_done(step) {
                list.push(undo);
            }
        }
        list.extend(["close-file", "apology"]);
        list
    }

    fn execute<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match call.step {
                "flight" | "mail" => self.agency.unkeyed(call.saga_id, call.step),
                "cancel-flight" => self.agency.give_back_seats(call.saga_id),
                step => self.agency.keyed(call.saga_id, step, &call.key),
            }
        })
    }

    fn probe<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        Box::pin(async move {
            match call.step {
                "board" => self.agency.boarding(call.saga_id),
                "flight" | "mail" => self.agency.find_unkeyed(call.saga_id, call.step),
                _ => self.agency.find_keyed(call.saga_id, &call.key),
            }
        })
    }

    fn void<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Probe> {
        Box::pin(async move { self.agency.void(call.saga_id, &call.key) })
    }

    fn record(
        &self,
        history: &History,
        transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        let about = |event: &SagaEvent| matches!(event, SagaEvent::StepDone(done) if Some(done.step.as_str()) == self.unrecordable);
        if transition.events.iter().any(about) {
            let reason = "the file is torn".to_owned();
            return Err(RecordError { reason });
        }
        let notes = transition.events.iter().filter_map(note);
        let known = |note: &String| {
            history
                .events()
                .any(|event| event.data.get().contains(&format!("\"{note}\"")))
        };
        let events: Vec<NewEvent> = notes
            .filter(|note| !known(note))
            .map(|note| noted(&note))
            .collect();
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let stream = StreamId::new(TRIP.clone(), transition.saga_id);
        Ok(vec![StreamAppend {
            stream,
            expected: history.expected(&TRIP),
            events,
        }])
    }

    fn at_stake(&self, _state: &State, _history: &History) -> Option<Stake> {
        Some(Stake {
            amount: 90_000,
            currency: "EUR".to_owned(),
        })
    }
}

fn note(event: &SagaEvent) -> Option<String> {
    match event {
        SagaEvent::StepDone(done) => Some(format!("{} done", done.step)),
        SagaEvent::CancelRefused(_) => Some("cancel refused".to_owned()),
        SagaEvent::SagaCompleted(_) => Some("travelled".to_owned()),
        SagaEvent::SagaUnwound(_) => Some("called off".to_owned()),
        _ => None,
    }
}

/// One line in the file of a trip.
pub(crate) fn noted(note: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "Noted".into(),
        schema_version: 1,
        data: to_raw_value(&json!({ "note": note })).unwrap(),
        metadata: to_raw_value(&json!({})).unwrap(),
    }
}
