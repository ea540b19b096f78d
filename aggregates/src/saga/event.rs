//! The events of a saga's stream and their JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// A saga began; its name and version pin the definition for all its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaStarted {
    /// Name of the saga's definition.
    pub saga: String,
    /// Version of the definition.
    pub version: u32,
    /// What the saga was started with, in its own form.
    pub input: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// An attempt at a step belongs to `owner` until `deadline`; nobody else may execute it before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStarted {
    /// Name of the step.
    pub step: String,
    /// 1, 2, 3 ... over the whole life of the step.
    pub attempt: u32,
    /// Idempotency key; stays the same until an answer under it was final.
    pub key: String,
    /// The engine that may execute.
    pub owner: Uuid,
    /// From here on others may take over.
    pub deadline: DateTime<Utc>,
    /// A side branch, which gates nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub branch: bool,
    /// The attempt only asks the participant and cannot have an effect.
    #[serde(default, skip_serializing_if = "is_false")]
    pub asks: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// The effect of a step happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepDone {
    /// Name of the step.
    pub step: String,
    /// The attempt that says so.
    pub attempt: u32,
    /// What the participant answered.
    pub output: Value,
    /// The saga had moved on when this was learned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// The participant refused for good: the step has no effect under this key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRefused {
    /// Name of the step.
    pub step: String,
    /// The attempt that says so.
    pub attempt: u32,
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub reason: String,
    /// The saga had moved on when this was learned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// How an attempt ended that decided nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptResult {
    /// The effect may have happened.
    Unknown,
    /// The participant was asked and answered, and what it said decides nothing; the effect may have happened.
    Undecided,
    /// The participant answered with a failure that it keeps under this key, and there is no effect: the next attempt needs
    /// another key.
    Spent,
    /// Surely nothing left this process.
    NotSent,
    /// The participant knows nothing of it (yet).
    NotFound,
}

/// An attempt ended without deciding the step; the next may begin at `next_at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptEnded {
    /// Name of the step.
    pub step: String,
    /// The attempt that ended.
    pub attempt: u32,
    /// How.
    pub result: AttemptResult,
    /// Sentence for people.
    pub reason: String,
    /// Not before.
    pub next_at: DateTime<Utc>,
    /// Others had taken the step over: what they did not find, or closed for not finding it, is in doubt again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// When.
    pub at: DateTime<Utc>,
}

/// A step that only waits was looked at and is looked at again at `next_at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Polled {
    /// Name of the step.
    pub step: String,
    /// Not before, unless somebody hints.
    pub next_at: DateTime<Utc>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Somebody told the saga something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalReceived {
    /// The saga's own word.
    pub signal: String,
    /// The saga's own form.
    pub data: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// Somebody asked for the saga to be undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequested {
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The request came too late; the saga goes on forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelRefused {
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What kind of thing turned a saga round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CauseKind {
    /// Somebody asked.
    Cancel,
    /// A forward step was refused.
    Refused,
}

/// Why a saga unwinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// A request or a refusal.
    pub kind: CauseKind,
    /// The refused step.
    pub step: Option<String>,
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub reason: String,
}

/// From here on the saga undoes what it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnwindStarted {
    /// Why.
    pub cause: Cause,
    /// Who; `system` when no person asked.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// An amount in minor units that is neither kept rightly nor given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stake {
    /// Minor units.
    pub amount: i64,
    /// ISO code.
    pub currency: String,
}

/// A step cannot go on without a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepParked {
    /// Name of the step.
    pub step: String,
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub reason: String,
    /// What may be lost.
    pub at_stake: Option<Stake>,
    /// What a person can do about it.
    pub suggestion: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Nothing of this saga can go on until a person acts on what is parked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaRested {
    /// When.
    pub at: DateTime<Utc>,
}

/// A person wants a step tried again now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryRequested {
    /// Name of the step.
    pub step: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a person found out about the effect of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It happened.
    Done,
    /// It did not and will not.
    Undone,
}

/// A person decided a step that the engine could not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResolved {
    /// Name of the step.
    pub step: String,
    /// What is true now.
    pub outcome: Verdict,
    /// What it rests on, in the saga's own form; becomes the step's output.
    pub evidence: Value,
    /// The participant was not asked to confirm.
    pub forced: bool,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A person gave up on a step whose effect nothing else rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepSkipped {
    /// Name of the step.
    pub step: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Every forward step and every side branch is settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaCompleted {
    /// When.
    pub at: DateTime<Utc>,
}

/// Everything that had to be undone is undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaUnwound {
    /// When.
    pub at: DateTime<Utc>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// One list of the events keeps the enum, the names in the log and the two directions of the codec from drifting apart.
macro_rules! events {
    ($($name:ident),* $(,)?) => {
        /// Everything that can happen to a saga.
        #[derive(Debug, Clone, PartialEq)]
        pub enum SagaEvent {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name)),*
        }

        /// The event types of this stream, all at schema version 1.
        pub const TYPES: &[&str] = &[$(stringify!($name)),*];

        impl SagaEvent {
            /// The name this event has in the log.
            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),* }
            }

            /// When it happened, by the clock of the engine that wrote it.
            pub fn at(&self) -> DateTime<Utc> {
                match self { $(Self::$name(event) => event.at),* }
            }
        }

        /// The event's JSON.
        pub fn encode(event: &SagaEvent) -> Result<Box<RawValue>, serde_json::Error> {
            match event { $(SagaEvent::$name(event) => to_raw_value(event)),* }
        }

        /// `None`: not an event type of a saga's stream.
        pub fn decode(event_type: &str, data: &RawValue) -> Option<Result<SagaEvent, serde_json::Error>> {
            match event_type {
                $(stringify!($name) => Some(serde_json::from_str(data.get()).map(SagaEvent::$name)),)*
                _ => None,
            }
        }

        $(impl From<$name> for SagaEvent {
            fn from(event: $name) -> Self { Self::$name(event) }
        })*
    };
}

events!(
    SagaStarted,
    StepStarted,
    StepDone,
    StepRefused,
    AttemptEnded,
    Polled,
    SignalReceived,
    CancelRequested,
    CancelRefused,
    UnwindStarted,
    StepParked,
    SagaRested,
    RetryRequested,
    StepResolved,
    StepSkipped,
    SagaCompleted,
    SagaUnwound,
);
