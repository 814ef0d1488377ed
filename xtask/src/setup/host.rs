//! What this computer lets us do: install packages, or only say which.

use crate::process;
use anyhow::{Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use nix::unistd::geteuid;
use std::{borrow::Cow, env, fmt, path::PathBuf, process::Command, time::Duration};

/// Set to `never`, it makes us print the commands that would install something instead of
/// running them.
const INSTALL: &str = "VCPU_INSTALL";

/// A package under the names that distributions give it.
pub struct Wanted {
    /// What it is for.
    pub what: &'static str,
    /// Debian, Ubuntu.
    pub apt: &'static str,
    /// Fedora.
    pub dnf: &'static str,
    /// Arch.
    pub pacman: &'static str,
    /// macOS.
    pub brew: &'static str,
}

/// The commands that would install it, by what is on this computer.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            ("apt-get", format!("sudo apt-get install {}", self.apt)),
            ("dnf", format!("sudo dnf install {}", self.dnf)),
            ("pacman", format!("sudo pacman -S {}", self.pacman)),
            ("brew", format!("brew install {}", self.brew)),
        ];
        let here = known
            .iter()
            .filter(|(manager, _)| find_program(manager).is_some());
        let mut commands: Vec<_> = here.map(|(_, command)| command.as_str()).collect();
        if commands.is_empty() {
            commands = known.iter().map(|(_, command)| command.as_str()).collect();
        }
        write!(f, "install {}: {}", self.what, commands.join("  or  "))
    }
}

/// Returns where `program` is in PATH.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Returns whether we can and may install Debian packages.
pub fn may_install() -> bool {
    let forbidden = env::var_os(INSTALL).is_some_and(|value| value == "never");
    find_program("apt-get").is_some() && geteuid().is_root() && !forbidden
}

/// Installs Debian packages, or fails with what the user can type.
pub fn install(wanted: &Wanted) -> Result<()> {
    ensure!(may_install(), "{wanted}");
    run(apt_get().arg("update"), Duration::from_secs(300))?;
    let mut install = apt_get();
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(wanted.apt.split(' '));
    run(&mut install, Duration::from_secs(1200))
}

/// Returns an `apt-get` that asks nothing.
pub fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Runs a long step: prints it, shows that it goes on, and on failure all that it said.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style("{spinner} {elapsed} {wide_msg}"));
    run_under(command, limit, &bar, || {})
}

/// As [`run`], with a bar that `watch` moves as time goes by.
pub fn run_under(
    command: &mut Command,
    limit: Duration,
    bar: &ProgressBar,
    watch: impl Fn(),
) -> Result<()> {
    let shown = shown(command);
    eprintln!("setup: {shown}");
    let (status, said) = process::capture(command, limit, |line| match line {
        Some(line) => bar.set_message(line.trim().to_owned()),
        None => {
            bar.tick();
            watch();
        }
    })?;
    bar.finish_and_clear();
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("`{shown}` ended with {status}:\n{said}"),
        None => bail!(
            "`{shown}` took longer than {} s and was ended:\n{said}",
            limit.as_secs()
        ),
    }
}

/// Returns a progress style; the templates are ours, so they are well-formed.
pub fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Returns a command as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        shlex::try_quote(&word)
            .map(Cow::into_owned)
            .unwrap_or_else(|_| word.into_owned())
    });
    words.collect::<Vec<_>>().join(" ")
}
