//! What a provider's final no means, in words that everybody may read. They are ours and fixed: the log may hold a person's
//! words under the same code. What only says how the shop is set up with a provider has none here.

use super::{label, simulator, solapi, toss, tracker};

/// The sentence of a code, if it is one that a provider decides with.
#[must_use]
pub fn of_refusal(code: &str) -> Option<&'static str> {
    toss::words(code)
        .or_else(|| label::words(code))
        .or_else(|| solapi::words(code))
        .or_else(|| simulator::words(code))
}

/// The sentence about what came between on a parcel's way, if it is one of ours.
#[must_use]
pub fn of_trouble(said: &str) -> Option<&'static str> {
    tracker::TROUBLES.into_iter().find(|ours| *ours == said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_has_words_and_a_fault_of_the_set_up_has_none() {
        for code in [
            "reject-card-company",
            "handed-over",
            "solapi-3104",
            "card-declined",
        ] {
            assert!(of_refusal(code).is_some(), "{code}");
        }
        for code in ["unauthorized-key", "solapi-1043", "resolved-undone", ""] {
            assert_eq!(of_refusal(code), None, "{code}");
        }
    }

    #[test]
    fn the_carriers_troubles_are_told_as_they_are_and_nobody_elses() {
        assert!(
            tracker::TROUBLES
                .iter()
                .all(|it| of_trouble(it) == Some(it))
        );
        assert_eq!(of_trouble("ask Kim at the depot"), None);
    }
}
