//! What a run showed: console and log, as a person would have read them.

use super::log::{Level, Line};

/// Console text and log lines of one run.
#[derive(Default)]
pub struct Transcript {
    /// The console without escape sequences and carriage returns.
    pub console: String,
    /// Decoded log lines.
    pub log: Vec<Line>,
    /// Whole lines of both, as they came.
    lines: Vec<String>,
    /// The line that QEMU has not ended yet.
    emulator: String,
    escape: Escape,
    /// Bytes of a character that is not whole yet.
    undecoded: Vec<u8>,
}

/// Where in an escape sequence (ECMA-48) the console stream stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    /// In text.
    #[default]
    None,
    /// After ESC.
    Started,
    /// In a control sequence, up to its final byte.
    Control,
    /// In a string, up to BEL or ESC.
    Text,
}

impl Transcript {
    /// Takes what the console showed.
    pub fn console(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let (next, shown) = self.escape.step(byte);
            self.escape = next;
            if shown && byte != b'\r' {
                self.undecoded.push(byte);
            }
        }
        let whole = match std::str::from_utf8(&self.undecoded) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.undecoded.len(),
        };
        let text: Vec<u8> = self.undecoded.drain(..whole).collect();
        let start = self.console.rfind('\n').map_or(0, |newline| newline + 1);
        self.console.push_str(&String::from_utf8_lossy(&text));
        if let Some((whole_lines, _)) = self.console[start..].rsplit_once('\n') {
            self.lines.extend(whole_lines.lines().map(str::to_owned));
        }
    }

    /// Takes what QEMU itself said.
    pub fn emulator(&mut self, bytes: &[u8]) {
        self.emulator.push_str(&String::from_utf8_lossy(bytes));
        if let Some((whole, rest)) = self.emulator.rsplit_once('\n') {
            self.lines.extend(whole.lines().map(str::to_owned));
            self.emulator = rest.to_owned();
        }
    }

    /// Takes a log line.
    pub fn log(&mut self, line: Line) {
        self.lines.push(line.to_string());
        self.log.push(line);
    }

    /// Returns the log lines in which the hypervisor gave its verdict.
    pub fn errors(&self) -> impl Iterator<Item = &Line> {
        self.log
            .iter()
            .filter(|line| line.level == Some(Level::Error))
    }

    /// Returns the whole lines of both, as they came.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Returns the last lines, one below the other, indented.
    pub fn last_lines(&self, count: usize) -> String {
        let unfinished = self
            .console
            .rsplit('\n')
            .next()
            .filter(|line| !line.is_empty());
        let lines = self.lines.iter().map(String::as_str).chain(unfinished);
        let lines: Vec<_> = lines.collect();
        let last = &lines[lines.len().saturating_sub(count)..];
        last.iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl Escape {
    /// Returns what follows `byte`, and whether the byte is text.
    fn step(self, byte: u8) -> (Self, bool) {
        match (self, byte) {
            (_, 0x1b) => (Self::Started, false),
            (Self::None, _) => (Self::None, true),
            (Self::Started, b'[') => (Self::Control, false),
            (Self::Started, b']' | b'P' | b'^' | b'_') => (Self::Text, false),
            (Self::Started, 0x20..=0x2f) => (Self::Started, false),
            (Self::Started, _) => (Self::None, false),
            (Self::Control, 0x40..=0x7e) => (Self::None, false),
            (Self::Control, _) => (Self::Control, false),
            (Self::Text, 0x07) => (Self::None, false),
            (Self::Text, _) => (Self::Text, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console_of(chunks: &[&[u8]]) -> Transcript {
        let mut transcript = Transcript::default();
        chunks.iter().for_each(|chunk| transcript.console(chunk));
        transcript
    }

    #[test]
    fn escape_sequences_are_left_out_even_when_split() {
        let transcript = console_of(&[b"\x1b[1;3", b"2mgreen\x1b", b"[0m ~ # \x1b[6nx\r\n"]);
        assert_eq!(transcript.console, "green ~ # x\n");
        assert_eq!(console_of(&[b"\x1b]0;title\x07a\x1b(Bb"]).console, "ab");
    }

    #[test]
    fn character_split_between_two_reads_is_whole() {
        assert_eq!(console_of(&[b"\xc3", b"\xa9"]).console, "é");
        assert_eq!(console_of(&[b"a\xffb"]).console, "a\u{fffd}b");
    }

    #[test]
    fn last_lines_are_of_console_emulator_and_log_and_end_with_the_unfinished() {
        let mut transcript = console_of(&[b"one\r\ntw"]);
        transcript.emulator(b"qemu: od");
        transcript.emulator(b"d\n");
        transcript.console(b"o\r\nthr");
        assert_eq!(transcript.lines(), ["one", "qemu: odd", "two"]);
        assert_eq!(transcript.last_lines(2), "    two\n    thr\n");
    }
}
