//! The accept loop.
//!
//! Our own because `axum::serve` gives hyper no timer, which switches its header timeout off: a client that sends
//! its headers one byte a minute would then hold a connection, and a graceful shutdown, for ever.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a client may take to send its request line and headers, and how long an idle kept-alive connection
/// stays open (hyper counts both with the same clock).
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Ours are below twenty; a proxy adds a handful.
const MAX_HEADERS: usize = 64;

/// Bytes of request head that are buffered. Bodies stream through it and are limited elsewhere.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Pause after a failed accept. The usual cause is a full table of file descriptors, which a tight loop would
/// keep full.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What was left when the server had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every connection was answered and closed.
    Drained,
    /// The grace period ran out; this many connections were cut.
    Cut(usize),
}

/// How much and how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// After the last connection was accepted, requests are still read from all of them for so long.
    pub last_requests: Duration,
    /// After that, answering what is in flight may take so long.
    pub grace: Duration,
}

/// Serves until `stop`, then answers what is in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> Stopped {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (stream, slot) = accept(&listener, &slots) => {
                let service = TowerToHyperService::new(router.clone());
                let connection = http().serve_connection(TokioIo::new(stream), service);
                let watched = graceful.watch(connection);
                connections.spawn(async move {
                    // An error here is the client's: a reset, a timeout, or bytes that are not HTTP.
                    if let Err(error) = watched.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(slot);
                });
            }
        }
    }
    // Refuses new connections at once instead of leaving them in the kernel's queue. If the socket was inherited, others have it too,
    // and the queue is theirs.
    drop(listener);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(limits.last_requests, all_gone).await;
    let drained = tokio::time::timeout(limits.grace, graceful.shutdown())
        .await
        .is_ok();
    if drained {
        return Stopped::Drained;
    }
    while connections.try_join_next().is_some() {}
    let cut = connections.len();
    connections.shutdown().await;
    Stopped::Cut(cut)
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    http
}

/// The next connection, once there is a slot for it. Cancel safe: a connection is either returned or still queued.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and whole; waiting to coalesce them only adds latency.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was refused");
                }
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
