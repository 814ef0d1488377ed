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
    setup::{emulator, guests},
    workspace::Workspace,
};
use anyhow::{Context, Result, bail, ensure};
use std::{fs, path::PathBuf, time::Duration};

/// Returns a step that builds each example, and one for each run on each CPU.
pub fn steps<'a>(workspace: &'a Workspace, examples: &'a [Example]) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for example in examples {
        let name = &example.name;
        steps.push(Step::new(format!("build: {name}"), move |bar| {
            run_quietly(&mut qemu::build(workspace, name, false)?.0, bar)
        }));
        for test in &example.manifest.tests {
            for &cpu in &test.cpus {
                let name = format!("qemu: {name}, {}, {}", test.name, cpu.name());
                steps.push(Step::new(name, move |bar| {
                    bar.enable_steady_tick(Duration::from_millis(100));
                    compare(workspace, example, test, cpu)
                }));
            }
        }
    }
    steps
}

fn compare(workspace: &Workspace, example: &Example, test: &Test, cpu: CpuModel) -> Result<Done> {
    let mut script = Script::new(test);
    let outcome = run(workspace, example, test, cpu, &mut script)?;
    let last_lines = || format!("last lines:\n{}", outcome.last_lines());
    if let Ending::Stopped(_) = outcome.ending {
        outcome.verdict()?;
    }
    let missing = script.missing(&outcome.transcript);
    if let (Some(missing), Expected::Ok) = (&missing, test.ends)
        && let Err(verdict) = outcome.verdict()
    {
        bail!("{missing}; {verdict}");
    }
    if let Some(missing) = missing {
        bail!("{missing}; {}", last_lines());
    }
    let (is, should_be) = (ending(&outcome), test.ends);
    ensure!(
        is == should_be,
        "it ended with {is:?}, not with {should_be:?}; {}",
        last_lines()
    );
    Ok(Done::Passed)
}

/// Runs one test of an example, which was built before.
pub fn run(
    workspace: &Workspace,
    example: &Example,
    test: &Test,
    cpu: CpuModel,
    script: &mut Script<'_>,
) -> Result<Outcome> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let memory = Memory::default();
    let guest = match (&example.manifest.guest, &test.code) {
        (None, None) => None,
        (None, Some(_)) => bail!("`code` in a qemu.toml needs a [guest]"),
        (Some(defaults), Some(code)) => {
            let image = folder.path().join("Image");
            fs::write(&image, guest::image_of(code)).context("cannot write an Image")?;
            Some(Guest::new(&image, None, &defaults.append, memory)?)
        }
        (Some(defaults), None) => {
            let images = guests::ensure(workspace, defaults.images)?;
            let initrd = Some(images.initrd.as_path());
            Some(Guest::new(
                &images.kernel,
                initrd,
                &defaults.append,
                memory,
            )?)
        }
    };
    let (_, elf) = qemu::build(workspace, &example.name, false)?;
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
