//! Leases: who may do a job that only one process should do at a time.

use uuid::Uuid;

/// A lease that is held until its time runs out by the log's clock, or until an embedded log is opened anew. It keeps work from being
/// done twice in the normal case; it does not stop a frozen holder that wakes up late, so what is done under it must bear being done
/// twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub owner: Uuid,
    /// Grows with every change of holder.
    pub token: i64,
}
