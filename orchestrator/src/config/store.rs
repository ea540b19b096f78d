//! Where the log and the views live.

use std::path::{Path, PathBuf};

use clap::Args;
use eventstore::{Location, MasterKeyFile};
use projections::Places;
use secrecy::{ExposeSecret, SecretString};

use super::value::secret;
use super::{ConfigError, one_of};

/// How the URL of an embedded store begins.
const SQLITE: &str = "sqlite://";

/// How URLs of Postgres begin.
const POSTGRES: [&str; 2] = ["postgres://", "postgresql://"];

/// Where the log and the views live.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Store")]
pub struct StoreSettings {
    /// Postgres to keep the log in; unset = SQLite in the data directory
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", value_parser = secret, hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// File that holds the database URL
    #[arg(
        long,
        global = true,
        env = "DATABASE_URL_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub database_url_file: Option<PathBuf>,
    /// Place of the customer view: postgres://... or sqlite://DIRECTORY; unset = with the log
    #[arg(long, global = true, env = "BOOKMARKET_CUSTOMER_VIEW_URL", value_name = "URL", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub customer_view_url: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_CUSTOMER_VIEW_URL_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub customer_view_url_file: Option<PathBuf>,
    /// Place of the message view: postgres://... or sqlite://DIRECTORY; unset = with the log
    #[arg(long, global = true, env = "BOOKMARKET_MESSAGE_VIEW_URL", value_name = "URL", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub message_view_url: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_MESSAGE_VIEW_URL_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub message_view_url_file: Option<PathBuf>,
    /// Directory of the embedded store, the master key and the provider simulator's ledger
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_DATA_DIR",
        value_name = "DIR",
        default_value = "./bookmarket-data"
    )]
    pub data_dir: PathBuf,
    /// Key that wraps the customers' keys [default: master.key in the data directory, made when missing]
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_MASTER_KEY_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub master_key_file: Option<PathBuf>,
}

impl StoreSettings {
    /// Where the log is, with the URL read from its file if it was given so.
    pub fn location(&self) -> Result<Location, ConfigError> {
        let url = one_of(
            "the database URL",
            self.database_url.as_ref(),
            self.database_url_file.as_deref(),
        )?;
        Ok(match url {
            Some(url) => Location::Postgres { url },
            None => Location::Sqlite {
                dir: self.data_dir.clone(),
            },
        })
    }

    /// Where each view is kept.
    pub fn places(&self) -> Result<Places, ConfigError> {
        let customer = one_of(
            "the URL of the customer view",
            self.customer_view_url.as_ref(),
            self.customer_view_url_file.as_deref(),
        )?;
        let message = one_of(
            "the URL of the message view",
            self.message_view_url.as_ref(),
            self.message_view_url_file.as_deref(),
        )?;
        Ok(Places {
            log: self.location()?,
            customer: customer
                .map(|url| place("--customer-view-url", &url))
                .transpose()?,
            message: message
                .map(|url| place("--message-view-url", &url))
                .transpose()?,
        })
    }

    /// The key that wraps the customers' keys: the file that was named, or our own, which may be made.
    #[must_use]
    pub fn master_key(&self) -> MasterKeyFile {
        match self
            .master_key_file
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
        {
            Some(path) => MasterKeyFile::Existing(path.clone()),
            None => MasterKeyFile::CreateIfMissing(self.data_dir.join("master.key")),
        }
    }
}

/// The place of a view. The URL may hold a password, so it is never shown.
fn place(flag: &str, url: &SecretString) -> Result<Location, ConfigError> {
    let text = url.expose_secret().trim();
    if POSTGRES.iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(Location::postgres(text));
    }
    let unusable = |why: &str| Err(ConfigError::Unusable(format!("{flag} {why}")));
    match text.strip_prefix(SQLITE) {
        Some("") => unusable("names no directory: give sqlite://DIRECTORY"),
        Some(dir) if Path::new(dir).is_file() => {
            unusable("names a file: give sqlite:// and the directory to keep views.db in")
        }
        Some(dir) => Ok(Location::sqlite(dir)),
        None => unusable("must begin with postgres:// or sqlite://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_in_postgres_or_in_a_directory_and_what_is_wrong_shows_no_password() {
        let place = |url: &str| place("--message-view-url", &url.into());
        let Ok(Location::Postgres { url }) = place("postgresql://u:p@host/views") else {
            panic!("a URL of Postgres");
        };
        assert_eq!(url.expose_secret(), "postgresql://u:p@host/views");
        for (url, wanted) in [
            ("sqlite:///var/lib/views", "/var/lib/views"),
            ("sqlite://views", "views"),
        ] {
            let Ok(Location::Sqlite { dir }) = place(url) else {
                panic!("{url} is a directory");
            };
            assert_eq!(dir, Path::new(wanted));
        }
        for bad in [
            "sqlite://",
            "mysql://u:hidden@host/views",
            "/var/lib/views",
            concat!("sqlite://", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ] {
            let error = place(bad).expect_err(bad).to_string();
            assert!(error.starts_with("--message-view-url"), "{error}");
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
