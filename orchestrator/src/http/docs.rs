//! The API's own description: `/openapi.json`, `/docs`, `/problems`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use super::catalogue::{self, Kind};
use super::extract::ApiPath;
use super::problem::{Problem, ProblemDocument};
use crate::providers::label::wire as label;

/// The calls that are not ours to serve: a carrier does, or the warehouse in front of one.
const LABEL_API: &str = "What a carrier has to serve so that parcels can be sent with it; its forms are the schemas whose names begin with \
    `Label`. JSON, `Authorization: Bearer TOKEN`.\n\n\
    | call | answer |\n|---|---|\n\
    | `POST /v1/shipments` with `Idempotency-Key` and a `LabelRequest` | 201 `LabelShipment` |\n\
    | `POST /v1/shipments/{orderId}/hold`, `POST /v1/shipments/{orderId}/cancel` with `Idempotency-Key` | 200 `LabelShipment` |\n\
    | `GET /v1/calls/{key}` | 200 `LabelCall`; 404 `unknown-key` |\n\
    | `GET /v1/shipments/{orderId}` | 200 `LabelShipment`; 404 `no-such-parcel` |\n\
    | `GET /v1/shipments?since=RFC3339&cursor=&limit=` | 200 `LabelShipmentPage` |\n\n\
    A repeat of a key gets the stored answer and has no effect. Whatever is no success is a `LabelError`, and its code decides, not \
    the status.";

/// What the description says about the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Book Market",
        description = "Orders for books: placed, paid, shipped, announced, and unwound when something fails.\n\n\
            Collections are HAL. A query parameter that an address does not have is refused. Errors are problem documents (RFC 9457) whose `type` is stable; GET /problems lists them all.",
        license(name = "MIT OR Apache-2.0")
    ),
    modifiers(&BearerToken),
    components(schemas(
        label::ShipmentRequest,
        label::Receiver,
        label::Shipment,
        label::ShipmentStatus,
        label::Call,
        label::Op,
        label::CallResult,
        label::ShipmentPage,
        label::ErrorBody
    )),
    security(("token" = [])),
    tags(
        (name = "orders", description = "Place, read and cancel orders"),
        (name = "aggregates", description = "Payment, delivery and messages, always current"),
        (name = "views", description = "Read models, a moment behind the log; a consistency token makes them wait"),
        (name = "sagas", description = "What is under way, and how to help it"),
        (name = "webhooks", description = "What providers tell of their own accord; hints only"),
        (name = "log", description = "Everything that happened"),
        (name = "operation", description = "Health, metrics and this description"),
        (name = "label API", description = LABEL_API)
    )
)]
pub struct Description;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(
            "token",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    }
}

/// What any address may answer instead; each handler lists only what is special to it.
#[derive(IntoResponses)]
pub enum Refusals {
    /// A parameter, a header or the body cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] ProblemDocument),
    /// There is no valid token in the request
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] ProblemDocument),
    /// The token's role may not do that
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] ProblemDocument),
    /// It does not exist, or belongs to somebody else
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] ProblemDocument),
    /// Not now: overloaded, store unavailable, view behind; `Retry-After` says when
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] ProblemDocument),
}

/// A kind of problem as the catalogue shows it
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemKind {
    /// The stable `type`
    #[schema(example = "/problems/invalid-order")]
    r#type: String,
    /// What it is
    title: &'static str,
    /// Its HTTP status
    status: u16,
    /// What to do about it
    advice: &'static str,
}

impl From<&Kind> for ProblemKind {
    fn from(kind: &Kind) -> ProblemKind {
        let r#type = format!("/problems/{}", kind.name);
        ProblemKind {
            r#type,
            title: kind.title,
            status: kind.status.as_u16(),
            advice: kind.advice,
        }
    }
}

/// All problems there are
#[utoipa::path(get, path = "/problems", tag = "operation", security(()),
    responses((status = 200, description = "The catalogue", body = Vec<ProblemKind>)))]
pub async fn problems() -> Json<Vec<ProblemKind>> {
    Json(
        catalogue::ALL
            .iter()
            .map(|kind| ProblemKind::from(*kind))
            .collect(),
    )
}

/// One kind of problem and what to do about it
#[utoipa::path(get, path = "/problems/{name}", tag = "operation", security(()),
    params(("name" = String, Path, description = "Last part of a problem's type")),
    responses((status = 200, description = "The kind", body = ProblemKind), Refusals))]
pub async fn problem(ApiPath(name): ApiPath<String>) -> Response {
    match catalogue::ALL.iter().find(|kind| kind.name == name) {
        Some(kind) => Json(ProblemKind::from(*kind)).into_response(),
        None => Problem::not_found("kind of problem").into_response(),
    }
}
