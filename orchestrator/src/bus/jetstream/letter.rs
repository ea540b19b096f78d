//! A wake-up on the wire. Two releases read each other's: what is written changes only in what the release before leaves out unread.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::saga::dispatch::Wakeup;

#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    saga: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<Uuid>,
}

/// `log`: label of the log that has the saga.
pub(super) fn write(wakeup: &Wakeup, log: Option<Uuid>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Letter {
        saga: wakeup.saga,
        step: wakeup.step.clone(),
        log,
    })
}

/// The wake-up, and the label of its log if the writer knew of one.
pub(super) fn read(payload: &[u8]) -> Result<(Wakeup, Option<Uuid>), serde_json::Error> {
    let letter: Letter = serde_json::from_slice(payload)?;
    let wakeup = Wakeup {
        saga: letter.saga,
        step: letter.step,
    };
    Ok((wakeup, letter.log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wakeup_is_written_and_read_as_in_the_release_before() {
        let whole = Wakeup::of(Uuid::from_u128(1));
        let of_a_step = Wakeup {
            saga: whole.saga,
            step: Some("handover".to_owned()),
        };
        let log = Some(Uuid::from_u128(2));
        for (wakeup, log, golden) in [
            (&whole, None, include_str!("../golden/wakeup.json")),
            (
                &of_a_step,
                None,
                include_str!("../golden/wakeup-of-a-step.json"),
            ),
            (&whole, log, include_str!("../golden/wakeup-of-a-log.json")),
        ] {
            let golden = golden.trim_end().as_bytes();
            assert_eq!(write(wakeup, log).expect("JSON"), golden);
            assert_eq!(read(golden).expect("a wake-up"), (wakeup.clone(), log));
        }
    }

    #[test]
    fn what_a_release_to_come_says_beside_it_is_left_out() {
        let wakeup = Wakeup::of(Uuid::from_u128(1));
        let more = format!(r#"{{"saga":"{}","urgent":true}}"#, wakeup.saga);
        assert_eq!(read(more.as_bytes()).expect("a wake-up"), (wakeup, None));
    }
}
