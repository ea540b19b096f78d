//! A town: the shop and the world outside it as two processes of the real binary, their customers, and what all of them do
//! to each other. Everything here goes over HTTP.

mod calm;
mod customers;
mod process;
mod shop;

pub(crate) use customers::{Answer, Customers, is_done, is_step, order, reply};
pub(crate) use process::{Process, THIS_BUILD};
pub(crate) use shop::{Setup, Town};

use std::time::Duration;

/// Only something that is stuck takes this long.
pub(crate) const STUCK: Duration = Duration::from_secs(60);

/// Between two looks at something that nobody announces.
const LOOK: Duration = Duration::from_millis(25);

/// What a program of a test logs before the test fails, at most so many lines of it.
const LAST_LINES: usize = 30;

/// When a test fails, its programs tell what they logged last.
#[expect(clippy::print_stderr, reason = "beside the failure")]
pub(crate) fn tell_if_it_fails(who: &str, logged: impl FnOnce() -> String) {
    if std::thread::panicking() {
        let logged = logged();
        let skipped = logged.lines().count().saturating_sub(LAST_LINES);
        let last: Vec<_> = logged.lines().skip(skipped).collect();
        eprintln!("\n{who} logged:\n{}", last.join("\n"));
    }
}

/// Asks again until there is something, and says what was still wanted if there never is.
pub(crate) async fn until<T>(
    wanted: &str,
    within: Duration,
    ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    until_or(within, || format!("it never came: {wanted}"), ask).await
}

/// The same with words that are found in the end.
pub(crate) async fn until_or<T>(
    within: Duration,
    stuck: impl Fn() -> String,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", stuck());
        tokio::time::sleep(LOOK).await;
    }
}
