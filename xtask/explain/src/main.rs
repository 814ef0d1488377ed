//! `vcpu-explain`: the installable form of `cargo xtask explain`.

use clap::Parser;

/// Explain AArch64 exception syndromes (ESR_ELx): one, many, or those in a log.
#[derive(Parser)]
#[command(name = "vcpu-explain", version)]
struct Cli {
    #[command(flatten)]
    args: vcpu_explain::Args,
}

fn main() -> std::process::ExitCode {
    vcpu_explain::main(&Cli::parse().args)
}
