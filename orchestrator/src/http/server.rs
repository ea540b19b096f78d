//! The accept loop.
//!
//! Our own because `axum::serve` gives hyper no timer, which switches its header timeout off: a client that sends
//! its headers one byte a minute would then hold a connection, and a graceful shutdown, for ever.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::turn::{self, Turn};

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

/// How often it is looked for clients who keep the server from its end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was left when the server had stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Whatever had been asked was answered, and every connection closed.
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
    /// After that, clients have so long to send the rest of what they are sending,
    pub sending: Duration,
    /// so long to take their answers,
    pub reading: Duration,
    /// and the server so long to make them.
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
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = connections.next_ended(), if !connections.open.is_empty() => {}
            (stream, slot) = accept(&listener, &slots) => {
                let (router, turn) = (router.clone(), Arc::<Turn>::default());
                let whose = Arc::clone(&turn);
                let service = service_fn(move |request| {
                    turn::answer(router.clone(), Arc::clone(&whose), request)
                });
                let connection = http().serve_connection(TokioIo::new(stream), service);
                let watched = graceful.watch(connection);
                connections.add(turn, async move {
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
    let all_gone = async {
        while !connections.open.is_empty() {
            connections.next_ended().await;
        }
    };
    let _ = timeout(limits.last_requests, all_gone).await;
    drain(graceful, connections, limits).await
}

/// Answers what is in flight, and closes what only its client keeps from its end.
async fn drain(
    graceful: GracefulShutdown,
    mut connections: Connections,
    limits: Limits,
) -> Stopped {
    let (since, mut too_slow) = (Instant::now(), 0);
    let mut all_gone = std::pin::pin!(graceful.shutdown());
    let mut looks = interval(LOOK_EVERY);
    // Two looks at once after a standstill would be one.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while since.elapsed() < limits.grace {
        tokio::select! {
            () = &mut all_gone => {
                if too_slow > 0 {
                    tracing::info!(too_slow, "clients that kept the end waiting were cut off");
                }
                return Stopped::Drained;
            }
            _ = looks.tick() => {}
        }
        too_slow += connections.close(|turn, waited| {
            // Who has an answer late has a moment for it as well, and no more: what is left is the sagas'.
            let is_over = turn.is_sending() || since.elapsed() >= limits.reading;
            !turn.is_working() && is_over && waited >= limits.sending
        });
    }
    connections.forget_ended();
    let cut = connections.open.len();
    connections.tasks.shutdown().await;
    Stopped::Cut(cut)
}

/// Those that are open.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
}

struct Open {
    task: AbortHandle,
    turn: Arc<Turn>,
    /// Whose turn it was when it was last looked at, and since which look.
    was: Option<(u8, Instant)>,
    was_late: bool,
}

impl Connections {
    fn add(&mut self, turn: Arc<Turn>, serving: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(serving);
        let open = Open {
            task,
            turn,
            was: None,
            was_late: false,
        };
        self.open.insert(open.task.id(), open);
    }

    /// Resolves when one has ended, at once where there is none. Cancel safe.
    async fn next_ended(&mut self) {
        if let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(&ended);
        }
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(&ended);
        }
    }

    fn forget(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.open.remove(&id);
    }

    /// Closes those that are late, and were at the last look: an answer that was ready a moment ago is still being written. Returns how
    /// many those are.
    fn close(&mut self, is_late: impl Fn(&Turn, Duration) -> bool) -> usize {
        self.forget_ended();
        let before = self.open.len();
        self.open.retain(|_, open| {
            let whose = open.turn.whose();
            let same = open.was.filter(|(before, _)| *before == whose);
            let (_, since) = *open
                .was
                .insert(same.unwrap_or_else(|| (whose, Instant::now())));
            let is_late = is_late(&open.turn, since.elapsed());
            let closes = is_late && open.was_late;
            open.was_late = is_late;
            if closes {
                open.task.abort();
            }
            !closes
        });
        before - self.open.len()
    }
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
