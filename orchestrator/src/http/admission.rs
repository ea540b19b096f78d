//! What lets a command in: a bounded number at once, each to its end even if its client hangs up.

use std::time::Duration;

use axum::BoxError;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::task::TaskTracker;
use tower::load_shed::error::Overloaded;
use tracing::Instrument;

use super::catalogue;
use super::problem::Problem;

/// How long a command may take as a whole, its body's upload included. Longer than every budget inside it.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the rest of the request in a task of its own.
///
/// Hyper drops the handler when its client hangs up. A command cut in half would be resumed by the sweeper, but
/// only after its deadline; in its own task it simply finishes. The admission permit is taken inside this task, so
/// a client that hangs up does not make room for the next one before the work is done.
pub async fn to_the_end(
    State(tasks): State<TaskTracker>,
    request: Request,
    next: Next,
) -> Response {
    let work = tokio::time::timeout(COMMAND_TIMEOUT, next.run(request)).in_current_span();
    match tasks.spawn(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_elapsed)) => Problem::new(
            &catalogue::REQUEST_TIMEOUT,
            format!("It took longer than {} s.", COMMAND_TIMEOUT.as_secs()),
        )
        .into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// What a request gets that found no place.
pub async fn refused(error: BoxError) -> Problem {
    if error.is::<Overloaded>() {
        metrics::counter!("bookmarket_commands_shed_total").increment(1);
        return Problem::new(
            &catalogue::OVERLOADED,
            "All places are taken; nothing was stored.",
        );
    }
    Problem::internal(&error)
}
