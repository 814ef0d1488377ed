//! One syndrome as one JSON object on one line.

use std::fmt::Write as _;

use vcpu_exits::Syndrome;
use vcpu_exits::explain::{Context, Fields, Summary, class_name};
use vcpu_regs::SysRegDirections;

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if u32::from(c) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The object of a syndrome: `esr`, `class`, `ec`, `fields`, `sysreg`, `reencoded`, `summary`.
pub fn object(context: &Context) -> String {
    let esr = context.esr;
    let mut fields = String::new();
    let mut reencoded = 0;
    for field in Fields::of(esr) {
        let separator = if fields.is_empty() { "" } else { "," };
        let (name, meaning) = (quoted(field.name), quoted(&field.meaning().to_string()));
        // Writing to a string cannot fail.
        let _ = write!(
            fields,
            r#"{separator}{{"name":{name},"hi":{},"lo":{},"value":{},"meaning":{meaning}}}"#,
            field.hi, field.lo, field.value
        );
        reencoded |= field.in_place();
    }
    format!(
        r#"{{"esr":"{:#018x}","class":{},"ec":{},"fields":[{fields}],"sysreg":{},"reencoded":"{reencoded:#018x}","summary":{}}}"#,
        esr.0,
        quoted(class_name(esr.class())),
        esr.class(),
        sysreg(&Syndrome::decode(esr)),
        quoted(&Summary(context).to_string()),
    )
}

fn sysreg(syndrome: &Syndrome) -> String {
    let (reg, is_read) = match syndrome {
        Syndrome::SysReg(access) => (access.reg, access.is_read),
        Syndrome::SysRegPair(access) => (access.reg, access.is_read),
        _ => return "null".to_owned(),
    };
    let name = reg
        .name_for(is_read)
        .map_or_else(|| reg.to_string(), str::to_owned);
    let access = match reg.directions() {
        Some(SysRegDirections::ReadOnly) => r#""ro""#,
        Some(SysRegDirections::WriteOnly) => r#""wo""#,
        Some(SysRegDirections::ReadWrite) => r#""rw""#,
        None => "null",
    };
    format!(r#"{{"name":{},"access":{access}}}"#, quoted(&name))
}
