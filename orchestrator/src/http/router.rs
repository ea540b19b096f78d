//! Which address leads where, and what every request passes on its way.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use super::consistency::CONSISTENCY_TOKEN;
use super::extract::{BODY_MAX, unknown_address, unknown_method};
use super::observe::{REQUEST_ID, observe};
use super::problem::{Problem, shape_errors};
use super::state::Edge;
use super::{admission, auth, customers, docs, kakaos, log, operation, orders, sagas, views};

/// How long a read may take, its wait for a view included.
const READ_TIMEOUT: Duration = Duration::from_secs(45);

/// Every route together with its description.
fn described(edge: &Edge) -> OpenApiRouter<Edge> {
    let open = OpenApiRouter::new()
        .routes(routes!(operation::livez))
        .routes(routes!(operation::readyz))
        .routes(routes!(operation::metrics))
        .routes(routes!(docs::problems))
        .routes(routes!(docs::problem));
    let guarded = reads().merge(commands(edge)).layer(from_fn_with_state(
        Arc::clone(&edge.callers),
        auth::authenticate,
    ));
    OpenApiRouter::with_openapi(docs::Description::openapi())
        .merge(open)
        .merge(guarded)
}

fn reads() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(views::orders))
        .routes(routes!(views::payments))
        .routes(routes!(views::deliveries))
        .routes(routes!(views::kakaos))
        .routes(routes!(views::mypages))
        .routes(routes!(views::mypage))
        .routes(routes!(views::customerviews))
        .routes(routes!(views::customerview))
        .routes(routes!(views::kakaomsgs))
        .routes(routes!(views::kakaomsg))
        .routes(routes!(views::status))
        .routes(routes!(views::show))
        .routes(routes!(orders::order))
        .routes(routes!(orders::payment))
        .routes(routes!(orders::delivery))
        .routes(routes!(kakaos::show))
        .routes(routes!(sagas::list))
        .routes(routes!(sagas::show))
        .routes(routes!(log::list))
        .routes(routes!(log::of_order))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            READ_TIMEOUT,
        ))
        .routes(routes!(log::follow))
}

fn commands(edge: &Edge) -> OpenApiRouter<Edge> {
    // From the outside in: a task that no hang-up ends, then one of the places, then the handler.
    let admission = ServiceBuilder::new()
        .layer(from_fn_with_state(
            edge.tasks.clone(),
            admission::to_the_end,
        ))
        .layer(HandleErrorLayer::new(admission::refused))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(
            &edge.places,
        )));
    OpenApiRouter::new()
        .routes(routes!(orders::place))
        .routes(routes!(orders::delete))
        .routes(routes!(orders::cancel))
        .routes(routes!(kakaos::send))
        .routes(routes!(sagas::act))
        .routes(routes!(customers::erase))
        .routes(routes!(views::rebuild))
        .layer(admission)
}

/// The whole API.
pub fn router(edge: Edge) -> Router {
    let (routes, description) = described(&edge).split_for_parts();
    let cors = cors(&edge.cors_origins);
    let all = routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", description))
        .fallback(unknown_address)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_MAX));
    let all = match cors {
        Some(cors) => all.layer(cors),
        None => all,
    };
    // Each layer is outside the one before it.
    all.layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(map_response(shape_errors))
        .layer(from_fn(observe))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .with_state(edge)
}

/// The description of the whole API, for whoever wants it without a server.
#[must_use]
pub fn description(edge: &Edge) -> utoipa::openapi::OpenApi {
    described(edge).into_openapi()
}

/// The panic's text was printed by the panic hook; it may quote data and stays out of the answer.
fn panicked() -> Response {
    use axum::response::IntoResponse;
    Problem::internal(&"a handler panicked").into_response()
}

/// Lets browsers of these origins call; nothing at all when there are none.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::from(Any)
    } else {
        AllowOrigin::list(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
    ];
    let ours = ["idempotency-key", "prefer", "last-event-id"].map(header::HeaderName::from_static);
    let exposed = [
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        CONSISTENCY_TOKEN,
        REQUEST_ID,
    ];
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers(
                headers
                    .into_iter()
                    .chain(ours)
                    .chain([CONSISTENCY_TOKEN])
                    .collect::<Vec<_>>(),
            )
            .expose_headers(exposed),
    )
}
