//! Workers in another language: several that share the work, one that is late, one that is told to go.

use std::time::Duration;

use orchestrator::bus::steps::Messenger;
use orchestrator::providers::ports::{Answer, Found, KakaoPort as _};

use rustix::process::Signal;

use super::nats::{NatsServer, Release};
use super::python::{Python, journal};
use super::steps::{LIMIT, holds_to_the_form, message};
use super::{connect, eventually};
use crate::town::until;

/// An orchestrator of containers cuts off whoever stays for longer.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Whichever of them is asked answers for all: what one has sent another one knows, and does not send again.
#[tokio::test(flavor = "multi_thread")]
async fn several_workers_in_python_know_what_each_of_them_has_sent() {
    let server = NatsServer::start(Release::New);
    let dir = tempfile::tempdir().expect("a directory");
    let sent = dir.path().join("sent.jsonl");
    let workers = [
        Python::start(&server.url(), &sent),
        Python::start(&server.url(), &sent),
    ];
    let broker = connect(&server.url()).await;
    eventually("a broker", async || broker.is_connected()).await;
    let messenger = Messenger::new(broker.clone(), "notify", LIMIT);
    // So often that each of them is asked, by whatever lot the broker draws.
    let messages: Vec<_> = (0..10).map(|_| message()).collect();
    for message in &messages {
        let Answer::Done(proof) = messenger.send(message.clone()).await else {
            panic!("it is not sent")
        };
        for _ in 0..3 {
            let found = messenger.lookup(message.message_id, None).await;
            assert_eq!(found, Found::Done(proof.clone()));
            let again = messenger.send(message.clone()).await;
            assert_eq!(again, Answer::Done(proof.clone()));
        }
    }
    assert_eq!(journal(&sent).len(), messages.len(), "each once");
    drop(workers);

    // A kill in the middle of a line: that message was told to nobody, and keeps nobody from starting.
    let mut lines = std::fs::read(&sent).expect("a journal");
    let cut = message();
    let half = format!("{{\"key\": \"{}\", \"ki", cut.message_id);
    lines.extend(half.as_bytes());
    std::fs::write(&sent, lines).expect("written");
    let worker = Python::start(&server.url(), &sent);
    let found = messenger.lookup(cut.message_id, None).await;
    assert_eq!(found, Found::Nothing);
    let told = messenger.send(cut).await;
    assert!(matches!(told, Answer::Done(_)), "{told:?}");
    for message in &messages {
        let found = messenger.lookup(message.message_id, None).await;
        assert!(matches!(found, Found::Done(_)), "{found:?}");
    }
    assert_eq!(journal(&sent).len(), messages.len() + 1);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_python_that_is_late_sends_nothing_and_says_so() {
    let server = NatsServer::start(Release::New);
    let dir = tempfile::tempdir().expect("a directory");
    let sent = dir.path().join("sent.jsonl");
    let worker = Python::start(&server.url(), &sent);
    let broker = connect(&server.url()).await;
    eventually("a broker", async || broker.is_connected()).await;
    let client = broker.client();
    let said = client.subscribe(">").await.expect("subscribed");
    client.flush().await.expect("the subscription is there");
    // The question waits for it until nobody waits for the answer any more.
    worker.signal(Signal::STOP);
    let message = message();
    let hasty = Messenger::new(broker.clone(), "notify", Duration::from_millis(300));
    let told = hasty.send(message.clone()).await;
    assert!(matches!(told, Answer::Unknown(_)), "{told:?}");
    worker.signal(Signal::CONT);
    holds_to_the_form(said, &["unknown"]).await;
    assert_eq!(journal(&sent).len(), 0, "sent for nobody");
    // Whoever asks what came of it hears that nothing has, and may send it.
    let messenger = Messenger::new(broker.clone(), "notify", LIMIT);
    let found = messenger.lookup(message.message_id, None).await;
    assert_eq!(found, Found::Nothing);
    let told = messenger.send(message).await;
    assert!(matches!(told, Answer::Done(_)), "{told:?}");
    assert_eq!(journal(&sent).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_python_that_is_told_to_go_does_not_wait_for_its_broker() {
    for release in Release::EACH {
        let mut server = NatsServer::start(release);
        let dir = tempfile::tempdir().expect("a directory");
        let sent = dir.path().join("sent.jsonl");
        let broker = connect(&server.url()).await;
        eventually("a broker", async || broker.is_connected()).await;
        let messenger = Messenger::new(broker.clone(), "notify", LIMIT);
        let goes = async |worker: &mut Python| {
            worker.signal(Signal::TERM);
            until("its end", GONE_WITHIN, async || {
                worker.has_ended().then_some(())
            })
            .await;
        };
        // The broker says nothing.
        let mut worker = Python::start(&server.url(), &sent);
        let message = message();
        let told = messenger.send(message.clone()).await;
        assert!(matches!(told, Answer::Done(_)), "{told:?}");
        server.freeze();
        goes(&mut worker).await;
        server.thaw();
        // The broker is gone. What was sent before is known all the same.
        let mut worker = Python::start(&server.url(), &sent);
        let found = messenger.lookup(message.message_id, None).await;
        assert!(matches!(found, Found::Done(_)), "{found:?}");
        server.kill();
        goes(&mut worker).await;
        assert_eq!(journal(&sent).len(), 1);
    }
}
