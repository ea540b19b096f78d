//! A TCP proxy in front of Postgres that loses replies and requests on demand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const BUFFER: usize = 64 * 1024;
/// `ReadyForQuery` in the idle state: the last message of a reply, sent after the commit.
const COMMITTED: &[u8] = b"Z\0\0\0\x05I";

/// First letter of a call of a prepared statement, such as an append. Preparations, clean-ups and farewells are let through.
const BIND: u8 = b'B';

/// What to do to the next call that comes through.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Let it through and cut the connection when its reply, sent after the commit, comes back.
    LoseReply,
    /// Cut the connection instead of passing it on.
    LoseRequest,
    /// Cut the client off, keep the server's side open, and deliver the request only when told.
    Delay(oneshot::Receiver<()>),
}

#[derive(Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    next: Arc<Mutex<Option<Fault>>>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Proxy {
            address: listener.local_addr().expect("an address"),
            next: Arc::default(),
        };
        let next = Arc::clone(&proxy.next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server, Arc::clone(&next)));
            }
        });
        proxy
    }

    /// The same URL, by way of the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let server = server_of(url);
        url.replacen(&server.to_string(), &self.address.to_string(), 1)
    }

    /// Does this to the next request.
    pub(crate) fn inflict(&self, fault: Fault) {
        *self.next.lock().expect("the lock") = Some(fault);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.next.lock().expect("the lock").is_some()
    }
}

/// The address in a URL of the form `postgres://user@127.0.0.1:5432/name`.
pub(crate) fn server_of(url: &str) -> SocketAddr {
    let after_user = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let host = after_user.split('/').next().unwrap_or(after_user);
    host.replace("localhost", "127.0.0.1")
        .parse()
        .expect("the tests' server is given as address and port")
}

async fn connection(client: TcpStream, server: SocketAddr, next: Arc<Mutex<Option<Fault>>>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let cut_reply = Arc::new(Mutex::new(false));
    let replies = tokio::spawn(replies(server_in, client_out, Arc::clone(&cut_reply)));
    requests(client_in, server_out, next, cut_reply, replies).await;
}

/// Passes requests on until one is to be lost. Returning closes both directions.
async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    next: Arc<Mutex<Option<Fault>>>,
    cut_reply: Arc<Mutex<bool>>,
    replies: tokio::task::JoinHandle<()>,
) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        let fault = if has_call(&buffer[..length]) {
            next.lock().expect("the lock").take()
        } else {
            None
        };
        match fault {
            Some(Fault::LoseRequest) => break,
            Some(Fault::LoseReply) => *cut_reply.lock().expect("the lock") = true,
            Some(Fault::Delay(release)) => {
                replies.abort();
                drop(from);
                // Released by the check, or dropped with it.
                drop(release.await);
                drop(to.write_all(&buffer[..length]).await);
                // The server must get to read it before the connection ends.
                drop(to.shutdown().await);
                return;
            }
            None => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    if *cut_reply.lock().expect("the lock") {
        return;
    }
    replies.abort();
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cut_reply: Arc<Mutex<bool>>) {
    let mut buffer = vec![0; BUFFER];
    let mut tail = Vec::new();
    while let Ok(length) = from.read(&mut buffer).await {
        let cut = *cut_reply.lock().expect("the lock");
        if length == 0 {
            return;
        }
        if !cut {
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            continue;
        }
        tail.extend_from_slice(&buffer[..length]);
        if tail.ends_with(COMMITTED) {
            drop(to.shutdown().await);
            return;
        }
    }
}

/// Whether a call is among the messages, each a letter and a length, that were sent at once.
fn has_call(mut messages: &[u8]) -> bool {
    while let Some((letter, rest)) = messages.split_first() {
        if *letter == BIND {
            return true;
        }
        let Some(length) = rest
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes) as usize)
        else {
            return false;
        };
        messages = rest.get(length..).unwrap_or_default();
    }
    false
}
