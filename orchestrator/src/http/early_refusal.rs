//! In an overload most commands find no place. Here they are refused before anything else is done for them: what a refusal costs
//! is taken from the orders that are being served.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either};
use tokio::sync::Semaphore;
use tower::{Layer, Service};
use uuid::Uuid;

use super::admission::{arrived, overloaded};
use super::health::{Health, Phase};
use super::observe::{REQUEST_ID, known_method, measure, route_of};
use super::webhooks;

/// A body up to this size is there as a rule when its head is. One that may keep a client sending takes the ordinary way, on which
/// the bodies on their way are bounded.
const BODY_MAX: u64 = 16 * 1024;

/// Puts it around every route.
#[derive(Clone)]
pub struct EarlyRefusalLayer {
    /// Free ones are for commands to take.
    pub places: Arc<Semaphore>,
    /// Whether the process is about to stop.
    pub health: Arc<Health>,
}

impl<S> Layer<S> for EarlyRefusalLayer {
    type Service = EarlyRefusal<S>;

    fn layer(&self, inner: S) -> EarlyRefusal<S> {
        EarlyRefusal {
            inner,
            gate: self.clone(),
        }
    }
}

/// See [`EarlyRefusalLayer`].
#[derive(Clone)]
pub struct EarlyRefusal<S> {
    inner: S,
    gate: EarlyRefusalLayer,
}

impl<S> Service<Request> for EarlyRefusal<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<BoxFuture<'static, Result<Response, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.gate.is_shut_for(&request) {
            return Either::Left(Box::pin(async { Ok(refuse(request).await) }));
        }
        Either::Right(self.inner.call(request))
    }
}

impl EarlyRefusalLayer {
    /// Whether the request is sure to be refused, and its refusal needs nothing that is added further in: what a browser must be
    /// told, or that this process is about to stop.
    fn is_shut_for(&self, request: &Request) -> bool {
        self.places.available_permits() == 0
            && is_command(request)
            && is_small(request.headers())
            && !request.headers().contains_key(header::ORIGIN)
            && self.health.phase() != Phase::Draining
    }
}

/// Whatever changes something needs a place. Webhooks have places of their own.
fn is_command(request: &Request) -> bool {
    matches!(*request.method(), Method::POST | Method::DELETE)
        && !request.uri().path().starts_with(webhooks::PREFIX)
}

fn is_small(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let none = !headers.contains_key(header::TRANSFER_ENCODING);
    length.map_or(none, |length: u64| length <= BODY_MAX)
}

/// The body is read all the same: a connection that is closed with bytes unread loses its answer.
async fn refuse(request: Request) -> Response {
    let began = Instant::now();
    let (route, method) = (route_of(&request), known_method(request.method()));
    let id = request.headers().get(&REQUEST_ID).cloned();
    let mut response = match arrived(request).await {
        Ok(_whole) => overloaded().into_response(),
        Err(problem) => problem.into_response(),
    };
    let id = id.or_else(|| HeaderValue::try_from(Uuid::new_v4().to_string()).ok());
    response.headers_mut().extend(id.map(|id| (REQUEST_ID, id)));
    measure(method, route, response.status(), began.elapsed());
    response
}
