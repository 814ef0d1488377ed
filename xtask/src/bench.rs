//! `cargo xtask bench`: figures that anyone can print, each beside a peer's in the same run.

mod boot;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};

/// Options of `cargo xtask bench`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Time and instructions to a shell, under our vCPU and in plain QEMU at EL1.
    Boot(boot::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Boot(args) => boot::run(args),
    }
}
