//! Erasing a customer, over HTTP and from the command line.

use serde_json::{Value, json};

use super::child::{bookmarket, complaint, fails, run, with};
use super::server::{Backend, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_of_nobody_or_for_no_reason_is_refused_and_not_recorded() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let nobody = format!("/customers/{}/erase", "x".repeat(201));
    let answer = server
        .post(&nobody, &json!({ "reason": "asked for" }))
        .await;
    answer.is_problem("invalid-request", 422);
    let why = server
        .post("/customers/33/erase", &json!({ "reason": " " }))
        .await;
    why.is_problem("invalid-request", 422);
    assert_eq!(why.pointers(), ["/reason"]);
    assert_eq!(server.get("/events").await.body()["events"], json!([]));
    let halted = server.halt().await;
    for (customer, reason, says) in [
        ("", "asked for", "The customer id must not be empty."),
        ("33", "", "The reason must not be empty."),
    ] {
        let words = ["erase", "--customer", customer, "--reason", reason];
        fails(with(bookmarket(halted.data_dir()), &words), says);
    }
    let server = halted.start(|_| {}).await;
    assert_eq!(server.get("/events").await.body()["events"], json!([]));
    server.stop().await;
}

/// What a customer's own page shows of the name.
async fn name_on(server: &TestServer, id: &str) -> Value {
    let order = server.get(&format!("/orders/{id}")).await.body();
    order["contact"]["name"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_erased_beside_a_server_and_without_one() {
    let server = TestServer::start(Backend::Sqlite, |_| {}).await;
    let (first, second) = (server.placed("33").await, server.placed("44").await);
    let data = server.folder.path().join("data");
    let erase = async |customer: &str| {
        let arguments = [
            "erase",
            "--customer",
            customer,
            "--reason",
            "asked for",
            "--output",
            "json",
        ];
        let command = with(bookmarket(&data), &arguments);
        let output = tokio::task::spawn_blocking(move || run(command))
            .await
            .expect("no panic");
        assert!(output.status.success(), "{}", complaint(&output));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    assert_eq!(name_on(&server, &first).await, "Hong Gil-dong");
    // The server holds the directory, so it is asked.
    assert_eq!(
        erase("33").await,
        json!({ "customerId": "33", "erased": true })
    );
    assert_eq!(name_on(&server, &first).await, Value::Null);
    assert_eq!(name_on(&server, &second).await, "Hong Gil-dong");
    assert_eq!(
        erase("33").await["erased"],
        false,
        "nothing is left of them"
    );

    let halted = server.halt().await;
    assert_eq!(erase("44").await["erased"], true);
    let server = halted.start(|_| {}).await;
    assert_eq!(name_on(&server, &second).await, Value::Null);
    let order = server.get(&format!("/orders/{second}")).await.body();
    assert_eq!(order["customerId"], "44", "the order itself stays: {order}");
    server.stop().await;
}
