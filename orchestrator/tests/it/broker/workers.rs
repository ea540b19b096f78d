//! Several workers in another language that share the work.

use orchestrator::bus::steps::Messenger;
use orchestrator::providers::ports::{Answer, Found, KakaoPort as _};

use super::nats::{NatsServer, Release};
use super::steps::{LIMIT, Python, journal, message};
use super::{connect, eventually};

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
