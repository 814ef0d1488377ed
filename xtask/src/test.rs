//! `cargo xtask test`: everything that CI runs, one line per step and a count at the end.

mod budget;
mod checks;
mod readme;
mod transcripts;

use crate::{example, process, setup::host, workspace::Workspace};
use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// More than any step takes on a slow computer; a step that hangs must not hang CI.
const STEP_LIMIT: Duration = Duration::from_secs(1200);

/// Options of `cargo xtask test`.
#[derive(ClapArgs)]
pub struct Args {
    /// Run only the steps whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// List the steps
    #[arg(long)]
    list: bool,
    /// Also try every value where CI takes samples: minutes of all cores
    #[arg(long)]
    exhaustive: bool,
    /// Also run the QEMU tests that take many minutes
    #[arg(long)]
    long: bool,
    /// Write the real transcripts into README.md instead of comparing them
    #[arg(long)]
    bless: bool,
}

/// Something that passes or fails.
pub struct Step<'a> {
    name: String,
    run: Box<Run<'a>>,
}

/// What a step does; the bar shows that it goes on.
type Run<'a> = dyn Fn(&ProgressBar) -> Result<Done> + 'a;

/// How a step that did not fail ended.
pub enum Done {
    /// It was right.
    Passed,
    /// It cannot be done here, and why.
    Skipped(String),
}

impl<'a> Step<'a> {
    /// Returns a step.
    pub fn new(name: impl Into<String>, run: impl Fn(&ProgressBar) -> Result<Done> + 'a) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::find()?;
    let examples = example::all(&workspace)?;
    let mut steps = checks::steps(&workspace);
    steps.extend(transcripts::steps(&workspace, &examples, args.long));
    steps.extend(budget::steps(&workspace, &examples));
    steps.extend(readme::steps(&workspace, &examples, args.bless));
    if args.exhaustive {
        steps.push(checks::every_syndrome());
    }
    if let Some(only) = &args.only {
        steps.retain(|step| step.name.contains(only.as_str()));
    }
    if args.list {
        steps.iter().for_each(|step| println!("{}", step.name));
        return Ok(());
    }
    report(&steps)
}

fn report(steps: &[Step<'_>]) -> Result<()> {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let start = Instant::now();
    for step in steps {
        let step_start = Instant::now();
        let bar = ProgressBar::new_spinner();
        bar.set_style(host::style(&format!(
            "{{spinner}} {{elapsed}} {} {{wide_msg}}",
            step.name
        )));
        let result = (step.run)(&bar);
        bar.finish_and_clear();
        let (count, word, more) = match result {
            Ok(Done::Passed) => (&mut passed, "ok", String::new()),
            Ok(Done::Skipped(why)) => (&mut skipped, "skipped", format!(": {why}")),
            Err(error) => (
                &mut failed,
                "FAILED",
                format!("\n{}\n", format!("{error:#}").trim_end()),
            ),
        };
        *count += 1;
        println!(
            "{word:<7} {:>6.1} s  {}{more}",
            step_start.elapsed().as_secs_f64(),
            step.name
        );
    }
    println!("{:>14.1} s  in all", start.elapsed().as_secs_f64());
    match skipped {
        0 => println!("{passed} passed, {failed} failed"),
        _ => println!("{passed} passed, {failed} failed, {skipped} skipped"),
    }
    match (passed, failed) {
        (_, 1..) => bail!("a step failed; its output is above"),
        (0, 0) => bail!("no step ran; `cargo xtask test --list` shows their names"),
        _ => Ok(()),
    }
}

/// Runs a command; what it said is the error if it fails.
fn run_quietly(command: &mut Command, bar: &ProgressBar) -> Result<Done> {
    let (status, said) = process::capture(command, STEP_LIMIT, |line| match line {
        Some(line) => bar.set_message(line.trim().to_owned()),
        None => bar.tick(),
    })?;
    let shown = host::shown(command);
    match status {
        Some(status) if status.success() => Ok(Done::Passed),
        Some(status) => bail!("{said}`{shown}` ended with {status}"),
        None => bail!(
            "{said}`{shown}` took longer than {} s and was ended",
            STEP_LIMIT.as_secs()
        ),
    }
}
