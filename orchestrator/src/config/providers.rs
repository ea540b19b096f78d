//! Who charges, ships and sends: where they are and as whom we come. What the settings come to is in `chosen`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::value::{base_url, pair, secret, time};

/// Where Toss Payments is.
pub(super) const TOSS: &str = "https://api.tosspayments.com";
/// Where tracker.delivery is.
pub(super) const TRACKER: &str = "https://apis.tracker.delivery/graphql";
/// Where Solapi is.
pub(super) const SOLAPI: &str = "https://api.solapi.com";

/// Who charges, ships and sends. A port whose credentials are not given is the built-in simulator's.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Providers")]
pub struct ProviderSettings {
    /// A `bookmarket simulate` that stands for all three providers, reached like the real ones
    #[arg(long, global = true, env = "BOOKMARKET_SIMULATOR_URL", value_name = "URL", value_parser = base_url)]
    pub simulator_url: Option<String>,
    /// Secret key of Toss Payments; without one payments are simulated
    #[arg(long, global = true, env = "BOOKMARKET_TOSS_SECRET_KEY", value_name = "KEY", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub toss_secret_key: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_TOSS_SECRET_KEY_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub toss_secret_key_file: Option<PathBuf>,
    /// Security key of Toss Payments, with which it signs some webhooks; without one signatures are not looked at
    #[arg(long, global = true, env = "BOOKMARKET_TOSS_SECURITY_KEY", value_name = "KEY", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub toss_security_key: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_TOSS_SECURITY_KEY_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub toss_security_key_file: Option<PathBuf>,
    /// Where Toss Payments is
    #[arg(long, global = true, env = "BOOKMARKET_TOSS_URL", value_name = "URL", default_value = TOSS, value_parser = base_url, hide_short_help = true)]
    pub toss_url: String,
    /// The carrier's label API (docs: /openapi.json, "label API"); without one parcels are simulated
    #[arg(long, global = true, env = "BOOKMARKET_LABEL_URL", value_name = "URL", value_parser = base_url, hide_short_help = true)]
    pub label_url: Option<String>,
    /// Its token
    #[arg(long, global = true, env = "BOOKMARKET_LABEL_TOKEN", value_name = "TOKEN", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub label_token: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_LABEL_TOKEN_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub label_token_file: Option<PathBuf>,
    /// Key of tracker.delivery, `id:secret`; without one the label API is asked how far a parcel is
    #[arg(long, global = true, env = "BOOKMARKET_TRACKER_KEY", value_name = "ID:SECRET", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub tracker_key: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_TRACKER_KEY_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub tracker_key_file: Option<PathBuf>,
    /// Where tracker.delivery is
    #[arg(long, global = true, env = "BOOKMARKET_TRACKER_URL", value_name = "URL", default_value = TRACKER, value_parser = base_url, hide_short_help = true)]
    pub tracker_url: String,
    /// Name of Solapi's API key; without one messages are simulated
    #[arg(long, global = true, env = "BOOKMARKET_SOLAPI_KEY", value_name = "KEY", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub solapi_key: Option<SecretString>,
    /// The API key itself
    #[arg(long, global = true, env = "BOOKMARKET_SOLAPI_SECRET", value_name = "SECRET", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub solapi_secret: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_SOLAPI_SECRET_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub solapi_secret_file: Option<PathBuf>,
    /// Kakao channel that messages come from
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_SOLAPI_PF_ID",
        value_name = "ID",
        hide_short_help = true
    )]
    pub solapi_pf_id: Option<String>,
    /// Registered number from which text messages go to those without KakaoTalk; without one none go
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_SOLAPI_SENDER",
        value_name = "NUMBER",
        hide_short_help = true
    )]
    pub solapi_sender: Option<String>,
    /// Template of a kind of message (shipped, canceled, direct) with the variables `#{orderId}` and `#{text}`; repeat for each
    #[arg(long, global = true, env = "BOOKMARKET_SOLAPI_TEMPLATE", value_name = "KIND=ID", value_delimiter = ',', value_parser = pair, hide_short_help = true)]
    pub solapi_template: Vec<(String, String)>,
    /// Where Solapi is
    #[arg(long, global = true, env = "BOOKMARKET_SOLAPI_URL", value_name = "URL", default_value = SOLAPI, value_parser = base_url, hide_short_help = true)]
    pub solapi_url: String,
    /// Our own address as providers reach it, for callbacks; without one they are polled
    #[arg(long, global = true, env = "BOOKMARKET_PUBLIC_URL", value_name = "URL", value_parser = base_url, hide_short_help = true)]
    pub public_url: Option<String>,
    /// Secret part of the addresses of our webhooks [default: simulated while all providers are; else there is none and webhooks are refused]
    #[arg(long, global = true, env = "BOOKMARKET_WEBHOOK_SECRET", value_name = "SECRET", value_parser = secret, hide_env_values = true, hide_short_help = true)]
    pub webhook_secret: Option<SecretString>,
    /// File that holds it
    #[arg(
        long,
        global = true,
        env = "BOOKMARKET_WEBHOOK_SECRET_FILE",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub webhook_secret_file: Option<PathBuf>,
    /// How often our log is compared with the providers' records (0s = never)
    #[arg(long, global = true, env = "BOOKMARKET_RECONCILE_EVERY", value_name = "TIME", default_value = "10m", value_parser = time, hide_short_help = true)]
    pub reconcile_every: Duration,
}

impl Default for ProviderSettings {
    /// Nobody outside is called.
    fn default() -> Self {
        Self {
            simulator_url: None,
            toss_secret_key: None,
            toss_secret_key_file: None,
            toss_security_key: None,
            toss_security_key_file: None,
            toss_url: TOSS.to_owned(),
            label_url: None,
            label_token: None,
            label_token_file: None,
            tracker_key: None,
            tracker_key_file: None,
            tracker_url: TRACKER.to_owned(),
            solapi_key: None,
            solapi_secret: None,
            solapi_secret_file: None,
            solapi_pf_id: None,
            solapi_sender: None,
            solapi_template: Vec::new(),
            solapi_url: SOLAPI.to_owned(),
            public_url: None,
            webhook_secret: None,
            webhook_secret_file: None,
            reconcile_every: Duration::from_mins(10),
        }
    }
}
