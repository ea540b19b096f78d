//! What ends a command from outside. A signal that nobody listens for yet ends the process without a word, so all of this listens
//! before there is anything to see.

use anyhow::Context;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As shells report a program that was interrupted.
pub(super) const INTERRUPTED: u8 = 130;

/// Does the work; `None` where it was interrupted, and what it had not done stays undone.
pub(super) async fn unless_interrupted<T>(
    work: impl Future<Output = T>,
) -> std::io::Result<Option<T>> {
    tokio::select! {
        biased;
        told = ctrl_c() => told.map(|()| None),
        done = work => Ok(Some(done)),
    }
}

/// What asks a server to end in order: a person's Ctrl-C, or whatever runs it.
pub(super) struct Dismissal {
    terminate: Signal,
    interrupt: Signal,
}

impl Dismissal {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Dismissal> {
        Ok(Dismissal {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Resolves when it was asked.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
