//! Whole lists as CSV, streamed page by page: however long the list and however slow its reader, one page is in memory.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use projections::{PAGE_MAX, PageRequest, QueryError};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::list::query_failed;
use crate::http::catalogue;
use crate::http::problem::Problem;
use crate::http::state::Edge;
use crate::sheet;

/// Exports at once in one process: each keeps a connection of the views busy while it reads.
pub const EXPORTS_AT_ONCE: usize = 4;

const MEDIA_TYPE: &str = "text/csv; charset=utf-8";

/// A page of the list as lines, and where the list goes on.
pub(super) type Lines = Result<(Vec<u8>, Option<String>), QueryError>;

/// Reads one page.
pub(super) type ReadPage = Box<dyn Fn(PageRequest) -> BoxFuture<'static, Lines> + Send + Sync>;

/// Whether the list is wanted as CSV.
pub struct WantsCsv(pub(super) bool);

impl<S: Sync> FromRequestParts<S> for WantsCsv {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(WantsCsv(accepts_csv(&parts.headers)))
    }
}

/// Whoever names CSV and not JSON wants CSV; a browser that takes anything gets JSON.
fn accepts_csv(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .collect();
    let names = |kind: &str| accepted.iter().any(|it| it.eq_ignore_ascii_case(kind));
    names("text/csv") && !names("application/json")
}

/// The list from this page on, to its end, as a file of that name.
pub(super) async fn export(
    edge: &Edge,
    name: &str,
    columns: &[&str],
    from: Option<String>,
    read: ReadPage,
) -> Result<Response, Problem> {
    let seat = Arc::clone(&edge.exports).try_acquire_owned().map_err(|_| {
        let detail = "As many lists as this server exports at once are being exported.";
        Problem::new(&catalogue::OVERLOADED, detail).retry_after(5)
    })?;
    // Reads the first page before answering, so that a list that cannot be read is refused with a status.
    let first = read(page(from)).await;
    let (lines, next) = first.map_err(|error| query_failed(&error))?;
    let mut begin = sheet::headings(columns);
    begin.extend(lines);
    let export = Export {
        ready: Some(begin),
        next,
        read,
        stop: edge.stop.clone(),
        _seat: seat,
    };
    let stream = futures_util::stream::unfold(Some(export), async |export| {
        let mut export = export?;
        match export.chunk().await {
            Ok(Some(lines)) => Some((Ok(Bytes::from(lines)), Some(export))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let file = format!("attachment; filename=\"{name}.csv\"");
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.extend(HeaderValue::try_from(file).map(|file| (header::CONTENT_DISPOSITION, file)));
    Ok(response)
}

fn page(cursor: Option<String>) -> PageRequest {
    PageRequest {
        size: PAGE_MAX,
        cursor,
    }
}

struct Export {
    ready: Option<Vec<u8>>,
    next: Option<String>,
    read: ReadPage,
    stop: CancellationToken,
    _seat: OwnedSemaphorePermit,
}

impl Export {
    /// The next lines; nothing at the end. An error breaks the connection off, so that nobody takes half a list for a whole one.
    async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(ready) = self.ready.take() {
            return Ok(Some(ready));
        }
        let Some(cursor) = self.next.take() else {
            return Ok(None);
        };
        let read = self
            .stop
            .run_until_cancelled((self.read)(page(Some(cursor))));
        match read.await {
            Some(Ok((lines, next))) => {
                self.next = next;
                Ok(Some(lines))
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "an export ended early");
                Err(io::Error::other("the list cannot be read on"))
            }
            None => Err(io::Error::other("the server is being stopped")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_for_those_who_name_it() {
        for (accept, csv) in [
            ("text/csv", true),
            ("Text/CSV; charset=utf-8, */*;q=0.1", true),
            ("application/json, text/csv", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("*/*", false),
        ] {
            let value = HeaderValue::try_from(accept).expect("a header value");
            let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
            assert_eq!(accepts_csv(&headers), csv, "{accept}");
        }
        assert!(!accepts_csv(&HeaderMap::new()));
    }
}
