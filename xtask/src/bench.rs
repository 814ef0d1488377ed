//! `cargo xtask bench`: figures that anyone can print, each beside a peer's in the same run.

mod boot;
pub mod budget;
pub mod exits;
mod instruction;
mod trace;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};

/// Options of `cargo xtask bench`.
#[derive(ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    exits: exits::Args,
}

#[derive(Subcommand)]
enum What {
    /// Time and instructions to a shell, under our vCPU and in plain QEMU at EL1.
    Boot(boot::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        None => exits::run(&args.exits),
        Some(What::Boot(args)) => boot::run(args),
    }
}
