//! Whose turn it is on a connection. A process that is to end waits for what it has to do itself, and not for ever for others.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tower::ServiceExt as _;

/// The client's, who has not sent a whole request yet.
const SENDING: u8 = 0;

/// The server's, which has it.
const WORKING: u8 = 1;

/// The client's, who takes the answer.
const READING: u8 = 2;

/// Of one connection.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU8);

impl Turn {
    /// Whether the client has yet to send (the rest of) a request.
    pub(super) fn is_sending(&self) -> bool {
        self.whose() == SENDING
    }

    /// Whether the server has a request that it has not answered.
    pub(super) fn is_working(&self) -> bool {
        self.whose() == WORKING
    }

    /// Changes when the turn passes to the other side.
    pub(super) fn whose(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn pass_to(&self, whose: u8) {
        self.0.store(whose, Ordering::Relaxed);
    }

    /// The request is there, or nobody wants the rest of it. Nothing new where it was answered before.
    fn arrived(&self) {
        let order = Ordering::Relaxed;
        let _ = self.0.compare_exchange(SENDING, WORKING, order, order);
    }
}

/// Has a request answered, and keeps account of whose turn it is.
pub(super) async fn answer(
    router: Router,
    turn: Arc<Turn>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let is_whole = request.body().is_end_stream();
    turn.pass_to(if is_whole { WORKING } else { SENDING });
    let request = request.map(|body| Arriving {
        body,
        turn: Arc::clone(&turn),
    });
    let answer = router.oneshot(request).await;
    turn.pass_to(READING);
    answer
}

/// The body of a request. Whoever takes it lets go of it when it is there as a whole.
struct Arriving {
    body: Incoming,
    turn: Arc<Turn>,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.turn.arrived();
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
