//! How much travels in one group commit; the same for both backends.

/// Most appends in one commit: past this a commit gains nothing and its first caller waits for the last.
pub(crate) const APPENDS_MAX: usize = 512;
/// Most bytes in one commit, for the same reason.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;
/// Appends that may wait; a caller beyond that waits for a place, within its deadline.
pub(crate) const QUEUE: usize = 8 * APPENDS_MAX;

/// Whether a group of this size takes another append. A group may end above the limit by its last append.
pub(crate) const fn has_room(appends: usize, bytes: usize) -> bool {
    appends < APPENDS_MAX && bytes < BYTES_MAX
}
