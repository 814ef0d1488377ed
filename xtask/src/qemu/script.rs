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
        }
    }

    /// Matches what is new, and returns what is to be typed now.
    pub fn advance(&mut self, transcript: &Transcript) -> Option<String> {
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

    /// Returns what is missing at the end of the run.
    pub fn missing(&self, transcript: &Transcript) -> Option<String> {
        match self.steps.first() {
            Some(Step::Expect(text)) => return Some(format!("the console never showed `{text}`")),
            Some(Step::Send(line)) => return Some(format!("`{line}` was never typed")),
            None => {}
        }
        let mut lines = transcript.log.iter();
        let mut texts = self.log.iter();
        let missing = texts.find(|text| !lines.any(|line| line.to_string().contains(*text)))?;
        Some(format!("the log never showed `{missing}`"))
    }
}
