//! Settings without which an acknowledged commit can be lost.

use tokio_postgres::Client;

use super::fault;
use crate::error::OpenError;

const REQUIRED: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

/// Refuses a server that acknowledges before the data is safe. Also asked by those who only read: what they read could vanish.
pub(super) async fn check(client: &Client) -> Result<(), OpenError> {
    for setting in REQUIRED {
        let row = client
            .query_one("SELECT current_setting($1)", &[&setting])
            .await
            .map_err(|e| fault::opening(&e))?;
        let value: String = row.get(0);
        if value == "off" {
            return Err(OpenError::NotDurable { setting, value });
        }
    }
    Ok(())
}

/// Refuses a server that takes no writes.
pub(super) async fn check_writable(client: &Client) -> Result<(), OpenError> {
    let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
    let row = client
        .query_one(sql, &[])
        .await
        .map_err(|e| fault::opening(&e))?;
    if row.get(0) {
        Err(OpenError::ReadOnly)
    } else {
        Ok(())
    }
}
