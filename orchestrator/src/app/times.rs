//! How the time from SIGTERM to the end is shared out.

use std::time::Duration;

use crate::config::Settings;
use crate::http::server;

/// What is kept of the grace for the workers to end and give their leases back, so that others need not wait for them.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A connection that was accepted a moment before the last may still have its first request on the way.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Who has not sent all of a request by then does not mean to.
const SENDING: Duration = Duration::from_secs(3);

/// What --drain-delay leaves of the grace may be short; none of the above takes more of it than this part.
const PART_OF_GRACE: u32 = 5;

/// How long each part of the end may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Serving as before.
    pub(super) drain_delay: Duration,
    /// All of it.
    pub(super) grace: Duration,
    /// One call of a step.
    call: Duration,
}

impl Times {
    /// As configured. Where another process goes on with the socket, clients are told to come back on a new connection in any case, and
    /// have the time to: nobody would refuse them, but what they send on an old one would be lost.
    pub(super) fn of(settings: &Settings, is_shared: bool) -> Self {
        let (wanted, grace) = (settings.edge.drain_delay, settings.edge.shutdown_grace);
        let least = if is_shared {
            LAST_REQUESTS.min(grace / PART_OF_GRACE)
        } else {
            Duration::ZERO
        };
        Self {
            drain_delay: wanted.max(least),
            grace,
            call: settings.guards.call_limit(),
        }
    }

    /// At the end of the grace.
    pub(super) fn last_words(&self) -> Duration {
        self.within(LAST_WORDS)
    }

    /// For the server, from the end of --drain-delay on. Clients get what leaves the sagas the time to end the calls that they have
    /// begun meanwhile, or half of it where that is not much.
    pub(super) fn of_server(&self, connections: usize) -> server::Limits {
        // An idle connection holds the end up for all of it.
        let last_requests = self.within(LAST_REQUESTS.min(self.drain_delay));
        let left = self.left().saturating_sub(self.last_words());
        let for_clients = left.saturating_sub(self.call.min(left / 2));
        server::Limits {
            connections,
            last_requests,
            sending: self.within(SENDING),
            reading: for_clients.saturating_sub(last_requests),
            grace: self.grace,
        }
    }

    fn left(&self) -> Duration {
        self.grace.saturating_sub(self.drain_delay)
    }

    fn within(&self, wanted: Duration) -> Duration {
        wanted.min(self.left() / PART_OF_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(drain_delay: u64, grace: u64, call: u64) -> Times {
        let [drain_delay, grace, call] = [drain_delay, grace, call].map(Duration::from_secs);
        Times {
            drain_delay,
            grace,
            call,
        }
    }

    /// What is left when no client is waited for any more and the last words are still to be said.
    fn left_for_sagas(times: Times) -> Duration {
        let limits = times.of_server(1);
        let clients = limits.last_requests + limits.reading;
        times.grace - times.drain_delay - clients - times.last_words()
    }

    #[test]
    fn clients_leave_the_sagas_the_time_of_a_call() {
        for drain_delay in [0, 1, 5] {
            let times = times(drain_delay, 20, 5);
            assert_eq!(left_for_sagas(times), times.call);
        }
    }

    #[test]
    fn clients_and_sagas_share_what_there_is_where_calls_take_long() {
        for (drain_delay, grace) in [(0, 20), (0, 1), (2, 3)] {
            let times = times(drain_delay, grace, 60);
            let limits = times.of_server(1);
            assert_eq!(left_for_sagas(times), limits.last_requests + limits.reading);
            assert!(limits.sending <= limits.last_requests + limits.reading);
        }
    }
}
