//! The QEMU steps: every run that an example's `qemu.toml` describes.

use super::{Done, Step, run_quietly};
use crate::{
    example::{CpuModel, Ending as Expected, Example, Test},
    qemu::{
        self,
        guest::{self, Guest},
        machine::{Machine, Memory},
        script::Script,
        session::{self, Console, Ending, Outcome, Session},
    },
    setup::{compiler::Float, emulator, guests},
    workspace::Workspace,
};
use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use std::{cell::Cell, fs, path::PathBuf, rc::Rc, time::Duration};

/// Returns a step that builds each example, and one for each run on each CPU; the long ones if asked.
pub fn steps<'a>(
    workspace: &'a Workspace,
    examples: &'a [Example],
    with_long: bool,
) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for example in examples {
        let name = &example.name;
        let tests = &example.manifest.tests;
        let builds = [Float::Soft, Float::Hard].map(|float| {
            Rc::new(Build {
                workspace,
                example,
                float,
                failed: Cell::new(false),
            })
        });
        for build in &builds {
            let build = Rc::clone(build);
            let name = match build.float {
                Float::Soft => format!("build: {name}"),
                Float::Hard if tests.iter().any(|test| test.hard_float) => {
                    format!("build: {name}, hard-float")
                }
                Float::Hard => continue,
            };
            steps.push(Step::new(name, move |bar| {
                build.ensure(bar).map(|_| Done::Passed)
            }));
        }
        for test in tests.iter().filter(|test| with_long || !test.long) {
            for &cpu in &test.cpus {
                let name = format!("qemu: {name}, {}, {}", test.name, cpu.name());
                let build = Rc::clone(&builds[usize::from(test.hard_float)]);
                steps.push(Step::new(name, move |bar| {
                    let elf = build.ensure(bar)?;
                    bar.enable_steady_tick(Duration::from_millis(100));
                    compare(workspace, example, test, cpu, elf)
                }));
            }
        }
    }
    steps
}

/// A build of one example, of which several steps need the result.
struct Build<'a> {
    workspace: &'a Workspace,
    example: &'a Example,
    float: Float,
    failed: Cell<bool>,
}

impl Build<'_> {
    /// Returns the ELF file, built if it is not fresh. Tries only once.
    fn ensure(&self, bar: &ProgressBar) -> Result<PathBuf> {
        ensure!(!self.failed.get(), "`{}` does not build", self.example.name);
        let built = build(self.workspace, self.example, self.float, bar);
        self.failed.set(built.is_err());
        built
    }
}

/// Builds an example and returns its ELF file.
pub fn build(
    workspace: &Workspace,
    example: &Example,
    float: Float,
    bar: &ProgressBar,
) -> Result<PathBuf> {
    let (mut command, elf) = qemu::build(workspace, &example.name, false, float)?;
    run_quietly(&mut command, bar)?;
    Ok(elf)
}

fn compare(
    workspace: &Workspace,
    example: &Example,
    test: &Test,
    cpu: CpuModel,
    elf: PathBuf,
) -> Result<Done> {
    let mut script = Script::new(test);
    let outcome = run(workspace, example, test, cpu, elf, &mut script)?;
    if let Ending::Stopped(_) = outcome.ending {
        outcome.verdict()?;
    }
    let (missing, is) = (script.missing(&outcome.transcript), ending(&outcome));
    if missing.is_none() && is == test.ends {
        return Ok(Done::Passed);
    }
    let missing = missing.unwrap_or_else(|| "all was shown that should be".into());
    let ended = match outcome.verdict() {
        Ok(()) => "QEMU ended with status 0 and no error was logged".into(),
        Err(error) => format!("{error:#}")
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    bail!(
        "{missing}; expected ending: {}; {ended}\n{}",
        test.ends.name(),
        outcome.last_lines()
    )
}

/// Runs one test of an example.
pub fn run(
    workspace: &Workspace,
    example: &Example,
    test: &Test,
    cpu: CpuModel,
    elf: PathBuf,
    script: &mut Script<'_>,
) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let memory = Memory::default();
    let code = test.code.as_ref().map(|code| guest::image_of(code));
    let given = code.as_ref().or(test.program.as_ref());
    let guest = match (&example.manifest.guest, given) {
        (None, None) => None,
        (None, Some(_)) => bail!("`code` and `program` in a qemu.toml need a [guest]"),
        (Some(defaults), Some(bytes)) => {
            let program = folder.path().join("program");
            fs::write(&program, bytes).context("cannot write a program")?;
            let none: [PathBuf; 0] = [];
            let judge = defaults.judge();
            Some(Guest::placed(
                judge,
                &program,
                &none,
                &defaults.append,
                memory,
            )?)
        }
        (Some(defaults), None) => match defaults.images {
            None => None,
            Some(images) => {
                let files = guests::ensure(workspace, images)?;
                Some(Guest::placed(
                    defaults.judge(),
                    &files.program,
                    &files.others,
                    &defaults.append,
                    memory,
                )?)
            }
        },
    };
    let machine = Machine {
        cpu,
        smp: test.smp,
        memory,
        elf,
        guest,
        icount: false,
        gdb_port: None,
        extra: example
            .manifest
            .args
            .iter()
            .chain(&test.args)
            .cloned()
            .collect(),
    };
    let qemu: PathBuf = emulator::ensure(None)?;
    let session = Session {
        qemu: &qemu,
        machine: &machine,
        root: &workspace.root,
        timeout: Some(Duration::from_secs(test.timeout_s)),
    };
    session::run(&session, Console::Scripted(script))
}

fn ending(outcome: &Outcome) -> Expected {
    match (&outcome.ending, outcome.verdict()) {
        (Ending::TimedOut(_), _) => Expected::Timeout,
        (_, Ok(())) => Expected::Ok,
        (_, Err(_)) => Expected::Error,
    }
}
