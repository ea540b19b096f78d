//! A network and providers that misbehave, over raw sockets: whatever happens after the first byte of a request is unknown,
//! and what surely did not leave is said so.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use orchestrator::providers::ports::{Answer, CarrierPort, KakaoPort, PaymentPort};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::server::*;
use crate::ports::free_port;

/// How a server treats every request.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Takes the request and closes.
    Close,
    /// Takes the request and resets the connection.
    Reset,
    /// Takes the request and says nothing.
    Silence,
    /// Sends a byte now and then, for ever.
    Drip,
    /// Announces more than anybody wants to read.
    Announce,
    /// Sends more than anybody wants to read, without saying how much.
    Flood,
    /// Breaks off in the middle of its answer.
    Half,
    /// A page for people, with status 200.
    Page,
    /// Not HTTP.
    Noise,
    /// Sends us elsewhere.
    Redirect(SocketAddr),
}

struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(treat(stream, manner));
            }
        });
        Self { address, task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn treat(mut stream: TcpStream, manner: Manner) {
    let mut request = [0; 16 * 1024];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    let answer = match manner {
        Manner::Close => return,
        Manner::Reset => {
            // Nothing lingers: closing with unread bytes on their way resets.
            drop(stream.set_zero_linger());
            return;
        }
        Manner::Silence => return std::future::pending().await,
        Manner::Drip => return drip(stream).await,
        Manner::Flood => return flood(stream).await,
        Manner::Announce => "HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n{".to_owned(),
        Manner::Half => "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"status\":".to_owned(),
        Manner::Page => {
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 26\r\n\r\n<html>we are busy</html>\r\n".to_owned()
        }
        Manner::Noise => "\0\x01\x02 this is not the web\r\n\r\n".to_owned(),
        Manner::Redirect(to) => {
            format!("HTTP/1.1 307 Elsewhere\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n")
        }
    };
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

async fn drip(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut alive = stream.write_all(head.as_bytes()).await;
    while alive.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        alive = stream.write_all(b"1\r\n \r\n").await;
    }
}

async fn flood(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut alive = stream.write_all(head.as_bytes()).await;
    let part = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    while alive.is_ok() {
        alive = stream.write_all(part.as_bytes()).await;
    }
}

fn word<T>(answer: &Answer<T>) -> &'static str {
    match answer {
        Answer::Done(_) => "done",
        Answer::Refused(_) => "refused",
        Answer::Unknown(_) => "unknown",
        Answer::Undecided(_) => "undecided",
        Answer::Spent { .. } => "spent",
        Answer::NotSent(_) => "not sent",
    }
}

/// What each effect that an adapter can have comes to. A refund begins with a look, so nothing of it was sent.
async fn effects(url: &str, time_limit: Duration) -> [&'static str; 5] {
    let toss = toss_at(url, time_limit);
    let carrier = carrier_at(url, url, time_limit);
    let solapi = solapi_at(url, time_limit);
    let (charge, refund) = (toss.charge(charge()), toss.refund(refund("toss-x")));
    let (ship, hold) = (carrier.ship(shipment()), carrier.hold(ORDER, "k"));
    let (charge, refund, ship, hold, send) =
        tokio::join!(charge, refund, ship, hold, solapi.send(message()));
    [
        word(&charge),
        word(&refund),
        word(&ship),
        word(&hold),
        word(&send),
    ]
}

const UNKNOWN: [&str; 5] = ["unknown", "not sent", "unknown", "unknown", "unknown"];

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    assert_eq!(effects(&nobody, PATIENCE).await, ["not sent"; 5]);
    let nowhere = "http://no-such-host.invalid";
    assert_eq!(effects(nowhere, PATIENCE).await, ["not sent"; 5]);
}

#[tokio::test]
async fn whatever_breaks_after_the_request_was_begun_is_unknown() {
    for manner in [
        Manner::Close,
        Manner::Reset,
        Manner::Announce,
        Manner::Flood,
        Manner::Half,
        Manner::Page,
        Manner::Noise,
    ] {
        let server = Server::start(manner).await;
        assert_eq!(
            effects(&server.url(), PATIENCE).await,
            UNKNOWN,
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_silent_or_drips_takes_no_more_than_its_time() {
    let limit = Duration::from_millis(400);
    for manner in [Manner::Silence, Manner::Drip] {
        let server = Server::start(manner).await;
        let since = Instant::now();
        assert_eq!(effects(&server.url(), limit).await, UNKNOWN, "{manner:?}");
        // Far less than the sum of what would be sent, on a machine that is busy.
        assert!(
            since.elapsed() < limit * 10,
            "{manner:?}: {:?}",
            since.elapsed()
        );
    }
}

#[tokio::test]
async fn nobody_follows_a_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = elsewhere.local_addr().expect("an address");
    let server = Server::start(Manner::Redirect(to)).await;
    assert_eq!(effects(&server.url(), PATIENCE).await, UNKNOWN);
    let visit = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept());
    assert!(visit.await.is_err(), "somebody came");
}
