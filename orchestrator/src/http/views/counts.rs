//! How many rows a list has.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Rows by what became of them
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Counts {
    /// By status; one that no row has is not among them
    #[schema(value_type = Object, example = json!({"Delivered": 750, "Canceled": 167, "Rejected": 83}))]
    counts: projections::Counts,
    /// Together
    total: u64,
}

impl Counts {
    /// Of nothing.
    pub(super) fn none() -> Counts {
        projections::Counts::new().into()
    }
}

impl From<projections::Counts> for Counts {
    fn from(counts: projections::Counts) -> Counts {
        let total = counts.values().sum();
        Counts { counts, total }
    }
}

impl IntoResponse for Counts {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}
