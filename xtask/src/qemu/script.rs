//! The expected transcript of a run, compared as the run goes on.

use super::transcript::Transcript;
use crate::example::{Step, Test};

/// The steps of a test that are still to come.
pub struct Script<'a> {
    steps: &'a [Step],
    log: &'a [String],
    never: &'a [String],
    /// How much of the console was matched, in bytes.
    console_seen: usize,
    /// How many log lines were matched.
    log_seen: usize,
}

impl<'a> Script<'a> {
    /// Returns the script of `test`, from its start.
    pub fn new(test: &'a Test) -> Self {
        let Test {
            steps, log, never, ..
        } = test;
        Self {
            steps,
            log,
            never,
            console_seen: 0,
            log_seen: 0,
        }
    }

    /// Matches what is new, and returns what is to be typed now.
    pub fn advance(&mut self, transcript: &Transcript) -> Option<String> {
        while let [first, rest @ ..] = self.log {
            let mut lines = transcript.log.iter().skip(self.log_seen);
            let Some(skipped) = lines.position(|line| line.to_string().contains(first)) else {
                break;
            };
            self.log_seen += skipped + 1;
            self.log = rest;
        }
        while let [first, rest @ ..] = self.steps {
            match first {
                Step::Send(line) => {
                    self.steps = rest;
                    return Some(format!("{line}\n"));
                }
                Step::Expect(text) => {
                    let start = transcript.console[self.console_seen..].find(text.as_str())?;
                    self.console_seen += start + text.len();
                    self.steps = rest;
                }
            }
        }
        None
    }

    /// Returns what was shown and never should be.
    pub fn forbidden(&self, transcript: &Transcript) -> Option<&'a str> {
        let shown = |text: &&String| {
            let mut log = transcript.log.iter();
            transcript.console.contains(text.as_str())
                || log.any(|line| line.to_string().contains(text.as_str()))
        };
        self.never.iter().find(shown).map(String::as_str)
    }

    /// Returns what is missing.
    pub fn missing(&self) -> Option<String> {
        let step = self.steps.first().map(|step| match step {
            Step::Expect(text) => format!("the console never showed `{text}`"),
            Step::Send(line) => format!("`{line}` was never typed"),
        });
        let log = || {
            self.log
                .first()
                .map(|text| format!("the log never showed `{text}`"))
        };
        step.or_else(log)
    }
}
