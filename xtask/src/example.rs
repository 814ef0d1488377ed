//! What `examples/NAME/qemu.toml` says: the example's machine, and the transcripts it must give.

use crate::{qemu::guest::Judge, workspace::Workspace};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// A package under `examples` that runs in QEMU: it has a `qemu.toml`.
#[derive(Debug)]
pub struct Example {
    /// Name of the package, of its folder and of its binary.
    pub name: String,
    /// Its `qemu.toml`.
    pub manifest: Manifest,
}

/// An example's `qemu.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One line for `qemu --list`.
    pub about: String,
    /// Set when the example runs a guest that is not part of it.
    pub guest: Option<GuestDefaults>,
    /// QEMU arguments it always needs.
    #[serde(default)]
    pub args: Vec<String>,
    /// The runs that `cargo xtask test` makes.
    #[serde(default, rename = "test")]
    pub tests: Vec<Test>,
}

/// What runs when the user names nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestDefaults {
    /// Which images `cargo xtask setup` gets; none where the example brings a program of its own.
    pub images: Option<Images>,
    /// The example makes virtual machines of what it is given: any program that it can load, and
    /// `--vcpus`, `--ram` and `--stats` mean something.
    #[serde(default)]
    pub virtual_machines: bool,
    /// The guest's command line.
    #[serde(default)]
    pub append: String,
}

/// Guest images that we know where to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Images {
    /// Kernel and installer initrd of Debian 12, as shipped.
    Debian,
    /// Debian's U-Boot, with the same kernel and initrd for it to boot.
    UBoot,
}

/// A CPU model that everything here is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuModel {
    /// All that QEMU implements.
    Max,
    /// Armv8.0, 40-bit addresses.
    CortexA53,
    /// Armv8.0, 44-bit addresses.
    CortexA72,
    /// Armv8.2, with VHE.
    NeoverseN1,
}

/// One run with its expected transcript, on each of several CPUs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Name of the run.
    pub name: String,
    /// CPU models to run on.
    #[serde(default = "every_cpu")]
    pub cpus: Vec<CpuModel>,
    /// Number of CPUs of the machine.
    #[serde(default = "one")]
    pub smp: u32,
    /// Limit for one run.
    pub timeout_s: u64,
    /// More QEMU arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// The hypervisor has FP registers of its own.
    #[serde(default)]
    pub hard_float: bool,
    /// A guest made of these A64 instructions (after an Image header) in place of the default one.
    pub code: Option<Vec<u32>>,
    /// Takes minutes: run by `cargo xtask test --long` only.
    #[serde(default)]
    pub long: bool,
    /// The bytes of a program in place of the default one.
    pub program: Option<Vec<u8>>,
    /// How the run ends.
    #[serde(default)]
    pub ends: Ending,
    /// What the console shows and what is typed there, in this order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Parts of decoded log lines, in this order.
    #[serde(default)]
    pub log: Vec<String>,
    /// What neither console nor log may show.
    #[serde(default)]
    pub never: Vec<String>,
}

/// How `cargo xtask qemu` would end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// QEMU's status is 0 and nothing was logged as an error.
    #[default]
    Ok,
    /// QEMU's status is another, or an error was logged.
    Error,
    /// Not by itself.
    Timeout,
}

/// A step of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "StepFields")]
pub enum Step {
    /// The console shows this, after all that was matched before.
    Expect(String),
    /// The console shows this with a number after it, which is no less than that.
    AtLeast(String, u64),
    /// This line is typed.
    Send(String),
}

/// A step as a `qemu.toml` spells it: `{ send = "" }`, `{ expect = "" }`, or
/// `{ expect = "", at_least = 1 }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFields {
    expect: Option<String>,
    at_least: Option<u64>,
    send: Option<String>,
}

impl TryFrom<StepFields> for Step {
    type Error = &'static str;

    fn try_from(fields: StepFields) -> Result<Self, Self::Error> {
        match (fields.expect, fields.at_least, fields.send) {
            (Some(text), None, None) => Ok(Self::Expect(text)),
            (Some(text), Some(least), None) => Ok(Self::AtLeast(text, least)),
            (None, None, Some(line)) => Ok(Self::Send(line)),
            _ => Err("a step is `expect`, `expect` with `at_least`, or `send`"),
        }
    }
}

impl CpuModel {
    /// Returns what `-cpu` takes.
    pub fn argument(self) -> &'static str {
        match self {
            // The architected PAuth algorithm takes QEMU four times longer, to the same effect.
            Self::Max => "max,pauth-impdef=on",
            other => other.name(),
        }
    }

    /// Returns the name as QEMU and the user spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::CortexA53 => "cortex-a53",
            Self::CortexA72 => "cortex-a72",
            Self::NeoverseN1 => "neoverse-n1",
        }
    }
}

impl Ending {
    /// Returns the name as a `qemu.toml` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

impl Test {
    /// Returns a run that ends well, whatever it shows.
    pub fn plain(timeout: Duration) -> Self {
        Self {
            name: String::new(),
            cpus: every_cpu(),
            smp: one(),
            timeout_s: timeout.as_secs(),
            args: Vec::new(),
            hard_float: false,
            code: None,
            long: false,
            program: None,
            ends: Ending::Ok,
            steps: Vec::new(),
            log: Vec::new(),
            never: Vec::new(),
        }
    }
}

impl GuestDefaults {
    /// Returns who says whether a file can be the guest's program.
    pub fn judge(&self) -> Judge {
        match self.virtual_machines {
            true => Judge::Hypervisor,
            false => Judge::Us,
        }
    }
}

fn every_cpu() -> Vec<CpuModel> {
    CpuModel::value_variants().to_vec()
}

fn one() -> u32 {
    1
}

/// Returns every example, by name.
pub fn all(workspace: &Workspace) -> Result<Vec<Example>> {
    let folder = workspace.root.join("examples");
    let mut examples = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let manifest = entry?.path().join("qemu.toml");
        if manifest.is_file() {
            examples.push(Example::read(&manifest)?);
        }
    }
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(examples)
}

/// Returns the example of that name, or an error that lists those there are.
pub fn find(workspace: &Workspace, name: &str) -> Result<Example> {
    let mut examples = all(workspace)?;
    if let Some(index) = examples.iter().position(|example| example.name == name) {
        return Ok(examples.swap_remove(index));
    }
    let names: Vec<_> = examples
        .iter()
        .map(|example| example.name.as_str())
        .collect();
    bail!(
        "no example is named `{name}`; there are: {}",
        names.join(", ")
    )
}

impl Example {
    fn read(manifest: &Path) -> Result<Self> {
        let folder: PathBuf = manifest.parent().into_iter().collect();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        let manifest =
            toml::from_str(&text).with_context(|| format!("in {}", manifest.display()))?;
        Ok(Self { name, manifest })
    }
}
