//! A clock that stands still until somebody moves it.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use orchestrator::saga::clock::Clock;
use tokio::sync::watch;

pub(crate) struct TestClock(watch::Sender<DateTime<Utc>>);

impl TestClock {
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        Self(watch::Sender::new(now))
    }

    /// Never goes back.
    pub(crate) fn advance_to(&self, at: DateTime<Utc>) {
        self.0.send_if_modified(|now| {
            let later = at > *now;
            *now = at.max(*now);
            later
        });
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= at).await.is_err() {
                std::future::pending().await
            }
        })
    }
}
