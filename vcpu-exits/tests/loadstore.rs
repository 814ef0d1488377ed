//! Loads and stores against the assembler's own view.
//!
//! `vectors/loadstore.txt` holds words with the text binutils 2.40 gives them; those tests run anywhere.
//! The live test makes fresh words of each encoding class and asks `aarch64-linux-gnu-objdump`, where
//! installed. `VCPU_WRITE_VECTORS=1` makes it write the file anew.

use std::fmt::Write as _;
use std::process::Command;

use vcpu_exits::insn::{Address, Form, LoadStore, MemoryInsn, NotDecoded, Op, Order, Regs};

const OBJDUMP: &str = "aarch64-linux-gnu-objdump";
const VECTORS: &str = include_str!("vectors/loadstore.txt");
const NEWER_VECTORS: &str = include_str!("vectors/newer.txt");

/// Encoding classes of the loads-and-stores space: name, fixed bits, their mask, words in the file.
const CLASSES: [(&str, u32, u32, usize); 21] = [
    ("exclusive", 0x0800_0000, 0x3f00_0000, 100),
    (
        "exclusive, unused registers 31",
        0x081f_7c00,
        0x3f1f_7c00,
        100,
    ),
    ("compare and swap", 0x08a0_7c00, 0x3fa0_7c00, 60),
    ("compare and swap pair", 0x0820_7c00, 0xbfa1_7c01, 30),
    ("structures", 0x0c00_0000, 0xbfbf_0000, 100),
    ("structures, post-index", 0x0c80_0000, 0xbfa0_0000, 100),
    ("one structure", 0x0d00_0000, 0xbf9f_0000, 100),
    ("one structure, post-index", 0x0d80_0000, 0xbf80_0000, 100),
    ("literal", 0x1800_0000, 0x3b00_0000, 60),
    ("pair", 0x2800_0000, 0x3a00_0000, 200),
    (
        "unscaled, indexed, unprivileged",
        0x3800_0000,
        0x3b20_0000,
        200,
    ),
    ("register offset", 0x3820_0800, 0x3b20_0c00, 100),
    ("atomic", 0x3820_0000, 0x3f20_0c00, 200),
    ("64 bytes", 0xf83f_9000, 0xffff_9c11, 30),
    ("64 bytes with status", 0xf820_a000, 0xffe0_ec11, 30),
    ("authenticated", 0xf820_0400, 0xff20_0400, 40),
    ("unsigned offset", 0x3900_0000, 0x3b00_0000, 200),
    (
        "acquire and release, unscaled",
        0x1900_0000,
        0x3f20_0c00,
        60,
    ),
    ("copy and set", 0x1900_0400, 0xfb20_0c00, 100),
    ("tags", 0xd920_0000, 0xff20_0000, 60),
    ("tags, multiple", 0xd920_0000, 0xff3f_fc00, 20),
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
}

/// The disassembler's text in this crate's spelling, or `None` where it says undefined.
fn normalise(text: &str, at: u64) -> Option<String> {
    let text = text
        .split("//")
        .next()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .trim();
    if text.starts_with(".inst") || text.starts_with(".word") || text == "udf" {
        return None;
    }
    let (mnemonic, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut operands = operands.trim().to_owned();
    // An absolute target becomes an offset.
    if let Some((before, target)) = operands.rsplit_once(", 0x") {
        let target = u64::from_str_radix(target, 16).unwrap_or(at);
        operands = format!("{before}, .{:+}", target.wrapping_sub(at) as i64);
    }
    // A range of registers becomes a list.
    let range = operands.strip_prefix('{').and_then(|list| {
        let (range, rest) = list.split_once('}')?;
        let (first, last) = range.split_once('-')?;
        Some((first.to_owned(), last.to_owned(), rest.to_owned()))
    });
    if let Some((first, last, rest)) = range {
        let (number, suffix) = first[1..].split_once('.').unwrap();
        let first: u32 = number.parse().unwrap();
        let last: u32 = last[1..].split_once('.').unwrap().0.parse().unwrap();
        let count = (last + 32 - first) % 32 + 1;
        let list: Vec<_> = (0..count)
            .map(|i| format!("v{}.{suffix}", (first + i) % 32))
            .collect();
        operands = format!("{{{}}}{rest}", list.join(", "));
    }
    // A shift by nothing is no shift.
    for extend in ["uxtw", "sxtw", "sxtx"] {
        operands = operands.replace(&format!("{extend} #0]"), &format!("{extend}]"));
    }
    operands = operands
        .replace(", lsl #0]", "]")
        .replace(", #0]", "]")
        .replace("]!, #0", "]!");
    Some(format!("{mnemonic} {operands}").trim().to_owned())
}

/// What this crate says, in the same spelling.
fn ours(insn: u32) -> Option<String> {
    let insn = MemoryInsn::decode(insn).ok()?;
    // `[x1, #0]!` and `[x1]!` are one thing.
    Some(insn.to_string().replace(", #0]", "]"))
}

/// Disassembles `words`, the first at address 0; `None` where binutils is not installed.
fn disassemble(words: &[u32]) -> Option<Vec<Option<String>>> {
    let path = std::env::temp_dir().join(format!("vcpu-loadstore-{}.bin", std::process::id()));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new(OBJDUMP)
        .args([
            "-D",
            "-z",
            "-b",
            "binary",
            "-m",
            "aarch64",
            "-M",
            "no-aliases",
        ])
        .arg(&path)
        .output();
    std::fs::remove_file(&path).unwrap();
    let output = output.ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut columns = line.splitn(3, '\t');
            let at = columns.next()?.trim().strip_suffix(':')?;
            let at = u64::from_str_radix(at, 16).ok()?;
            let _word = columns.next()?;
            Some(normalise(&columns.next()?.replace('\t', " "), at))
        })
        .collect();
    assert_eq!(lines.len(), words.len(), "a line for each word");
    Some(lines)
}

/// Instructions newer than binutils 2.40, by what the text starts with; `newer.txt` has their vectors.
const NEWER: [&str; 34] = [
    "ldclrp", "ldsetp", "swpp", "ldiapp", "stilp", "ldap1", "stl1", "gcsstr", "ldapur b",
    "stlur b", "ldapr w", "stlr w", "ldtxr", "ldatxr", "sttxr", "stltxr", "cast", "casat", "caslt",
    "casalt", "caspt", "caspat", "casplt", "ldtadd", "ldtclr", "ldtset", "swpt", "ldtp", "sttp",
    "ldtnp", "sttnp", "rcwcas", "rcwsclr", "rcwset",
];

/// Words that one side calls undefined though a CPU may well execute them, or the other way round.
///
/// CONSTRAINED UNPREDICTABLE words have aborted when they are decoded here, so they do access memory.
fn may_differ(word: u32, ours: Option<&str>, theirs: Option<&str>) -> bool {
    match (ours, theirs) {
        (Some(ours), None) => {
            let (rt, rn, rt2) = (word & 31, word >> 5 & 31, word >> 10 & 31);
            // Unused registers of ordered accesses should be 31.
            let unused_set = if word >> 24 & 0x3f == 0b00_1000 {
                word | 0x001f_7c00
            } else {
                word | 0x001f_0000
            };
            NEWER.iter().any(|newer| ours.starts_with(newer))
                || ours.starts_with("rcw")
                || ours.starts_with("lda") && self::ours(unused_set).as_deref() == Some(ours)
                || ours.starts_with("stl") && self::ours(unused_set).as_deref() == Some(ours)
                // A load that writes a register twice.
                || ours.starts_with("ldpsw") && (rt == rt2 || rn == rt || rn == rt2)
        }
        // FEAT_LS64 needs eight registers from the first on; binutils 2.40 does not look.
        (None, Some(theirs)) => {
            (theirs.starts_with("ld64b") || theirs.starts_with("st64b"))
                && (word & 31 > 22 || word & 1 != 0)
        }
        _ => false,
    }
}

#[test]
fn committed_vectors_agree() {
    let mut checked = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let (word, text) = line.split_once(' ').unwrap();
        let word = u32::from_str_radix(word, 16).unwrap();
        let expected = (text != "-").then(|| text.to_owned());
        assert_eq!(ours(word), expected, "{word:08x}");
        checked += 1;
    }
    assert!(checked > 2000, "only {checked} vectors");
}

#[test]
fn newer_vectors_agree() {
    let lines: Vec<_> = NEWER_VECTORS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for line in &lines {
        let (word, text) = line.split_once(' ').unwrap();
        let word = u32::from_str_radix(word, 16).unwrap();
        assert_eq!(ours(word).as_deref(), Some(text), "{word:08x}");
    }
    for newer in NEWER {
        assert!(
            lines.iter().any(|line| line[9..].starts_with(newer)),
            "no vector of {newer}"
        );
    }
}

#[test]
fn fresh_words_agree_with_binutils() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    let per_class = 4000;
    let mut words = Vec::new();
    for (_, value, mask, _) in CLASSES {
        words.extend((0..per_class).map(|_| random.next() & !mask | value));
    }
    let Some(lines) = disassemble(&words) else {
        println!("skipped: {OBJDUMP} is not installed (package binutils-aarch64-linux-gnu)");
        return;
    };
    let mut wrong = String::new();
    for (class, (name, _, _, _)) in CLASSES.iter().enumerate() {
        let mut allocated = 0;
        for index in class * per_class..(class + 1) * per_class {
            let (word, expected) = (words[index], &lines[index]);
            allocated += usize::from(expected.is_some());
            let ours = ours(word);
            if &ours != expected && !may_differ(word, ours.as_deref(), expected.as_deref()) {
                writeln!(
                    wrong,
                    "{name}: {word:08x} ours {ours:?} binutils {expected:?}"
                )
                .unwrap();
            }
        }
        assert!(
            allocated > per_class / 100,
            "{name}: only {allocated} words are instructions"
        );
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{wrong}",
        wrong.lines().count()
    );
    if std::env::var_os("VCPU_WRITE_VECTORS").is_some() {
        write_vectors(&words, &lines, per_class);
    }
}

fn write_vectors(words: &[u32], lines: &[Option<String>], per_class: usize) {
    let mut file = String::from(
        "# Random words of each encoding class, and what binutils 2.40 calls them; - is undefined.\n",
    );
    for (class, (name, _, _, count)) in CLASSES.iter().enumerate() {
        writeln!(file, "# {name}").unwrap();
        let range = class * per_class..(class + 1) * per_class;
        let all = range.map(|index| (words[index], &lines[index]));
        // Mostly instructions, and some words that are none.
        let (some, none): (Vec<_>, Vec<_>) = all.partition(|(_, text)| text.is_some());
        let none = none.into_iter().filter(|(word, _)| ours(*word).is_none());
        for (word, text) in some.into_iter().take(*count).chain(none.take(count / 8)) {
            writeln!(file, "{word:08x} {}", text.as_deref().unwrap_or("-")).unwrap();
        }
    }
    std::fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/loadstore.txt"),
        file,
    )
    .unwrap();
}

#[test]
fn what_is_no_memory_access_says_so() {
    // add x0, x1, x2; b .; nop; msr sctlr_el1, x0; dc isw, x0; ic iallu; fmov d0, d1.
    for word in [
        0x8b02_0020,
        0x1400_0000,
        0xd503_201f,
        0xd518_1000,
        0xd508_7640,
        0xd508_751f,
        0x1e60_4020,
    ] {
        assert_eq!(
            MemoryInsn::decode(word),
            Err(NotDecoded::NotMemory),
            "{word:08x}"
        );
    }
    // ld1b {z0.b}, p0/z, [x0]; ldr z0, [x0]; ld1b {za0h.b[w12, 0]}, p0/z, [x0]; ldr za[w12, 0], [x0].
    for word in [0xa400_a000, 0x8580_4000, 0xe000_0000, 0xe100_0000] {
        assert_eq!(
            MemoryInsn::decode(word),
            Err(NotDecoded::SveOrSme),
            "{word:08x}"
        );
    }
}

#[test]
fn a_pair_with_write_back_tells_address_and_new_base() {
    // ldp w1, w2, [sp, #-8]!
    let insn = MemoryInsn::decode(0x29ff_0be1).unwrap();
    let address = insn.address().unwrap();
    let x = |number| if number == 31 { 0x1000 } else { 0 };
    assert_eq!(address.resolve(0, x), 0xff8);
    assert_eq!(address.write_back(x), Some((31, 0xff8)));
    let MemoryInsn::LoadStore(LoadStore {
        op,
        regs,
        size_bytes,
        ..
    }) = insn
    else {
        panic!()
    };
    let expected = Regs::General {
        first: 1,
        second: Some(2),
        is_64bit: false,
        sign_extend: false,
    };
    assert_eq!((op, regs, size_bytes), (Op::Load, expected, 4));
}

#[test]
fn register_offsets_extend_and_shift() {
    let at = |word, pc, x: fn(u8) -> u64| {
        MemoryInsn::decode(word)
            .unwrap()
            .address()
            .unwrap()
            .resolve(pc, x)
    };
    // ldr x0, [x1, w2, sxtw #3]; ldrb w0, [x1, x2]; ldr x0, .-4.
    let x = |number| {
        if number == 1 {
            0x1000
        } else {
            0xdead_beef_ffff_ffff
        }
    };
    assert_eq!(at(0xf862_d820, 0, x), 0xff8);
    assert_eq!(at(0x3862_6820, 0, x), 0xdead_bef0_0000_0fff);
    assert_eq!(at(0x58ff_ffe0, 0x8000, x), 0x7ffc);
    // ldr x0, [x1], x31 does not exist; ldr x0, [x1, xzr] adds nothing.
    assert_eq!(at(0xf87f_6820, 0, x), 0x1000);
}

#[test]
fn order_and_privilege_are_kept() {
    let decode = |word| match MemoryInsn::decode(word).unwrap() {
        MemoryInsn::LoadStore(access) => access,
        other => panic!("{other:?}"),
    };
    // ldar x0, [x1]; stlr w0, [x1]; ldtr x0, [x1]; swpal x0, x1, [x2].
    assert_eq!(decode(0xc8df_fc20).order, Order::Acquire);
    assert_eq!(decode(0x889f_fc20).order, Order::Release);
    assert_eq!(decode(0xf840_0820).form, Form::Unprivileged);
    assert_eq!(decode(0xf8e0_8041).order, Order::AcquireRelease);
    assert!(matches!(
        decode(0xf8e0_8041).address,
        Address::Immediate { base: 2, .. }
    ));
}

/// Every `DC`, `IC` and `AT` that either assembler knows: by address or not.
#[test]
fn maintenance_by_address_is_a_memory_access() {
    let mut count = 0;
    for (reg, _, name) in vcpu_regs::SysReg::named() {
        let Some(operation) = ["DC ", "IC ", "AT "]
            .iter()
            .find_map(|kind| name.strip_prefix(kind))
        else {
            continue;
        };
        // By set and way, of everything, or by physical address: no address a guest's stages translate.
        let is_by_address = !operation.ends_with("SW")
            && !operation.starts_with("IALLU")
            && !operation.ends_with("PAE")
            && !operation.ends_with("PAPA");
        let insn = MemoryInsn::decode(0xd500_0007 | u32::from(reg.bits()) << 5);
        let expected = match insn {
            Ok(MemoryInsn::Maintenance(maintenance)) => {
                assert_eq!((maintenance.op, maintenance.reg), (reg, 7));
                let zeroing = ["ZVA", "GVA", "GZVA", "GBVA", "ZGBVA"];
                assert_eq!(
                    maintenance.is_zeroing(),
                    zeroing.contains(&operation),
                    "{name}"
                );
                true
            }
            Err(NotDecoded::NotMemory) => false,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(expected, is_by_address, "{name}");
        count += 1;
    }
    assert!(count > 50, "{count} operations");
}
