//! What all lists have in common: their query, their page, their failures.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use eventstore::Position;
use projections::{Page, PageRequest, QueryError, Span};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::catalogue;
use crate::http::filter;
use crate::http::hal;
use crate::http::outcome::store_unavailable;
use crate::http::problem::Problem;

/// Seconds after which a view that is being rebuilt is worth another try.
const REBUILT_AFTER: u64 = 5;

/// Which rows, and how many of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only this customer's
    customer_id: Option<String>,
    /// Only those in this status
    pub status: Option<String>,
    /// Only from this moment on: RFC 3339, or a day in UTC
    #[param(example = "2026-11-22T09:30:00+09:00")]
    from: Option<String>,
    /// Only before this moment; a day is meant with all its hours
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// Only that of this parcel number; of messages, those about this order
    q: Option<String>,
    /// Rows per page (1 to 500)
    size: Option<usize>,
    /// `page.next` of the page before
    cursor: Option<String>,
    /// Wait until the view shows this consistency token or position
    #[expect(
        dead_code,
        reason = "read by Freshness; named here for the description"
    )]
    at_least: Option<String>,
}

/// A page of a collection
#[derive(Serialize, ToSchema)]
pub struct Collection {
    /// The rows, under the collection's name
    #[schema(value_type = Object)]
    _embedded: (),
    /// `self` and, where there is more, `next`
    #[schema(value_type = Object)]
    _links: (),
    /// `size`, `count`, the cursor `next`, and the `position` of the log up to which the rows surely are
    #[schema(value_type = Object)]
    page: (),
}

impl ListQuery {
    /// Refuses what no row can match and no page can be. Which statuses exist is the list's to say.
    pub fn check(&self) -> Result<(), Problem> {
        filter::text("customerId", self.customer_id.as_deref())?;
        filter::text("status", self.status.as_deref())?;
        filter::text("q", self.q.as_deref())?;
        filter::page_size(self.size)
    }

    /// The stretch of time asked for.
    pub fn span(&self) -> Result<Span, Problem> {
        filter::span(self.from.as_deref(), self.to.as_deref())
    }

    /// What is searched for.
    pub fn q(&self) -> Option<String> {
        self.q.clone()
    }

    /// Where the list goes on.
    pub fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    /// The customer to show: the one asked for, within what the caller may see.
    pub fn customer(&self, principal: &Principal) -> Scope {
        match (principal.only_customer(), &self.customer_id) {
            (Some(own), Some(asked)) if own != asked => Scope::Nothing,
            (Some(own), _) => Scope::One(own.to_owned()),
            (None, Some(asked)) => Scope::One(asked.clone()),
            (None, None) => Scope::All,
        }
    }

    /// The page asked for.
    pub fn page(&self) -> PageRequest {
        PageRequest {
            size: self.size(),
            cursor: self.cursor.clone(),
        }
    }

    fn size(&self) -> usize {
        self.size
            .unwrap_or(hal::DEFAULT_SIZE)
            .clamp(1, hal::MAX_SIZE)
    }

    /// The answer with the rows of a page in their form on the wire. `more` are the list's own filters, which its links repeat.
    pub fn answer_page<'p, R, T: Serialize>(
        &self,
        name: &str,
        more: &[(&'static str, Option<&str>)],
        page: &'p Page<R>,
        wire: impl Fn(&'p R) -> T,
    ) -> Response {
        let rows: Vec<T> = page.rows.iter().map(wire).collect();
        let filters = [
            ("customerId", &self.customer_id),
            ("status", &self.status),
            ("from", &self.from),
            ("to", &self.to),
            ("q", &self.q),
        ];
        let common = filters
            .iter()
            .map(|(name, value)| (*name, value.as_deref()));
        let query: Vec<(&str, &str)> = common
            .chain(more.iter().copied())
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let mut document = hal::page(name, &query, self.size(), &rows, page.next.as_deref());
        document["page"]["position"] = page.position.0.into();
        let varies = [(header::VARY, "accept")];
        (varies, Json(document)).into_response()
    }
}

/// The page of those who may see nothing.
pub(super) fn nothing<R>() -> Page<R> {
    Page {
        rows: Vec::new(),
        next: None,
        position: Position::ZERO,
    }
}

/// Whose rows a list shows.
pub enum Scope {
    /// Everybody's.
    All,
    /// One customer's.
    One(String),
    /// Another customer's were asked for: an empty list, as if there were none.
    Nothing,
}

/// A view could not answer.
pub fn query_failed(error: &QueryError) -> Problem {
    match error {
        QueryError::Cursor => Problem::new(
            &catalogue::INVALID_QUERY,
            "cursor does not belong to this list with these filters.",
        ),
        QueryError::Rebuilding { view } => {
            let detail = format!("The view {view} is being rebuilt and cannot answer this yet.");
            Problem::new(&catalogue::VIEW_REBUILDING, detail).retry_after(REBUILT_AFTER)
        }
        QueryError::Row(_) => Problem::internal(error),
        QueryError::Store(_) => store_unavailable(error),
    }
}
