//! Steps that workers in other languages execute.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_nats::Subscriber;
use boon::{Compiler, SchemaIndex, Schemas};
use clap::Parser as _;
use futures_util::StreamExt as _;
use orchestrator::app::{App, Ended};
use orchestrator::bus::connection::Broker;
use orchestrator::bus::steps::Messenger;
use orchestrator::cli::args::Cli;
use orchestrator::config::Settings;
use orchestrator::providers::ports::{Accepted, Answer, Found, KakaoPort as _, Message, Refusal};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::nats::{NatsServer, Release};
use super::python::{Python, example, journal};
use super::{connect, eventually};

/// How long an answer is waited for where there is to be one.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The schema of questions and answers.
struct Form {
    schemas: Schemas,
    question: SchemaIndex,
    answer: SchemaIndex,
}

impl Form {
    fn read() -> Form {
        let text = std::fs::read_to_string(example("schema.json")).expect("the schema is there");
        let mut compiler = Compiler::new();
        let document = serde_json::from_str(&text).expect("the schema is JSON");
        compiler
            .add_resource("steps.json", document)
            .expect("a resource");
        let mut schemas = Schemas::new();
        let mut compile = |name: &str| {
            let at = format!("steps.json#/$defs/{name}");
            compiler
                .compile(&at, &mut schemas)
                .expect("the schema compiles")
        };
        let (question, answer) = (compile("question"), compile("answer"));
        Form {
            schemas,
            question,
            answer,
        }
    }

    fn fits(&self, value: &Value, form: SchemaIndex) {
        if let Err(error) = self.schemas.validate(value, form) {
            panic!("{value}: {error:#}");
        }
    }
}

pub(super) fn message() -> Message {
    Message {
        message_id: Uuid::new_v4(),
        order_id: "order 7".to_owned(),
        kind: "shipped".to_owned(),
        phone: Some("+82-10-1234-5678".to_owned()),
        text: "On its way".to_owned(),
    }
}

/// A worker that gives this answer to every question, whichever it is, and says what it was asked.
async fn worker(
    broker: &Broker,
    answer: Value,
) -> tokio::sync::mpsc::UnboundedReceiver<(String, Value)> {
    let client = broker.client().clone();
    let mut questions = client
        .subscribe("bookmarket.*.notify")
        .await
        .expect("subscribed");
    client.flush().await.expect("the subscription is there");
    let (sender, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let body = serde_json::from_slice(&question.payload).expect("JSON");
            drop(sender.send((question.subject.to_string(), body)));
            let reply = question.reply.expect("somebody waits");
            client
                .publish(reply, answer.to_string().into())
                .await
                .expect("answered");
        }
    });
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_and_answers_are_of_the_form_that_is_written_down() {
    let form = Form::read();
    let proof = Accepted {
        channel: "sms".to_owned(),
        reference: "r-1".to_owned(),
        template: None,
        fallback: None,
    };
    let refusal = Refusal {
        code: "no-number".to_owned(),
        reason: "There is no number.".to_owned(),
    };
    let answers = [
        (
            json!({ "outcome": "done", "output": { "reference": "r-1", "channel": "sms" } }),
            Answer::Done(proof.clone()),
            Found::Done(proof),
        ),
        (
            json!({ "outcome": "refused", "code": "no-number", "reason": "There is no number." }),
            Answer::Refused(refusal.clone()),
            Found::Refused(refusal),
        ),
        (
            json!({ "outcome": "unknown", "reason": "the dealer is slow" }),
            Answer::Unknown("the dealer is slow".to_owned()),
            Found::Unknown("the dealer is slow".to_owned()),
        ),
    ];
    for (told, sent, looked_up) in answers {
        form.fits(&told, form.answer);
        let server = NatsServer::start(Release::Old);
        let broker = connect(&server.url()).await;
        eventually("a broker", async || broker.is_connected()).await;
        let mut asked = worker(&broker, told).await;
        let messenger = Messenger::new(broker.clone(), "notify", LIMIT);
        let message = message();
        let key = message.message_id;
        assert_eq!(messenger.send(message).await, sent);
        assert_eq!(
            messenger.lookup(key, Some("+82-10-1234-5678")).await,
            looked_up
        );
        for subject in ["bookmarket.steps.notify", "bookmarket.probes.notify"] {
            let (where_to, question) = asked.recv().await.expect("a question");
            assert_eq!(where_to, subject);
            form.fits(&question, form.question);
            assert_eq!(question["key"], key.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_not_sent_and_no_answer_is_unknown() {
    for release in Release::EACH {
        let mut server = NatsServer::start(release);
        let broker = connect(&server.url()).await;
        eventually("a broker", async || broker.is_connected()).await;
        let messenger = Messenger::new(broker.clone(), "notify", LIMIT);
        let sent = messenger.send(message()).await;
        assert!(matches!(sent, Answer::NotSent(_)), "{sent:?}");
        let found = messenger.lookup(Uuid::new_v4(), None).await;
        assert!(matches!(found, Found::Unknown(_)), "{found:?}");

        let deaf = broker
            .client()
            .subscribe("bookmarket.*.notify")
            .await
            .expect("subscribed");
        broker
            .client()
            .flush()
            .await
            .expect("the subscription is there");
        let impatient = Messenger::new(broker.clone(), "notify", Duration::from_millis(300));
        let sent = impatient.send(message()).await;
        assert!(matches!(sent, Answer::Unknown(_)), "{sent:?}");
        drop(deaf);
        server.kill();
        eventually("the loss is noticed", async || !broker.is_connected()).await;
        let sent = messenger.send(message()).await;
        assert!(matches!(sent, Answer::NotSent(_)), "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_no_sense_is_unknown() {
    let nonsense = [
        json!("done"),
        json!({ "outcome": "maybe" }),
        json!({ "outcome": "done" }),
        json!({ "outcome": "nothing" }),
    ];
    for told in nonsense {
        let server = NatsServer::start(Release::New);
        let broker = connect(&server.url()).await;
        eventually("a broker", async || broker.is_connected()).await;
        let _asked = worker(&broker, told).await;
        let messenger = Messenger::new(broker.clone(), "notify", LIMIT);
        let sent = messenger.send(message()).await;
        assert!(matches!(sent, Answer::Unknown(_)), "{sent:?}");
    }
}

/// Reads all that was said until there was every one of these answers, each in its form.
pub(super) async fn holds_to_the_form(mut said: Subscriber, wanted: &[&str]) {
    let form = Form::read();
    let (mut asked, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    while outcomes.len() < wanted.len() {
        let next = tokio::time::timeout(LIMIT, said.next()).await;
        let Ok(Some(next)) = next else {
            panic!("only {outcomes:?}")
        };
        let questions = ["bookmarket.steps.", "bookmarket.probes."];
        if questions.iter().any(|word| next.subject.starts_with(word)) {
            asked.extend(next.reply.map(|reply| reply.to_string()));
        }
        // An empty one is the broker's, which says that nobody is there.
        if !asked.contains(next.subject.as_str()) || next.payload.is_empty() {
            continue;
        }
        let answer: Value = serde_json::from_slice(&next.payload).expect("JSON");
        form.fits(&answer, form.answer);
        outcomes.insert(answer["outcome"].as_str().expect("a word").to_owned());
    }
    assert_eq!(outcomes, wanted.iter().map(ToString::to_string).collect());
}

/// A server in this process, whose messages somebody else sends.
fn server_with_a_worker(data_dir: &Path, nats: &NatsServer) -> Settings {
    let data_dir = data_dir.to_string_lossy();
    let arguments = [
        "bookmarket",
        "--listen",
        "127.0.0.1:0",
        "--external-steps",
        "notify,tell",
        "--data-dir",
        &data_dir,
    ];
    let mut settings = Cli::try_parse_from(arguments)
        .expect("good arguments")
        .settings;
    settings.store.database_url = None;
    settings.broker.nats_url = Some(SecretString::from(nats.url()));
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_python_sends_each_message_once_also_after_it_was_away() {
    let server = NatsServer::start(Release::New);
    let dir = tempfile::tempdir().expect("a directory");
    let sent = dir.path().join("sent.jsonl");
    let settings = server_with_a_worker(&dir.path().join("data"), &server);
    let app = App::start(&settings).await.expect("a server");
    let http = reqwest::Client::new();
    let order = json!({ "customerId": 33, "bookId": "9788937460449", "qty": 1 });
    let place = async || {
        let placed = http
            .post(format!("{}/orders", app.url()))
            .json(&order)
            .send()
            .await;
        let placed: Value = placed.expect("an answer").json().await.expect("JSON");
        placed["orderId"].as_str().expect("an id").to_owned()
    };

    // Everything that is said is read along: what answers a question is held against the form.
    let listener = connect(&server.url()).await;
    eventually("a broker", async || listener.is_connected()).await;
    let said = listener.client().subscribe(">").await.expect("subscribed");
    listener
        .client()
        .flush()
        .await
        .expect("the subscription is there");

    // Nobody is there to send: the order is taken and paid, and told as soon as somebody is.
    let first = place().await;
    let python = Python::start(&server.url(), &sent);
    let told = |id: String| {
        let sent = sent.clone();
        async move {
            eventually("it is told", async || {
                journal(&sent)
                    .iter()
                    .any(|line| line["orderId"] == id.as_str())
            })
            .await
        }
    };
    told(first).await;
    let second = place().await;
    told(second).await;
    drop(python);
    let third = place().await;
    let python = Python::start(&server.url(), &sent);
    told(third).await;
    // What it does not know it says that it does not know.
    let messenger = Messenger::new(listener.clone(), "notify", LIMIT);
    let nothing = messenger.lookup(Uuid::new_v4(), None).await;
    assert_eq!(nothing, Found::Nothing);
    let empty = Message {
        text: String::new(),
        ..message()
    };
    let refused = messenger.send(empty).await;
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");

    holds_to_the_form(said, &["done", "nothing", "refused"]).await;

    let mut keys: Vec<_> = journal(&sent)
        .iter()
        .map(|line| line["key"].to_string())
        .collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!((count, keys.len()), (3, 3), "each once");
    assert_eq!(app.stop().await, Ended::InOrder);
    drop(python);
}
