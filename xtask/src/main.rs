//! `cargo xtask`: sets up, builds, runs and tests what lives under `examples`.
//!
//! Knows about toolchains, QEMU and files; what an exit means is the examples' own business.

mod bench;
mod example;
mod explain;
mod process;
mod qemu;
mod setup;
mod test;
mod workspace;

use clap::{Parser, Subcommand};

/// Set up, run and test the hypervisors under examples/.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, one file each.
#[derive(Subcommand)]
pub enum Command {
    /// Build an example and run it in QEMU.
    Qemu(qemu::Args),
    /// Run all that CI runs.
    Test(test::Args),
    /// Measure.
    Bench(bench::Args),
    /// Explain exception syndromes: one, many, or those in a log.
    Explain(explain::Args),
    /// Get the compiler target, QEMU and the guest images.
    Setup(setup::Args),
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Qemu(args) => qemu::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Setup(args) => setup::run(&args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
