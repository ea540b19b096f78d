//! The saga of the model: pay, ship, handover; back: hold, refund, recall.

use std::time::Duration;

use aggregates::saga::State;
use eventstore::StreamAppend;
use futures_util::future::BoxFuture;
use orchestrator::saga::definition::{
    Call, Definition, Outcome, Probe, RecordError, Saga, Transition,
};
use orchestrator::saga::history::History;
use orchestrator::saga::step::{Class, OnRefusal, RetryPolicy, StepSpec};

/// From the start of an attempt to its deadline in the log.
const ATTEMPT: Duration = Duration::from_secs(3);

/// After the start of the saga nothing is charged any more.
pub(super) const WINDOW: Duration = Duration::from_secs(6);

/// A way to get the saga, or its participants, wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// Appends do not say what they were decided on.
    NoExpectedVersion,
    /// A step whose carrier ignores keys is executed again without looking first.
    NoProbe,
    /// The money goes back before the parcel is held.
    RefundBeforeHold,
    /// An outcome whose append conflicts is forgotten.
    ConflictDropped,
}

pub(super) struct Parcel {
    definition: Definition,
    bug: Bug,
}

impl Parcel {
    /// `keyed`: the carrier honours keys.
    pub(super) fn new(keyed: bool, bug: Bug) -> Self {
        // All times are multiples of one attempt's, so that few of them differ.
        let again = ATTEMPT;
        let call = |name, class| {
            StepSpec::call(name, class)
                .time_limit(Duration::from_secs(2))
                .retry(again, again)
        };
        let ship = call("ship", Class::Compensatable);
        let ship = if keyed { ship } else { ship.unkeyed() };
        let needs: &[&str] = if bug == Bug::RefundBeforeHold {
            &[]
        } else {
            &["hold", "handover"]
        };
        let looks = RetryPolicy::new(ATTEMPT, ATTEMPT);
        let definition = Definition {
            forward: vec![
                call("pay", Class::Compensatable).execute_until(WINDOW, "expired"),
                ship,
                StepSpec::awaiting("handover", Class::Pivot, looks),
            ],
            branches: Vec::new(),
            unwind: vec![
                call("hold", Class::Compensation).on_refusal(OnRefusal::RefuseCancel("no")),
                call("refund", Class::Compensation).needs(needs),
                call("recall", Class::Compensation).needs(&["hold", "handover"]),
            ],
        };
        Self { definition, bug }
    }
}

impl Saga for Parcel {
    fn name(&self) -> &'static str {
        "parcel"
    }

    fn version(&self) -> u32 {
        1
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn unwind(&self, state: &State) -> Vec<&'static str> {
        let shipped = state.is_done("ship");
        let mut list = Vec::new();
        if shipped {
            list.push("hold");
        }
        if state.is_done("pay") {
            list.push("refund");
        }
        if shipped {
            list.push("recall");
        }
        if self.bug == Bug::RefundBeforeHold {
            list.sort_by_key(|step| *step != "refund");
        }
        list
    }

    fn execute<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Outcome> {
        unreachable!("the model makes the calls itself")
    }

    fn probe<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Probe> {
        unreachable!("the model makes the calls itself")
    }

    fn record(
        &self,
        _history: &History,
        _transition: &Transition<'_>,
    ) -> Result<Vec<StreamAppend>, RecordError> {
        Ok(Vec::new())
    }
}
