//! How a request to Solapi is signed: HMAC-SHA256 over the moment and a salt. A signature is good for one request, so every
//! attempt has a salt of its own.

use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use uuid::Uuid;

/// The value of `Authorization` for one request.
pub(super) fn sign(key: &SecretString, secret: &SecretString) -> Option<HeaderValue> {
    let salt = Uuid::new_v4().simple().to_string();
    let text = header(
        key.expose_secret(),
        secret.expose_secret(),
        Utc::now(),
        &salt,
    )?;
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn header(key: &str, secret: &str, at: DateTime<Utc>, salt: &str) -> Option<String> {
    let date = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(date.as_bytes());
    mac.update(salt.as_bytes());
    let signature: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!(
        "HMAC-SHA256 apiKey={key}, date={date}, salt={salt}, signature={signature}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_hmac_of_the_moment_and_the_salt() {
        let at = "2019-07-01T00:41:48Z".parse().unwrap();
        let value = header("NCSAYU7YDBXYORXC", "secret", at, "jqsba2jxjnrjor").unwrap();
        // printf '%s' 2019-07-01T00:41:48.000Zjqsba2jxjnrjor | openssl dgst -sha256 -hmac secret
        assert_eq!(
            value,
            "HMAC-SHA256 apiKey=NCSAYU7YDBXYORXC, date=2019-07-01T00:41:48.000Z, salt=jqsba2jxjnrjor, signature=125ecbc19d81de8c4b1e29180d9a4caf9b61410c3011ae245d392203c671b1e3"
        );
    }

    #[test]
    fn no_two_requests_have_the_same_signature() {
        let (key, secret) = (SecretString::from("key"), SecretString::from("secret"));
        assert_ne!(sign(&key, &secret), sign(&key, &secret));
    }
}
