//! Old versions of events, lifted one version at a time to the newest.

use std::ops::Range;

use serde_json::Value;

/// Rewrites the JSON of one version of one event into the next version's.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// The event.
    pub event_type: &'static str,
    /// The version it reads; it writes the one after.
    pub from: i16,
    /// The rewriting. What it cannot make sense of it leaves; reading the newest version then says
    /// what is wrong.
    pub lift: fn(Value) -> Value,
}

/// A chain of upcasters that would fail at the first old event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// A version that was written once and cannot be lifted.
    #[error("nothing lifts version {from} of {event_type}")]
    Gap {
        /// The event.
        event_type: &'static str,
        /// The version without an upcaster.
        from: i16,
    },
    /// Two ways up, and no telling which is right.
    #[error("version {from} of {event_type} is lifted twice")]
    Fork {
        /// The event.
        event_type: &'static str,
        /// The version with two upcasters.
        from: i16,
    },
    /// An upcaster of no version that can be in a log.
    #[error("version {from} of {event_type} is lifted but never was an old version")]
    Stray {
        /// The event.
        event_type: &'static str,
        /// The version that it would read.
        from: i16,
    },
}

/// Every version below the newest of each type has exactly one upcaster, and there are no others.
pub(super) fn check(
    types: &[(&'static str, i16)],
    upcasters: &[Upcaster],
) -> Result<(), BrokenChain> {
    for &(event_type, newest) in types {
        for from in 1..newest {
            match upcasters
                .iter()
                .filter(|step| step.event_type == event_type && step.from == from)
                .count()
            {
                0 => return Err(BrokenChain::Gap { event_type, from }),
                1 => {}
                _ => return Err(BrokenChain::Fork { event_type, from }),
            }
        }
    }
    let is_old = |step: &Upcaster| {
        types
            .iter()
            .any(|(name, newest)| *name == step.event_type && (1..*newest).contains(&step.from))
    };
    match upcasters.iter().find(|step| !is_old(step)) {
        Some(stray) => Err(BrokenChain::Stray {
            event_type: stray.event_type,
            from: stray.from,
        }),
        None => Ok(()),
    }
}

/// Lifts `data` by each of `versions`; [`check`] has made sure that there is a way.
pub(super) fn lift(
    upcasters: &[Upcaster],
    event_type: &str,
    versions: Range<i16>,
    data: Value,
) -> Value {
    versions.fold(data, |data, version| {
        let step = upcasters
            .iter()
            .find(|step| step.event_type == event_type && step.from == version);
        match step {
            Some(step) => (step.lift)(data),
            None => data,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TYPES: &[(&str, i16)] = &[("Stocked", 3), ("Sold", 1)];

    const TO_2: Upcaster = Upcaster {
        event_type: "Stocked",
        from: 1,
        lift: |data| json!({ "count": data["qty"] }),
    };
    const TO_3: Upcaster = Upcaster {
        event_type: "Stocked",
        from: 2,
        lift: |data| json!({ "count": data["count"], "shelf": "A" }),
    };

    #[test]
    fn a_whole_chain_is_accepted_and_lifts_from_every_version() {
        assert_eq!(check(TYPES, &[TO_2, TO_3]), Ok(()));
        let lifted = json!({ "count": 7, "shelf": "A" });
        assert_eq!(
            lift(&[TO_2, TO_3], "Stocked", 1..3, json!({ "qty": 7 })),
            lifted
        );
        assert_eq!(
            lift(&[TO_2, TO_3], "Stocked", 2..3, json!({ "count": 7 })),
            lifted
        );
    }

    #[test]
    fn a_version_that_nothing_lifts_is_found() {
        assert_eq!(
            check(TYPES, &[TO_2]),
            Err(BrokenChain::Gap {
                event_type: "Stocked",
                from: 2
            })
        );
        assert_eq!(
            check(TYPES, &[TO_3]),
            Err(BrokenChain::Gap {
                event_type: "Stocked",
                from: 1
            })
        );
    }

    #[test]
    fn two_ways_up_are_found() {
        assert_eq!(
            check(TYPES, &[TO_2, TO_2, TO_3]),
            Err(BrokenChain::Fork {
                event_type: "Stocked",
                from: 1
            })
        );
    }

    #[test]
    fn an_upcaster_of_the_newest_or_of_no_event_is_found() {
        let newest = Upcaster { from: 3, ..TO_3 };
        assert_eq!(
            check(TYPES, &[TO_2, TO_3, newest]),
            Err(BrokenChain::Stray {
                event_type: "Stocked",
                from: 3
            })
        );
        let unknown = Upcaster {
            event_type: "Lost",
            ..TO_2
        };
        assert_eq!(
            check(TYPES, &[TO_2, TO_3, unknown]),
            Err(BrokenChain::Stray {
                event_type: "Lost",
                from: 1
            })
        );
    }
}
