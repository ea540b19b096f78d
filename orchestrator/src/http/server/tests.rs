//! Clients who are slow while the server ends.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

/// Only something that is stuck takes this long.
const STUCK: Duration = Duration::from_secs(60);

/// More than the kernel keeps of what nobody reads.
const LARGE: usize = 32 * 1024 * 1024;

/// Clients have no time to lose.
const LIMITS: Limits = Limits {
    connections: 16,
    last_requests: Duration::ZERO,
    sending: Duration::from_millis(200),
    reading: Duration::from_millis(400),
    grace: STUCK,
};

struct Serving {
    address: SocketAddr,
    stop: CancellationToken,
    stopped: JoinHandle<Stopped>,
    /// A request for `/work` is there.
    begun: Arc<Notify>,
    /// Its answer may be made.
    go_on: Arc<Notify>,
}

impl Serving {
    async fn start() -> Self {
        let (begun, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let (here, there) = (Arc::clone(&begun), Arc::clone(&go_on));
        let work = move || {
            let (here, there) = (Arc::clone(&here), Arc::clone(&there));
            async move {
                here.notify_one();
                there.notified().await;
                "done"
            }
        };
        let router = Router::new()
            .route("/take", post(|body: Bytes| async move { body }))
            .route("/large", get(|| async { vec![0_u8; LARGE] }))
            .route("/work", get(work));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let stopped = tokio::spawn(serve(listener, router, LIMITS, stop.clone()));
        Self {
            address,
            stop,
            stopped,
            begun,
            go_on,
        }
    }

    /// A client who has sent so much.
    async fn client(&self, sent: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.expect("connected");
        client.write_all(sent.as_bytes()).await.expect("sent");
        client
    }
}

/// All that a client is sent until its connection is closed, in whichever way.
async fn all(mut client: TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = client.read_to_end(&mut answer);
    let closed = timeout(STUCK, reading).await.expect("it is closed");
    // A reset: the server has not read everything.
    drop(closed);
    String::from_utf8(answer).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_half_a_request_is_closed_and_what_is_in_work_is_not() {
    let serving = Serving::start().await;
    let head = serving.client("GET / HT").await;
    let body = "POST /take HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\nhalf";
    let body = serving.client(body).await;
    let work = "GET /work HTTP/1.1\r\nhost: shop\r\n\r\n";
    let work = serving.client(work).await;
    serving.begun.notified().await;
    serving.stop.cancel();
    assert_eq!(all(head).await, "");
    assert_eq!(all(body).await, "");
    serving.go_on.notify_one();
    let answer = all(work).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(serving.stopped.await.expect("no panic"), Stopped::Drained);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_no_answer_holds_up_no_end() {
    let serving = Serving::start().await;
    let client = "GET /large HTTP/1.1\r\nhost: shop\r\n\r\n";
    let client = serving.client(client).await;
    client.readable().await.expect("an answer begins");
    serving.stop.cancel();
    let stopped = timeout(STUCK / 2, serving.stopped).await;
    let stopped = stopped.expect("in time").expect("no panic");
    assert_eq!(stopped, Stopped::Drained);
    drop(client);
}
