//! `cargo xtask qemu`: builds an example and runs it in QEMU.

pub mod guest;
pub mod log;
pub mod machine;
pub mod script;
pub mod session;
pub mod transcript;

use crate::{
    example::{self, CpuModel, Example},
    setup::{
        self,
        compiler::{self, Float},
    },
    workspace::Workspace,
};
use anyhow::{Context, Result, bail, ensure};
use clap::Args as ClapArgs;
use guest::Guest;
use machine::{Machine, Memory};
use session::{Console, Session};
use std::{io::IsTerminal, net::TcpListener, path::PathBuf, process::Command, time::Duration};

/// Where a debugger finds QEMU, unless another program is there.
const GDB_PORT: u16 = 1234;

/// Options of `cargo xtask qemu`.
#[derive(ClapArgs)]
pub struct Args {
    /// The example to run; `--list` shows them
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the examples
    #[arg(long, exclusive = true)]
    list: bool,
    /// CPU model
    #[arg(long, value_enum, default_value = "max")]
    cpu: CpuModel,
    /// Number of CPUs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    smp: u32,
    /// RAM of the machine, with a suffix M or G; the hypervisor takes the first 64 MiB
    #[arg(long, default_value = "1G")]
    mem: Memory,
    /// Guest kernel instead of the default one: an arm64 Image; for a virtual machine, any program
    #[arg(long, value_name = "PATH")]
    kernel: Option<PathBuf>,
    /// Guest initrd instead of the default one
    #[arg(long, value_name = "PATH")]
    initrd: Option<PathBuf>,
    /// Guest command line instead of the default one
    #[arg(long, value_name = "STR")]
    append: Option<String>,
    /// Number of vCPUs of each virtual machine
    #[arg(long, value_name = "N")]
    vcpus: Option<u32>,
    /// RAM of each virtual machine, in MiB
    #[arg(long, value_name = "MIB")]
    ram: Option<u64>,
    /// Say at the end what exits, injections and switches there were
    #[arg(long)]
    stats: bool,
    /// Build without optimisation
    #[arg(long)]
    debug: bool,
    /// Build the hypervisor with FP registers of its own
    #[arg(long)]
    hard_float: bool,
    /// Wait for a debugger before the first instruction
    #[arg(long)]
    gdb: bool,
    /// Make guest time count instructions, so that two runs are alike
    #[arg(long)]
    icount: bool,
    /// QEMU to use instead of the one in PATH
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// End QEMU and fail after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// More QEMU arguments; they come last, so they win
    #[arg(last = true)]
    extra: Vec<String>,
}

impl Args {
    /// Returns the example to run and the CPU to run it on, unless that is not what is asked.
    pub fn example(&self) -> Option<(&str, CpuModel)> {
        self.name.as_deref().map(|name| (name, self.cpu))
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::find()?;
    let Some(name) = &args.name else {
        for example in example::all(&workspace)? {
            println!("{:<12} {}", example.name, example.manifest.about);
        }
        return Ok(());
    };
    let example = example::find(&workspace, name)?;
    let guest = guest(args, &example, &workspace)?;
    let qemu = setup::emulator::ensure(args.qemu.as_deref())?;
    let float = match args.hard_float {
        true => Float::Hard,
        false => Float::Soft,
    };
    let (mut build, elf) = build(&workspace, name, args.debug, float)?;
    let status = build.status().context("cargo cannot be started")?;
    ensure!(status.success(), "`{name}` does not build");

    let gdb_port = args.gdb.then(free_port).transpose()?;
    if let Some(port) = gdb_port {
        let elf = elf.display();
        eprintln!(
            "QEMU waits; in another terminal: gdb-multiarch {elf} -ex 'target remote :{port}'"
        );
    }
    let machine = Machine {
        cpu: args.cpu,
        smp: args.smp,
        memory: args.mem,
        elf: elf.clone(),
        guest,
        icount: args.icount,
        gdb_port,
        extra: example
            .manifest
            .args
            .iter()
            .chain(&settings(args, &example)?)
            .chain(&args.extra)
            .cloned()
            .collect(),
    };
    let timeout = args.timeout.map(Duration::from_secs);
    let at_terminal = timeout.is_none() && std::io::stdin().is_terminal();
    let console = if at_terminal {
        Console::Terminal
    } else {
        Console::Copied
    };
    let outcome = session::run(
        &Session {
            qemu: &qemu,
            machine: &machine,
            root: &workspace.root,
            timeout,
        },
        console,
    )?;
    outcome.verdict()
}

/// Returns the guest to run, checked, or `None` for an example that brings its own.
fn guest(args: &Args, example: &Example, workspace: &Workspace) -> Result<Option<Guest>> {
    let Some(defaults) = &example.manifest.guest else {
        let named = args.kernel.is_some() || args.initrd.is_some() || args.append.is_some();
        ensure!(
            !named,
            "`{}` brings its own guest, so --kernel, --initrd and --append mean nothing to it",
            example.name
        );
        return Ok(None);
    };
    let append = args.append.as_ref().unwrap_or(&defaults.append);
    let (kernel, others) = match (&args.kernel, &args.initrd, defaults.images) {
        (Some(kernel), Some(initrd), _) => (kernel.clone(), vec![initrd.clone()]),
        (Some(kernel), None, None) => (kernel.clone(), Vec::new()),
        (None, None, None) => return Ok(None),
        (None, Some(_), None) => bail!("--initrd is for the program that --kernel names"),
        (kernel, initrd, Some(images)) => {
            let images = setup::guests::ensure(workspace, images)?;
            let others = initrd.as_ref().map(|initrd| vec![initrd.clone()]);
            (
                kernel.clone().unwrap_or(images.program),
                others.unwrap_or(images.others),
            )
        }
    };
    Guest::placed(defaults.judge(), &kernel, &others, append, args.mem).map(Some)
}

/// Returns QEMU arguments that tell the hypervisor how to make its virtual machines.
fn settings(args: &Args, example: &Example) -> Result<Vec<String>> {
    let vcpus = args.vcpus.map(|vcpus| format!("vcpus={vcpus}"));
    let ram = args.ram.map(|ram| format!("ram={ram}"));
    let stats = args.stats.then(|| "stats".to_owned());
    let words: Vec<_> = [vcpus, ram, stats].into_iter().flatten().collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let guest = example.manifest.guest.as_ref();
    let name = &example.name;
    ensure!(
        guest.is_some(),
        "`{name}` brings its own guest, so --vcpus, --ram and --stats mean nothing to it"
    );
    ensure!(
        guest.is_some_and(|guest| guest.virtual_machines)
            || args.vcpus.is_none() && args.ram.is_none(),
        "`{name}` makes no virtual machines, so --vcpus and --ram mean nothing to it"
    );
    Ok(vec!["-append".into(), words.join(" ")])
}

/// Returns the command that builds an example, and the ELF file that it makes.
pub fn build(
    workspace: &Workspace,
    example: &str,
    debug: bool,
    float: Float,
) -> Result<(Command, PathBuf)> {
    let mut command = compiler::ensure_for(float)?.cargo("build");
    command.args(["--package", example]);
    if !debug {
        command.arg("--release");
    }
    let profile = if debug { "debug" } else { "release" };
    let folder = workspace.target_dir.join(float.target()).join(profile);
    Ok((command, folder.join(example)))
}

/// Returns a port for the debugger.
fn free_port() -> Result<u16> {
    let usual = TcpListener::bind(("127.0.0.1", GDB_PORT));
    let listener = usual.or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.context("no port is free for the debugger")?.port())
}
