//! What the engine has to know about a step.

use std::time::Duration;

use aggregates::saga::RESOLVED_UNDONE;
use chrono::{DateTime, TimeDelta, Utc};

use super::plan::span;

/// The longest pause between two attempts that a step may ask for: a participant that came back is used again within this time,
/// or within the share of its absence that [`worn`] says.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// What has been tried for long is tried again after this share of that time: some 1,400 attempts in a year at the steps of most
/// haste, so that whatever becomes of a participant, the events of one saga can be read at once.
const WORN: u32 = 100;

/// Added to a call's time limit to give the deadline in the log: covers clocks that disagree and what is still on the wire
/// when the limit ends, so that nobody takes over while the owner may still send.
pub const CLOCK_ALLOWANCE: Duration = Duration::from_secs(1);

/// What undoing or failing a step means for the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Can be undone.
    Compensatable,
    /// The point of no return: once done, the saga only goes forward.
    Pivot,
    /// Succeeds in the end or may be given up; nothing rests on it being undone.
    Retriable,
    /// Undoes another step: tried until it works or a person decides.
    Compensation,
}

/// How a step gets its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A participant is called.
    Call,
    /// Somebody else does it; the participant is asked now and then.
    Await,
    /// Nothing outside: its domain events are all there is to it.
    Local,
}

/// What a refusal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefusal {
    /// Undo what was done before it.
    Unwind,
    /// A person has to decide.
    Park,
    /// Go on without it.
    Accept,
    /// With this code, or when a person found it undone, the request to undo came too late: forward again. With any other one,
    /// or if nobody asked, park.
    RefuseCancel(&'static str),
}

impl OnRefusal {
    /// A refusal with this code says that it is too late to undo anything; a person who found that it cannot be asked for says
    /// the same.
    pub(super) fn is_too_late(self, code: &str) -> bool {
        match self {
            Self::RefuseCancel(known) => known == code || code == RESOLVED_UNDONE,
            Self::Unwind | Self::Park | Self::Accept => false,
        }
    }

    /// The step asks whether anything may be undone at all: without its yes there is no way back.
    pub(super) fn asks_leave(self) -> bool {
        matches!(self, Self::RefuseCancel(_))
    }
}

/// How a step that may have had an effect is settled before the saga unwinds past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Once more with the same key, to know for sure; then it is undone.
    Execute,
    /// By asking; what is not found after the last deadline counts as not done.
    Probe,
    /// By voiding the key at the participant.
    Void,
}

/// Pauses between attempts: doubling from `first` to `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After the first attempt.
    pub first: Duration,
    /// At most.
    pub cap: Duration,
}

impl RetryPolicy {
    /// Doubling from `first` to `cap`.
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The pause after that many attempts, before jitter.
    pub fn pause(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }
}

/// The shortest pause after an attempt at what has been tried for that long.
pub(super) fn worn(tried_for: TimeDelta) -> Duration {
    tried_for.to_std().unwrap_or_default() / WORN
}

/// One step.
#[derive(Debug, Clone)]
pub struct StepSpec {
    /// Its name in the log; unique within the saga.
    pub name: &'static str,
    /// What undoing or failing it means.
    pub class: Class,
    /// How it gets its outcome.
    pub kind: Kind,
    /// The participant honours keys: the same key never has two effects and gets the same final answer.
    pub keyed: bool,
    /// How long one call may take.
    pub time_limit: Duration,
    /// Pauses between attempts, or between looks for a step that only waits.
    pub retry: RetryPolicy,
    /// Calls of this step in flight in one process.
    pub concurrency: usize,
    /// What a refusal leads to.
    pub on_refusal: OnRefusal,
    /// How it is settled before unwinding past it.
    pub closing: Closing,
    /// Counted from the start of the saga: no execution after it, only probes; what is then not found is refused with this
    /// code.
    pub execute_until: Option<(Duration, &'static str)>,
    /// Counted from its first touch: refused with code `gave-up`. Retriable steps only. One that only waits is refused by a look
    /// that began no sooner than that and was answered in vain: whoever is away then is waited for.
    pub give_up_after: Option<Duration>,
    /// Counted from its first touch: what is not settled then although the participant answers is left to a person, with
    /// code [`OVERDUE`](aggregates::saga::OVERDUE). A step that only waits is looked at all the same; a call rests. One that
    /// nobody answers is listed with the same code after days, and tried all the same.
    pub park_after: Option<Duration>,
    /// The unwind step that undoes it.
    pub undone_by: Option<&'static str>,
    /// Unwind steps: does not begin while one of these is parked, nor unless those in the list are done; dropped when a person
    /// decided that one of them stays undone, or that one of them is a pivot which was passed for good.
    pub needs: Vec<&'static str>,
    /// What a person can do when it is parked.
    pub suggestion: &'static str,
}

impl StepSpec {
    /// A call with a time limit of 5 s, retried from 1 s up to [`MAX_BACKOFF`], 64 in flight, keyed.
    pub fn call(name: &'static str, class: Class) -> Self {
        let on_refusal = match class {
            Class::Compensatable | Class::Pivot => OnRefusal::Unwind,
            Class::Retriable | Class::Compensation => OnRefusal::Park,
        };
        Self {
            name,
            class,
            kind: Kind::Call,
            keyed: true,
            time_limit: Duration::from_secs(5),
            retry: RetryPolicy::new(Duration::from_secs(1), MAX_BACKOFF),
            concurrency: 64,
            on_refusal,
            closing: Closing::Execute,
            execute_until: None,
            give_up_after: None,
            park_after: None,
            undone_by: None,
            needs: Vec::new(),
            suggestion: "find out what happened at the participant, then resolve or retry the step",
        }
    }

    /// A step that only waits.
    pub fn awaiting(name: &'static str, class: Class, looks: RetryPolicy) -> Self {
        Self {
            kind: Kind::Await,
            retry: looks,
            ..Self::call(name, class)
        }
    }

    /// A step without effect outside the log.
    pub fn local(name: &'static str, class: Class) -> Self {
        Self {
            kind: Kind::Local,
            ..Self::call(name, class)
        }
    }

    /// The participant does not honour keys: looked up before every resend, closed by looking.
    pub fn unkeyed(mut self) -> Self {
        self.keyed = false;
        self.closing = Closing::Probe;
        self
    }

    /// How long one call may take.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Pauses between attempts.
    pub fn retry(mut self, first: Duration, cap: Duration) -> Self {
        self.retry = RetryPolicy::new(first, cap);
        self
    }

    /// Calls in flight in one process.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// What a refusal leads to.
    pub fn on_refusal(mut self, then: OnRefusal) -> Self {
        self.on_refusal = then;
        self
    }

    /// How it is settled before unwinding past it.
    pub fn closing(mut self, how: Closing) -> Self {
        self.closing = how;
        self
    }

    /// No execution later than this after the start of the saga; then refused with `code` if not found.
    pub fn execute_until(mut self, after_start: Duration, code: &'static str) -> Self {
        self.execute_until = Some((after_start, code));
        self
    }

    /// Refused with code `gave-up` when it is not settled by then.
    pub fn give_up_after(mut self, after: Duration) -> Self {
        self.give_up_after = Some(after);
        self
    }

    /// Left to a person when it is not settled by then (see [`StepSpec::park_after`]).
    pub fn park_after(mut self, after: Duration) -> Self {
        self.park_after = Some(after);
        self
    }

    /// The unwind step that undoes it.
    pub fn undone_by(mut self, step: &'static str) -> Self {
        self.undone_by = Some(step);
        self
    }

    /// The steps that must be done before (see [`StepSpec::needs`]).
    pub fn needs(mut self, steps: &[&'static str]) -> Self {
        self.needs = steps.to_vec();
        self
    }

    /// What a person can do when it is parked.
    pub fn suggestion(mut self, text: &'static str) -> Self {
        self.suggestion = text;
        self
    }

    /// When it is given up, where it was first touched at that time.
    pub(super) fn given_up_at(&self, first_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(first_at + span(self.give_up_after?))
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.kind == Kind::Call && self.retry.cap > MAX_BACKOFF {
            return Some("its pauses are longer than the longest allowed");
        }
        if self.give_up_after.is_some() && self.class != Class::Retriable {
            return Some("only a retriable step may be given up");
        }
        if self.closing == Closing::Execute && !self.keyed {
            return Some("an unkeyed step cannot be closed by executing it again");
        }
        if self.concurrency == 0 || self.time_limit.is_zero() || self.retry.first.is_zero() {
            return Some("its limits must not be zero");
        }
        None
    }
}
