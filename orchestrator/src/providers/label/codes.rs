//! The codes of the label API and what each means for the parcel. The code decides; one that is not listed is unclear.

use super::wire::Op;
use crate::providers::ports::{Answer, Refusal};

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The carrier's decision, final for the key.
    Decided,
    /// It is under way.
    Open,
    /// It may have happened.
    Unclear,
    /// The carrier did not look at it: surely nothing happened, and only operators can mend it.
    Locked,
    /// It cannot read what we sent.
    Unread,
}

const CODES: &[(&str, Class, &str)] = &[
    (
        "handed-over",
        Class::Decided,
        "The carrier has taken the parcel along.",
    ),
    (VOID, Class::Decided, "The parcel's label is void."),
    (
        "no-such-parcel",
        Class::Decided,
        "The carrier has no such parcel.",
    ),
    (
        "address-refused",
        Class::Decided,
        "The carrier does not deliver to this address.",
    ),
    (
        "in-progress",
        Class::Open,
        "the same request is still being processed",
    ),
    ("unavailable", Class::Unclear, "it is not available"),
    ("internal", Class::Unclear, "it has a fault"),
    (
        "unauthorized",
        Class::Locked,
        "it does not accept our token",
    ),
    (
        "invalid-request",
        Class::Unread,
        "The carrier cannot read the request.",
    ),
];

/// The code of a label that was voided: such a parcel can neither leave nor be voided again.
pub(super) const VOID: &str = "label-void";

/// Whether a refusal with this code says that what was asked for is so.
pub(super) fn is_so(op: Op, code: &str) -> bool {
    code == VOID && matches!(op, Op::Hold | Op::Cancel)
}

/// The refusal behind the code of a call that was decided against.
pub(super) fn decision(code: &str) -> Option<Refusal> {
    words(code).map(|reason| refusal(code, reason))
}

/// The sentence of what was decided with this code.
pub(in crate::providers) fn words(code: &str) -> Option<&'static str> {
    CODES
        .iter()
        .find(|(known, class, _)| *known == code && *class == Class::Decided)
        .map(|(_, _, reason)| *reason)
}

fn refusal(code: &str, reason: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}

/// What an error means for a call. With `true`, operators have to hear of it.
pub(super) fn judge<T>(op: Op, code: &str) -> (Answer<T>, bool) {
    let Some((code, class, reason)) = CODES.iter().find(|(known, _, _)| *known == code) else {
        let reason = "the carrier answered with a code that is not documented".to_owned();
        return (Answer::Undecided(reason), false);
    };
    let sentence = || format!("the carrier says {code}: {reason}");
    match class {
        Class::Decided => (Answer::Refused(refusal(code, reason)), false),
        Class::Open => (Answer::Undecided(sentence()), false),
        Class::Unclear => (Answer::Unknown(sentence()), false),
        // An order that no label can be made for goes back to its customer. But that our request to hold a parcel cannot be
        // read is no decision of the carrier to let it go, and no customer is told that it left.
        Class::Unread if op == Op::Ship => (Answer::Refused(refusal(code, reason)), true),
        Class::Locked if op == Op::Ship => (Answer::NotSent(sentence()), true),
        // A customer waits for money, and would wait for ever: whoever is answered like this for long needs a person.
        Class::Locked | Class::Unread => (Answer::Undecided(sentence()), true),
    }
}
