//! Checking that a log still continues from where a reader left it.

use crate::error::ReadError;
use crate::event::RecordedEvent;
use crate::position::Checkpoint;

/// Checks that a page read from the checkpoint's position inclusive begins with the checkpoint's event, and takes that event out.
pub(crate) fn verify(
    checkpoint: &Checkpoint,
    page: &mut Vec<RecordedEvent>,
) -> Result<(), ReadError> {
    if checkpoint.position.0 == 0 {
        return Ok(());
    }
    let found = page.first().map(|event| (event.position, event.event_id));
    if found != Some((checkpoint.position, checkpoint.event_id)) {
        let found = found
            .filter(|(position, _)| *position == checkpoint.position)
            .map(|(_, id)| id);
        return Err(ReadError::CheckpointMismatch {
            checkpoint: *checkpoint,
            found,
        });
    }
    page.remove(0);
    Ok(())
}
