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

    /// Fails unless our figures are within it, and it has one for each.
    pub fn check(&self, ours: &Figures, hvc: &Counts) -> Result<()> {
        let kinds = [
            ("TLBI in hvc", hvc.tlbi, self.hvc.tlbi),
            ("IC in hvc", hvc.ic, self.hvc.ic),
            ("DSB in hvc", hvc.dsb, self.hvc.dsb),
            ("ISB in hvc", hvc.isb, self.hvc.isb),
            (
                "MSR and MRS in hvc",
                hvc.msr + hvc.mrs,
                self.hvc.msr_and_mrs,
            ),
        ];
        let mut wrong = Vec::new();
        for (name, count) in ours {
            match self.instructions.get(name) {
                None => wrong.push(format!("{name} has no budget")),
                Some(most) if count > most => wrong.push(over(name, *count, *most)),
                Some(_) => {}
            }
        }
        for name in self.instructions.keys() {
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
        bail!("over budget:\n  {}", wrong.join("\n  "))
    }
}

fn over(name: &str, count: u64, most: u64) -> String {
    format!("{name}: {count}, at most {most} allowed")
}
