//! `cargo xtask setup`: gets what the other commands need, which call it by themselves.
//!
//! Installs only on Debian and its kin, as root; elsewhere it says what to type. Whatever it
//! runs is printed first, and one line tells what was chosen.

pub mod compiler;
pub mod emulator;
pub mod guests;
pub mod host;

use crate::{example::Images, workspace::Workspace};
use anyhow::Result;
use clap::Args as ClapArgs;

/// Options of `cargo xtask setup`.
#[derive(ClapArgs)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args) -> Result<()> {
    let workspace = Workspace::find()?;
    compiler::ensure()?;
    let qemu = emulator::ensure(None)?;
    eprintln!("setup: QEMU: {}", qemu.display());
    guests::ensure(&workspace, Images::UBoot)?; // and Debian's, which it boots
    Ok(())
}
