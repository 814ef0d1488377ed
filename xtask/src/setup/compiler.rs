//! The compiler for the target, by the first way that works here.

use super::host::{self, Wanted};
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

/// What the hypervisors run on: no operating system, and no FP registers for the compiler to
/// use, as those are the guest's.
pub const TARGET: &str = Float::Soft.target();

/// Whether the compiler may use FP registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Float {
    /// They are the guest's.
    #[default]
    Soft,
    /// The host has values of its own in them.
    Hard,
}

impl Float {
    /// Returns the compiler's target.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Soft => "aarch64-unknown-none-softfloat",
            Self::Hard => "aarch64-unknown-none",
        }
    }
}

/// Set to the name of a [`Source`], it allows no other.
const FORCED: &str = "VCPU_TARGET_SOURCE";

/// rustup waits this long for a silent server, and we for rustup.
const RUSTUP_PATIENCE_S: &str = "5";
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

const DEBIAN: Wanted = Wanted {
    what: "a compiler with the sources of its standard library",
    apt: "rustc-web cargo-web rust-web-src lld",
    dnf: "rust cargo rust-src lld",
    pacman: "rust rust-src lld",
    brew: "rustup",
};

/// A cargo that builds for a target.
#[derive(Clone)]
pub struct Compiler {
    target: &'static str,
    /// Where the target's `core` comes from.
    pub source: Source,
    cargo: OsString,
    variables: Vec<(&'static str, OsString)>,
}

/// Where the target's `core` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The toolchain has it.
    Installed,
    /// rustup added it now.
    Rustup,
    /// It is built from the toolchain's own sources.
    BuildStd,
    /// It is built from Debian's sources, with Debian's compiler.
    Debian,
}

impl Source {
    const ORDER: [Self; 4] = [Self::Installed, Self::Rustup, Self::BuildStd, Self::Debian];

    fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Rustup => "rustup",
            Self::BuildStd => "build-std",
            Self::Debian => "debian",
        }
    }

    fn builds_std(self) -> bool {
        matches!(self, Self::BuildStd | Self::Debian)
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::Installed => "the toolchain's own",
            Source::Rustup => "added by rustup",
            Source::BuildStd => "built from the toolchain's rust-src",
            Source::Debian => "built with Debian's compiler from its rust-web-src",
        })
    }
}

impl Compiler {
    /// Returns `cargo SUBCOMMAND --target`, for arguments to be added.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // All levels are compiled in, up to debug; the default would be errors alone.
        if env::var_os("DEFMT_LOG").is_none() {
            command.env("DEFMT_LOG", "debug");
        }
        command.args([subcommand, "--target", self.target]);
        if self.source.builds_std() {
            command.arg("-Zbuild-std=core,alloc");
        }
        command
    }

    fn of_toolchain(source: Source, target: &'static str) -> Self {
        let variables = match source.builds_std() {
            true => vec![("RUSTC_BOOTSTRAP", "1".into())],
            false => Vec::new(),
        };
        Self {
            target,
            source,
            cargo: workspace::cargo(),
            variables,
        }
    }
}

/// Returns the compiler, set up first if need be. Says once which it is.
pub fn ensure() -> Result<Compiler> {
    ensure_for(Float::Soft)
}

/// Returns the compiler that may or may not use FP registers.
pub fn ensure_for(float: Float) -> Result<Compiler> {
    static CHOSEN: [OnceLock<Compiler>; 2] = [const { OnceLock::new() }; 2];
    let place = &CHOSEN[float as usize];
    if let Some(chosen) = place.get() {
        return Ok(chosen.clone());
    }
    let chosen = choose(float.target())?;
    eprintln!("setup: target {}: {chosen}", chosen.target);
    Ok(place.get_or_init(|| chosen).clone())
}

fn choose(target: &'static str) -> Result<Compiler> {
    let forced = env::var(FORCED).ok();
    if let Some(name) = &forced
        && !Source::ORDER.iter().any(|source| source.name() == name)
    {
        let names = Source::ORDER.map(Source::name).join(", ");
        bail!("{FORCED} is `{name}`; it can be {names}");
    }
    let mut refusals = String::new();
    for source in Source::ORDER {
        if forced.as_ref().is_some_and(|name| name != source.name()) {
            continue;
        }
        match attempt(source, target) {
            Ok(compiler) => return Ok(compiler),
            Err(error) => {
                let error = format!("not {}: {error:#}", source.name());
                eprintln!("setup: {}", error.lines().next().unwrap_or_default());
                refusals.push_str(&format!("\n{}", error.trim_end()));
            }
        }
    }
    bail!(
        "nothing here compiles for {target}; with rustup, type `rustup target add {target}`. \
         Tried:{refusals}"
    )
}

fn attempt(source: Source, target: &'static str) -> Result<Compiler> {
    match source {
        Source::Installed => has_target(target)?,
        Source::Rustup => {
            host::run(rustup()?.args(["target", "add", target]), RUSTUP_LIMIT)?;
            has_target(target)?;
        }
        Source::BuildStd => {
            let sources = sysroot()?.join("lib/rustlib/src/rust");
            has_std_sources(&sources).context("`rustup component add rust-src` would add them")?;
        }
        Source::Debian => return debian(target),
    }
    Ok(Compiler::of_toolchain(source, target))
}

/// Returns an error unless the active toolchain has a `core` for the target.
fn has_target(target: &str) -> Result<()> {
    has_core(&rustc(&["--print", "target-libdir", "--target", target])?)
}

fn has_core(folder: &str) -> Result<()> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    ensure!(
        names.any(|name| name.starts_with("libcore-")),
        "there is no libcore in {folder}"
    );
    Ok(())
}

/// Returns rustup, told to give up on a silent server.
pub fn rustup() -> Result<Command> {
    let rustup = host::find_program("rustup").context("there is no rustup in PATH")?;
    let mut command = Command::new(rustup);
    command.env("RUSTUP_DOWNLOAD_TIMEOUT", RUSTUP_PATIENCE_S);
    command.env("RUSTUP_MAX_RETRIES", "0");
    command.env("RUSTUP_AUTO_INSTALL", "0");
    Ok(command)
}

/// Makes sure that the active toolchain has clippy and rustfmt.
pub fn ensure_lints() -> Result<()> {
    let has = |tool| query(Command::new(workspace::cargo()).args([tool, "--version"])).is_ok();
    if has("clippy") && has("fmt") {
        return Ok(());
    }
    let mut add = rustup().context("clippy or rustfmt is missing; install them")?;
    host::run(
        add.args(["component", "add", "clippy", "rustfmt"]),
        RUSTUP_LIMIT,
    )
}

/// Makes sure that rustup has the toolchain of that version.
pub fn ensure_toolchain(version: &str) -> Result<()> {
    if run_rustc(version, &["--version"]).is_ok() {
        return Ok(());
    }
    let mut install = rustup()?;
    install.args([
        "toolchain",
        "install",
        version,
        "--profile",
        "minimal",
        "--no-self-update",
    ]);
    host::run(&mut install, RUSTUP_LIMIT)
}

/// Makes sure that rustup's toolchain of that version has the target.
pub fn ensure_target_of(version: &str) -> Result<()> {
    let arguments = ["--print", "target-libdir", "--target", TARGET];
    if run_rustc(version, &arguments)
        .and_then(|folder| has_core(&folder))
        .is_ok()
    {
        return Ok(());
    }
    host::run(
        rustup()?.args(["target", "add", TARGET, "--toolchain", version]),
        RUSTUP_LIMIT,
    )
}

fn run_rustc(version: &str, arguments: &[&str]) -> Result<String> {
    query(rustup()?.args(["run", version, "rustc"]).args(arguments))
}

/// Returns Debian's compiler, installed first if it is missing.
fn debian(target: &'static str) -> Result<Compiler> {
    let [cargo, rustc, rustdoc] =
        ["cargo", "rustc", "rustdoc"].map(|name| format!("/usr/bin/{name}"));
    let sources = || -> Result<()> {
        let sysroot = query(Command::new(&rustc).args(["--print", "sysroot"]))?;
        has_std_sources(&Path::new(&sysroot).join("lib/rustlib/src/rust"))
    };
    if sources().is_err() || linker().is_none() {
        host::install(&DEBIAN)?;
        sources()?;
    }
    let linker = linker().context("there is neither rust-lld nor ld.lld")?;
    let linker_variable = match target {
        TARGET => "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER",
        _ => "CARGO_TARGET_AARCH64_UNKNOWN_NONE_LINKER",
    };
    let variables = vec![
        ("RUSTC_BOOTSTRAP", "1".into()),
        ("RUSTC", rustc.into()),
        ("RUSTDOC", rustdoc.into()),
        (linker_variable, linker.into()),
    ];
    Ok(Compiler {
        target,
        source: Source::Debian,
        cargo: cargo.into(),
        variables,
    })
}

/// Returns a linker for ELF files of any architecture: the toolchain's, else LLVM's.
fn linker() -> Option<PathBuf> {
    let host = rustc(&["--print", "host-tuple"]).ok()?;
    let own = sysroot()
        .ok()?
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    own.is_file()
        .then_some(own)
        .or_else(|| host::find_program("ld.lld"))
}

fn sysroot() -> Result<PathBuf> {
    Ok(rustc(&["--print", "sysroot"])?.into())
}

fn has_std_sources(folder: &Path) -> Result<()> {
    let manifest = folder.join("library/core/Cargo.toml");
    match manifest.is_file() {
        true => Ok(()),
        false => bail!(
            "the standard library's sources are not in {}",
            folder.display()
        ),
    }
}

/// Asks the active toolchain's compiler.
fn rustc(arguments: &[&str]) -> Result<String> {
    query(
        Command::new("rustc")
            .args(arguments)
            .env("RUSTUP_AUTO_INSTALL", "0"),
    )
}

/// Returns the one line that a command answers.
fn query(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let shown = host::shown(command);
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{shown}` failed: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
