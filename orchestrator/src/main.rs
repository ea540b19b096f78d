//! The `bookmarket` command.

use std::process::ExitCode;

use anyhow::Context;
use mimalloc::MiMalloc;
use orchestrator::cli::{self, args::Cli};

/// A request is a chain of futures of some kilobytes, made on one thread and dropped on another. With the system's allocator a third of
/// the time went into that. Without huge pages, which made a fifth more of memory resident and nothing faster.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok(cli) => cli::report(run(cli)),
        Err(error) => cli::explain(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let code = runtime.block_on(cli::run(cli));
    // A thread that still blocks on standard input must not keep the process.
    runtime.shutdown_background();
    code
}
