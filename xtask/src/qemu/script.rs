//! The expected transcript of a run, compared as the run goes on.

use super::{log::Line, transcript::Transcript};
use crate::example::{Step, Test};

/// The steps of a test that are still to come.
pub struct Script<'a> {
    steps: &'a [Step],
    log: &'a [String],
    never: &'a [String],
    /// How much of the console was matched, or cannot match the next step, in bytes.
    console_seen: usize,
    /// What a number was too small for.
    too_small: Option<String>,
    /// How much of the console was searched for what it should not show, in bytes.
    console_searched: usize,
    /// The same of the log, in lines.
    log_searched: usize,
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
            too_small: None,
            console_searched: 0,
            log_searched: 0,
        }
    }

    /// Matches what is new, and returns what is to be typed now.
    pub fn advance(&mut self, transcript: &Transcript) -> Option<String> {
        let console = transcript.console.as_str();
        while let [first, rest @ ..] = self.steps {
            match first {
                Step::Send(line) => {
                    self.steps = rest;
                    return Some(format!("{line}\n"));
                }
                Step::Expect(text) => {
                    self.console_seen = self.find(console, text)?;
                    self.steps = rest;
                }
                Step::AtLeast(text, least) => {
                    let end = self.find(console, text)?;
                    let digits = console[end..].bytes().take_while(u8::is_ascii_digit);
                    let number_end = end + digits.count();
                    if number_end == console.len() {
                        return None; // there may be more of it
                    }
                    // Text without a number was not meant.
                    if let Ok(number) = console[end..number_end].parse::<u64>() {
                        if number < *least {
                            let what = format!("{text}{number}, where {least} is the least");
                            self.too_small = Some(what);
                            return None;
                        }
                        self.steps = rest;
                    }
                    self.console_seen = number_end;
                }
            }
        }
        None
    }

    /// Returns the end of the next `text` on the console.
    fn find(&mut self, console: &str, text: &str) -> Option<usize> {
        if let Some(start) = console[self.console_seen..].find(text) {
            return Some(self.console_seen + start + text.len());
        }
        // What was searched once is not again, but for a part of it at the end.
        let mut seen = console.len().saturating_sub(text.len());
        while !console.is_char_boundary(seen) {
            seen -= 1;
        }
        self.console_seen = self.console_seen.max(seen);
        None
    }

    /// Returns what was shown since the last call and never should be, or a number that is too
    /// small.
    pub fn forbidden(&mut self, transcript: &Transcript) -> Option<String> {
        if let Some(what) = &self.too_small {
            return Some(what.clone());
        }
        let longest = self.never.iter().map(String::len).max()?;
        let console = &transcript.console;
        let log: Vec<_> = transcript.log[self.log_searched..]
            .iter()
            .map(Line::to_string)
            .collect();
        // What was shown in part before.
        let mut start = self.console_searched.saturating_sub(longest);
        while !console.is_char_boundary(start) {
            start -= 1;
        }
        let (new, never) = (&console[start..], self.never.iter().map(String::as_str));
        (self.console_searched, self.log_searched) = (console.len(), transcript.log.len());
        never
            .into_iter()
            .find(|text| new.contains(text) || log.iter().any(|line| line.contains(text)))
            .map(str::to_owned)
    }

    /// Returns what is missing at the end of the run.
    pub fn missing(&self, transcript: &Transcript) -> Option<String> {
        match self.steps.first() {
            Some(Step::Expect(text)) => return Some(format!("the console never showed `{text}`")),
            Some(Step::AtLeast(text, least)) => {
                return Some(format!(
                    "the console never showed `{text}` and {least} or more"
                ));
            }
            Some(Step::Send(line)) => return Some(format!("`{line}` was never typed")),
            None => {}
        }
        let mut lines = transcript.log.iter();
        let mut texts = self.log.iter();
        let missing = texts.find(|text| !lines.any(|line| line.to_string().contains(*text)))?;
        Some(format!("the log never showed `{missing}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::log::Level;
    use std::time::Duration;

    fn test(steps: &[Step]) -> Test {
        let steps = steps.to_vec();
        Test {
            steps,
            ..Test::plain(Duration::ZERO)
        }
    }

    fn expect(text: &str) -> Step {
        Step::Expect(text.into())
    }

    fn logged(messages: &[&str]) -> Transcript {
        let mut transcript = Transcript::default();
        for message in messages {
            transcript.log(Line {
                level: Some(Level::Info),
                timestamp: None,
                message: (*message).to_owned(),
                location: None,
            });
        }
        transcript
    }

    #[test]
    fn line_is_typed_once_and_only_after_what_comes_before() {
        let test = test(&[expect("# "), Step::Send("uname".into()), expect("Linux")]);
        let mut script = Script::new(&test);
        let mut transcript = Transcript::default();
        transcript.console(b"Linux boots\n~ #");
        assert_eq!(script.advance(&transcript), None);
        transcript.console(b" ");
        assert_eq!(script.advance(&transcript).as_deref(), Some("uname\n"));
        assert_eq!(script.advance(&transcript), None);
        let missing = script.missing(&transcript);
        assert_eq!(missing.as_deref(), Some("the console never showed `Linux`"));
        transcript.console(b"uname\r\nLinux\r\n");
        assert_eq!(script.advance(&transcript), None);
        assert_eq!(script.missing(&transcript), None);
    }

    #[test]
    fn expectations_do_not_overlap() {
        let test = test(&[expect("aa"), expect("aa")]);
        let mut script = Script::new(&test);
        let mut transcript = Transcript::default();
        transcript.console(b"aaa");
        script.advance(&transcript);
        assert!(script.missing(&transcript).is_some());
        transcript.console(b"a");
        script.advance(&transcript);
        assert_eq!(script.missing(&transcript), None);
    }

    #[test]
    fn text_that_comes_in_parts_is_found_after_much_else() {
        let test = test(&[expect("éa# "), expect("b")]);
        let mut script = Script::new(&test);
        let mut transcript = Transcript::default();
        for part in ["bbbb éa", "é", "a#", " ", "x", "b"] {
            assert!(script.missing(&transcript).is_some());
            transcript.console(part.as_bytes());
            script.advance(&transcript);
        }
        assert_eq!(script.missing(&transcript), None);
    }

    #[test]
    fn number_is_compared_once_it_is_whole() {
        let test = test(&[Step::AtLeast("share ".into(), 40), expect("%")]);
        let mut script = Script::new(&test);
        let mut transcript = Transcript::default();
        transcript.console(b"share unknown; share 4");
        assert_eq!(script.advance(&transcript), None);
        assert_eq!(script.forbidden(&transcript), None);
        transcript.console(b"0%");
        assert_eq!(script.advance(&transcript), None);
        assert_eq!(script.missing(&transcript), None);
        assert_eq!(script.forbidden(&transcript), None);
    }

    #[test]
    fn number_that_is_too_small_ends_the_run() {
        let test = test(&[Step::AtLeast("share ".into(), 40)]);
        let mut script = Script::new(&test);
        let mut transcript = Transcript::default();
        transcript.console(b"share 39%");
        assert_eq!(script.advance(&transcript), None);
        let forbidden = script.forbidden(&transcript);
        let said = "share 39, where 40 is the least";
        assert_eq!(forbidden.as_deref(), Some(said));
        assert!(script.missing(&transcript).is_some());
    }

    #[test]
    fn log_is_matched_in_order() {
        let log = vec!["hvc".to_owned(), "off".to_owned()];
        let test = Test { log, ..test(&[]) };
        let script = Script::new(&test);
        assert_eq!(
            script.missing(&logged(&["exit: hvc", "noise", "exit: off"])),
            None
        );
        let missing = script.missing(&logged(&["exit: off", "exit: hvc"]));
        assert_eq!(missing.as_deref(), Some("the log never showed `off`"));
    }

    #[test]
    fn forbidden_text_is_found_across_two_reads_and_in_the_log() {
        let never = vec!["panic".to_owned()];
        let test = Test { never, ..test(&[]) };
        let mut script = Script::new(&test);
        let mut transcript = logged(&["all is well"]);
        transcript.console("é pan".as_bytes());
        assert_eq!(script.forbidden(&transcript), None);
        transcript.console(b"ic");
        assert_eq!(script.forbidden(&transcript).as_deref(), Some("panic"));
        let forbidden = Script::new(&test).forbidden(&logged(&["a panic"]));
        assert_eq!(forbidden.as_deref(), Some("panic"));
    }
}
