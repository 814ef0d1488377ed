//! README.md as a promise: the commands it shows are run, and their output is the real one.

use super::{Done, Step, transcripts};
use crate::{
    Cli, Command,
    example::{CpuModel, Example, Test},
    qemu::{script::Script, transcript::Transcript},
    setup::compiler::Float,
    workspace::Workspace,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use indicatif::ProgressBar;
use std::{collections::BTreeSet, fs, ops::Range, path::PathBuf, time::Duration};

/// Marks the block that shows what an example prints; its name follows.
const MARKER: &str = "<!-- transcript: ";
const FENCE: &str = "```";

/// Returns the steps; with `bless`, the transcripts are written instead of compared.
pub fn steps<'a>(workspace: &'a Workspace, examples: &'a [Example], bless: bool) -> [Step<'a>; 2] {
    [
        Step::new("README: commands", move |_| {
            commands(&read(workspace)?, examples)?;
            Ok(Done::Passed)
        }),
        Step::new("README: transcripts", move |bar| {
            let text = read(workspace)?;
            let blocks = transcript_blocks(&text)?;
            ensure!(
                !blocks.is_empty(),
                "README.md shows no transcript ({MARKER}NAME -->)"
            );
            let mut blessed = text.clone();
            for block in blocks.iter().rev() {
                let transcript = real(workspace, examples, block.example, bar)?;
                if bless {
                    blessed.replace_range(block.range.clone(), &shown(block.example, &transcript));
                } else {
                    compare(block.text, &transcript).with_context(|| {
                        format!(
                            "{}: `cargo xtask test --bless` takes over what is real",
                            block.example
                        )
                    })?;
                }
            }
            if blessed != text {
                fs::write(path(workspace), blessed).context("cannot write README.md")?;
            }
            Ok(Done::Passed)
        }),
    ]
}

/// Checks that every `cargo xtask` line in a fence is a command that a step runs.
fn commands(text: &str, examples: &[Example]) -> Result<()> {
    for line in fenced_lines(text) {
        let line = line.trim().trim_start_matches("$ ");
        if !line.starts_with("cargo xtask") {
            continue;
        }
        let words = shlex::split(line).with_context(|| format!("README.md: `{line}`"))?;
        let cli = Cli::try_parse_from(&words[1..])
            .map_err(|error| anyhow!("README.md shows `{line}`, which fails:\n{error}"))?;
        // Setup is every run's first steps, and the options of `qemu` are exercised by tests of ours.
        if let Command::Qemu(args) = cli.command
            && let Some((name, cpu)) = args.example()
        {
            let example = examples.iter().find(|example| example.name == name);
            let mut tests = example.iter().flat_map(|example| &example.manifest.tests);
            let covered = tests.any(|test| test.cpus.contains(&cpu));
            ensure!(
                covered,
                "README.md shows `{line}`, which no test in a qemu.toml runs"
            );
        }
    }
    Ok(())
}

fn fenced_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .scan(false, |inside, line| {
            let is_fence = line.trim_start().starts_with(FENCE);
            *inside ^= is_fence;
            Some((*inside && !is_fence).then_some(line))
        })
        .flatten()
}

/// A fenced block that shows what an example prints.
struct Block<'a> {
    example: &'a str,
    text: &'a str,
    range: Range<usize>,
}

fn transcript_blocks(text: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks = Vec::new();
    for (marker, _) in text.match_indices(MARKER) {
        let block = block_at(text, marker + MARKER.len());
        let line = text[..marker].lines().count() + 1;
        blocks.push(block.with_context(|| format!("README.md:{line}: no fenced block follows"))?);
    }
    Ok(blocks)
}

fn block_at(text: &str, name_start: usize) -> Option<Block<'_>> {
    let (example, rest) = text[name_start..].split_once(" -->\n")?;
    let (fence, inside) = rest.split_once('\n')?;
    let length = inside.find(FENCE)?;
    let start = text.len() - inside.len();
    let range = start..start + length;
    fence.starts_with(FENCE).then(|| Block {
        example,
        text: &text[range.clone()],
        range,
    })
}

/// Runs an example as its README block says.
fn real(
    workspace: &Workspace,
    examples: &[Example],
    name: &str,
    bar: &ProgressBar,
) -> Result<Transcript> {
    let example = examples.iter().find(|example| example.name == name);
    let example = example.with_context(|| format!("README.md shows no example of ours: {name}"))?;
    let elf = transcripts::build(workspace, example, Float::Soft, bar)?;
    let test = Test::plain(Duration::from_secs(60));
    let mut script = Script::new(&test);
    let outcome = transcripts::run(workspace, example, &test, CpuModel::Max, elf, &mut script)?;
    outcome.verdict()?;
    Ok(outcome.transcript)
}

fn shown(example: &str, transcript: &Transcript) -> String {
    let lines = transcript
        .lines()
        .iter()
        .map(|line| format!("{}\n", line.trim_end()));
    format!(
        "$ cargo xtask qemu {example}\n{}",
        lines.collect::<String>()
    )
}

/// Console and log reach us by two ways, so either may come first: what is shown has to be the
/// lines of both, each in its order.
fn compare(shown: &str, transcript: &Transcript) -> Result<()> {
    let shown: Vec<_> = shown
        .lines()
        .filter(|line| !line.starts_with("$ "))
        .collect();
    let log: Vec<_> = transcript.log.iter().map(ToString::to_string).collect();
    let console: Vec<_> = transcript.console.lines().collect();
    let log: Vec<_> = log.iter().map(String::as_str).collect();
    if interleaves(&shown, &console, &log) {
        return Ok(());
    }
    bail!(
        "README.md shows\n{}\nbut real are\n{}\nand\n{}",
        shown.join("\n"),
        console.join("\n"),
        log.join("\n")
    )
}

/// Returns whether `whole` is `a` and `b`, each in its order, apart from spaces at line ends.
fn interleaves(whole: &[&str], a: &[&str], b: &[&str]) -> bool {
    if whole.len() != a.len() + b.len() {
        return false;
    }
    let same = |line: &str, other: Option<&&str>| {
        other.is_some_and(|other| other.trim_end() == line.trim_end())
    };
    // How many lines of `a` may be used up after each line of `whole`.
    let mut used = BTreeSet::from([0]);
    for (index, line) in whole.iter().enumerate() {
        let from_a = used
            .iter()
            .filter(|&&of_a| same(line, a.get(of_a)))
            .map(|of_a| of_a + 1);
        let from_b = used
            .iter()
            .filter(|&&of_a| same(line, b.get(index - of_a)))
            .copied();
        used = from_a.chain(from_b).collect();
    }
    !used.is_empty()
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.root.join("README.md")
}

fn read(workspace: &Workspace) -> Result<String> {
    fs::read_to_string(path(workspace)).context("cannot read README.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "Text\n<!-- transcript: hello -->\n```console\n$ cargo xtask qemu hello\nhi\n```\n";

    #[test]
    fn transcript_block_is_what_is_between_the_fences() {
        let blocks = transcript_blocks(PAGE).unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!(
            (blocks[0].example, blocks[0].text),
            ("hello", "$ cargo xtask qemu hello\nhi\n")
        );
        assert_eq!(&PAGE[blocks[0].range.clone()], blocks[0].text);
    }

    #[test]
    fn marker_without_a_block_is_an_error() {
        assert!(transcript_blocks("<!-- transcript: hello -->\nno fence\n").is_err());
    }

    #[test]
    fn interleaving_keeps_the_order_of_each() {
        let (console, log) = (["c1", "same", "c2"], ["l1", "same"]);
        assert!(interleaves(
            &["c1", "l1", "same", "same ", "c2"],
            &console,
            &log
        ));
        assert!(interleaves(
            &["l1", "same", "c1", "same", "c2"],
            &console,
            &log
        ));
        assert!(!interleaves(
            &["c1", "same", "same", "l1", "c2"],
            &console,
            &log
        ));
        assert!(!interleaves(&["c1", "l1", "same", "c2"], &console, &log));
    }

    #[test]
    fn command_that_does_not_parse_or_is_not_run_is_found() {
        assert!(commands("```\ncargo xtask test\n$ cargo xtask qemu --list\n```", &[]).is_ok());
        assert!(commands("```\ncargo xtask nonsense\n```", &[]).is_err());
        assert!(commands("```\ncargo xtask qemu hello\n```", &[]).is_err());
        assert!(commands("cargo xtask nonsense, outside a fence", &[]).is_ok());
    }
}
