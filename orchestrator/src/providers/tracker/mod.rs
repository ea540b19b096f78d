//! tracker.delivery: where a parcel is, by the scans of any Korean carrier, and a callback when that changes.
//!
//! A callback is registered for two days at most. It is registered, and kept alive, by looking: whoever asks for a parcel that
//! is not there yet renews it along the way, at most once a day for each parcel. So nobody has to remember what is watched.

mod scans;
mod wire;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

pub(super) use self::scans::TROUBLES;
use super::http::{Endpoint, Http, SetupError, authorize, sensitive};
use super::ports::{Found, Label, Tracking};
use wire::{Parcel, Query, Reply, TRACK, Tracked, WATCH, Watch, WatchInput, Watched};

const PROVIDER: &str = "tracker.delivery";

/// How long a callback is registered for: what the provider recommends.
const WATCHED_FOR: Duration = Duration::from_hours(48);

/// Renewed when it is older than this. Looks are at most two hours apart, so there are several chances before it ends.
const RENEW_AFTER: Duration = Duration::from_hours(24);

/// Parcels whose renewal is remembered. Beyond it some are renewed more often than they need, which does no harm.
const REMEMBERED: usize = 20_000;

/// How to reach tracker.delivery.
#[derive(Debug, Clone)]
pub struct TrackerSettings {
    /// Where it is; `https://apis.tracker.delivery/graphql`.
    pub endpoint: Endpoint,
    /// `id:secret`.
    pub key: SecretString,
    /// Our address for callbacks, with the secret in it; without one parcels are only looked at now and then.
    pub callback: Option<SecretString>,
}

/// The adapter.
pub(super) struct Tracker {
    http: Http,
    credential: HeaderValue,
    callback: Option<SecretString>,
    /// When the callback of a parcel was registered by this process.
    watched: Mutex<HashMap<String, Instant>>,
}

impl Tracker {
    pub(super) fn new(settings: &TrackerSettings) -> Result<Self, SetupError> {
        let scheme = |key: &str| format!("TRACKQL-API-KEY {key}");
        Ok(Self {
            http: Http::new(PROVIDER, &settings.endpoint)?,
            credential: sensitive(PROVIDER, "the key", &settings.key, scheme)?,
            callback: settings.callback.clone(),
            watched: Mutex::new(HashMap::new()),
        })
    }

    pub(super) async fn track(&self, label: &Label, shipped_at: DateTime<Utc>) -> Found<Tracking> {
        let until = self.http.until();
        let query = Query {
            query: TRACK,
            variables: parcel(label),
        };
        let found = match self.ask::<Tracked>(&query, until).await {
            Found::Done(Tracked { track: Some(track) }) => {
                Found::Done(scans::tracking(&track, shipped_at, Utc::now()))
            }
            // A label that no scanner has seen yet.
            Found::Done(Tracked { track: None }) | Found::Nothing => Found::Nothing,
            Found::Refused(refusal) => Found::Refused(refusal),
            Found::Undecided(reason) => Found::Undecided(reason),
            Found::Unknown(reason) => Found::Unknown(reason),
        };
        let there = matches!(&found, Found::Done(seen) if seen.delivered_at.is_some());
        if !there {
            self.keep_watching(label, until).await;
        }
        found
    }

    /// Whether it works makes no difference to what was found: parcels are looked at without callbacks, too.
    async fn keep_watching(&self, label: &Label, until: Instant) {
        let Some(callback) = &self.callback else {
            return;
        };
        let name = format!("{}/{}", label.carrier, label.waybill);
        if !self.is_due(&name) {
            return;
        }
        let input = WatchInput {
            parcel: parcel(label),
            callback_url: callback.expose_secret(),
            expiration_time: Utc::now() + WATCHED_FOR,
        };
        let mutation = Query {
            query: WATCH,
            variables: Watch { input },
        };
        match self.ask::<Watched>(&mutation, until).await {
            Found::Done(Watched {
                register_track_webhook: Some(true),
            }) => self.remember(name),
            _ => tracing::debug!(
                provider = PROVIDER,
                "no callback could be registered for a parcel; it is tried again at the next look"
            ),
        }
    }

    fn is_due(&self, name: &str) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched
            .get(name)
            .is_none_or(|at| at.elapsed() >= RENEW_AFTER)
    }

    fn remember(&self, name: String) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= REMEMBERED {
            watched.retain(|_, at| at.elapsed() < RENEW_AFTER);
        }
        if watched.len() < REMEMBERED {
            watched.insert(name, Instant::now());
        }
    }

    async fn ask<T: DeserializeOwned>(&self, query: &impl Serialize, until: Instant) -> Found<T> {
        let request =
            authorize(self.http.request(Method::POST, &[], &[]), &self.credential).json(query);
        let reply = match self.http.send(request, until).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into_found(),
        };
        let Some(answer) = reply.json::<Reply<T>>() else {
            return Found::Unknown(self.http.garbled(reply.status));
        };
        if let Some(error) = answer.errors.first() {
            return self.judge(error.code());
        }
        match answer.data {
            Some(data) => Found::Done(data),
            None => Found::Unknown(self.http.garbled(reply.status)),
        }
    }

    fn judge<T>(&self, code: &str) -> Found<T> {
        let unknown = |what: &str| Found::Unknown(format!("{PROVIDER} {what}"));
        match code {
            "NOT_FOUND" => Found::Nothing,
            "UNAUTHENTICATED" | "FORBIDDEN" => {
                self.http.complain(code);
                unknown("does not accept our key")
            }
            "BAD_REQUEST" => unknown("cannot read what it was asked"),
            "INTERNAL" => unknown("has a fault"),
            _ => unknown("answered with a code that is not documented"),
        }
    }
}

fn parcel(label: &Label) -> Parcel<'_> {
    Parcel {
        carrier_id: &label.carrier,
        tracking_number: &label.waybill,
    }
}
