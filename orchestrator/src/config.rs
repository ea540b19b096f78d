//! Every setting once: flag, environment variable, default.
//!
//! `DATABASE_URL` and `NATS_URL` keep their customary names; every other variable is `BOOKMARKET_<FLAG>`. A secret may also be
//! given as a file through the same name with `_FILE`, which is how container platforms mount secrets.

pub mod broker;
pub mod chosen;
pub mod guards;
pub mod providers;
pub mod roles;
pub mod store;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aggregates::money::Currency;
use broker::BrokerSettings;
use clap::{Args, ValueEnum};
use guards::GuardSettings;
use providers::ProviderSettings;
use roles::RoleSettings;
use secrecy::{ExposeSecret, SecretString};
use store::StoreSettings;
pub use value::BUDGET_MAX;
pub(crate) use value::secret;
use value::{budget, origin, some_budget, some_time, time};

/// A secret file larger than this is not a secret but a mistake (a device, a wrong path).
const SECRET_FILE_MAX: u64 = 64 * 1024;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file named by a setting cannot be read.
    #[error("cannot read {what} from {path}")]
    Unreadable {
        /// Which setting names the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A setting is given twice, in clear and as a file.
    #[error("{0} is given both directly and as a file; keep one of them")]
    Twice(&'static str),
    /// A setting has a value that cannot work.
    #[error("{0}")]
    Unusable(String),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns for people.
    Table,
    /// One JSON document (or one JSON line per record where records stream).
    Json,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line per event.
    Compact,
    /// One JSON object per line.
    Json,
}

/// The settings that every command accepts.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    /// Where the log and the views live.
    pub store: StoreSettings,
    #[command(flatten)]
    /// The broker between processes.
    pub broker: BrokerSettings,
    #[command(flatten)]
    /// How the server listens.
    pub edge: EdgeSettings,
    #[command(flatten)]
    /// What this process does.
    pub roles: RoleSettings,
    #[command(flatten)]
    /// How orders are handled.
    pub orders: OrderSettings,
    #[command(flatten)]
    /// Who charges, ships and sends.
    pub providers: ProviderSettings,
    #[command(flatten)]
    /// How much of a provider is used at once, and when it is left alone.
    pub guards: GuardSettings,
    #[command(flatten)]
    /// How the command line talks to a server and prints.
    pub client: ClientSettings,
    #[command(flatten)]
    /// What is logged.
    pub log: LogSettings,
}

/// How the server listens and whom it lets in.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct EdgeSettings {
    /// Address and port to listen on (port 0 = any free one)
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8088"
    )]
    pub listen: SocketAddr,
    /// File of API tokens: `ROLE NAME SHA256` per line, ROLE = operator, service or customer:ID
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_API_TOKENS",
        value_name = "FILE"
    )]
    pub api_tokens: Option<PathBuf>,
    /// Listen beyond loopback although no API tokens are configured: anyone who reaches the port may do anything
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_INSECURE",
        hide_short_help = true
    )]
    pub insecure: bool,
    /// Origin that browsers may call from; repeat for several, `*` for any
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',', value_parser = origin,
        hide_short_help = true
    )]
    pub cors_origin: Vec<String>,
    /// Commands in work at once before further ones get 503 `overloaded`
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_MAX_IN_FLIGHT",
        value_name = "N",
        default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..),
        hide_short_help = true
    )]
    pub max_in_flight: u16,
    /// Open connections before further ones wait in the kernel's queue
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 4096, value_parser = clap::value_parser!(u16).range(1..),
        hide_short_help = true
    )]
    pub max_connections: u16,
    /// Listeners of `GET /events/stream` at once, and as many of `GET /mypages/stream`
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_MAX_SUBSCRIBERS",
        value_name = "N",
        default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..),
        hide_short_help = true
    )]
    pub max_subscribers: u16,
    /// After SIGTERM, go on serving for this long while `/readyz` says no: whoever sends requests here has to notice first
    #[arg(long, global = true, env = "BOOKMARKET_DRAIN_DELAY", value_name = "TIME", default_value = "0s", value_parser = time, hide_short_help = true)]
    pub drain_delay: Duration,
    /// Time to answer what is in flight after SIGTERM, --drain-delay included
    #[arg(long, global = true, env = "BOOKMARKET_SHUTDOWN_GRACE", value_name = "TIME", default_value = "20s", value_parser = time, hide_short_help = true)]
    pub shutdown_grace: Duration,
}

/// How orders are priced, paid and, with the built-in providers, delivered.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Orders")]
pub struct OrderSettings {
    /// Price of a book, in minor units, for orders in the short form that names none
    #[arg(long, global = true, env = "BOOKMARKET_DEFAULT_UNIT_PRICE", value_name = "AMOUNT", default_value_t = 15_000, value_parser = clap::value_parser!(i64).range(1..=1_000_000_000), hide_short_help = true)]
    pub default_unit_price: i64,
    /// Currency of orders that name none
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_DEFAULT_CURRENCY",
        value_name = "CODE",
        default_value = "KRW",
        hide_short_help = true
    )]
    pub default_currency: Currency,
    /// How long `POST /orders` waits for the payment before it answers 202 `Pending`
    #[arg(long, global = true, env = "BOOKMARKET_PAYMENT_BUDGET", value_name = "TIME", default_value = "5s", value_parser = some_budget, hide_short_help = true)]
    pub payment_budget: Duration,
    /// After this long no charge is attempted any more; an order that is still unpaid is rejected
    #[arg(long, global = true, env = "BOOKMARKET_PAYMENT_DEADLINE", value_name = "TIME", default_value = "10m", value_parser = some_time, hide_short_help = true)]
    pub payment_deadline: Duration,
    /// How long `DELETE /orders/{id}` waits for the cancellation before it answers 202 `Canceling`
    #[arg(long, global = true, env = "BOOKMARKET_CANCEL_BUDGET", value_name = "TIME", default_value = "5s", value_parser = budget, hide_short_help = true)]
    pub cancel_budget: Duration,
    /// How long a message is tried; later nobody wants to read it
    #[arg(long, global = true, env = "BOOKMARKET_MESSAGE_BUDGET", value_name = "TIME", default_value = "24h", value_parser = some_time, hide_short_help = true)]
    pub message_budget: Duration,
    /// The built-in carrier takes a parcel over this long after it was shipped
    #[arg(long, global = true, env = "BOOKMARKET_SIMULATED_HANDOVER_AFTER", value_name = "TIME", default_value = "10m", value_parser = time, hide_short_help = true)]
    pub simulated_handover_after: Duration,
    /// The built-in carrier delivers a parcel this long after it was handed over
    #[arg(long, global = true, env = "BOOKMARKET_SIMULATED_DELIVERY_AFTER", value_name = "TIME", default_value = "1h", value_parser = time, hide_short_help = true)]
    pub simulated_delivery_after: Duration,
}

/// How the command line talks to a server and prints.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Command line")]
pub struct ClientSettings {
    /// Server that commands talk to
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8088"
    )]
    pub server: String,
    /// API token for that server
    #[arg(long, global = true, env = "BOOKMARKET_TOKEN", value_name = "TOKEN", value_parser = secret, hide_env_values = true)]
    pub token: Option<SecretString>,
    /// File that holds the API token
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_TOKEN_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub token_file: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, env = "BOOKMARKET_OUTPUT", value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// What is logged and how it looks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log lines")]
pub struct LogSettings {
    /// Which log lines are written, for example `info` or `orchestrator=debug` [default: info for servers, else warn]
    #[arg(long, global = true, env = "BOOKMARKET_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, env = "BOOKMARKET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Compact, hide_short_help = true)]
    pub log_format: LogFormat,
}

impl Settings {
    /// What cannot go together, although each value is good alone. A process refuses to start with it.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.broker.check()?;
        self.edge.check()?;
        self.roles.check(self)
    }
}

impl EdgeSettings {
    /// Times that contradict each other.
    fn check(&self) -> Result<(), ConfigError> {
        if self.drain_delay >= self.shutdown_grace && !self.drain_delay.is_zero() {
            return Err(ConfigError::Unusable(
                "--drain-delay leaves nothing of --shutdown-grace: give it less".to_owned(),
            ));
        }
        Ok(())
    }
}

impl ClientSettings {
    /// The API token, read from its file if it was given so.
    pub fn token(&self) -> Result<Option<SecretString>, ConfigError> {
        one_of(
            "the API token",
            self.token.as_ref(),
            self.token_file.as_deref(),
        )
    }
}

/// The secret given directly or the one in the file, but never a silent choice between two.
fn one_of(
    what: &'static str,
    direct: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, ConfigError> {
    // Compose files and shells pass "unset" as an empty string.
    let direct = direct.filter(|secret| !secret.expose_secret().trim().is_empty());
    let file = file.filter(|path| !path.as_os_str().is_empty());
    match (direct, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice(what)),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(path)) => read_secret(what, path).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_secret(what: &'static str, path: &Path) -> Result<SecretString, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > SECRET_FILE_MAX {
        return Err(ConfigError::Unusable(format!(
            "{what} in {} is {size} bytes long; that is no secret",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(ConfigError::Unusable(format!(
            "{what} is empty in {}",
            path.display()
        )));
    }
    Ok(SecretString::from(text.to_owned()))
}
