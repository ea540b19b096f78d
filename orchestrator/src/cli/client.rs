//! Talks to a Book Market server.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::config::ClientSettings;

/// Longest a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest an answer may take: above the server's own limit for a command, so that the server speaks first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);

/// Shorter than the server's, so that a request never meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke before the answer was complete.
    #[error(
        "cannot reach {server}: {reason} (is `bookmarket serve` running there? --server names another)"
    )]
    Unreachable {
        /// The server that was asked.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// The server answered with a problem.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is not one of ours.
    #[error("{server} does not answer like Book Market: {reason}")]
    Strange {
        /// The server that was asked.
        server: String,
        /// What is odd about the answer.
        reason: String,
    },
}

/// A problem as the client sees it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Refusal {
    /// `/problems/{name}`.
    pub r#type: String,
    /// What kind of problem it is.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The refused fields.
    pub errors: Vec<RefusedField>,
    /// The order it is about.
    pub order_id: Option<String>,
    /// Seconds the server asked to wait.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

/// A refused field as the client sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct RefusedField {
    /// JSON pointer into the request.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.title)?;
        if !self.detail.is_empty() && self.errors.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for (index, error) in self.errors.iter().enumerate() {
            let lead = if index == 0 { ": " } else { "; " };
            write!(f, "{lead}{} {}", error.pointer, error.detail)?;
        }
        Ok(())
    }
}

impl Refusal {
    /// Whether the problem is of this kind.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.r#type.rsplit('/').next() == Some(name)
    }
}

/// A good answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Value,
}

/// A connection pool to one server.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    token: Option<SecretString>,
}

impl Client {
    /// A client for the configured server.
    pub fn from_settings(settings: &ClientSettings) -> anyhow::Result<Client> {
        Client::new(&settings.server, settings.token()?)
    }

    /// A client for the server at this URL.
    pub fn new(server: &str, token: Option<SecretString>) -> anyhow::Result<Client> {
        let server = server.trim_end_matches('/').to_owned();
        if !server.starts_with("http://") && !server.starts_with("https://") {
            anyhow::bail!("--server {server} is no URL; it looks like http://127.0.0.1:8088");
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Client {
            http,
            server,
            token,
        })
    }

    /// The server it talks to.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Starts a request, with the token on it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    /// Reads a document.
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a JSON document.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, ClientError> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a request and reads its answer whole.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = request
            .timeout(ANSWER_TIMEOUT)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let response = self.refuse_errors(response).await?;
        let status = response.status();
        let headers = response.headers().clone();
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|error| self.strange(format!("its body is not JSON: {error}")))?
        };
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Opens a stream of server-sent events.
    pub async fn stream(&self, path: &str) -> Result<Response, ClientError> {
        self.open(self.request(Method::GET, path)).await
    }

    /// Sends a request whose answer comes bit by bit.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        self.refuse_errors(response).await
    }

    async fn refuse_errors(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = header(&response, "retry-after").and_then(|text| text.parse().ok());
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(refusal) if !refusal.title.is_empty() => Err(ClientError::Refused(Refusal {
                retry_after,
                ..refusal
            })),
            _ => Err(self.strange(format!("it said {status} without a problem document"))),
        }
    }

    /// Why the network failed, in one line: the innermost cause says it, the layers above only repeat the URL.
    pub fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        ClientError::Unreachable {
            server: self.server.clone(),
            reason: cause.to_string(),
        }
    }

    fn strange(&self, reason: String) -> ClientError {
        ClientError::Strange {
            server: self.server.clone(),
            reason,
        }
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response
        .headers()
        .get(name)?
        .to_str()
        .ok()
        .map(str::to_owned)
}
