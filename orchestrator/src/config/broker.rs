//! The broker between processes: where it is and as whom we come.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};

use super::value::{secret, time};
use super::{ConfigError, one_of};
use crate::bus::relay::StreamSettings;

/// How far back the broker looks for a message with the same id. The relay needs none of it: this spares readers a repetition that
/// somebody else's tools publish.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The broker between processes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Broker")]
pub struct BrokerSettings {
    /// NATS servers with JetStream, separated by commas; unset = nothing is published, and processes on one Postgres look for each other's work there
    #[arg(long, global = true, env = "NATS_URL", value_name = "URL", value_parser = secret, hide_env_values = true)]
    pub nats_url: Option<SecretString>,
    /// File that holds the NATS URL
    #[arg(
        long,
        global = true,
        env = "NATS_URL_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub nats_url_file: Option<PathBuf>,
    /// Events stay this long in the broker's stream; the log keeps them for ever (0s = there too) [default: as it is; 7d if new]
    #[arg(long, global = true, env = "BOOKMARKET_EVENTS_MAX_AGE", value_name = "TIME", value_parser = time, hide_short_help = true)]
    pub events_max_age: Option<Duration>,
    /// Size at which the broker's stream takes no more events until old ones have gone (0 = when the broker is full)
    /// [default: as it is; 0 if new]
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_EVENTS_MAX_BYTES",
        value_name = "BYTES",
        hide_short_help = true
    )]
    pub events_max_bytes: Option<u64>,
    /// Servers of a NATS cluster that keep a copy of the events and of the wake-ups [default: as it is; 1 if new]
    #[arg(long, global = true, env = "BOOKMARKET_EVENTS_REPLICAS", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5), hide_short_help = true)]
    pub events_replicas: Option<u8>,
    /// Steps that workers of somebody else's execute, asked over NATS
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_EXTERNAL_STEPS",
        value_name = "STEP",
        value_enum,
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub external_steps: Vec<ExternalStep>,
}

/// A step that somebody else may execute: those that move neither money nor parcels, whose books we would have to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExternalStep {
    /// The message that the parcel is on its way.
    Notify,
    /// The message that the order is canceled.
    Tell,
    /// A message that was ordered directly.
    Send,
}

impl ExternalStep {
    /// Its name in the log and in subjects.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExternalStep::Notify => "notify",
            ExternalStep::Tell => "tell",
            ExternalStep::Send => "send",
        }
    }
}

/// The servers of one broker and how to log in, kept apart: addresses may be logged.
#[derive(Clone, Debug)]
pub struct BrokerTarget {
    /// `nats://host:port` or `tls://host:port`, at least one.
    pub servers: Vec<String>,
    /// What the servers want to hear.
    pub login: Login,
}

/// How to log in.
#[derive(Clone, Debug)]
pub enum Login {
    /// Everyone may come in.
    None,
    /// A token: an address with a user and no password.
    Token(SecretString),
    /// A user and the password.
    User(String, SecretString),
}

impl BrokerSettings {
    /// Whether there is a broker for those who are asked over it.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.target()?.is_none() && !self.external_steps.is_empty() {
            return Err(ConfigError::Unusable(
                "--external-steps needs a broker: give NATS_URL".to_owned(),
            ));
        }
        Ok(())
    }

    /// How much the stream of events keeps.
    #[must_use]
    pub fn stream(&self) -> StreamSettings {
        StreamSettings {
            max_age: self.events_max_age,
            max_bytes: self.events_max_bytes,
            replicas: self.replicas(),
            duplicate_window: DUPLICATE_WINDOW,
        }
    }

    /// Servers of a cluster that keep a copy, if somebody has said how many.
    #[must_use]
    pub fn replicas(&self) -> Option<usize> {
        self.events_replicas.map(usize::from)
    }

    /// The broker, if there is to be one, with the URL read from its file if it was given so.
    pub fn target(&self) -> Result<Option<BrokerTarget>, ConfigError> {
        let urls = one_of(
            "the NATS URL",
            self.nats_url.as_ref(),
            self.nats_url_file.as_deref(),
        )?;
        urls.map(|urls| BrokerTarget::parse(&urls)).transpose()
    }
}

impl BrokerTarget {
    /// Reads one URL or several, separated by commas. One login serves all of them.
    pub fn parse(urls: &SecretString) -> Result<BrokerTarget, ConfigError> {
        let mut target = BrokerTarget {
            servers: Vec::new(),
            login: Login::None,
        };
        for url in urls.expose_secret().split(',').map(str::trim) {
            target.add(url)?;
        }
        Ok(target)
    }

    fn add(&mut self, text: &str) -> Result<(), ConfigError> {
        // The text may hold a password: it is in no error.
        let form = || {
            ConfigError::Unusable(
                "the NATS URL must be nats://[user:password@]host[:port] or tls://..., several separated by commas"
                    .to_owned(),
            )
        };
        let mut url = reqwest::Url::parse(text).map_err(|_| form())?;
        let usable = matches!(url.scheme(), "nats" | "tls")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if !usable {
            return Err(form());
        }
        let login = login_of(&url).ok_or_else(form)?;
        if !matches!(login, Login::None) {
            self.login = login;
        }
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| form())?;
        self.servers
            .push(url.as_str().trim_end_matches('/').to_owned());
        Ok(())
    }
}

fn login_of(url: &reqwest::Url) -> Option<Login> {
    let user = decoded(url.username())?;
    Some(match (user.is_empty(), url.password()) {
        (true, _) => Login::None,
        (false, None) => Login::Token(SecretString::from(user)),
        (false, Some(password)) => Login::User(user, SecretString::from(decoded(password)?)),
    })
}

/// Resolves `%40` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(urls: &str) -> Result<BrokerTarget, ConfigError> {
        BrokerTarget::parse(&SecretString::from(urls.to_owned()))
    }

    #[test]
    fn addresses_and_the_login_are_kept_apart() {
        let target = parsed("nats://shop:p%40ss@one:4222, tls://two:4223").expect("good URLs");
        assert_eq!(target.servers, ["nats://one:4222", "tls://two:4223"]);
        let Login::User(user, password) = target.login else {
            panic!("no user in {:?}", target.login)
        };
        assert_eq!((user.as_str(), password.expose_secret()), ("shop", "p@ss"));
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        let target = parsed("nats://s3cret@one").expect("a good URL");
        assert_eq!(target.servers, ["nats://one"]);
        assert!(matches!(target.login, Login::Token(token) if token.expose_secret() == "s3cret"));
    }

    #[test]
    fn what_is_no_nats_url_is_refused_without_being_repeated() {
        for bad in [
            "",
            "s3cret",
            "http://s3cret@one",
            "nats://",
            "nats://one/s3cret",
            "nats://one,",
            "nats://a:%zz@one",
        ] {
            let error = parsed(bad).expect_err(bad).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
