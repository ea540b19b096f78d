//! What the commands take that work on a whole store: `log` and `migrate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with a whole log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Write the whole log into one compressed file
    Export(ExportArgs),
    /// Fill an empty store from such a file
    Import(LogImportArgs),
    /// Check such a file without a store
    Verify(VerifyArgs),
}

/// Where to, and what goes with it.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Also beside a running server; the file then holds what the log held when the export began. Until it is whole it
is called FILE.part. It is gzip of JSON, one object a line: `zcat FILE | jq` reads it.

Names, addresses and phone numbers stay sealed. Without --with-keys they can never be read again in a copy. With it the customers'
keys are in the file, wrapped by the master key, which is not: a copy then outlives an erasure for whoever has both.

The checksum `content` that is printed is the same for the same log in every database: compare it with that of the copy.

Examples:
  bookmarket log export --out shop.log.gz
  bookmarket log export --out shop.log.gz --resume       goes on where it was interrupted
  bookmarket log export --with-keys --out move.log.gz    to move a shop
  bookmarket log export | ssh backup 'cat > shop.log.gz'"
)]
pub struct ExportArgs {
    /// The file, or - for standard output, which is where it goes without this
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Go on with an export to this file that was interrupted; begin it if there is none
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Put the customers' keys into the file as well, still wrapped by the master key
    #[arg(long)]
    pub with_keys: bool,
}

/// Where from.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The store must be empty, or hold the beginning of the very same log: then it is brought up. Positions, versions and
ids stay. No server may hold the store; while the import is under way, and after one that failed, none opens it. After an
interruption the same command goes on.

Keys in the file take the place of all keys in the store; they need the master key of the shop they come from.

Examples:
  bookmarket log import --in shop.log.gz --data-dir ./copy
  DATABASE_URL=postgres://... bookmarket log import --in shop.log.gz && bookmarket replay all"
)]
pub struct LogImportArgs {
    /// The file, or - for standard input
    #[arg(long = "in", value_name = "FILE")]
    pub from: PathBuf,
}

/// Which file.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  bookmarket log verify shop.log.gz")]
pub struct VerifyArgs {
    /// The file, or - for standard input
    pub file: PathBuf,
}

/// What to do beside the migrations.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "`serve` migrates by itself. Any number of processes may do so at once.

Examples:
  bookmarket migrate
  bookmarket migrate --new-epoch    after a copy of a log was put in place, to tell the two apart"
)]
pub struct MigrateArgs {
    /// Give the log a new epoch, a label that exports, `doctor` and wake-ups tell
    #[arg(long)]
    pub new_epoch: bool,
}
