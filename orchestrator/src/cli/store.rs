//! The store that a command works on, which must be there already.

use anyhow::Context;
use eventstore::{Access, EventStore, Location, OpenError, Options};

/// Opens the log for reading, also beside a server that holds it.
///
/// Never makes one: a mistyped directory must not become an empty store in which every answer looks right.
pub(super) async fn to_look_at(location: &Location) -> anyhow::Result<EventStore> {
    let looking = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let found = EventStore::open(location, looking).await;
    if let (Location::Sqlite { dir }, Err(OpenError::Unavailable(_))) = (location, &found) {
        let advice = format!(
            "there is no log in {}; `bookmarket migrate` makes one",
            dir.display()
        );
        return found.context(advice);
    }
    Ok(found?)
}

/// Opens the log for writing; `None` when a server holds it. Makes none either.
pub(super) async fn existing(location: &Location) -> anyhow::Result<Option<EventStore>> {
    drop(to_look_at(location).await?);
    match EventStore::open(location, Options::default()).await {
        Ok(store) => Ok(Some(store)),
        Err(OpenError::Locked(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
