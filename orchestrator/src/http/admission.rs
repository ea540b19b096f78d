//! What lets a command in: once it is there as a whole, a bounded number at once, each to its end even if its client hangs up.

use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::load_shed::error::Overloaded;
use tracing::Instrument;

use super::catalogue;
use super::extract::body_problem;
use super::problem::Problem;

/// How long a command may take once its body is there. Longer than [`BUDGET_MAX`](crate::config::BUDGET_MAX) and the reads and
/// writes around it, each of which has a limit of its own: what a caller hears as a rule is what is known of its command.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a body may take to arrive. The largest fits through a line of 0.5 Mbit/s.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bodies on their way for each place. They cost memory, not work, so there may be more of them than commands in work; at 256 places
/// the largest add up to 512 MiB.
pub const UPLOADS_PER_PLACE: usize = 4;

/// Takes the body in before the command asks for a place: a client that sends slowly keeps nobody else from being served. Where all
/// places are taken by then it is refused without the cost of a task, since in an overload that is what most requests get.
pub async fn receive(
    State(places): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = match arrived(request).await {
        Ok(whole) => whole,
        Err(problem) => return problem.into_response(),
    };
    if places.available_permits() == 0 {
        return overloaded().into_response();
    }
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// The request once its body is there as a whole.
pub(super) async fn arrived(request: Request) -> Result<(Parts, Bytes), Problem> {
    let (head, body) = request.into_parts();
    let whole = Request::from_parts(head.clone(), body);
    match tokio::time::timeout(UPLOAD_TIMEOUT, Bytes::from_request(whole, &())).await {
        Ok(Ok(bytes)) => Ok((head, bytes)),
        Ok(Err(rejection)) => Err(body_problem(&rejection)),
        Err(_elapsed) => {
            let detail = format!("The body took longer than {} s.", UPLOAD_TIMEOUT.as_secs());
            Err(Problem::new(&catalogue::REQUEST_TIMEOUT, detail))
        }
    }
}

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
            &catalogue::COMMAND_IN_DOUBT,
            format!("It took longer than {} s.", COMMAND_TIMEOUT.as_secs()),
        )
        .into_response(),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// What a request gets that found no place.
pub async fn refused(error: BoxError) -> Problem {
    if error.is::<Overloaded>() {
        return overloaded();
    }
    Problem::internal(&error)
}

/// The answer to a command that finds no place, counted.
pub(super) fn overloaded() -> Problem {
    metrics::counter!("bookmarket_commands_shed_total").increment(1);
    Problem::new(
        &catalogue::OVERLOADED,
        "All places are taken; nothing was stored.",
    )
}
