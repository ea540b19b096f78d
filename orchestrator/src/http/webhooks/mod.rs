//! `POST /webhooks/{port}/{provider}`: what providers tell of their own accord.
//!
//! Whoever knows the secret part of the address, or signs, is heard; what is said is written down before the answer and then
//! only makes us ask the provider. Bodies are small, time is short, and places are few and of their own: a storm of webhooks
//! takes nothing from orders.

mod signature;
mod solapi;
mod toss;
mod tracker;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::catalogue;
use super::extract::ApiPath;
use super::problem::{Problem, ProblemDocument};
use super::state::Edge;
use crate::fulfilment::hints::{HearError, Heard, Port, Taken};

/// What the addresses of all webhooks begin with.
pub(super) const PREFIX: &str = "/webhooks/";

/// Largest body: a payment with all its cancellations has some 8 kB, a report of 100 messages some 60 kB.
const BODY_MAX: usize = 128 * 1024;

/// tracker.delivery wants its answer within a second; what of it is for reading the body, and for the log.
const READ_WITHIN: Duration = Duration::from_millis(400);
const STORE_WITHIN: Duration = Duration::from_millis(500);

/// Webhooks in work at once. Each takes a few milliseconds; those beyond it are sent again by their providers.
const PLACES: usize = 32;

/// Longest name of a delivery and longest word for what happened.
const WORD_MAX: usize = 128;

/// Who may tell us things.
#[derive(Debug, Clone)]
pub struct Doors {
    secret: Option<SecretString>,
    toss_security_key: Option<SecretString>,
    places: Arc<Semaphore>,
}

impl Doors {
    /// Lets in whoever knows this secret, or signs with that key; without either, nobody.
    #[must_use]
    pub fn new(secret: Option<SecretString>, toss_security_key: Option<SecretString>) -> Doors {
        Doors {
            secret,
            toss_security_key,
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    /// Compares digests, which are of one length whatever is compared, in the same time whatever they are.
    fn knows(&self, secret: &str) -> bool {
        let digest = |text: &str| <[u8; 32]>::from(Sha256::digest(text));
        let own = self.secret.as_ref();
        own.is_some_and(|own| digest(own.expose_secret()).ct_eq(&digest(secret)).into())
    }
}

/// One call as it came in.
struct Delivery<'a> {
    headers: &'a HeaderMap,
    body: &'a Bytes,
    json: &'a Value,
}

/// A provider that tells us things.
struct Speaker {
    port: Port,
    name: &'static str,
    /// What it wants to hear.
    thanks: StatusCode,
    /// What one call of it says.
    read: fn(&Delivery<'_>) -> Result<Vec<Heard>, &'static str>,
}

const SPEAKERS: [Speaker; 3] = [toss::SPEAKER, tracker::SPEAKER, solapi::SPEAKER];

/// Take in a webhook
///
/// The address carries a secret (`--webhook-secret`). What is said is only a hint: it is written down once per delivery, and
/// then the provider itself is asked.
#[utoipa::path(post, path = "/webhooks/{port}/{provider}/{secret}", tag = "webhooks", security(()),
    params(("port" = String, Path, description = "payments, deliveries or kakao"),
        ("provider" = String, Path, description = "toss, tracker or solapi"),
        ("secret" = String, Path, description = "The secret part of the address")),
    request_body(content = Object, description = "As the provider documents it"),
    responses((status = 200, description = "Written down; a repeat changes nothing"),
        (status = 202, description = "The same, for those who want to hear 202"),
        (status = 400, description = "invalid-json, invalid-webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such provider, or another secret", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not now; send it again", body = ProblemDocument, content_type = "application/problem+json")))]
pub async fn with_secret(
    State(edge): State<Edge>,
    ApiPath((port, provider, secret)): ApiPath<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let speaker = speaker(&port, &provider)?;
    if !edge.doors.knows(&secret) {
        return Err(stranger());
    }
    take_in(&edge, speaker, &headers, body, true).await
}

/// Take in a signed webhook
///
/// Like the one with a secret in its address, for events that the provider signs.
#[utoipa::path(post, path = "/webhooks/{port}/{provider}", tag = "webhooks", security(()),
    params(("port" = String, Path, description = "payments, deliveries or kakao"),
        ("provider" = String, Path, description = "toss, tracker or solapi")),
    request_body(content = Object, description = "As the provider documents it"),
    responses((status = 200, description = "Written down; a repeat changes nothing"),
        (status = 401, description = "Not signed, or not with our key", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such provider", body = ProblemDocument, content_type = "application/problem+json")))]
pub async fn signed(
    State(edge): State<Edge>,
    ApiPath((port, provider)): ApiPath<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let speaker = speaker(&port, &provider)?;
    take_in(&edge, speaker, &headers, body, false).await
}

fn speaker(port: &str, provider: &str) -> Result<&'static Speaker, Problem> {
    let of = |speaker: &&Speaker| speaker.port.as_str() == port && speaker.name == provider;
    SPEAKERS.iter().find(of).ok_or_else(stranger)
}

/// A wrong secret must not tell that the rest of the address is right.
fn stranger() -> Problem {
    count("refused");
    Problem::not_found("webhook")
}

async fn take_in(
    edge: &Edge,
    speaker: &'static Speaker,
    headers: &HeaderMap,
    body: Body,
    trusted: bool,
) -> Result<StatusCode, Problem> {
    let body = read(body).await?;
    if !signature::holds(
        headers,
        &body,
        edge.doors.toss_security_key.as_ref(),
        trusted,
    ) {
        count("refused");
        return Err(Problem::new(
            &catalogue::WEBHOOK_NOT_SIGNED,
            "The signature is missing, or is not of this body under our key.",
        ));
    }
    let json: Value = serde_json::from_slice(&body).map_err(|_| {
        // What serde_json says quotes nothing, but whoever sends webhooks has no use for it either.
        Problem::new(&catalogue::INVALID_JSON, "The body is not JSON.")
    })?;
    let delivery = Delivery {
        headers,
        body: &body,
        json: &json,
    };
    let heard =
        (speaker.read)(&delivery).map_err(|why| Problem::new(&catalogue::INVALID_WEBHOOK, why))?;
    let stored = timeout(STORE_WITHIN, store(edge, heard)).await;
    stored.map_err(|_| not_now("The log is too slow; send it again."))??;
    Ok(speaker.thanks)
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let reading = timeout(READ_WITHIN, to_bytes(body, BODY_MAX)).await;
    let read = reading.map_err(|_| {
        let detail = format!("The body took longer than {} ms.", READ_WITHIN.as_millis());
        Problem::new(&catalogue::REQUEST_TIMEOUT, detail)
    })?;
    read.map_err(|_| {
        let detail = format!("A webhook's body may have at most {BODY_MAX} bytes.");
        Problem::new(&catalogue::CONTENT_TOO_LARGE, detail)
    })
}

async fn store(edge: &Edge, heard: Vec<Heard>) -> Result<(), Problem> {
    for heard in heard {
        let taken = edge
            .fulfilment
            .hear(heard)
            .await
            .map_err(|error| failed(&error))?;
        count(match taken {
            Taken::PassedOn => "passed-on",
            Taken::Noted => "noted",
            Taken::Kept => "kept",
            Taken::Repeated => "repeated",
        });
    }
    Ok(())
}

fn failed(error: &HearError) -> Problem {
    tracing::warn!(%error, "a webhook could not be written down");
    not_now("The log cannot be written; send it again.")
}

fn not_now(detail: &str) -> Problem {
    count("failed");
    Problem::new(&catalogue::STORE_UNAVAILABLE, detail)
}

fn count(outcome: &'static str) {
    metrics::counter!("bookmarket_webhooks_total", "outcome" => outcome).increment(1);
}

/// A text of the provider's that may stand in the log: short, and of letters that names and codes are made of. Anything else
/// becomes its digest.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@+=".contains(c);
    if !text.is_empty() && text.len() <= WORD_MAX && text.chars().all(plain) {
        return text.to_owned();
    }
    digest(text.as_bytes())
}

/// A name for what has none.
fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
