//! Numbers as people write them.

use std::fmt;

use vcpu_exits::explain::Context;
use vcpu_regs::Esr;

/// What is wrong with an input, and where.
pub struct Problem {
    /// "line 3", "argument 1".
    pub place: String,
    /// Why it cannot be used.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// Reads a number: hexadecimal, with or without 0x; decimal where it is too long to be that.
pub fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, is_marked) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let digits = digits.replace('_', "");
    if digits.is_empty() {
        return Err(format!("`{text}` is no number"));
    }
    if let Some(wrong) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Err(format!(
            "`{text}` is neither hexadecimal nor decimal: `{wrong}`"
        ));
    }
    match u64::from_str_radix(&digits, 16) {
        Ok(value) => Ok(value),
        Err(_) if !is_marked => digits
            .parse()
            .map_err(|_| format!("`{text}` has more than 64 bits")),
        Err(_) => Err(format!("`{text}` has more than 64 bits")),
    }
}

/// Reads a list: syndromes separated by white space or commas, `#` starts a comment, and `far=`, `hpfar=`,
/// `elr=` and `insn=` belong to the syndrome before them on the line.
pub fn list(text: &str, shared: Context) -> Vec<Result<Context, Problem>> {
    let mut items = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = || format!("line {}", index + 1);
        let line = line.split('#').next().unwrap_or("");
        let mut last: Option<Context> = None;
        for word in line
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
        {
            let (key, value) = word.split_once('=').unwrap_or(("esr", word));
            let value = match number(value) {
                Ok(value) => value,
                Err(why) => {
                    items.push(Err(Problem {
                        place: place(),
                        why,
                    }));
                    continue;
                }
            };
            match (key.to_ascii_lowercase().as_str(), &mut last) {
                ("esr", _) => {
                    items.extend(
                        last.replace(Context {
                            esr: Esr(value),
                            ..shared
                        })
                        .map(Ok),
                    );
                }
                ("far", Some(context)) => context.far = Some(value),
                ("hpfar", Some(context)) => context.hpfar = Some(value),
                ("elr" | "pc", Some(context)) => context.elr = Some(value),
                ("insn", Some(context)) if value <= u64::from(u32::MAX) => {
                    context.insn = Some(value as u32);
                }
                _ => {
                    let why = format!("`{word}` follows no syndrome, or is not known");
                    items.push(Err(Problem {
                        place: place(),
                        why,
                    }));
                }
            }
        }
        items.extend(last.map(Ok));
    }
    items
}
