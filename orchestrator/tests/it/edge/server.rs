//! A server of the test's own, in this process, on a free port.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use eventstore::testing::TestDatabase;
use eventstore::{Category, Checkpoint, Expected, NewEvent, Options, StreamAppend, StreamId};
use orchestrator::app::{App, Ended};
use orchestrator::cli::args::Cli;
use orchestrator::config::Settings;
use orchestrator::http::state::Edge;
use reqwest::{Method, RequestBuilder, Response};
use secrecy::SecretString;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// How long a test waits for something that happens by itself. Only something that is stuck takes this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Where a test's log is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

/// A running server and everything it needs; all of it goes away with this.
pub(super) struct TestServer {
    app: App,
    pub(super) http: reqwest::Client,
    pub(super) folder: TempDir,
    settings: Settings,
    _database: Option<TestDatabase>,
}

/// Runs a test against a server on either backend.
pub(super) async fn on_each_backend(test: impl AsyncFn(&TestServer)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let server = TestServer::start(backend, |_| {}).await;
        test(&server).await;
        server.stop().await;
    }
}

/// The same for a test that waits more than it works: on both at once.
pub(super) async fn on_both_backends(test: impl AsyncFn(&TestServer)) {
    let on = async |backend| {
        let server = TestServer::start(backend, |_| {}).await;
        test(&server).await;
        server.stop().await;
    };
    both_at_once(on).await;
}

pub(super) async fn both_at_once(on: impl AsyncFn(Backend)) {
    let (sqlite, postgres) = (on(Backend::Sqlite), on(Backend::Postgres));
    tokio::join!(Box::pin(sqlite), Box::pin(postgres));
}

/// The settings of a server in this folder, untouched by the environment.
pub(super) fn settings(folder: &TempDir) -> Settings {
    let data_dir = folder.path().join("data");
    let arguments = ["bookmarket", "--listen", "127.0.0.1:0", "--data-dir"];
    let arguments = arguments
        .map(Into::into)
        .into_iter()
        .chain([data_dir.into_os_string()]);
    let mut settings = Cli::try_parse_from(arguments)
        .expect("good arguments")
        .settings;
    settings.store.database_url = None;
    settings.broker.nats_url = None;
    settings
}

impl TestServer {
    /// Starts a server with changed settings.
    pub(super) async fn start(backend: Backend, change: impl FnOnce(&mut Settings)) -> TestServer {
        TestServer::start_with(backend, Options::default(), change).await
    }

    /// Starts a server whose log is opened in a special way.
    pub(super) async fn start_with(
        backend: Backend,
        options: Options,
        change: impl FnOnce(&mut Settings),
    ) -> TestServer {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = settings(&folder);
        let database = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(TestDatabase::create()),
        };
        settings.store.database_url = database
            .as_ref()
            .map(|database| SecretString::from(database.url()));
        change(&mut settings);
        let app = App::start_with(&settings, options).await.expect("a server");
        TestServer {
            app,
            http: reqwest::Client::new(),
            folder,
            settings,
            _database: database,
        }
    }

    pub(super) fn url(&self) -> String {
        self.app.url()
    }

    /// What its handlers share.
    pub(super) fn edge(&self) -> &Edge {
        self.app.edge()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        Answer::of(
            self.request(Method::GET, path)
                .send()
                .await
                .expect("an answer"),
        )
        .await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(
            self.request(Method::POST, path)
                .json(body)
                .send()
                .await
                .expect("an answer"),
        )
        .await
    }

    /// Orders under a key of its own.
    pub(super) async fn place(&self, order: &Value) -> Answer {
        self.place_as(&Uuid::now_v7().to_string(), order).await
    }

    /// Orders under this key.
    pub(super) async fn place_as(&self, key: &str, order: &Value) -> Answer {
        let request = self.request(Method::POST, "/orders").json(order);
        let request = request.header("idempotency-key", key);
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        Answer::of(
            self.request(Method::DELETE, path)
                .send()
                .await
                .expect("an answer"),
        )
        .await
    }

    /// Places an order that is paid, and returns its id.
    pub(super) async fn placed(&self, customer: &str) -> String {
        let answer = self.place(&order(customer)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.body()["orderId"]
            .as_str()
            .expect("an order id")
            .to_owned()
    }

    /// Asks again until the document is as wanted.
    pub(super) async fn eventually(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            let found = serde_json::from_slice(&answer.bytes).unwrap_or(Value::Null);
            if wanted(&found) {
                return found;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path} is still {found}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Does something while somebody else holds in its Postgres what this locks.
    pub(super) async fn while_held(&self, lock: &str, work: impl AsyncFnOnce()) {
        let database = self._database.as_ref().expect("a Postgres");
        let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
            .await
            .expect("a connection");
        let driver = tokio::spawn(connection);
        let begin = format!("BEGIN; {lock}");
        client.batch_execute(&begin).await.expect("good SQL");
        work().await;
        client.batch_execute("COMMIT").await.expect("committed");
        drop(client);
        driver.await.expect("it ends").expect("well");
    }

    /// Stops it, however it ends, and starts it again on the same data with ordinary options.
    pub(super) async fn restart(self) -> TestServer {
        self.halt().await.start(|_| {}).await
    }

    /// Stops it, however it ends, and keeps what it has stored.
    pub(super) async fn halt(self) -> Halted {
        self.app.stop().await;
        Halted {
            folder: self.folder,
            settings: self.settings,
            database: self._database,
        }
    }

    /// Runs SQL in its Postgres.
    pub(super) fn tamper(&self, sql: &str) {
        let database = self._database.as_ref().expect("a Postgres");
        database.try_execute(sql).expect("good SQL");
    }

    pub(super) async fn stop(self) {
        assert_eq!(self.app.stop().await, Ended::InOrder);
    }
}

/// What a server has left.
pub(super) struct Halted {
    folder: TempDir,
    settings: Settings,
    database: Option<TestDatabase>,
}

impl Halted {
    pub(super) fn data_dir(&self) -> &Path {
        &self.settings.store.data_dir
    }

    /// Its database, if it has one.
    pub(super) fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    /// Starts a server on it with changed settings.
    pub(super) async fn start(mut self, change: impl FnOnce(&mut Settings)) -> TestServer {
        change(&mut self.settings);
        let app = App::start(&self.settings).await.expect("a server");
        TestServer {
            app,
            http: reqwest::Client::new(),
            folder: self.folder,
            settings: self.settings,
            _database: self.database,
        }
    }
}

/// Tells a server something as providers do: again, as long as its log is too slow for them.
pub(super) async fn until_taken(tell: impl AsyncFn() -> Answer) -> Answer {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = tell().await;
        let too_slow = answer.status == 503 && answer.text().contains("The log is too slow");
        if !too_slow || tokio::time::Instant::now() > deadline {
            return answer;
        }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) async fn of(response: Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("a body").to_vec();
        Answer {
            status,
            headers,
            bytes,
        }
    }

    pub(super) fn body(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.bytes))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Checks that this is the problem of that kind, in the form of every problem.
    #[track_caller]
    pub(super) fn is_problem(&self, kind: &str, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text()
        );
        let body = self.body();
        assert_eq!(body["type"], format!("/problems/{kind}"), "{}", self.text());
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string());
        body
    }

    /// The pointers of a problem, sorted.
    pub(super) fn pointers(&self) -> Vec<String> {
        let body = self.body();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        let mut pointers: Vec<String> = errors
            .iter()
            .filter_map(|error| Some(error["pointer"].as_str()?.to_owned()))
            .collect();
        pointers.sort();
        pointers
    }
}

/// Writes an event that no build knows into a stream, as a newer one might have done. Gives the consistency token of it.
pub(super) async fn poison(server: &TestServer, category: &str, id: &str) -> String {
    let event = NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "OrderGiftWrapped".into(),
        schema_version: 1,
        data: RawValue::from_string("{}".to_owned()).expect("JSON"),
        metadata: RawValue::from_string("{}".to_owned()).expect("JSON"),
    };
    let (event_id, stream) = (
        event.event_id,
        StreamId::new(
            Category::parse(category).expect("a category"),
            id.parse().expect("an id"),
        ),
    );
    let append = StreamAppend {
        stream,
        expected: Expected::Any,
        events: vec![event],
    };
    let position = server
        .edge()
        .store
        .append(vec![append])
        .await
        .expect("stored")
        .last;
    Checkpoint { position, event_id }.to_string()
}

/// A good order of two books.
pub(super) fn order(customer: &str) -> Value {
    order_paid_by(customer, "tok_test")
}

/// A good order whose payment goes as the token says.
pub(super) fn order_paid_by(customer: &str, token: &str) -> Value {
    json!({
        "customerId": customer,
        "lines": [
            { "bookId": "9788937460449", "qty": 1, "unitPrice": 12_000, "title": "Demian" },
            { "bookId": "9788954651135", "qty": 2, "unitPrice": 15_000 },
        ],
        "shippingFee": 3_000,
        "payment": { "method": "card", "token": token },
        "contact": { "name": "Hong Gil-dong", "phone": "+82-10-1234-5678" },
        "address": { "street": "1 Sejong-daero", "city": "Seoul" },
    })
}

/// A line of a token file.
pub(super) fn token_line(role: &str, name: &str, token: &str) -> String {
    let digest: String = Sha256::digest(token)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{role} {name} {digest}\n")
}
