//! How much of a long check is done: a tenth, or with `SOAK=1` all of it.

use std::time::Duration;

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
