//! The loops that run as long as the process does.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::http::health::Health;

/// A set of named loops. None of them ends before it is told to; one that does takes the process with it, because
/// a server that silently no longer sweeps or projects is worse than one that is restarted.
pub(super) struct Workers {
    health: Arc<Health>,
    stop: CancellationToken,
    running: JoinSet<()>,
    names: HashMap<Id, String>,
}

impl Workers {
    /// No loops yet; each will be watched by `health`.
    #[must_use]
    pub(super) fn new(health: Arc<Health>) -> Workers {
        Workers {
            health,
            stop: CancellationToken::new(),
            running: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// Tells the loops to end.
    #[must_use]
    pub(super) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a loop.
    pub(super) fn start(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let name = name.into();
        let handle = self.running.spawn(self.health.watch(name.clone(), work));
        self.names.insert(handle.id(), name);
    }

    /// Resolves with the name of the first loop that ends.
    pub(super) async fn died(&mut self) -> String {
        let id = match self.running.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "a worker panicked");
                error.id()
            }
        };
        self.names
            .get(&id)
            .cloned()
            .unwrap_or_else(|| "a worker".to_owned())
    }

    /// Tells all loops to end and waits until they have.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
    }
}
