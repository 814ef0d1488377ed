//! The steps that cargo does: format, lints, host tests, documentation, oldest compiler.

use super::{Done, Step, run_quietly};
use crate::{
    example::Images,
    setup::{
        compiler::{self, Float, Source, TARGET},
        emulator, guests,
    },
    workspace::{self, Kind, Workspace},
};
use anyhow::Result;
use indicatif::ProgressBar;
use std::process::Command;

/// Returns the steps.
pub fn steps(workspace: &Workspace) -> Vec<Step<'_>> {
    let mut steps = Vec::from(setup(workspace));
    steps.extend(lints(workspace));
    steps.extend(host_tests(workspace));
    steps.extend(documentation(workspace));
    steps.extend(alone(workspace));
    steps.extend(oldest_compiler(workspace));
    steps
}

fn setup(workspace: &Workspace) -> [Step<'_>; 4] {
    [
        Step::new("setup: clippy and rustfmt", |_| {
            compiler::ensure_lints().map(|()| Done::Passed)
        }),
        Step::new("setup: compiler target", |_| {
            compiler::ensure().map(|_| Done::Passed)
        }),
        Step::new("setup: QEMU", |_| {
            emulator::ensure(None).map(|_| Done::Passed)
        }),
        Step::new("setup: guest images", |_| {
            guests::ensure(workspace, Images::UBoot).map(|_| Done::Passed)
        }),
    ]
}

fn lints(workspace: &Workspace) -> Vec<Step<'_>> {
    let hosted = workspace.select(&[Kind::Library, Kind::Xtask]);
    let libraries = workspace.select(&[Kind::Library]);
    let all_for_target = workspace.select(&[Kind::Library, Kind::BareMetal]);
    let with_fp_registers = libraries.clone();
    let with_defmt = workspace
        .of_kind(Kind::Library)
        .filter(|package| package.has_defmt);
    let features: Vec<_> = with_defmt
        .map(|package| format!("{}/defmt", package.name))
        .collect();
    vec![
        on_host("format", &["fmt", "--all", "--check"]),
        Step::new("clippy: host", move |bar| {
            let mut clippy = cargo(&["clippy", "--all-targets"]);
            run_quietly(clippy.args(&hosted).args(DENY_WARNINGS), bar)
        }),
        Step::new("clippy: host, with defmt", move |bar| {
            let mut clippy = cargo(&["clippy", "--all-targets", "--features", &features.join(",")]);
            run_quietly(clippy.args(&libraries).args(DENY_WARNINGS), bar)
        }),
        Step::new("clippy: target", move |bar| {
            lint_for(Float::Soft, &all_for_target, bar)
        }),
        Step::new("clippy: hard-float target", move |bar| {
            lint_for(Float::Hard, &with_fp_registers, bar)
        }),
    ]
}

fn lint_for(float: Float, packages: &[String], bar: &ProgressBar) -> Result<Done> {
    let compiler = compiler::ensure_for(float)?;
    if compiler.source == Source::Debian {
        let why = "Debian's compiler comes without clippy".into();
        return Ok(Done::Skipped(why));
    }
    let mut clippy = compiler.cargo("clippy");
    run_quietly(clippy.args(packages).args(DENY_WARNINGS), bar)
}

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// The libraries without `defmt`: a test binary has no logger to link with.
fn host_tests(workspace: &Workspace) -> [Step<'_>; 3] {
    let libraries = workspace.select(&[Kind::Library]);
    let same_libraries = libraries.clone();
    [
        Step::new("host tests: libraries", move |bar| {
            let mut test = cargo(&["test", "--lib", "--bins", "--tests", "--examples"]);
            run_quietly(test.args(&libraries), bar)
        }),
        Step::new("host tests: documentation", move |bar| {
            run_quietly(cargo(&["test", "--doc"]).args(&same_libraries), bar)
        }),
        // Apart from the libraries: together they would unify features, and build us anew.
        Step::new("host tests: xtask", |bar| {
            let mut test = cargo(&["test", "--package", "xtask", "--package", "vcpu-explain"]);
            run_quietly(test.args(["--", "--include-ignored"]), bar)
        }),
    ]
}

/// All 2^32 low words of a syndrome, which `host tests: libraries` samples. Optimised, on all cores.
pub fn every_syndrome() -> Step<'static> {
    Step::new("exhaustive: syndromes", |bar| {
        let mut test = cargo(&["test", "--release", "--package", "vcpu-exits"]);
        run_quietly(test.args(["--test", "lossless", "--", "--ignored"]), bar)
    })
}

fn documentation(workspace: &Workspace) -> [Step<'_>; 2] {
    let hosted = workspace.select(&[Kind::Library, Kind::Xtask]);
    let for_target = workspace.select(&[Kind::Library, Kind::BareMetal]);
    let strictly = ("RUSTDOCFLAGS", "-D warnings");
    [
        Step::new("rustdoc: host", move |bar| {
            let mut doc = cargo(&["doc", "--no-deps"]);
            run_quietly(doc.args(&hosted).env(strictly.0, strictly.1), bar)
        }),
        Step::new("rustdoc: target", move |bar| {
            let mut doc = compiler::ensure()?.cargo("doc");
            doc.arg("--no-deps")
                .args(&for_target)
                .env(strictly.0, strictly.1);
            run_quietly(&mut doc, bar)
        }),
    ]
}

/// Each library as the only one that somebody depends on.
fn alone(workspace: &Workspace) -> impl Iterator<Item = Step<'_>> {
    workspace.of_kind(Kind::Library).map(move |library| {
        let check = ["--no-default-features", "--package", &library.name];
        Step::new(format!("alone: {}", library.name), move |bar| {
            run_quietly(cargo(&["check"]).args(check), bar)?;
            run_quietly(compiler::ensure()?.cargo("check").args(check), bar)
        })
    })
}

fn oldest_compiler(workspace: &Workspace) -> [Step<'_>; 2] {
    let hosted = workspace.select_oldest(&[Kind::Library, Kind::Xtask]);
    let for_target = workspace.select_oldest(&[Kind::Library, Kind::BareMetal]);
    let version = workspace.msrv.as_str();
    let on_oldest = move |packages: &[String], more: &[&str], bar: &ProgressBar| {
        let mut check = compiler::rustup()?;
        check
            .args(["run", version, "cargo", "check"])
            .args(packages)
            .args(more);
        // They name the toolchain that runs us, and would win.
        for inherited in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            check.env_remove(inherited);
        }
        run_quietly(&mut check, bar)
    };
    [
        Step::new(format!("oldest compiler ({version}): host"), move |bar| {
            match compiler::ensure_toolchain(version) {
                Ok(()) => on_oldest(&hosted, &[], bar),
                Err(error) => Ok(Done::Skipped(first_line(&error))),
            }
        }),
        Step::new(format!("oldest compiler ({version}): target"), move |bar| {
            let target = compiler::ensure_toolchain(version)
                .and_then(|()| compiler::ensure_target_of(version));
            match target {
                Ok(()) => on_oldest(&for_target, &["--target", TARGET], bar),
                Err(error) => Ok(Done::Skipped(first_line(&error))),
            }
        }),
    ]
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn on_host<'a>(name: &str, arguments: &'static [&'static str]) -> Step<'a> {
    Step::new(name, |bar| run_quietly(&mut cargo(arguments), bar))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.args(arguments);
    command
}
