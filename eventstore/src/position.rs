//! Where an event stands: in its stream, in the log, and as a reader's checkpoint.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Place of an event in its stream: 1, 2, 3 and so on without gaps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub i64);

impl Version {
    /// The version of a stream that does not exist.
    pub const ZERO: Version = Version(0);

    /// The version after this one.
    pub const fn next(self) -> Version {
        Version(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an event in the whole log: 1, 2, 3 and so on without gaps, in the order of commits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub i64);

impl Position {
    /// Before the first event.
    pub const ZERO: Position = Position(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a reader remembers: the last event it has seen, by place and by identity. The identity is what exposes a log that was
/// replaced by an older copy, in which the same position can hold another event.
///
/// `Display` and `FromStr` give an opaque token for use outside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Place of the last event seen.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
}

impl Checkpoint {
    /// Nothing seen yet.
    pub const START: Checkpoint = Checkpoint {
        position: Position::ZERO,
        event_id: Uuid::nil(),
    };
}

/// A token that is not a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint token")]
pub struct InvalidCheckpoint;

const TOKEN_BYTES: usize = 24;

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0_u8; TOKEN_BYTES];
        bytes[..8].copy_from_slice(&self.position.0.to_be_bytes());
        bytes[8..].copy_from_slice(self.event_id.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Checkpoint {
    type Err = InvalidCheckpoint;
    fn from_str(token: &str) -> Result<Self, InvalidCheckpoint> {
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| InvalidCheckpoint)?;
        let bytes: [u8; TOKEN_BYTES] = bytes.try_into().map_err(|_| InvalidCheckpoint)?;
        let (position, id) = bytes.split_at(8);
        let position = i64::from_be_bytes(position.try_into().map_err(|_| InvalidCheckpoint)?);
        let event_id = Uuid::from_slice(id).map_err(|_| InvalidCheckpoint)?;
        if position < 0 {
            return Err(InvalidCheckpoint);
        }
        Ok(Checkpoint {
            position: Position(position),
            event_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_its_token() {
        let checkpoint = Checkpoint {
            position: Position(4_711),
            event_id: Uuid::from_u128(7),
        };
        for checkpoint in [Checkpoint::START, checkpoint] {
            assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
        }
    }

    #[test]
    fn other_text_is_not_a_checkpoint() {
        let negative = Checkpoint {
            position: Position(-1),
            event_id: Uuid::nil(),
        }
        .to_string();
        for token in ["", "4711", "!", "AAAA", &"A".repeat(33), &negative] {
            assert_eq!(
                token.parse::<Checkpoint>(),
                Err(InvalidCheckpoint),
                "{token}"
            );
        }
    }
}
