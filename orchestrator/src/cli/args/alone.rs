//! What the demo does not take. It has a store and providers of its own, whatever the environment says; whoever names others on the
//! command line means something else than they would get, and is told so.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use crate::config::broker::BrokerSettings;
use crate::config::providers::ProviderSettings;
use crate::config::roles::RoleSettings;
use crate::config::store::StoreSettings;

/// Of the settings that say how a server listens, those that say to whom.
const GUESTS: [&str; 2] = ["api_tokens", "insecure"];

impl Cli {
    /// Understands a command line.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(words)?;
        if let Some(("demo", given)) = matches.subcommand()
            && let Some(flag) = of_a_shop(given, &command)
        {
            let refusal = format!(
                "the demo takes no --{flag}: it has a store and providers of its own (--keep DIR keeps its data)"
            );
            return Err(command.error(ErrorKind::ArgumentConflict, refusal));
        }
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// The first flag given that says which shop a process belongs to.
fn of_a_shop(given: &ArgMatches, cli: &Command) -> Option<String> {
    let none = Command::new("none");
    let belongs = [
        StoreSettings::augment_args,
        BrokerSettings::augment_args,
        RoleSettings::augment_args,
        ProviderSettings::augment_args,
    ];
    let belongs = belongs.iter().fold(none, |all, more| more(all));
    let flags = cli.get_arguments().filter(|flag| {
        let id = flag.get_id();
        GUESTS.contains(&id.as_str()) || belongs.get_arguments().any(|it| it.get_id() == id)
    });
    flags
        .filter(|flag| given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine))
        .find_map(|flag| flag.get_long().map(str::to_owned))
}
