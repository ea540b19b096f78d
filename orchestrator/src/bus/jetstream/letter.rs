//! A wake-up on the wire. Two releases read each other's: what is written changes only in what the release before leaves out unread.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::saga::dispatch::Wakeup;

#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    saga: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
}

pub(super) fn write(wakeup: &Wakeup) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Letter {
        saga: wakeup.saga,
        step: wakeup.step.clone(),
    })
}

pub(super) fn read(payload: &[u8]) -> Result<Wakeup, serde_json::Error> {
    let letter: Letter = serde_json::from_slice(payload)?;
    Ok(Wakeup {
        saga: letter.saga,
        step: letter.step,
    })
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
        for (wakeup, golden) in [
            (whole, include_str!("../golden/wakeup.json")),
            (of_a_step, include_str!("../golden/wakeup-of-a-step.json")),
        ] {
            let golden = golden.trim_end().as_bytes();
            assert_eq!(write(&wakeup).expect("JSON"), golden);
            assert_eq!(read(golden).expect("a wake-up"), wakeup);
        }
    }

    #[test]
    fn what_a_release_to_come_says_beside_it_is_left_out() {
        let wakeup = Wakeup::of(Uuid::from_u128(1));
        let more = format!(r#"{{"saga":"{}","urgent":true}}"#, wakeup.saga);
        assert_eq!(read(more.as_bytes()).expect("a wake-up"), wakeup);
    }
}
