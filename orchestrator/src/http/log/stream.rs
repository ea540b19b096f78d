//! `GET /events/stream`: the log as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use eventstore::{Category, Checkpoint, EventStore, RecordedEvent};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::page::parse_category;
use super::wire::WireEvent;
use crate::http::auth::Operator;
use crate::http::catalogue;
use crate::http::docs::Refusals;
use crate::http::filter;
use crate::http::outcome::read_failed;
use crate::http::problem::Problem;
use crate::http::query::ApiQuery;
use crate::http::state::Edge;

/// Events read at once. Small, because each subscriber holds a page while its client is slow.
const PAGE: usize = 100;

/// Longest silence on a stream: below the usual idle timeouts of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to start.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Start after this position; 0 = from the first; absent = only what happens from now on
    after: Option<i64>,
    /// Only streams of this category, such as `order`
    category: Option<String>,
}

/// Follow the log live
///
/// Server-sent events; `Last-Event-ID` resumes where a broken stream ended. Ends when the server shuts down.
#[utoipa::path(get, path = "/events/stream", tag = "log",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event received")),
    responses((status = 200, description = "Events as they happen", content_type = "text/event-stream"), Refusals))]
pub async fn follow(
    State(edge): State<Edge>,
    _operator: Operator,
    ApiQuery(query): ApiQuery<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let category = query.category.as_deref().map(parse_category).transpose()?;
    let seat = Arc::clone(&edge.subscribers)
        .try_acquire_owned()
        .map_err(|_| {
            Problem::new(
                &catalogue::TOO_MANY_SUBSCRIBERS,
                "Every place for a subscriber is taken.",
            )
            .retry_after(10)
        })?;
    let last_seen = headers.get("last-event-id").map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.parse::<Checkpoint>().map_err(|_| {
            Problem::new(
                &catalogue::INVALID_HEADER,
                "Last-Event-ID is not an id that this stream has sent.",
            )
        })
    });
    let from = match last_seen.transpose()? {
        Some(checkpoint) => checkpoint,
        None => checkpoint_at(&edge, query.after).await?,
    };
    // Reads the first page before answering, so that a checkpoint of another log is refused with a status.
    let first = edge
        .store
        .read_page(&from, PAGE)
        .await
        .map_err(|error| read_failed(&error))?;
    let reader = Reader {
        store: edge.store.clone(),
        from,
        category,
        page: first.into(),
        stop: edge.stop.clone(),
        _seat: seat,
    };
    Ok(Sse::new(reader.into_stream())
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

/// The checkpoint of a position; of the log's end where none is named.
async fn checkpoint_at(edge: &Edge, position: Option<i64>) -> Result<Checkpoint, Problem> {
    let found = match position {
        Some(position) => edge.checkpoint(filter::after(position)?).await,
        None => edge.newest().await.map(Some),
    };
    found.map_err(|error| read_failed(&error))?.ok_or_else(|| {
        let detail = "after lies beyond the end of the log.";
        Problem::new(&catalogue::INVALID_QUERY, detail)
    })
}

/// One subscriber's place in the log.
struct Reader {
    store: EventStore,
    from: Checkpoint,
    category: Option<Category>,
    page: VecDeque<RecordedEvent>,
    stop: CancellationToken,
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, async |mut reader| {
            Some((Ok(reader.next().await?), reader))
        })
    }

    /// The next event, or `None` when the stream has to end: at shutdown, or when the log cannot be read. The
    /// client connects again by itself.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(event) = self.page.pop_front() {
                self.from = Checkpoint {
                    position: event.position,
                    event_id: event.event_id,
                };
                if self
                    .category
                    .as_ref()
                    .is_none_or(|wanted| *wanted == event.stream.category)
                {
                    return wire(&event, &self.from);
                }
            }
            let stop = self.stop.clone();
            let page = tokio::select! {
                () = stop.cancelled() => return None,
                page = self.read() => page,
            };
            match page {
                Ok(page) => self.page = page.into(),
                Err(error) => {
                    tracing::warn!(%error, "an event stream ended early");
                    return None;
                }
            }
        }
    }

    async fn read(&self) -> Result<Vec<RecordedEvent>, eventstore::ReadError> {
        let page = self.store.read_page(&self.from, PAGE).await?;
        if page.is_empty() {
            self.store.wait_past(self.from.position, KEEP_ALIVE).await?;
        }
        Ok(page)
    }
}

fn wire(event: &RecordedEvent, id: &Checkpoint) -> Option<Event> {
    // Recorded events are JSON already; this cannot fail for any that was read.
    let event_type = event.event_type.to_string();
    Event::default()
        .id(id.to_string())
        .event(event_type)
        .json_data(WireEvent::from(event))
        .ok()
}
