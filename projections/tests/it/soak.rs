//! How much of a long check is done: a tenth, or with `SOAK=1` all of it.

use std::io::Write as _;

/// Whether all of it is done, on a machine that does nothing else.
pub(crate) fn is_on() -> bool {
    std::env::var_os("SOAK").is_some_and(|value| value == "1")
}

/// How many of these.
pub(crate) fn size(full: u64) -> u64 {
    if is_on() { full } else { full / 10 }
}

/// Prints a line of figures, past the capture of the test harness and apart from what that has begun to say.
pub(crate) fn figure(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nfigure: {line}\n").as_bytes())
        .unwrap();
}
