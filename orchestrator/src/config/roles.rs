//! What a process does of all that a shop does.

use clap::{Args, ValueEnum};
use eventstore::Location;

use super::{ConfigError, Settings};

/// One of the things a process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers requests, and charges for the orders among them
    Api,
    /// Carries sagas on: ships, notifies, unwinds, sweeps, reconciles
    Worker,
    /// Keeps the views up
    Projector,
    /// Publishes the log to NATS, where there is one
    Relay,
}

/// What this process does.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Many processes")]
pub struct RoleSettings {
    /// What this process does; any mix, in any number of processes on one Postgres
    #[arg(
        long = "roles",
        global = true,
        env = "BOOKMARKET_ROLES",
        value_name = "ROLE,...",
        value_enum,
        value_delimiter = ',',
        default_value = "api,worker,projector,relay"
    )]
    pub given: Vec<Role>,
}

impl RoleSettings {
    /// Whether that is among them.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.given.contains(&role)
    }

    /// Whether some of what a shop does is left to other processes.
    #[must_use]
    pub fn is_split(&self) -> bool {
        [Role::Api, Role::Worker, Role::Projector]
            .iter()
            .any(|role| !self.has(*role))
    }

    /// What is left to other processes must be within their reach: the log, and the providers' books.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let only_relays = self.given.iter().all(|role| *role == Role::Relay);
        if only_relays && settings.broker.target()?.is_none() {
            return Err(ConfigError::Unusable(
                "--roles relay publishes the log to NATS and does nothing else: give NATS_URL"
                    .to_owned(),
            ));
        }
        self.check_views(settings)?;
        if !self.is_split() {
            return Ok(());
        }
        let unusable = |reason: &str| {
            Err(ConfigError::Unusable(format!(
                "--roles leaves work to other processes, {reason}"
            )))
        };
        if !matches!(settings.store.location()?, Location::Postgres { .. }) {
            return unusable(
                "and no other can open the embedded store: give DATABASE_URL, or all roles to this one",
            );
        }
        if settings.providers.choose()?.needs_simulator() {
            return unusable(
                "and the built-in simulator is within this one: give --simulator-url or the credentials of all providers",
            );
        }
        Ok(())
    }

    /// Only one process can have an embedded view open, and it both keeps and shows it.
    fn check_views(&self, settings: &Settings) -> Result<(), ConfigError> {
        let places = settings.store.places()?;
        let embedded = [
            ("--customer-view-url", places.customer),
            ("--message-view-url", places.message),
        ]
        .into_iter()
        .find(|(_, place)| matches!(place, Some(Location::Sqlite { .. })));
        match embedded {
            Some((flag, _)) if !(self.has(Role::Api) && self.has(Role::Projector)) => {
                Err(ConfigError::Unusable(format!(
                    "{flag} is sqlite://, which one process keeps and shows: give --roles api and projector to this one, \
                     or keep the view in Postgres"
                )))
            }
            _ => Ok(()),
        }
    }
}
