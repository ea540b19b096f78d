//! The signature that Toss Payments puts on some of its events: `v1:` and one digest per valid key, each
//! HMAC-SHA256(key, body + ":" + time of transmission) in base64.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const SIGNATURE: &str = "tosspayments-webhook-signature";
const TIME: &str = "tosspayments-webhook-transmission-time";

/// Two keys may be valid while one takes the other's place.
const DIGESTS_MAX: usize = 4;

/// Whether what came in may be heard. `trusted`: it knew the secret of the address. A signature that is there must be right,
/// where we have a key to tell; one that is not there must not be needed.
pub(super) fn holds(
    headers: &HeaderMap,
    body: &[u8],
    key: Option<&SecretString>,
    trusted: bool,
) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(SIGNATURE), key) {
        (Some(signature), Some(key)) => verify(
            signature,
            text(TIME).unwrap_or_default(),
            body,
            key.expose_secret(),
        ),
        _ => trusted,
    }
}

fn verify(signature: &str, time: &str, body: &[u8], key: &str) -> bool {
    let Some(digests) = signature.strip_prefix("v1:") else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return false;
    };
    mac.update(body);
    mac.update(b":");
    mac.update(time.as_bytes());
    let digests = digests.split(',').take(DIGESTS_MAX);
    let mut decoded = digests.filter_map(|digest| STANDARD.decode(digest.trim()).ok());
    // The comparison takes the same time whatever the digest.
    decoded.any(|digest| mac.clone().verify_slice(&digest).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"eventType":"payout.changed"}"#;
    const AT: &str = "2026-11-22T09:30:00+09:00";

    fn signed(key: &str) -> HeaderMap {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
        mac.update(BODY);
        mac.update(b":");
        mac.update(AT.as_bytes());
        let right = STANDARD.encode(mac.finalize().into_bytes());
        let wrong = STANDARD.encode([0; 32]);
        let headers = [
            (SIGNATURE, format!("v1:{wrong},{right}")),
            (TIME, AT.to_owned()),
        ];
        let header = |(name, value): (&'static str, String)| {
            (
                name.parse().expect("a name"),
                value.parse().expect("a value"),
            )
        };
        headers.into_iter().map(header).collect()
    }

    #[test]
    fn one_right_digest_of_several_is_enough() {
        let key = SecretString::from("key");
        assert!(holds(&signed("key"), BODY, Some(&key), false));
        assert!(!holds(&signed("another"), BODY, Some(&key), false));
    }

    #[test]
    fn a_signature_that_is_there_must_be_right_even_where_the_secret_is_known() {
        let key = SecretString::from("key");
        assert!(!holds(&signed("another"), BODY, Some(&key), true));
        assert!(!holds(&signed("key"), b"{}", Some(&key), true));
        assert!(holds(&HeaderMap::new(), BODY, Some(&key), true));
    }

    #[test]
    fn without_secret_and_signature_nobody_is_heard() {
        let key = SecretString::from("key");
        assert!(!holds(&HeaderMap::new(), BODY, Some(&key), false));
        assert!(!holds(&signed("key"), BODY, None, false));
    }
}
