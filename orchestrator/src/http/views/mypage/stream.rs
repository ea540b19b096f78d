//! `GET /mypages/stream`: the orders of one customer as they change.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use eventstore::Position;
use futures_util::Stream;
use projections::customer::CustomerRow;
use projections::{Edition, QueryError, View};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;

use super::document::Mypage;
use super::known::Known;
use super::place::Place;
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

/// Orders of which a subscriber is taken to know how they are at the start, those that changed last. Older ones may be told once
/// more when the view is folded anew.
const KNOWN: usize = 500;

/// How often to look at a view that does not move: its rows may change all the same, by being folded anew.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
/// Server-sent events: each is an order as it is after a change, as in GET /mypages/{orderId}, also where an event that was parked
/// was taken or the view folded anew. `Last-Event-ID` resumes where a broken stream ended. Ends when the server shuts down.
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
    let last = last_event(&headers)?;
    let seen = match (&last, query.after) {
        (Some(last), _) => known(&edge, last).await?,
        (None, Some(after)) => filter::after(after)?,
        (None, None) => edge
            .projections
            .position(View::Customer)
            .await
            .map_err(|error| store_unavailable(&error))?,
    };
    let begun = Follower::begin(edge, principal, customer, seen, last, seat).await;
    let follower = begun.map_err(|error| query_failed(&error))?;
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

fn last_event(headers: &HeaderMap) -> Result<Option<Place>, Problem> {
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
async fn known(edge: &Edge, last: &Place) -> Result<Position, Problem> {
    let held = edge.store.read_page(&last.at, 0).await;
    held.map_err(|error| other_log(&error))?;
    Ok(last.at.position)
}

/// One subscriber's place among its customer's changes.
struct Follower {
    edge: Edge,
    reader: Principal,
    customer: String,
    seen: Position,
    edition: Edition,
    known: Known,
    rows: VecDeque<CustomerRow>,
    /// There is nothing between what was read last and the view's own place.
    whole: bool,
    /// Nothing that was sent says where it is.
    unplaced: bool,
    not_before: Instant,
    _seat: Seat,
}

impl Follower {
    /// Looks once before anything is answered, so that a view that cannot tell is refused with a status.
    async fn begin(
        edge: Edge,
        reader: Principal,
        customer: String,
        seen: Position,
        last: Option<Place>,
        seat: Seat,
    ) -> Result<Follower, QueryError> {
        let views = &edge.projections;
        let (rows, edition) = views.customer_unchanged(&customer, seen, KNOWN).await?;
        let mut follower = Follower {
            edge,
            reader,
            customer,
            seen,
            edition,
            known: Known::default(),
            rows: VecDeque::new(),
            whole: false,
            unplaced: true,
            not_before: Instant::now(),
            _seat: seat,
        };
        if last.is_some_and(|last| last.edition != Some(edition)) {
            // What was told is of another edition, and nobody knows any more how the rows were then.
            follower.seen = Position::ZERO;
        } else {
            for row in rows {
                follower.known.learn(&row);
            }
        }
        follower.read().await?;
        if follower.edition != edition {
            // It changed in the middle of what was just taken for known.
            follower.known.forget();
        }
        Ok(follower)
    }

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
            // Without data it is no news to anybody, but the place from which to go on; where a log has not come to, none can.
            if self.whole
                && std::mem::take(&mut self.unplaced)
                && let Some(place) = self.placed(Event::default(), self.seen).await
            {
                return Some(place);
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
        // Whether it has moved or not: rows may change where they are.
        views
            .moved_past(View::Customer, self.seen, LOOK_EVERY)
            .await?;
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
        if changes.edition != self.edition {
            // Any row may be another one: all are gone through once more, and those that are as they were told are passed over.
            self.edition = changes.edition;
            self.seen = Position::ZERO;
            self.whole = false;
            self.unplaced = true;
            return Ok(());
        }
        self.whole = changes.rows.len() < ROWS;
        self.seen = changes.seen;
        let rows = changes.rows.into_iter();
        self.rows = rows.filter(|row| self.known.learn(row)).collect();
        Ok(())
    }

    async fn wire(&self, row: CustomerRow) -> Option<Event> {
        let limits = self.edge.fulfilment.limits();
        let page = Mypage::new(&row, "mypages", limits, Utc::now());
        // Rows are JSON already; this cannot fail for any that was read.
        let event = Event::default().event("order").json_data(page).ok()?;
        self.placed(event, row.position).await
    }

    async fn placed(&self, event: Event, position: Position) -> Option<Event> {
        match self.edge.checkpoint(position).await {
            Ok(at) => {
                let edition = Some(self.edition);
                let place = Place { at: at?, edition };
                Some(event.id(place.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "a stream of a customer's orders ended early");
                None
            }
        }
    }
}
