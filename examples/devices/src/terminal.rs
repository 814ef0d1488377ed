//! One terminal for all guests: lines say whose they are, and one guest at a time is typed to.

mod filter;

use filter::Filter;

/// Whose output is at the terminal, and who is typed to.
#[derive(Clone, Debug)]
pub struct Terminal {
    guests: usize,
    /// Who wrote last, where that line is not at its end.
    last: Option<usize>,
    lines: [Line; Self::MOST],
    typed_to: usize,
    /// The byte typed last was [`Terminal::ESCAPE`].
    is_escaped: bool,
}

/// What was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A byte for a guest.
    For(usize, u8),
    /// Ctrl-T and `s`: the host is to say what there was to do.
    Stats,
    /// Ctrl-T and `t`: the host is to say what the last exits were.
    Trace,
    /// Nothing that anybody is to do anything about.
    Nothing,
}

/// What a guest wrote that is not shown yet.
#[derive(Clone, Copy, Debug)]
struct Line {
    bytes: [u8; Self::LENGTH],
    count: usize,
    filter: Filter,
}

impl Line {
    const LENGTH: usize = 120;
}

impl Terminal {
    /// The most guests.
    pub const MOST: usize = 4;
    /// Ctrl-T; what comes after it is for the host: the number of a guest, to type to it. A second
    /// Ctrl-T is for the guest.
    pub const ESCAPE: u8 = 0x14;

    /// Returns the terminal of so many guests; the first is typed to.
    pub const fn new(guests: usize) -> Self {
        let line = Line {
            bytes: [0; Line::LENGTH],
            count: 0,
            filter: Filter::new(),
        };
        Self {
            guests,
            last: None,
            lines: [line; Self::MOST],
            typed_to: 0,
            is_escaped: false,
        }
    }

    /// Shows a byte that a guest sent, by `out`: at once where there is one guest, else line by
    /// line, without what would hide the lines of others.
    pub fn show(&mut self, guest: usize, byte: u8, mut out: impl FnMut(&[u8])) {
        if self.guests == 1 {
            self.last = (byte != b'\n').then_some(guest);
            return out(&[byte]);
        }
        let Some(line) = self.lines.get_mut(guest) else {
            return;
        };
        let mut filter = line.filter;
        filter.take(byte, |byte| self.append(guest, byte, &mut out));
        if let Some(line) = self.lines.get_mut(guest) {
            line.filter = filter;
        }
    }

    fn append(&mut self, guest: usize, byte: u8, out: impl FnMut(&[u8])) {
        let Some(line) = self.lines.get_mut(guest) else {
            return;
        };
        if let Some(place) = line.bytes.get_mut(line.count) {
            *place = byte;
            line.count += 1;
        }
        if byte == b'\n' || line.count == Line::LENGTH {
            self.flush(guest, out);
        }
    }

    /// Shows the part of a line that a guest has written: it waits now, perhaps for an answer.
    pub fn flush(&mut self, guest: usize, mut out: impl FnMut(&[u8])) {
        let Some(line) = self.lines.get_mut(guest) else {
            return;
        };
        let bytes = line.bytes;
        let count = core::mem::take(&mut line.count);
        let Some(bytes @ [.., last]) = bytes.get(..count) else {
            return;
        };
        if self.last != Some(guest) {
            self.leave_line(&mut out);
            out(&[b'0' + guest as u8 + 1, b'|', b' ']);
        }
        out(bytes);
        self.last = (*last != b'\n').then_some(guest);
    }

    /// Goes to the start of a line, for somebody else to write, in a colour of his own.
    pub fn leave_line(&mut self, mut out: impl FnMut(&[u8])) {
        if let Some(guest) = self.last.take() {
            let line = self.lines.get_mut(guest);
            if line.is_some_and(|line| line.filter.takes_colour()) {
                out(b"\x1b[0m");
            }
            out(b"\r\n");
        }
    }

    /// Returns what a byte that was typed is for.
    pub fn typed(&mut self, byte: u8) -> Typed {
        if !core::mem::take(&mut self.is_escaped) {
            self.is_escaped = byte == Self::ESCAPE;
            return match self.is_escaped {
                true => Typed::Nothing,
                false => Typed::For(self.typed_to, byte),
            };
        }
        match byte {
            b's' => return Typed::Stats,
            b't' => return Typed::Trace,
            Self::ESCAPE => return Typed::For(self.typed_to, byte),
            _ => {}
        }
        let number = usize::from(byte.wrapping_sub(b'1'));
        if number < self.guests {
            self.typed_to = number;
        }
        Typed::Nothing
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{string::String, vec::Vec};

    use super::*;

    /// Returns what the terminal shows of bytes that guests send.
    fn shown(terminal: &mut Terminal, sent: &[(usize, &str)]) -> String {
        let mut shown = Vec::new();
        for (guest, text) in sent {
            for byte in text.bytes() {
                terminal.show(*guest, byte, |bytes| shown.extend_from_slice(bytes));
            }
        }
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn lines_of_two_guests_do_not_mix_and_say_whose_they_are() {
        let mut terminal = Terminal::new(2);
        let sent = [(0, "a"), (1, "x\n"), (0, "b\n"), (1, "y")];
        assert_eq!(shown(&mut terminal, &sent), "2| x\n1| ab\n");
        let mut rest = Vec::new();
        terminal.flush(1, |bytes| rest.extend_from_slice(bytes));
        assert_eq!(rest, b"2| y");
        assert_eq!(shown(&mut terminal, &[(0, "c\n")]), "\r\n1| c\n");
    }

    #[test]
    fn guest_alone_has_the_terminal_as_it_is() {
        let sent = [(0, "\x1b]0;x\x07y")];
        assert_eq!(shown(&mut Terminal::new(1), &sent), "\x1b]0;x\x07y");
    }

    #[test]
    fn line_without_an_end_is_shown_in_parts() {
        let mut terminal = Terminal::new(2);
        let sent = ["x"; 250].concat();
        let parts = shown(&mut terminal, &[(1, &sent), (0, "a\n"), (1, "\n")]);
        assert_eq!(parts.matches('x').count(), 250);
        assert!(parts.contains("\r\n1| a\n2| x"), "{parts}");
    }

    #[test]
    fn terminal_swallows_nothing_that_others_write() {
        let mut terminal = Terminal::new(2);
        let sent = [
            (1, "\x1bPq\n"), // a string that does not end
            (0, "a\n"),
            (1, "\x1b\\b\n"), // now it does
        ];
        assert_eq!(shown(&mut terminal, &sent), "1| a\n2| b\n");
        let coloured = [(1, "\x1b[8m?"), (0, "a\n")];
        let mut parts = shown(&mut terminal, &coloured[..1]);
        terminal.flush(1, |bytes| {
            parts.push_str(core::str::from_utf8(bytes).unwrap())
        });
        parts += &shown(&mut terminal, &coloured[1..]);
        assert_eq!(parts, "2| \x1b[8m?\x1b[0m\r\n1| a\n");
        let whole = shown(&mut terminal, &[(1, "\x1b[8m\n"), (0, "a\n")]);
        assert_eq!(whole, "2| \x1b[8m\x1b[0m\n1| a\n");
    }

    #[test]
    fn what_is_typed_after_the_escape_is_the_hosts() {
        let mut terminal = Terminal::new(2);
        let mut typed = |text: &str| -> Vec<_> {
            let all = text.bytes().map(|byte| terminal.typed(byte));
            all.filter(|typed| *typed != Typed::Nothing).collect()
        };
        assert_eq!(typed("a"), [Typed::For(0, b'a')]);
        assert_eq!(typed("\x142b"), [Typed::For(1, b'b')]);
        assert_eq!(typed("\x149c"), [Typed::For(1, b'c')], "there is no ninth");
        assert_eq!(
            typed("\x14s\x14ts"),
            [Typed::Stats, Typed::Trace, Typed::For(1, b's')]
        );
        assert_eq!(typed("\x14\x14"), [Typed::For(1, 0x14)]);
    }
}
