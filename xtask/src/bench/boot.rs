//! How long the same kernel and initrd take to a shell: as a guest, and in plain QEMU.

use std::{
    ffi::OsString,
    fmt::{self, Display},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;

use crate::{
    example::{self, CpuModel},
    process::{Group, Guarded},
    qemu::{
        self,
        guest::Guest,
        machine::{Machine, Memory, Uart},
    },
    setup::{self, compiler::Float},
    workspace::Workspace,
};

/// Options of `cargo xtask bench boot`.
#[derive(ClapArgs)]
pub struct Args {
    /// CPU models, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "max")]
    cpu: Vec<CpuModel>,
    /// The example that boots it: `linux`, which has the machine, or `smp`, all of whose devices are
    /// virtual, with one vCPU
    #[arg(long, value_name = "EXAMPLE", default_value = "linux", value_parser = ["linux", "smp"])]
    by: String,
    /// Timed runs of each kind; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// What the shell prints when it waits for a command.
const PROMPT: &str = "~ # ";
/// What the kernel prints when it starts the first process, after its clock in brackets.
const FIRST_PROCESS: &str = "] Run /bin/sh as init process";
/// Far more than any boot takes.
const LIMIT: Duration = Duration::from_secs(300);

/// Who boots the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Ours,
    Plain,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs 0 measures nothing: give 1 or more");
    let workspace = Workspace::find()?;
    let name = args.by.as_str();
    let example = example::find(&workspace, name)?;
    let defaults = example.manifest.guest;
    let defaults = defaults.with_context(|| format!("`{name}` names no guest in its qemu.toml"))?;
    let images = defaults.images;
    let images = images.with_context(|| format!("`{name}` names no images"))?;
    let extra = match defaults.virtual_machines {
        true => ["-append", "vcpus=1"].map(str::to_owned).to_vec(),
        false => Vec::new(),
    };
    let images = setup::guests::ensure(&workspace, images)?;
    let emulator = setup::emulator::ensure(None)?;
    let (mut build, elf) = qemu::build(&workspace, name, false, Float::Soft)?;
    ensure!(build.status()?.success(), "`{name}` does not build");

    println!(
        "{:<12} {:>20} {:>24} {:>32}",
        "", "seconds to shell", "guest's to init", "instructions to init"
    );
    println!(
        "{:<12} {:>6} {:>6} {:>6} {:>8} {:>8} {:>6} {:>12} {:>12} {:>6}",
        "cpu", "vcpu", "plain", "", "vcpu", "plain", "", "vcpu", "plain", ""
    );
    for &cpu in &args.cpu {
        let boot = |host, icount| {
            let memory = Memory::default();
            let guest = Guest::new(&images.program, images.initrd(), &defaults.append, memory)?;
            let machine = Machine {
                cpu,
                smp: 1,
                memory,
                elf: elf.clone(),
                guest: Some(guest),
                icount,
                gdb_port: None,
                extra: extra.clone(),
            };
            start(&emulator, host, &machine)
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..args.runs {
            ours.push(boot(Host::Ours, false)?);
            theirs.push(boot(Host::Plain, false)?);
        }
        let medians =
            |figure: fn(&Boot) -> f64| Pair(median(&ours, figure), median(&theirs, figure));
        let shell = medians(|boot| boot.shell.as_secs_f64());
        let init = medians(|boot| boot.init);
        let counts = Pair(
            boot(Host::Ours, true)?.init * 1e9,
            boot(Host::Plain, true)?.init * 1e9,
        );
        let name = cpu.name();
        println!("{name:<12} {shell:6.2} {init:8.2} {counts:12.0}");
    }
    Ok(())
}

/// What one boot took.
struct Boot {
    /// From QEMU's start to the prompt.
    shell: Duration,
    /// To the first process by the guest's clock, in seconds: without what the host does before the
    /// guest's first instruction. With `-icount shift=0` an instruction is 1 ns.
    init: f64,
}

/// A figure of ours, the peer's, and how many times the peer's ours is.
struct Pair(f64, f64);

impl Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, digits) = (f.width().unwrap_or(0), f.precision().unwrap_or(0));
        let Self(ours, plain) = self;
        write!(
            f,
            "{ours:width$.digits$} {plain:width$.digits$} {:5.2}x",
            ours / plain
        )
    }
}

fn median(boots: &[Boot], figure: fn(&Boot) -> f64) -> f64 {
    let mut values: Vec<_> = boots.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Boots to the prompt, then ends QEMU.
fn start(qemu: &Path, host: Host, machine: &Machine) -> Result<Boot> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let log = folder.path().join("log");
    let arguments = match host {
        Host::Ours => machine.arguments(Uart::Pipes, &log),
        Host::Plain => plain(machine),
    };
    let begin = Instant::now();
    let mut command = Command::new(qemu);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut process = Guarded::spawn(&mut command, Group::Own)?;
    let mut pipe = process
        .child()
        .stdout
        .take()
        .context("QEMU has no output")?;
    let (mut shown, mut buffer) = (String::new(), [0; 4096]);
    while !shown.contains(PROMPT) {
        let count = pipe.read(&mut buffer)?;
        let alive = count > 0 && begin.elapsed() < LIMIT;
        ensure!(alive, "no shell came; the last that did:\n{}", last(&shown));
        shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    let shell = begin.elapsed();
    process.end();
    let line = shown.lines().find(|line| line.contains(FIRST_PROCESS));
    let clock = line.and_then(|line| {
        line.split_once(']')?
            .0
            .trim_start_matches('[')
            .trim()
            .parse()
            .ok()
    });
    Ok(Boot {
        shell,
        init: clock.context("the kernel did not say when it started init")?,
    })
}

/// The same machine without EL2, its kernel started by QEMU.
fn plain(machine: &Machine) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let cpu = machine.cpu.argument();
    let memory = format!("{}M", machine.memory.mib());
    for argument in ["-machine", "virt,gic-version=3", "-cpu", cpu, "-m", &memory] {
        arguments.push(argument.into());
    }
    for argument in [
        "-display", "none", "-nic", "none", "-serial", "stdio", "-monitor", "none",
    ] {
        arguments.push(argument.into());
    }
    if let Some(guest) = &machine.guest {
        arguments.extend(["-kernel".into(), guest.kernel.clone().into_os_string()]);
        arguments.extend(["-append".into(), guest.append.clone().into()]);
        if let Some(initrd) = guest.others.first() {
            arguments.extend(["-initrd".into(), initrd.path.clone().into_os_string()]);
        }
    }
    if machine.icount {
        arguments.extend(["-icount".into(), "shift=0,sleep=off".into()]);
    }
    arguments
}

fn last(text: &str) -> String {
    let lines: Vec<_> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
