//! The one way to a provider: a client with a time limit, a cap on what it reads and no redirects, which tells "surely not
//! sent" from "may have arrived".
//!
//! Nothing of a request or an answer is ever put into an error or a log line: addresses hold payment keys, bodies hold
//! telephone numbers, and a parser quotes what it could not read.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::ports::{Answer, Found};

/// A call of a step may take 5 s ([`crate::saga::step`]); ours ends before, so that the answer is ours and not "cut off".
const TIME_LIMIT: Duration = Duration::from_secs(4);

/// Larger than the largest page that any adapter asks for (500 records of less than 2 KB), small enough to read for a
/// hundred calls at once.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// A connection that was idle for longer may be gone on the other side, and what is written into it is in doubt.
const IDLE: Duration = Duration::from_secs(20);

/// Where a provider is, and how much of our time and memory one call of it gets.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Base address; paths of the provider's documentation are appended to it.
    pub url: String,
    /// For one call of a port, all its requests together.
    pub time_limit: Duration,
    /// The largest answer that is read.
    pub max_body: usize,
}

impl Endpoint {
    /// That address with the usual limits: 4 s and 2 MiB.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            time_limit: TIME_LIMIT,
            max_body: MAX_BODY,
        }
    }
}

/// Why an adapter cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Its address is none.
    #[error("{provider}: {url} is no http or https address")]
    Address {
        /// Which provider.
        provider: &'static str,
        /// What was configured.
        url: String,
    },
    /// A credential cannot be put into a header. Its value is not repeated here.
    #[error("{provider}: {what} has characters that no credential has, or is empty")]
    Credential {
        /// Which provider.
        provider: &'static str,
        /// Which setting.
        what: &'static str,
    },
    /// The client cannot be made.
    #[error("{provider}: no HTTP client")]
    Client {
        /// Which provider.
        provider: &'static str,
        /// What it said.
        #[source]
        source: reqwest::Error,
    },
}

/// A request without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not a byte of it left.
    NotSent(String),
    /// It may have arrived.
    Unknown(String),
}

impl Failure {
    pub(super) fn into_answer<T>(self) -> Answer<T> {
        match self {
            Self::NotSent(reason) => Answer::NotSent(reason),
            Self::Unknown(reason) => Answer::Unknown(reason),
        }
    }

    /// A look-up has no effect, so it makes no difference whether it was sent.
    pub(super) fn into_found<T>(self) -> Found<T> {
        match self {
            Self::NotSent(reason) | Self::Unknown(reason) => Found::Unknown(reason),
        }
    }
}

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: u16,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body in that form, if it has it. What is wrong with it is not said: that would quote it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// The client of one provider.
pub(super) struct Http {
    provider: &'static str,
    client: Client,
    base: Url,
    time_limit: Duration,
    max_body: usize,
}

impl Http {
    pub(super) fn new(provider: &'static str, endpoint: &Endpoint) -> Result<Self, SetupError> {
        let address = || SetupError::Address {
            provider,
            url: endpoint.url.clone(),
        };
        let mut base = Url::parse(endpoint.url.trim()).map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(address());
        }
        base.path_segments_mut()
            .map_err(|()| address())?
            .pop_if_empty();
        let client = Client::builder()
            // A connection that is not made in half the time leaves room to say so: "surely not sent".
            .connect_timeout(endpoint.time_limit / 2)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("bookmarket/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| SetupError::Client { provider, source })?;
        Ok(Self {
            provider,
            client,
            base,
            time_limit: endpoint.time_limit,
            max_body: endpoint.max_body,
        })
    }

    /// When a call of a port that begins now has to end.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.time_limit
    }

    /// A request to the path made of these parts, with this query, each escaped.
    pub(super) fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url)
    }

    /// Sends it and reads the whole answer.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let provider = self.provider;
        if Instant::now() >= until {
            return Err(Failure::NotSent(format!(
                "no time was left to ask {provider}"
            )));
        }
        timeout_at(until, self.exchange(request))
            .await
            .unwrap_or_else(|_| {
                Err(Failure::Unknown(format!(
                    "{provider} did not answer in time"
                )))
            })
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let response = request.send().await.map_err(|error| self.failure(&error))?;
        let status = response.status();
        // Whatever lies behind a redirect is not the provider we were told to trust with money.
        if status.is_redirection() {
            return Err(self.unknown("sent us elsewhere"));
        }
        let body = self.read(response).await?;
        Ok(Reply {
            status: status.as_u16(),
            body,
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let too_large = || self.unknown("gave an answer that is too large to be one");
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > self.max_body) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(part)) if body.len() + part.len() > self.max_body => {
                    return Err(too_large());
                }
                Ok(Some(part)) => body.extend_from_slice(&part),
                Ok(None) => return Ok(body),
                Err(_) => return Err(self.unknown("broke off in the middle of its answer")),
            }
        }
    }

    /// Until there is a connection nothing is written. From then on anything may have arrived.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        let provider = self.provider;
        if error.is_connect() {
            Failure::NotSent(format!("there is no connection to {provider}"))
        } else if error.is_builder() {
            Failure::NotSent(format!("no request to {provider} can be made of this"))
        } else {
            self.unknown("broke off before its answer")
        }
    }

    fn unknown(&self, what: &str) -> Failure {
        Failure::Unknown(format!("{} {what}", self.provider))
    }

    /// An answer that is none: garbage, a page for people, a form that nobody documented.
    pub(super) fn garbled(&self, status: u16) -> String {
        format!(
            "{} gave an answer with status {status} that is not in its documented form",
            self.provider
        )
    }

    /// Tells operators what only they can mend. Repeated at every attempt until they have.
    pub(super) fn complain(&self, code: &str) {
        tracing::error!(
            provider = self.provider,
            code,
            "the provider refuses our credentials or our set-up: check the settings"
        );
    }
}

/// A header value that no log line shows.
pub(super) fn sensitive(
    provider: &'static str,
    what: &'static str,
    secret: &SecretString,
    scheme: impl FnOnce(&str) -> String,
) -> Result<HeaderValue, SetupError> {
    let unusable = || SetupError::Credential { provider, what };
    let secret = secret.expose_secret().trim();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable());
    }
    let mut value = HeaderValue::try_from(scheme(secret)).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Adds a credential to a request.
pub(super) fn authorize(request: RequestBuilder, credential: &HeaderValue) -> RequestBuilder {
    request.header(AUTHORIZATION, credential.clone())
}
