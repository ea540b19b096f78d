//! How much of a long check is done: a tenth, or with `SOAK=1` all of it.

use std::time::Duration;

use crate::broker::nats::Release;

/// Whether all of it is done, on a machine that does nothing else.
pub(crate) fn is_on() -> bool {
    std::env::var_os("SOAK").is_some_and(|value| value == "1")
}

/// How many of these.
pub(crate) fn size(full: usize) -> usize {
    if is_on() { full } else { full / 10 }
}

/// How long of this.
pub(crate) fn length(full: Duration) -> Duration {
    if is_on() { full } else { full / 10 }
}

/// The brokers that it is done on: every release, or only this one where not all of it is done. Each release has about half of the checks.
pub(crate) fn brokers(usual: Release) -> impl Iterator<Item = Release> {
    let all = Release::EACH.into_iter();
    all.filter(move |release| is_on() || *release == usual)
}
