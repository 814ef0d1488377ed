//! How many instructions an exit takes, to the guest's next one: ours and a peer's, in one boot.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use serde::Serialize;

use super::{budget::Budget, instruction::Counts, trace};
use crate::{
    example::{CpuModel, Test},
    qemu::{
        self,
        machine::{Machine, Memory},
        script::Script,
        session::{self, Console, Session},
    },
    setup::{self, compiler::Float},
    workspace::Workspace,
};

/// Options of `cargo xtask bench` itself.
#[derive(ClapArgs)]
#[group(skip)] // the command that these are part of has a group of that name
pub struct Args {
    /// Write the figures to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if one of ours is over its budget (examples/bench/budget.toml)
    #[arg(long)]
    check: bool,
}

/// Instructions of each round trip, by name.
pub type Figures = BTreeMap<String, u64>;

/// What one measurement gave.
#[derive(Serialize)]
pub struct Report {
    ours: Figures,
    /// Under a host with E2H=1, where the peer does not run.
    ours_e2h: Figures,
    arm_vcpu_0_5_22: Figures,
    hvc_kinds: Kinds,
}

#[derive(Serialize)]
struct Kinds {
    ours: Counts,
    ours_e2h: Counts,
    arm_vcpu_0_5_22: Counts,
}

/// Names that the example prints before each figure.
const HOSTS: [&str; 2] = ["ours", "arm_vcpu"];
/// A loop that does not leave the guest: shows that a nanosecond is an instruction.
const NOTHING: &str = "nothing";
/// The order of the table; what it does not name comes after.
const ORDER: [&str; 10] = [
    "hvc",
    "mmio_read",
    "mmio_write",
    "sysreg_read",
    "wfi",
    "irq",
    "switch",
    "self_ipi",
    "gicd_read",
    "timer_late",
];
/// Far more than either run takes.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::find()?;
    let budget = Budget::read(&workspace)?;
    let (mut build, elf) = qemu::build(&workspace, "bench", false, Float::Soft)?;
    ensure!(build.status()?.success(), "`bench` does not build");
    let report = Report::measure(&workspace, &elf)?;
    report.print(&budget);
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.check {
        report.check(&budget)?;
    }
    Ok(())
}

impl Report {
    /// Counts in one boot, and looks into one exit of each in another; the same of us with E2H=1.
    pub fn measure(workspace: &Workspace, elf: &Path) -> Result<Self> {
        let shown = boot(workspace, elf, "", &[])?;
        let [ours, peer] = HOSTS.map(|host| figures(&shown, host));
        let (ours, peer) = (ours?, peer?);
        let kinds = kinds(workspace, elf, "", [&ours, &peer])?;
        let [our_kinds, peer_kinds] = kinds;

        const E2H: &str = "e2h host=ours";
        let shown = boot(workspace, elf, E2H, &[])?;
        let ours_e2h = figures(&shown, "ours")?;
        let [our_e2h_kinds] = self::kinds(workspace, elf, E2H, [&ours_e2h])?;
        Ok(Self {
            ours,
            ours_e2h,
            arm_vcpu_0_5_22: peer,
            hvc_kinds: Kinds {
                ours: our_kinds,
                ours_e2h: our_e2h_kinds,
                arm_vcpu_0_5_22: peer_kinds,
            },
        })
    }

    /// Fails if one of ours is over its budget.
    pub fn check(&self, budget: &Budget) -> Result<()> {
        budget.check(&self.ours, &self.hvc_kinds.ours)?;
        budget.check_e2h(&self.ours_e2h, &self.hvc_kinds.ours_e2h)
    }

    fn print(&self, budget: &Budget) {
        println!(
            "Instructions from the guest's trapping one to its next, the host's loop included:\n"
        );
        println!(
            "{:<18}{:>8}{:>17}{:>8}{:>9}{:>13}{:>9}",
            "round trip", "ours", "arm_vcpu 0.5.22", "ratio", "budget", "ours, E2H=1", "budget"
        );
        for (name, ours) in self.ordered() {
            let peer = self.arm_vcpu_0_5_22.get(name);
            let ratio = peer.map(|&peer| ours as f64 / peer as f64);
            println!(
                "{name:<18}{ours:>8}{:>17}{:>8}{:>9}{:>13}{:>9}",
                cell(peer),
                ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
                cell(budget.instructions(name).as_ref()),
                cell(self.ours_e2h.get(name)),
                cell(budget.instructions_e2h(name).as_ref())
            );
        }
        println!("\nKinds of instruction in the host's part of one hvc:\n");
        let kinds = &self.hvc_kinds;
        print!("{:<18}", "");
        for (name, _) in kinds.ours.columns() {
            print!("{name:>8}");
        }
        for (host, counts) in [
            ("ours", kinds.ours),
            ("ours, E2H=1", kinds.ours_e2h),
            ("arm_vcpu 0.5.22", kinds.arm_vcpu_0_5_22),
        ] {
            print!("\n{host:<18}");
            for (_, count) in counts.columns() {
                print!("{count:>8}");
            }
        }
        println!();
    }

    fn ordered(&self) -> Vec<(&str, u64)> {
        let mut rows: Vec<_> = self
            .ours
            .iter()
            .map(|(name, &count)| (name.as_str(), count))
            .collect();
        rows.sort_by_key(|(name, _)| {
            ORDER
                .iter()
                .position(|of| of == name)
                .unwrap_or(ORDER.len())
        });
        rows
    }
}

fn cell(value: Option<&u64>) -> String {
    value.map_or("-".into(), u64::to_string)
}

/// Counts the kinds of instruction in one hypercall of each host, whose whole is in its figures.
fn kinds<const HOSTS: usize>(
    workspace: &Workspace,
    elf: &Path,
    append: &str,
    figures: [&Figures; HOSTS],
) -> Result<[Counts; HOSTS]> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("trace");
    let append = format!("{append} only=hvc rounds={}", trace::ROUNDS);
    boot(workspace, elf, &append, &trace::arguments(&file)?)?;
    let kinds = trace::exits(&file, elf)?;
    for (kinds, figures) in kinds.iter().zip(figures) {
        let (traced, counted) = (kinds.all + 1, figures.get("hvc")); // and the `hvc` itself
        ensure!(
            Some(&traced) == counted,
            "the trace shows {traced} instructions in one hvc, the guest counted {counted:?}"
        );
    }
    Ok(kinds)
}

/// Runs the example with a command line; returns what it printed.
fn boot(workspace: &Workspace, elf: &Path, append: &str, extra: &[String]) -> Result<String> {
    let mut arguments = vec!["-append".to_owned(), append.to_owned()];
    arguments.extend_from_slice(extra);
    let machine = Machine {
        cpu: CpuModel::Max,
        smp: 1,
        memory: Memory::default(),
        elf: elf.to_owned(),
        guest: None,
        icount: true,
        gdb_port: None,
        extra: arguments,
    };
    let session = Session {
        qemu: &setup::emulator::ensure(None)?,
        machine: &machine,
        root: &workspace.root,
        timeout: Some(LIMIT),
    };
    let test = Test::plain(LIMIT);
    let outcome = session::run(&session, Console::Scripted(&mut Script::new(&test)))?;
    outcome.verdict()?;
    Ok(outcome.transcript.console)
}

/// Reads the lines `host name 123.4 ns`; with `-icount shift=0`, a nanosecond is an instruction.
fn figures(shown: &str, host: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    for line in shown.lines() {
        if let [of, name, value, "ns"] = line.split_whitespace().collect::<Vec<_>>()[..]
            && of == host
        {
            let value: f64 = value.parse().with_context(|| format!("in `{line}`"))?;
            figures.insert(name.to_owned(), value.round() as u64);
        }
    }
    let nothing = figures.remove(NOTHING);
    ensure!(
        nothing == Some(1),
        "one instruction counts as {nothing:?}: is guest time made of instructions?\n{shown}"
    );
    Ok(figures)
}
