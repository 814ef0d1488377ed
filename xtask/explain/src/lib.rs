//! The front of `cargo xtask explain` and of the `vcpu-explain` binary.
//!
//! Reads numbers and logs, writes text or JSON. What the words mean is in `vcpu-exits`.

mod input;
mod json;
mod log;

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use input::{Problem, number};
use vcpu_exits::explain::{Context, explain};

/// What to explain.
///
/// Numbers are hexadecimal, with or without 0x; one that cannot be is decimal.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Syndromes, or files with logs; without any, standard input is read.
    pub inputs: Vec<String>,
    /// FAR_ELx of every syndrome given.
    #[arg(long, value_parser = number)]
    pub far: Option<u64>,
    /// HPFAR_EL2 of every syndrome given.
    #[arg(long, value_parser = number)]
    pub hpfar: Option<u64>,
    /// ELR_ELx of every syndrome given.
    #[arg(long, value_parser = number)]
    pub elr: Option<u64>,
    /// The instruction at ELR, as a 32-bit word.
    #[arg(long, value_parser = instruction)]
    pub insn: Option<u32>,
    /// One JSON object a line, in input order.
    #[arg(long)]
    pub json: bool,
    /// Take standard input as a log, whatever it looks like: print it back, each syndrome explained in place.
    #[arg(long)]
    pub log: bool,
}

fn instruction(text: &str) -> Result<u32, String> {
    let value = number(text)?;
    u32::try_from(value).map_err(|_| format!("{value:#x} has more than 32 bits"))
}

/// Runs on standard input, output and error; fails where any input was bad.
pub fn main(args: &Args) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = run(
        args,
        &mut io::stdin().lock(),
        &mut out,
        &mut io::stderr().lock(),
    );
    match result.and_then(|bad| out.flush().map(|()| bad)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Whoever reads the output has enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs on any streams. Returns how many inputs were bad; each has its line on `err`.
pub fn run(
    args: &Args,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<usize> {
    let mut bad = 0;
    let mut complain = |problem: Problem| -> io::Result<()> {
        bad += 1;
        writeln!(err, "error: {problem}")
    };
    let shared = Context {
        far: args.far,
        hpfar: args.hpfar,
        elr: args.elr,
        insn: args.insn,
        ..Context::default()
    };
    if args.inputs.is_empty() {
        let mut text = Vec::new();
        input.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        if args.log || log::looks_like_one(&text) {
            log::annotate(&text, args.json, out)?;
        } else {
            for item in input::list(&text, shared) {
                match item {
                    Ok(context) => one(&context, args.json, out)?,
                    Err(problem) => complain(problem)?,
                }
            }
        }
    }
    for (index, argument) in args.inputs.iter().enumerate() {
        match number(argument) {
            Ok(esr) => one(
                &Context {
                    esr: vcpu_regs::Esr(esr),
                    ..shared
                },
                args.json,
                out,
            )?,
            Err(why) => match std::fs::read(argument) {
                Ok(text) => log::annotate(&String::from_utf8_lossy(&text), args.json, out)?,
                Err(error) => {
                    let why = format!("{why}, and no file: {error}");
                    complain(Problem {
                        place: format!("argument {}", index + 1),
                        why,
                    })?;
                }
            },
        }
    }
    Ok(bad)
}

fn one(context: &Context, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    if as_json {
        return writeln!(out, "{}", json::object(context));
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = explain(&mut text, context);
    let _ = writeln!(text);
    out.write_all(text.as_bytes())
}
