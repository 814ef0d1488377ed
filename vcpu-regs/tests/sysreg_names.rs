//! The table of names is the union of what two assemblers know; where they disagree, a stated reason decides.
//!
//! `sysregs/*.txt` are what the assemblers answered when asked for every encoding and every name. With
//! `VCPU_WRITE_TABLE=1` the test writes `src/sysreg/names.rs` anew from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use vcpu_regs::{SysReg, SysRegDirections};

const BINUTILS: &str = include_str!("sysregs/binutils.txt");
const LLVM: &str = include_str!("sysregs/llvm.txt");

/// A name that is dropped, the one kept in its place, and why.
const DISAGREEMENTS: [(&str, &str, &str); 6] = [
    (
        "TRCEXTINSELR",
        "TRCEXTINSELR0",
        "FEAT_ETE numbers the four; binutils has only this name",
    ),
    (
        "VSCTLR_EL2",
        "TTBR0_EL2",
        "VSCTLR_EL2 is of Armv8-R, whose CPUs do not run this code",
    ),
    ("SPSEL", "SPSel", "Arm's spelling"),
    (
        "SPSR_IRQ",
        "SPSR_irq",
        "Arm's spelling; so for ABT, UND and FIQ",
    ),
    (
        "ICV_",
        "ICC_",
        "an instruction names ICC_*; ICV_* is what it reaches in a guest (GICv5)",
    ),
    (
        "MPUIR rw",
        "MPUIR ro",
        "LLVM allows writing MPUIR_EL1 and _EL2; an identification register is read-only",
    ),
];

type Names = BTreeMap<u16, Vec<(String, SysRegDirections)>>;

fn parse(list: &str) -> Vec<(u16, SysRegDirections, String)> {
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.splitn(3, ' ');
            let reg = SysReg::from_name(columns.next().unwrap()).unwrap();
            let directions = match columns.next().unwrap() {
                "ro" => SysRegDirections::ReadOnly,
                "wo" => SysRegDirections::WriteOnly,
                "rw" => SysRegDirections::ReadWrite,
                other => panic!("{other}"),
            };
            (reg.bits(), directions, columns.next().unwrap().to_owned())
        })
        .collect()
}

/// Arm's spelling of an operation: upper case but for the nXS qualifier.
fn spelling(name: &str) -> String {
    if !name.contains(' ') && !name.starts_with("gcs") && name != "trcit" {
        return name.to_owned();
    }
    let upper = name.to_uppercase();
    upper
        .strip_suffix("NXS")
        .map_or(upper.clone(), |name| format!("{name}nXS"))
}

fn merged() -> Names {
    let mut names = Names::new();
    for (bits, directions, name) in parse(LLVM) {
        names
            .entry(bits)
            .or_default()
            .push((spelling(&name), directions));
    }
    for (bits, directions, name) in parse(BINUTILS) {
        let known = names.entry(bits).or_default();
        let same = |(other, _): &&mut (String, _)| other.eq_ignore_ascii_case(&name);
        match known.iter_mut().find(same) {
            Some((name, llvm)) if *llvm != directions => {
                assert!(
                    name.starts_with("MPUIR"),
                    "{name}: {llvm:?} or {directions:?}"
                );
                *llvm = directions;
            }
            Some(_) => {}
            None => known.push((spelling(&name.to_uppercase()), directions)),
        }
    }
    for known in names.values_mut() {
        let all: BTreeSet<_> = known.iter().map(|(name, _)| name.clone()).collect();
        let is_dropped = |name: &str| {
            let other_case = |other: &String| {
                other != name
                    && other.eq_ignore_ascii_case(name)
                    && other.contains(char::is_lowercase)
            };
            all.iter().any(other_case)
                || DISAGREEMENTS
                    .iter()
                    .any(|(drop, keep, _)| *drop == name && all.contains(*keep))
                || name
                    .strip_prefix("ICV_")
                    .is_some_and(|rest| all.contains(&format!("ICC_{rest}")))
        };
        known.retain(|(name, _)| !is_dropped(name));
        known.sort_by_key(|(_, directions)| *directions == SysRegDirections::WriteOnly);
    }
    names
}

#[test]
fn the_table_is_what_both_assemblers_know() {
    let mut rows: Vec<(u16, SysRegDirections, String)> = Vec::new();
    for (bits, names) in merged() {
        // Two names at one encoding: one to read, one to write, and no third.
        match names.as_slice() {
            [_] => {}
            [
                (_, SysRegDirections::ReadOnly),
                (_, SysRegDirections::WriteOnly),
            ] => {}
            other => panic!("{:?}: {other:?}", SysReg::from_bits(bits)),
        }
        rows.extend(
            names
                .into_iter()
                .map(|(name, directions)| (bits, directions, name)),
        );
    }
    if std::env::var_os("VCPU_WRITE_TABLE").is_some() {
        return write_table(&rows);
    }
    let table: Vec<_> = SysReg::named()
        .map(|(reg, directions, name)| (reg.bits(), directions, name.to_owned()))
        .collect();
    assert_eq!(table, rows);
    assert!(rows.len() > 1900, "{} rows", rows.len());
}

fn write_table(rows: &[(u16, SysRegDirections, String)]) {
    let mut file = String::from(
        "//! Names of system registers and `SYS` operations, by encoding.\n\
         //!\n\
         //! Written by `tests/sysreg_names.rs` from what binutils and LLVM know; change that, not this.\n\n\
         use super::SysRegDirections::{self, ReadOnly as R, ReadWrite as RW, WriteOnly as W};\n\n\
         /// Encoding, directions, name; sorted by encoding, the read name first where there are two.\n\
         #[rustfmt::skip]\n",
    );
    writeln!(
        file,
        "pub(super) static NAMES: [(u16, SysRegDirections, &str); {}] = [",
        rows.len()
    )
    .unwrap();
    for (bits, directions, name) in rows {
        let directions = match directions {
            SysRegDirections::ReadOnly => "R",
            SysRegDirections::WriteOnly => "W",
            SysRegDirections::ReadWrite => "RW",
        };
        writeln!(file, "    ({bits:#06x}, {directions}, \"{name}\"),").unwrap();
    }
    file.push_str("];\n");
    std::fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/sysreg/names.rs"),
        file,
    )
    .unwrap();
}

#[test]
fn every_name_finds_its_encoding_and_back() {
    for (reg, directions, name) in SysReg::named() {
        assert_eq!(SysReg::from_name(name), Some(reg), "{name}");
        assert_eq!(SysReg::from_name(&name.to_lowercase()), Some(reg), "{name}");
        let is_read = directions != SysRegDirections::WriteOnly;
        assert_eq!(reg.name_for(is_read), Some(name));
    }
}

#[test]
fn every_encoding_reads_back_from_its_generic_form() {
    for bits in 0..=u16::MAX {
        let reg = SysReg::from_bits(bits);
        assert_eq!(SysReg::from_name(&format!("{reg:#}")), Some(reg));
        assert_eq!(SysReg::from_name(&reg.to_string()), Some(reg));
    }
    for wrong in [
        "",
        "S3_0_C16_C0_0",
        "S4_0_C0_C0_0",
        "S3_8_C0_C0_0",
        "S3_0_C0_C0_8",
        "S3_0_C0_C0",
        "S3_0_C0_C0_0_",
        "NOPE_EL1",
    ] {
        assert_eq!(SysReg::from_name(wrong), None, "{wrong:?}");
    }
}

#[test]
fn arrays_write_only_registers_and_operations_have_names() {
    let name =
        |op0, op1, crn, crm, op2, is_read| SysReg::new(op0, op1, crn, crm, op2).name_for(is_read);
    assert_eq!(name(3, 0, 0, 0, 0, true), Some("MIDR_EL1"));
    assert_eq!(name(2, 0, 0, 15, 4, true), Some("DBGBVR15_EL1"));
    assert_eq!(name(3, 3, 14, 11, 6, true), Some("PMEVCNTR30_EL0"));
    assert_eq!(name(3, 4, 12, 13, 7, false), Some("ICH_LR15_EL2"));
    assert_eq!(name(3, 0, 12, 11, 5, false), Some("ICC_SGI1R_EL1"));
    assert_eq!(name(2, 3, 0, 5, 0, true), Some("DBGDTRRX_EL0"));
    assert_eq!(name(2, 3, 0, 5, 0, false), Some("DBGDTRTX_EL0"));
    assert_eq!(name(1, 3, 7, 14, 1, false), Some("DC CIVAC"));
    assert_eq!(name(1, 0, 8, 3, 0, false), Some("TLBI VMALLE1IS"));
    assert_eq!(name(1, 0, 9, 3, 0, false), Some("TLBI VMALLE1ISnXS"));
    assert_eq!(name(1, 3, 7, 3, 4, false), Some("CFP RCTX"));
    assert_eq!(name(3, 0, 15, 2, 1, true), None);
    assert_eq!(SysReg::new(3, 0, 15, 2, 1).to_string(), "S3_0_C15_C2_1");
    assert_eq!(
        SysReg::new(3, 0, 12, 11, 5).directions(),
        Some(SysRegDirections::WriteOnly)
    );
    assert_eq!(
        SysReg::new(3, 0, 0, 0, 0).directions(),
        Some(SysRegDirections::ReadOnly)
    );
    assert_eq!(
        SysReg::new(2, 3, 0, 5, 0).directions(),
        Some(SysRegDirections::ReadWrite)
    );
}

/// Asks the installed binutils for every encoding, in both directions.
#[test]
fn the_installed_binutils_agrees() {
    let encodings: Vec<(u16, bool)> = (0x4000..=u16::MAX)
        .flat_map(|bits| [(bits, true), (bits, false)])
        .collect();
    let words = encodings.iter().flat_map(|&(bits, is_read)| {
        (0xd500_0000 | u32::from(is_read) << 21 | u32::from(bits) << 5).to_le_bytes()
    });
    let path = std::env::temp_dir().join(format!("vcpu-sysregs-{}.bin", std::process::id()));
    std::fs::write(&path, words.collect::<Vec<u8>>()).unwrap();
    let output = Command::new("aarch64-linux-gnu-objdump")
        .args(["-D", "-z", "-b", "binary", "-m", "aarch64"])
        .arg(&path)
        .output();
    std::fs::remove_file(&path).unwrap();
    let Ok(output) = output else {
        println!(
            "skipped: aarch64-linux-gnu-objdump is not installed (package binutils-aarch64-linux-gnu)"
        );
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter_map(|line| {
            line.split_once(":\t")?
                .1
                .split_once('\t')
                .map(|(_, text)| text)
        })
        .collect();
    assert_eq!(lines.len(), encodings.len());
    let mut named = 0;
    for (&(bits, is_read), line) in encodings.iter().zip(lines) {
        let line = line.split("//").next().unwrap().trim().replace('\t', " ");
        let reg = SysReg::from_bits(bits);
        let name = if reg.op0() == 1 {
            if line.starts_with("sys") {
                continue;
            }
            line.trim_end_matches(", x0").to_owned()
        } else {
            line.trim_start_matches("mrs x0, ")
                .trim_start_matches("msr ")
                .trim_end_matches(", x0")
                .to_owned()
        };
        if name.starts_with('s') && name.as_bytes().get(2) == Some(&b'_') {
            continue;
        }
        named += 1;
        let ours: Vec<_> = [true, false]
            .iter()
            .filter_map(|&read| reg.name_for(read))
            .collect();
        assert!(
            ours.iter().any(|ours| ours.eq_ignore_ascii_case(&name)),
            "{reg:#} read {is_read}: ours {ours:?}, binutils {name}"
        );
    }
    assert!(named > 2000, "{named} names");
}

macro_rules! names_of_rows {
    ($(
        $(#[$doc:meta])*
        group $group:ident $field:ident $feature:ident {
            $($row:ident $name:ident ($op0:literal, $op1:literal, $crn:literal, $crm:literal, $op2:literal)
                twin $twin:tt reset $reset:literal)*
        }
    )*) => {
        [$($((SysReg::new($op0, $op1, $crn, $crm, $op2), stringify!($name)),)*)*]
    };
}

/// The register table of what is switched and the names of everything say the same.
#[test]
fn the_register_table_uses_the_assemblers_names() {
    let rows = vcpu_regs::switched_registers!(names_of_rows);
    for (reg, name) in rows {
        assert_eq!(SysReg::from_name(name), Some(reg), "{name}");
        let known = [true, false].map(|is_read| reg.name_for(is_read).unwrap());
        assert!(
            known.iter().any(|known| known.eq_ignore_ascii_case(name)),
            "{name}: {known:?}"
        );
    }
    assert!(rows.len() > 30, "{} rows", rows.len());
}
