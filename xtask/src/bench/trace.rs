//! The instructions of one exit, from QEMU's execution trace.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSegment, read::File as Elf};

use super::instruction::Counts;

/// Rounds of each loop in a traced run: the first has the entry in it, the last the report.
pub const ROUNDS: usize = 4;

/// QEMU arguments that write each instruction's address to `file`.
pub fn arguments(file: &Path) -> Result<[String; 5]> {
    let file = file.to_str().context("the trace's path is not text")?;
    let words = ["-singlestep", "-d", "exec,nochain", "-D", file];
    Ok(words.map(str::to_owned))
}

/// Reads a trace of `HOSTS` hosts that run the same loop of [`ROUNDS`] exits and a report, one after
/// the other, and counts the host's instructions in one of each.
pub fn exits<const HOSTS: usize>(file: &Path, elf: &Path) -> Result<[Counts; HOSTS]> {
    let code = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let code = Code::new(&code)?;
    let file = File::open(file).context("QEMU wrote no trace")?;
    let mut exits = Vec::new();
    let mut current: Option<Counts> = None;
    for line in BufReader::new(file).lines() {
        let Some(pc) = pc(&line.context("the trace cannot be read")?) else {
            continue;
        };
        match (code.word(pc), &mut current) {
            // The guest's: it runs where nothing of the host is.
            (None, current) => {
                exits.extend(current.take().filter(|counts| counts.all > 0));
                *current = Some(Counts::default());
            }
            (Some(word), Some(counts)) => counts.add(word),
            (Some(_), None) => {} // before the first entry
        }
    }
    // Of each host: the rounds, then the report, up to the next guest's first instruction; the last
    // report does not return.
    let each = ROUNDS + 1;
    ensure!(
        exits.len() == HOSTS * each - 1,
        "the trace shows {} exits that return, {} were expected",
        exits.len(),
        HOSTS * each - 1
    );
    let mut typical = [Counts::default(); HOSTS];
    for (counts, exits) in typical.iter_mut().zip(exits.chunks(each)) {
        let [_, first, rest @ ..] = &exits[..ROUNDS] else {
            bail!("a trace of {} rounds shows nothing typical", exits.len());
        };
        ensure!(
            rest.iter().all(|other| other == first),
            "exits of the same kind differ: {exits:?}"
        );
        *counts = *first;
    }
    Ok(typical)
}

/// Returns the address that a line of the trace tells: `Trace 0: 0x… [cs_base/PC/flags/…] name`.
fn pc(line: &str) -> Option<u64> {
    let (_, numbers) = line.strip_prefix("Trace ")?.split_once('[')?;
    u64::from_str_radix(numbers.split('/').nth(1)?, 16).ok()
}

/// The host's memory image.
struct Code<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Code<'a> {
    fn new(elf: &'a [u8]) -> Result<Self> {
        let elf = Elf::parse(elf).context("the example is no ELF file")?;
        let segments = elf
            .segments()
            .map(|segment| Ok((segment.address(), segment.data()?)));
        Ok(Self(segments.collect::<Result<_>>()?))
    }

    fn word(&self, pc: u64) -> Option<u32> {
        self.0.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(pc.checked_sub(*start)?).ok()?;
            let word = bytes.get(offset..offset.checked_add(4)?)?;
            Some(u32::from_le_bytes(word.try_into().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_line_has_its_pc_second() {
        let line = "Trace 0: 0x7f1c2c000100 [00000000/0000000040202c00/00000401/ff000201] enter";
        assert_eq!(pc(line), Some(0x4020_2c00));
        assert_eq!(pc("Linking TBs"), None);
    }
}
