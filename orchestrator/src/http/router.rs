//! Which address leads where, and what every request passes on its way.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
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
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::consistency::{CONSISTENCY_TOKEN, tell_where};
use super::drain::close_when_draining;
use super::early_refusal::EarlyRefusalLayer;
use super::extract::{BODY_MAX, unknown_address, unknown_method};
use super::idempotency::REPLAYED;
use super::observe::{REQUEST_ID, observe};
use super::problem::{Problem, shape_errors};
use super::state::Edge;
use super::{
    admission, auth, customers, docs, kakaos, log, operation, orders, reconcile, sagas, views,
    webhooks,
};

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
        .merge(heard(edge))
        .merge(guarded)
}

/// What providers call. They have no token: the address or a signature says who they are. Their places are their own, so that
/// a storm of them takes none from orders.
fn heard(edge: &Edge) -> OpenApiRouter<Edge> {
    let admission = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(admission::refused))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(
            edge.doors.places(),
        ));
    OpenApiRouter::new()
        .routes(routes!(webhooks::with_secret))
        .routes(routes!(webhooks::signed))
        .layer(admission)
}

fn reads() -> OpenApiRouter<Edge> {
    OpenApiRouter::new()
        .routes(routes!(views::orders))
        .routes(routes!(views::payments))
        .routes(routes!(views::deliveries))
        .routes(routes!(views::kakaos))
        .routes(routes!(views::mypages))
        .routes(routes!(views::mypages_csv))
        .routes(routes!(views::mypage_counts))
        .routes(routes!(views::mypage))
        .routes(routes!(views::customerviews))
        .routes(routes!(views::customerview))
        .routes(routes!(views::kakaomsgs))
        .routes(routes!(views::kakaomsgs_csv))
        .routes(routes!(views::kakaomsg_counts))
        .routes(routes!(views::kakaomsg))
        .routes(routes!(views::status))
        .routes(routes!(views::show))
        .routes(routes!(views::parked))
        .routes(routes!(orders::id))
        .routes(routes!(orders::order))
        .routes(routes!(orders::payment))
        .routes(routes!(orders::delivery))
        .routes(routes!(kakaos::show))
        .routes(routes!(sagas::list))
        .routes(routes!(sagas::show))
        .routes(routes!(log::list))
        .routes(routes!(log::of_order))
        .routes(routes!(reconcile::show))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            READ_TIMEOUT,
        ))
        .routes(routes!(log::follow))
        .routes(routes!(views::changes))
}

fn commands(edge: &Edge) -> OpenApiRouter<Edge> {
    // From the outside in: the whole body, a task that no hang-up ends, one of the places, the handler.
    let uploads = edge.places.available_permits() * admission::UPLOADS_PER_PLACE;
    let admission = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(admission::refused))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(uploads))
        .layer(from_fn_with_state(
            Arc::clone(&edge.places),
            admission::receive,
        ))
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
        .routes(routes!(views::intervene))
        .routes(routes!(reconcile::compare))
        .layer(from_fn_with_state(edge.clone(), tell_where))
        // It answers before it has done anything: its account ends with the token.
        .routes(routes!(sagas::bulk))
        .layer(admission)
}

/// The whole API.
pub fn router(edge: Edge) -> Router {
    let (routes, description) = described(&edge).split_for_parts();
    // Its own validator is a page elsewhere, which would be sent this server's address.
    let offline = Config::default().validator_url("none");
    let manual = SwaggerUi::new("/docs").config(offline);
    let all = routes.merge(manual.url("/openapi.json", description));
    whole(all, cors(&edge.cors_origins), edge)
}

/// What a process that answers no customers tells those who run it.
pub fn operation_only(edge: Edge) -> Router {
    let routes = Router::new()
        .route("/livez", get(operation::livez))
        .route("/readyz", get(operation::readyz))
        .route("/metrics", get(operation::metrics));
    whole(routes, None, edge)
}

/// These routes, with an answer for every other address.
fn whole(routes: Router<Edge>, cors: Option<CorsLayer>, edge: Edge) -> Router {
    let gate = EarlyRefusalLayer {
        places: Arc::clone(&edge.places),
        health: Arc::clone(&edge.health),
    };
    let all = routes
        .fallback(unknown_address)
        .method_not_allowed_fallback(unknown_method);
    around(all, cors, gate).with_state(edge)
}

/// What every request passes on its way, from the outside in. A browser shows an answer to its page only with the CORS headers, so
/// these are added outside everything that makes or replaces answers.
///
/// One layer for all of it: with each layer of its own the router copies all layers within, for every request.
fn around<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    cors: Option<CorsLayer>,
    gate: EarlyRefusalLayer,
) -> Router<S> {
    let health = Arc::clone(&gate.health);
    let passed = ServiceBuilder::new()
        .layer(gate)
        .layer(from_fn_with_state(health, close_when_draining))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(from_fn(observe))
        .option_layer(cors)
        .layer(map_response(shape_errors))
        .map_response(IntoResponse::into_response)
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(DefaultBodyLimit::max(BODY_MAX));
    routes.layer(passed)
}

/// The panic's text was printed by the panic hook; it may quote data and stays out of the answer.
fn panicked() -> Response {
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
    let ours = ["idempotency-key", "prefer", "last-event-id", "traceparent"]
        .map(header::HeaderName::from_static);
    let exposed = [
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        CONSISTENCY_TOKEN,
        REQUEST_ID,
        REPLAYED,
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

#[cfg(test)]
mod tests;
