//! Where a subscriber is among the changes: the id of each event of the stream.

use std::fmt;
use std::str::FromStr;

use eventstore::Checkpoint;
use projections::Edition;

/// Everything up to here was told, of this edition of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: Checkpoint,
    /// Earlier releases did not say.
    pub(super) edition: Option<Edition>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.edition {
            Some(edition) => write!(f, "{}.{edition}", self.at),
            None => self.at.fmt(f),
        }
    }
}

/// No stream has sent this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (at, edition) = match text.split_once('.') {
            Some((at, edition)) => (at, Some(edition.parse().map_err(|_| NoPlace)?)),
            None => (text, None),
        };
        let at = at.parse().map_err(|_| NoPlace)?;
        Ok(Place { at, edition })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text_with_and_without_an_edition() {
        for edition in [None, Some("4.12".parse().expect("an edition"))] {
            let at = Checkpoint::START;
            let place = Place { at, edition };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for text in ["", ".", "1.2", "x.1.2"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
