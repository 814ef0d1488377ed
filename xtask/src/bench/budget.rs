//! The most instructions that our round trips may take: `examples/bench/budget.toml`.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{exits::Figures, instruction::Counts};
use crate::workspace::Workspace;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Of each round trip, by name.
    instructions: BTreeMap<String, u64>,
    /// Of some kinds in one hypercall.
    hvc: Kinds,
    /// Of each round trip, with E2H=1.
    instructions_e2h: BTreeMap<String, u64>,
    /// Of some kinds in one hypercall, with E2H=1.
    hvc_e2h: Kinds,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    tlbi: u64,
    ic: u64,
    dsb: u64,
    isb: u64,
    msr_and_mrs: u64,
}

impl Budget {
    /// Reads the file.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root.join("examples/bench/budget.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Returns the most that a round trip may take.
    pub fn instructions(&self, name: &str) -> Option<u64> {
        self.instructions.get(name).copied()
    }

    /// The same with E2H=1.
    pub fn instructions_e2h(&self, name: &str) -> Option<u64> {
        self.instructions_e2h.get(name).copied()
    }

    /// Fails unless our figures are within it, and it has one for each.
    pub fn check(&self, ours: &Figures, hvc: &Counts) -> Result<()> {
        check("", &self.instructions, &self.hvc, ours, hvc)
    }

    /// The same with E2H=1.
    pub fn check_e2h(&self, ours: &Figures, hvc: &Counts) -> Result<()> {
        check(
            " with E2H=1",
            &self.instructions_e2h,
            &self.hvc_e2h,
            ours,
            hvc,
        )
    }
}

fn check(
    host: &str,
    most: &BTreeMap<String, u64>,
    most_hvc: &Kinds,
    ours: &Figures,
    hvc: &Counts,
) -> Result<()> {
    let kinds = [
        ("TLBI in hvc", hvc.tlbi, most_hvc.tlbi),
        ("IC in hvc", hvc.ic, most_hvc.ic),
        ("DSB in hvc", hvc.dsb, most_hvc.dsb),
        ("ISB in hvc", hvc.isb, most_hvc.isb),
        (
            "MSR and MRS in hvc",
            hvc.msr + hvc.mrs,
            most_hvc.msr_and_mrs,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, count) in ours {
        match most.get(name) {
            None => wrong.push(format!("{name} has no budget")),
            Some(most) if count > most => wrong.push(over(name, *count, *most)),
            Some(_) => {}
        }
    }
    for name in most.keys() {
        if !ours.contains_key(name) {
            wrong.push(format!("{name} was not measured"));
        }
    }
    for (name, count, most) in kinds {
        if count > most {
            wrong.push(over(name, count, most));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("over budget{host}:\n  {}", wrong.join("\n  "))
}

fn over(name: &str, count: u64, most: u64) -> String {
    format!("{name}: {count}, at most {most} allowed")
}
