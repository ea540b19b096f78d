//! `GET /mypages/stream`: the orders of one customer as they change.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use eventstore::{Checkpoint, Position};
use futures_util::Stream;
use projections::customer::CustomerRow;
use projections::{QueryError, View};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;

use super::document::Mypage;
use super::seats::Seat;
use crate::http::auth::Principal;
use crate::http::catalogue;
use crate::http::consistency::other_log;
use crate::http::docs::Refusals;
use crate::http::filter;
use crate::http::outcome::store_unavailable;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::query::ApiQuery;
use crate::http::state::Edge;
use crate::http::told::told;
use crate::http::views::list::query_failed;

/// Rows read at once. Small, because each subscriber holds them while its client is slow.
const ROWS: usize = 20;

/// Longest silence on a stream: below the usual idle timeouts of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Shortest time between two looks at a customer's rows, however fast they change: people do not read faster.
const PACE: Duration = Duration::from_millis(200);

/// A look that took long is followed by a pause so many times as long: a customer with very many orders must not keep the
/// store busy.
const REST: u32 = 10;

/// Whose orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// This customer's; a customer's own token need not say it
    customer_id: Option<String>,
    /// Start after this position, such as the `page.position` of a list; absent = only what changes from now on
    after: Option<i64>,
}

/// Follow a customer's orders live
///
/// Server-sent events: each is an order as it is after a change, as in GET /mypages/{orderId}. `Last-Event-ID` resumes where a
/// broken stream ended. Ends when the server shuts down.
#[utoipa::path(get, path = "/mypages/stream", tag = "views",
    params(ChangesQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event received")),
    responses((status = 200, description = "Orders as they change", content_type = "text/event-stream"),
        (status = 429, description = "followed-too-often", body = ProblemDocument, content_type = "application/problem+json"),
        Refusals))]
pub async fn changes(
    State(edge): State<Edge>,
    principal: Principal,
    ApiQuery(query): ApiQuery<ChangesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let customer = whose(&principal, query.customer_id)?;
    let seat = edge.followers.take(&principal, &customer)?;
    let seen = match (last_event(&headers)?, query.after) {
        (Some(last), _) => known(&edge, &last).await?,
        (None, Some(after)) => filter::after(after)?,
        (None, None) => edge
            .projections
            .position(View::Customer)
            .await
            .map_err(|error| store_unavailable(&error))?,
    };
    let mut follower = Follower {
        edge,
        reader: principal,
        customer,
        seen,
        rows: VecDeque::new(),
        not_before: Instant::now(),
        _seat: seat,
    };
    // Looks once before answering, so that a view that cannot tell is refused with a status.
    let looked = follower.read().await;
    looked.map_err(|error| query_failed(&error))?;
    Ok(Sse::new(follower.into_stream())
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

/// Somebody else's orders look like those of a customer that does not exist.
fn whose(principal: &Principal, asked: Option<String>) -> Result<String, Problem> {
    filter::text("customerId", asked.as_deref())?;
    match (principal.only_customer(), asked) {
        (Some(own), Some(asked)) if own != asked => Err(Problem::not_found("customer")),
        (Some(own), _) => Ok(own.to_owned()),
        (None, Some(asked)) => Ok(asked),
        (None, None) => Err(Problem::new(
            &catalogue::INVALID_QUERY,
            "customerId is missing.",
        )),
    }
}

fn last_event(headers: &HeaderMap) -> Result<Option<Checkpoint>, Problem> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|_| {
        Problem::new(
            &catalogue::INVALID_HEADER,
            "Last-Event-ID is not an id that this stream has sent.",
        )
    })
}

/// The position of an event that this log holds.
async fn known(edge: &Edge, last: &Checkpoint) -> Result<Position, Problem> {
    let held = edge.store.read_page(last, 0).await;
    held.map_err(|error| other_log(&error))?;
    Ok(last.position)
}

/// One subscriber's place among its customer's changes.
struct Follower {
    edge: Edge,
    reader: Principal,
    customer: String,
    seen: Position,
    rows: VecDeque<CustomerRow>,
    not_before: Instant,
    _seat: Seat,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, async |mut follower| {
            Some((Ok(follower.next().await?), follower))
        })
    }

    /// The next change, or `None` when the stream has to end: at shutdown, or when the view cannot be read. The client connects
    /// again by itself.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return self.wire(told(&self.reader, row)).await;
            }
            let stop = self.edge.stop.clone();
            match stop.run_until_cancelled(self.look()).await? {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "a stream of a customer's orders ended early");
                    return None;
                }
            }
        }
    }

    async fn look(&mut self) -> Result<(), QueryError> {
        let views = &self.edge.projections;
        let moved = views.moved_past(View::Customer, self.seen, KEEP_ALIVE);
        if !moved.await? {
            return Ok(());
        }
        sleep(self.not_before.saturating_duration_since(Instant::now())).await;
        self.read().await
    }

    async fn read(&mut self) -> Result<(), QueryError> {
        let started = Instant::now();
        let views = &self.edge.projections;
        let changes = views
            .customer_changes(&self.customer, self.seen, ROWS)
            .await?;
        let rest = (started.elapsed() * REST).min(KEEP_ALIVE);
        self.not_before = Instant::now() + PACE.max(rest);
        self.seen = changes.seen;
        self.rows = changes.rows.into();
        Ok(())
    }

    async fn wire(&self, row: CustomerRow) -> Option<Event> {
        let id = match self.edge.checkpoint(row.position).await {
            Ok(id) => id?,
            Err(error) => {
                tracing::warn!(%error, "a stream of a customer's orders ended early");
                return None;
            }
        };
        let limits = self.edge.fulfilment.limits();
        let page = Mypage::new(&row, "mypages", limits, Utc::now());
        // Rows are JSON already; this cannot fail for any that was read.
        Event::default()
            .id(id.to_string())
            .event("order")
            .json_data(page)
            .ok()
    }
}
