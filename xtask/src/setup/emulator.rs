//! QEMU: found, new enough, or installed.

use super::host::{self, Wanted};
use anyhow::{Context, Result, bail, ensure};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const PROGRAM: &str = "qemu-system-aarch64";
/// The oldest that has all we use: `max` of 7.0 is the first with the features we probe.
const OLDEST: (u32, u32) = (7, 0);

const PACKAGE: Wanted = Wanted {
    what: "QEMU for Arm, 7.0 or newer",
    apt: "qemu-system-arm",
    dnf: "qemu-system-aarch64",
    pacman: "qemu-system-aarch64",
    brew: "qemu",
};

/// Returns the QEMU to use, installed first if there is none and we may. A `chosen` one is
/// taken or refused, never replaced.
pub fn ensure(chosen: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = chosen {
        ensure!(
            path.is_file(),
            "no QEMU at {}; check what --qemu names",
            path.display()
        );
        check_version(path)?;
        return Ok(path.to_owned());
    }
    let found = match host::find_program(PROGRAM) {
        Some(found) => found,
        None => {
            host::install(&PACKAGE).with_context(|| format!("{PROGRAM} is not in PATH"))?;
            host::find_program(PROGRAM).context("QEMU was installed, but is not in PATH")?
        }
    };
    check_version(&found)?;
    Ok(found)
}

/// Returns the version of a QEMU, if it is new enough.
pub fn check_version(qemu: &Path) -> Result<(u32, u32)> {
    let shown = qemu.display();
    let output = Command::new(qemu).arg("--version").output();
    let output = output.with_context(|| format!("cannot start {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse_version(&text) {
        Some(version) if version >= OLDEST => Ok(version),
        Some((major, minor)) => bail!("{shown} is version {major}.{minor}; {PACKAGE}"),
        None => bail!("{shown} does not tell its version; is it {PROGRAM}?"),
    }
}

/// Reads `QEMU emulator version 7.2.22 (Debian …)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once("QEMU emulator version ")?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn version_is_read_with_and_without_a_suffix() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022";
        assert_eq!(parse_version(debian), Some((7, 2)));
        assert_eq!(
            parse_version("QEMU emulator version 10.0.50-dirty"),
            Some((10, 0))
        );
        assert_eq!(parse_version("GNU bash, version 5.2"), None);
    }
}
