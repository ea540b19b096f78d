//! What failures of the parts below look like to a client.

use std::time::Duration;

use eventstore::ReadError;

use super::catalogue;
use super::problem::Problem;
use crate::execute;
use crate::saga::verbs::VerbError;
use crate::saga::view::{self, LeftAlone};

/// Seconds after which a store that is away is worth another try.
const STORE_RETRY_AFTER: u64 = 2;

/// A read of the log failed.
pub fn read_failed(error: &ReadError) -> Problem {
    match error {
        ReadError::CheckpointMismatch { .. } => Problem::new(
            &catalogue::CONFLICT,
            "The log does not continue from there: it was replaced. Start again from its beginning.",
        ),
        ReadError::Unavailable(_) => store_unavailable(error),
        ReadError::TooManyRelated { .. } | ReadError::Corrupt(_) => Problem::internal(error),
    }
}

/// An aggregate could not be loaded.
pub fn load_failed(error: &execute::LoadError) -> Problem {
    match error {
        execute::LoadError::Read(error) => read_failed(error),
        other => Problem::internal(other),
    }
}

/// A saga could not be loaded.
pub fn load_saga_failed(error: &view::LoadError) -> Problem {
    match error {
        view::LoadError::Read(error) => read_failed(error),
        view::LoadError::LeftAlone(left) => left_alone(left),
    }
}

fn left_alone(left: &LeftAlone) -> Problem {
    match left {
        LeftAlone::NotFound => Problem::not_found("saga"),
        LeftAlone::UnknownEvent { .. } | LeftAlone::UnknownSaga { .. } => Problem::new(
            &catalogue::CONFLICT,
            format!("A newer node has to do this: {left}."),
        ),
        LeftAlone::Malformed { .. } | LeftAlone::Illegal(_) | LeftAlone::Unreadable(_) => {
            Problem::internal(left)
        }
    }
}

/// A request to a saga was not taken.
pub fn verb_failed(error: &VerbError) -> Problem {
    match error {
        VerbError::LeftAlone(left) => left_alone(left),
        VerbError::TooLate { .. } => {
            Problem::new(&catalogue::PAST_POINT_OF_NO_RETURN, format!("{error}."))
        }
        VerbError::NoSuchStep(_)
        | VerbError::NothingToHelp
        | VerbError::NotApplicable { .. }
        | VerbError::Moved
        | VerbError::NotConfirmed(_)
        | VerbError::Busy => Problem::new(&catalogue::CONFLICT, format!("{error}.")),
        VerbError::Unavailable(_) | VerbError::Unknown => store_unavailable(error),
        VerbError::Read(error) => read_failed(error),
        VerbError::Record(_) => Problem::internal(error),
    }
}

/// The store is away; the cause is for the log only.
pub fn store_unavailable(error: &dyn std::fmt::Display) -> Problem {
    tracing::warn!(%error, "the store is unavailable");
    Problem::new(&catalogue::STORE_UNAVAILABLE, "").retry_after(STORE_RETRY_AFTER)
}

/// The same where the caller knows when to come again.
pub fn store_unavailable_for(error: &dyn std::fmt::Display, retry_after: Duration) -> Problem {
    store_unavailable(error).retry_after(retry_after.as_secs().max(1))
}
