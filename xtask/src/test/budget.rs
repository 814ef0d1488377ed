//! The step that counts the instructions of each exit, and holds them to `examples/bench/budget.toml`.

use super::{Done, Step, transcripts};
use crate::{
    bench::{budget::Budget, exits::Report},
    example::Example,
    setup::compiler::Float,
    workspace::Workspace,
};

/// Returns the step.
pub fn steps<'a>(
    workspace: &'a Workspace,
    examples: &'a [Example],
) -> impl Iterator<Item = Step<'a>> {
    let bench = examples.iter().find(|example| example.name == "bench");
    bench.into_iter().map(move |example| {
        Step::new("budget: instructions of each exit", move |bar| {
            let elf = transcripts::build(workspace, example, Float::Soft, bar)?;
            let report = Report::measure(workspace, &elf)?;
            report.check(&Budget::read(workspace)?)?;
            Ok(Done::Passed)
        })
    })
}
