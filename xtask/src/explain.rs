//! `cargo xtask explain`: exception syndromes for people. The same front as the `vcpu-explain` binary.

use std::io::{self, Write as _};

pub use vcpu_explain::Args;

/// Explains what is given; fails where any of it was bad.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let bad = vcpu_explain::run(
        args,
        &mut io::stdin().lock(),
        &mut out,
        &mut io::stderr().lock(),
    )?;
    out.flush()?;
    anyhow::ensure!(bad == 0, "{bad} of the inputs could not be read");
    Ok(())
}
