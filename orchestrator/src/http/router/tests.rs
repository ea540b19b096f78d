//! What every answer carries, also one that no handler made.

use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt as _;

use super::*;

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn a_browser_may_read_the_answer_of_a_panic_and_of_a_request_that_took_too_long() {
    let late = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::ZERO);
    let routes = Router::new()
        .route("/late", get(std::future::pending::<()>).layer(late))
        .route("/panic", get(async || -> () { panic!("planted") }));
    let served = around(routes, cors(&[SHOP.to_owned()]), Health::new());
    for (path, status) in [("/late", 408), ("/panic", 500)] {
        let request = Request::get(path).header(header::ORIGIN, SHOP);
        let request = request.body(Body::empty()).expect("a request");
        let answer = served.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), status);
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        assert_eq!(
            header(header::CONTENT_TYPE),
            Some("application/problem+json")
        );
        assert_eq!(header(header::ACCESS_CONTROL_ALLOW_ORIGIN), Some(SHOP));
        let exposed = header(header::ACCESS_CONTROL_EXPOSE_HEADERS);
        assert!(exposed.is_some_and(|names| names.contains("retry-after")));
    }
}
