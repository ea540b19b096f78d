//! What a process that is about to stop tells its clients.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::health::{Health, Phase};

/// A process about to stop has each client come back on a new connection, which may well lead elsewhere. So nobody sends a request
/// on a connection that is just being closed.
pub async fn close_when_draining(
    State(health): State<Arc<Health>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if health.phase() == Phase::Draining {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
