//! What tracker.delivery is asked and answers: GraphQL, so that errors come with status 200 as well.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Scans of one parcel that are read; a parcel that crosses the country has about ten.
pub(super) const TRACK: &str = "query Track($carrierId: ID!, $trackingNumber: String!) { \
    track(carrierId: $carrierId, trackingNumber: $trackingNumber) { \
    lastEvent { time status { code } } \
    events(last: 100) { edges { node { time status { code } } } } } }";

pub(super) const WATCH: &str = "mutation Watch($input: RegisterTrackWebhookInput!) { \
    registerTrackWebhook(input: $input) }";

#[derive(Serialize)]
pub(super) struct Query<V> {
    pub(super) query: &'static str,
    pub(super) variables: V,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parcel<'a> {
    pub(super) carrier_id: &'a str,
    pub(super) tracking_number: &'a str,
}

#[derive(Serialize)]
pub(super) struct Watch<'a> {
    pub(super) input: WatchInput<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WatchInput<'a> {
    #[serde(flatten)]
    pub(super) parcel: Parcel<'a>,
    pub(super) callback_url: &'a str,
    pub(super) expiration_time: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct Reply<T> {
    #[serde(default = "Option::default")]
    pub(super) data: Option<T>,
    #[serde(default)]
    pub(super) errors: Vec<Error>,
}

#[derive(Deserialize)]
pub(super) struct Error {
    #[serde(default)]
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct Extensions {
    #[serde(default)]
    code: Option<String>,
}

impl Error {
    pub(super) fn code(&self) -> &str {
        let code = self.extensions.as_ref().and_then(|it| it.code.as_deref());
        code.unwrap_or_default()
    }
}

#[derive(Deserialize)]
pub(super) struct Tracked {
    pub(super) track: Option<Track>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Track {
    #[serde(default)]
    pub(super) last_event: Option<Event>,
    #[serde(default)]
    pub(super) events: Option<Events>,
}

#[derive(Deserialize)]
pub(super) struct Events {
    pub(super) edges: Vec<Edge>,
}

#[derive(Deserialize)]
pub(super) struct Edge {
    pub(super) node: Event,
}

#[derive(Deserialize)]
pub(super) struct Event {
    /// Some carriers' scans have none.
    #[serde(default)]
    pub(super) time: Option<DateTime<Utc>>,
    pub(super) status: Status,
}

#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Watched {
    pub(super) register_track_webhook: Option<bool>,
}
