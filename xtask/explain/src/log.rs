//! Syndromes in logs of kernels, hypervisors, firmware and emulators.
//!
//! No log has a grammar. A syndrome is a number behind a word that systems use for it; the addresses beside it,
//! or a few lines off, are those of the same dump.

use std::io::{self, Write};

use vcpu_exits::Syndrome;
use vcpu_exits::explain::{Context, Fields, Summary};
use vcpu_regs::Esr;

use crate::json;

/// How many lines before and after a syndrome its addresses may be.
const NEAR: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Esr,
    Far,
    Hpfar,
    Elr,
    Insn,
}

/// A number in a log, and what it is.
#[derive(Clone, Copy, Debug)]
struct Found {
    line: usize,
    kind: Kind,
    value: u64,
}

/// Words before a number, and what it is then. All lower case; `_elN` may follow.
const WORDS: [(&str, Kind); 16] = [
    ("esr", Kind::Esr),
    ("hsr", Kind::Esr),
    ("syndrome", Kind::Esr),
    // seL4: "fault on data at address 0x10 with status 0x92000006", "FSR 0x92000006"
    ("with status", Kind::Esr),
    ("fsr", Kind::Esr),
    ("far", Kind::Far),
    ("hxfar", Kind::Far),
    ("gva", Kind::Far),
    ("virtual address", Kind::Far),
    ("at address", Kind::Far),
    ("hpfar", Kind::Hpfar),
    ("elr", Kind::Elr),
    ("pc", Kind::Elr),
    ("ip", Kind::Elr),
    ("insn", Kind::Insn),
    ("instruction", Kind::Insn),
];

/// Reads a number at the start of `text`: marked by 0x, or of at least 8 hexadecimal digits.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let marked = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = marked.unwrap_or(text);
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    let is_word = rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if is_word || marked.is_none() && number.len() < 8 {
        return None;
    }
    Some((u64::from_str_radix(number, 16).ok()?, rest))
}

/// Reads what stands between a word and its number: `_el1`, ` = `, `: `, `[`.
fn skip_to_number(text: &str) -> &str {
    let suffix = text.strip_prefix("_el").and_then(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric())
            .then(|| rest.get(1..))
            .flatten()
    });
    suffix
        .unwrap_or(text)
        .trim_start_matches([' ', '\t', ':', '=', '(', '['])
}

/// Finds the numbers of a line whose words say what they are.
fn numbers(line: usize, text: &str, found: &mut Vec<Found>) {
    let lower = text.to_ascii_lowercase();
    for (start, _) in lower.char_indices() {
        let before = lower.get(..start).and_then(|text| text.chars().next_back());
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = lower.get(start..).unwrap_or("");
        for (word, kind) in WORDS {
            let Some(after) = rest.strip_prefix(word) else {
                continue;
            };
            let Some((value, rest)) = leading_number(skip_to_number(after)) else {
                continue;
            };
            // QEMU: "with ESR 0x24/0x93830046", class and then the word.
            let value = match rest.strip_prefix('/').and_then(leading_number) {
                Some((whole, _)) if kind == Kind::Esr => whole,
                _ => value,
            };
            found.push(Found { line, kind, value });
        }
    }
    special(line, &lower, found);
}

/// Numbers that no word stands before.
fn special(line: usize, lower: &str, found: &mut Vec<Found>) {
    let mut push = |kind, value| found.push(Found { line, kind, value });
    // Linux: "Internal error: Oops: 0000000096000004 [#1] SMP", of any name in the middle.
    if let Some((_, rest)) = lower.split_once("internal error: ") {
        let number = rest.split(": ").nth(1).and_then(leading_number);
        if let Some((value, _)) = number.filter(|(_, rest)| rest.trim_start().starts_with("[#")) {
            push(Kind::Esr, value);
        }
    }
    // Linux: "SError Interrupt on CPU0, code 0x00000000be000011 -- SError", "Bad mode in ... code 0x".
    if lower.contains("serror") || lower.contains("bad mode") {
        let number = lower
            .split_once("code ")
            .and_then(|(_, rest)| leading_number(rest));
        if let Some((value, _)) = number {
            push(Kind::Esr, value);
        }
    }
    // EDK2: "ESR : EC 0x25  IL 0x1  ISS 0x00000046", in parts.
    if lower.contains("esr") {
        let part = |name: &str| {
            lower
                .split_once(name)
                .and_then(|(_, rest)| leading_number(rest))
        };
        if let (Some((ec, _)), Some((il, _)), Some((iss, _))) =
            (part("ec "), part("il "), part("iss "))
        {
            push(
                Kind::Esr,
                (ec & 0x3f) << 26 | (il & 1) << 25 | iss & 0x01ff_ffff,
            );
        }
    }
    // Linux: "Code: d503233f a9bf7bfd (b9400021)", the one in brackets.
    if let Some((_, code)) = lower.split_once("code: ") {
        let number = code
            .split_once('(')
            .and_then(|(_, rest)| leading_number(rest));
        if let Some((value, _)) = number {
            push(Kind::Insn, value);
        }
    }
}

fn scan(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (line, text) in text.lines().enumerate() {
        numbers(line, text, &mut found);
    }
    // A register dump shows what was never written: zero is no syndrome.
    found.retain(|found| found.kind != Kind::Esr || found.value != 0);
    // The same syndrome named twice in a line is one.
    found.dedup_by_key(|found| (found.line, found.kind, found.value));
    found
}

/// Returns whether a text is a log rather than a list of numbers: whether it names any syndrome in passing.
pub fn looks_like_one(text: &str) -> bool {
    let is_list_word = |word: &str| {
        let (key, value) = word.split_once('=').unwrap_or(("esr", word));
        matches!(key, "esr" | "far" | "hpfar" | "elr" | "pc" | "insn")
            && crate::number(value).is_ok()
    };
    let lines: Vec<&str> = text.lines().collect();
    let is_list = |line: &str| {
        let mut words = line
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty());
        words.all(is_list_word)
    };
    scan(text).iter().any(|found| {
        found.kind == Kind::Esr && lines.get(found.line).is_some_and(|line| !is_list(line))
    })
}

/// The syndromes of a log, each with the addresses of its dump.
fn contexts(found: &[Found]) -> Vec<(usize, Context)> {
    let syndromes: Vec<&Found> = found
        .iter()
        .filter(|found| found.kind == Kind::Esr)
        .collect();
    let mut contexts = Vec::new();
    for (index, syndrome) in syndromes.iter().enumerate() {
        // What lies beyond the next syndrome of another value is its own.
        let other = |found: &&&Found| found.value != syndrome.value && found.line != syndrome.line;
        let is_near = |found: &&&Found| found.line.abs_diff(syndrome.line) <= NEAR;
        let (earlier, later) = syndromes.split_at(index);
        let after = later.iter().take_while(is_near).find(other);
        let before = earlier.iter().rev().take_while(is_near).find(other);
        let first = before
            .map_or(0, |found| found.line + 1)
            .max(syndrome.line.saturating_sub(NEAR));
        let last = after
            .map_or(usize::MAX, |found| found.line - 1)
            .min(syndrome.line + NEAR);
        // `found` is in the order of lines.
        let from = found.partition_point(|found| found.line < first);
        let to = found.partition_point(|found| found.line <= last);
        let dump = found.get(from..to).unwrap_or(&[]);
        let nearest = |kind| {
            dump.iter()
                .filter(|found| found.kind == kind)
                .min_by_key(|found| found.line.abs_diff(syndrome.line))
                .map(|found| found.value)
        };
        let context = Context {
            esr: Esr(syndrome.value),
            far: nearest(Kind::Far),
            hpfar: nearest(Kind::Hpfar),
            elr: nearest(Kind::Elr),
            insn: nearest(Kind::Insn).and_then(|insn| insn.try_into().ok()),
        };
        contexts.push((syndrome.line, context));
    }
    contexts
}

/// Prints a log back, each syndrome explained below its line; with `as_json`, the syndromes alone.
pub fn annotate(text: &str, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    let contexts = contexts(&scan(text));
    let mut next = contexts.iter().peekable();
    for (line, text) in text.lines().enumerate() {
        if !as_json {
            writeln!(out, "{text}")?;
        }
        while let Some((_, context)) = next.next_if(|(at, _)| *at == line) {
            if as_json {
                writeln!(out, "{}", json::object(context))?;
            } else {
                in_place(context, out)?;
            }
        }
    }
    Ok(())
}

/// The explanation of one syndrome in few lines, marked so that a filter can drop them.
fn in_place(context: &Context, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "    >> {:#x}: {}", context.esr.0, Summary(context))?;
    let fields: Vec<String> = Fields::of(context.esr)
        .filter(|field| field.name != "EC" && field.name != "IL" && field.value != 0)
        .map(|field| format!("{}={:#x} ({})", field.name, field.value, field.meaning()))
        .collect();
    if !fields.is_empty() {
        writeln!(out, "    >>   {}", fields.join(", "))?;
    }
    let needs_insn = match Syndrome::decode(context.esr) {
        Syndrome::DataAbort(abort) => abort.transfer.is_none(),
        _ => false,
    };
    if let Some(access) = context
        .insn
        .filter(|_| needs_insn)
        .map(vcpu_exits::insn::MemoryInsn::decode)
    {
        match access {
            Ok(access) => writeln!(out, "    >>   instruction: {access}")?,
            Err(why) => writeln!(out, "    >>   instruction: {why}")?,
        }
    }
    for hint in context.hints() {
        writeln!(out, "    >>   hint: {hint}")?;
    }
    Ok(())
}
