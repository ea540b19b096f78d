//! Which query parameters an address has, and what becomes of others.

use reqwest::Method;

use super::server::{Backend, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_query_parameter_that_an_address_does_not_have_is_refused_by_its_name() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    for (place, has) in [
        ("/orders", "customerId"),
        ("/payments", "status"),
        ("/deliveries", "q"),
        ("/mypages", "customerId"),
        ("/customerviews", "size"),
        ("/mypages.csv", "cursor"),
        ("/mypages/counts", "from"),
        ("/mypages/stream", "after"),
        ("/kakaos", "kind"),
        ("/kakaomsgs", "state"),
        ("/kakaomsgs.csv", "to"),
        ("/kakaomsgs/counts", "kind"),
        ("/sagas", "atLeast"),
        ("/events", "limit"),
        ("/events/stream", "category"),
        ("/orders/{id}", "asOf"),
        ("/payments/{id}", "asOf"),
        ("/deliveries/{id}", "asOf"),
        ("/kakaos/{id}", "asOf"),
    ] {
        let asked = place.replace("{id}", &id);
        let answer = server.get(&format!("{asked}?custmerId=33&AsOf=1")).await;
        let problem = answer.is_problem("invalid-query", 400);
        let told = problem["detail"].as_str().expect("a detail");
        let unknown = format!("{place} has no query parameter `custmerId`, `AsOf`; it has ");
        assert!(told.starts_with(&unknown), "{told}");
        assert!(told.contains(&format!("`{has}`")), "{told}");
    }
    let problem = server.get("/mypages?kind=shipped").await;
    let problem = problem.is_problem("invalid-query", 400);
    let told = problem["detail"].as_str().expect("a detail");
    assert!(told.contains("no query parameter `kind`"), "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_parameter_that_is_described_is_known() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let id = server.placed("33").await;
    let description = server.get("/openapi.json").await.body();
    let mut asked = 0;
    for (path, item) in description["paths"].as_object().expect("paths") {
        let described = item["get"]["parameters"].as_array().into_iter().flatten();
        for parameter in described.filter(|it| it["in"] == "query") {
            let name = parameter["name"].as_str().expect("a name");
            let path = path.replace("{id}", &id);
            let request = server.request(Method::GET, &format!("{path}?{name}=1"));
            let answer = request.send().await.expect("an answer");
            asked += 1;
            // What else is wrong with it is another matter; and those that go well may be streams without an end.
            if answer.status() == 400 {
                let told = answer.text().await.expect("a problem");
                assert!(!told.contains("has no query parameter"), "{told}");
            }
        }
    }
    assert!(asked > 100, "only {asked} parameters are described");
    server.stop().await;
}
