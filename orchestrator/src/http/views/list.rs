//! What all lists have in common: their query, their page, their failures.

use axum::Json;
use axum::response::{IntoResponse, Response};
use projections::{Page, PageRequest, QueryError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Principal;
use crate::http::catalogue;
use crate::http::filter;
use crate::http::hal;
use crate::http::outcome::store_unavailable;
use crate::http::problem::Problem;

/// Which rows, and how many of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only this customer's
    customer_id: Option<String>,
    /// Only those in this status
    pub status: Option<String>,
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
    /// `size`, `count` and the cursor `next`
    #[schema(value_type = Object)]
    page: (),
}

impl ListQuery {
    /// Refuses what no row can match and no page can be. Which statuses exist is the list's to say.
    pub fn check(&self) -> Result<(), Problem> {
        filter::text("customerId", self.customer_id.as_deref())?;
        filter::text("status", self.status.as_deref())?;
        filter::page_size(self.size)
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

    /// The answer with these rows.
    pub fn answer<T: Serialize>(&self, name: &str, rows: &[T], next: Option<&str>) -> Response {
        let filters = [("customerId", &self.customer_id), ("status", &self.status)];
        let query: Vec<(&str, &str)> = filters
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        Json(hal::page(name, &query, self.size(), rows, next)).into_response()
    }

    /// The answer with these rows in their form on the wire.
    pub fn answer_page<'p, R, T: Serialize>(
        &self,
        name: &str,
        page: &'p Page<R>,
        wire: impl Fn(&'p R) -> T,
    ) -> Response {
        let rows: Vec<T> = page.rows.iter().map(wire).collect();
        self.answer(name, &rows, page.next.as_deref())
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
        QueryError::Row(_) => Problem::internal(error),
        QueryError::Store(_) => store_unavailable(error),
    }
}
