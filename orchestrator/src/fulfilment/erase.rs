//! Erasing a customer: the key of their data is deleted, and the log says so.

use aggregates::field::{FieldError, REASON};
use aggregates::ids;
use aggregates::order::CUSTOMER_ID;
use aggregates::subject::{Erase, Rejection, Subject};
use chrono::Utc;
use eventstore::{EventStore, ReadError, Vault, VaultError};

use super::Fulfilment;
use crate::execute::{ExecuteError, execute};

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// The key is gone, and everything sealed under it with it.
    Now,
    /// There was no key: nothing personal was ever stored, or it was erased before.
    NothingLeft,
}

/// Why a customer is not known to be erased. Unless it is refused, repeat it: erasing twice does no harm.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// No customer can be called so, or no reason be kept so. Nothing was recorded.
    #[error("{}", sentences(.0))]
    Refused(Vec<FieldError>),
    /// The keys cannot be read.
    #[error("the keys cannot be read")]
    Read(#[from] ReadError),
    /// The erasure cannot be recorded.
    #[error("the erasure cannot be recorded")]
    Record(#[from] ExecuteError<Rejection>),
    /// The key cannot be deleted.
    #[error("the key cannot be deleted")]
    Vault(#[from] VaultError),
}

fn sentences(errors: &[FieldError]) -> String {
    let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
    details.join(" ")
}

impl Fulfilment {
    /// Erases a customer's personal data.
    pub async fn erase(
        &self,
        customer: &str,
        reason: &str,
        actor: &str,
    ) -> Result<Erased, EraseError> {
        erase(&self.store, &self.vault, customer, reason, actor).await
    }
}

/// Erases a customer's personal data, with or without a server. Recorded first, deleted then: a crash in between is healed by
/// a repeat.
pub async fn erase(
    store: &EventStore,
    vault: &Vault,
    customer: &str,
    reason: &str,
    actor: &str,
) -> Result<Erased, EraseError> {
    let errors: Vec<FieldError> = [
        CUSTOMER_ID.check("/customerId", customer),
        REASON.check("/reason", reason),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !errors.is_empty() {
        return Err(EraseError::Refused(errors));
    }
    let command = Erase {
        customer_id: customer.to_owned(),
        reason: reason.to_owned(),
        actor: actor.to_owned(),
        key_exists: store.subject_keys().get(customer).await?.is_some(),
        at: Utc::now(),
    };
    execute::<Subject>(store, ids::subject_id(customer), &command).await?;
    let erased = vault.erase(customer).await?;
    Ok(if erased {
        Erased::Now
    } else {
        Erased::NothingLeft
    })
}
