//! What of a guest's output goes to a terminal that others write to as well.
//!
//! Text, line ends, tabs, colours and what a line editor needs. Not: strings, during which the
//! terminal would show nothing that others write; what moves to others' lines or clears them; what
//! has the terminal answer, for the answer goes to whoever is typed to.

/// Where a guest's output stands in an escape sequence (ECMA-48).
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter {
    state: State,
    /// The control sequence so far.
    sequence: [u8; Self::LONGEST],
    count: usize,
    /// It changed how text looks, and did not change that back.
    has_colour: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In text.
    Text,
    /// After the first of the two bytes that UTF-8 has for U+0080 to U+00BF.
    Lead,
    /// After ESC.
    Escape,
    /// In a control sequence, up to its final byte.
    Control,
    /// In a string, up to BEL or ESC \.
    String,
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// CAN and SUB end any sequence.
const CANCEL: [u8; 2] = [0x18, 0x1a];

impl Filter {
    /// Parameters of a longer control sequence are nothing that we let through.
    const LONGEST: usize = 16;

    pub const fn new() -> Self {
        Self {
            state: State::Text,
            sequence: [0; Self::LONGEST],
            count: 0,
            has_colour: false,
        }
    }

    /// Takes a byte, and gives what is to be shown now.
    pub fn take(&mut self, byte: u8, mut show: impl FnMut(u8)) {
        let state = self.state;
        self.state = match (state, byte) {
            (_, ESC) => State::Escape,
            (_, byte) if CANCEL.contains(&byte) => State::Text,
            (State::Text, 0xc2) => State::Lead,
            (State::Text, b'\n') => {
                // A colour ends with the line, for the next may be another's.
                if self.takes_colour() {
                    b"\x1b[0m".iter().copied().for_each(&mut show);
                }
                show(b'\n');
                State::Text
            }
            (State::Text, byte) => {
                if matches!(byte, b'\r' | b'\t' | 0x08 | BEL | 0x20..=0x7e | 0x80..) {
                    show(byte);
                }
                State::Text
            }
            // U+0080 to U+009F are controls too: what ESC and a letter are.
            (State::Lead, 0x80..=0x9f) => State::Text,
            (State::Lead, byte) => {
                show(0xc2);
                self.state = State::Text;
                return self.take(byte, show);
            }
            (State::Escape, b'[') => {
                self.count = 0;
                State::Control
            }
            (State::Escape, b'P' | b'X' | b'^' | b'_' | b']') => State::String,
            (State::Escape, 0x20..=0x2f) => State::Escape,
            (State::Escape, _) => State::Text,
            (State::Control, 0x40..=0x7e) => {
                self.control(byte, show);
                State::Text
            }
            (State::Control, byte) => {
                if let Some(place) = self.sequence.get_mut(self.count) {
                    *place = byte;
                }
                self.count = self.count.saturating_add(1);
                State::Control
            }
            (State::String, BEL) => State::Text,
            (State::String, _) => State::String,
        };
    }

    /// Returns whether text looks other than usual, and takes that as changed back.
    pub fn takes_colour(&mut self) -> bool {
        core::mem::take(&mut self.has_colour)
    }

    fn control(&mut self, last: u8, mut show: impl FnMut(u8)) {
        let Some(parameters) = self.sequence.get(..self.count) else {
            return; // too long
        };
        let are_numbers = parameters
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b';');
        let is_harmless = match last {
            b'C' | b'D' | b'K' | b'm' => are_numbers,
            b'J' => parameters.is_empty(), // from here on
            _ => false,
        };
        if !is_harmless {
            return;
        }
        self.has_colour |= last == b'm';
        [ESC, b'['].into_iter().for_each(&mut show);
        parameters.iter().copied().for_each(&mut show);
        show(last);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8]) -> Vec<u8> {
        let (mut filter, mut shown) = (Filter::new(), Vec::new());
        for &byte in bytes {
            filter.take(byte, |byte| shown.push(byte));
        }
        shown
    }

    #[track_caller]
    fn assert_shown(sent: &str, expected: &str) {
        let shown = String::from_utf8(shown(sent.as_bytes())).unwrap();
        assert_eq!(shown, expected);
    }

    #[test]
    fn line_editor_works_and_colours_end_with_the_line() {
        assert_shown(
            "ls\x08\x1b[J\x1b[3D\x1b[K\r\n",
            "ls\x08\x1b[J\x1b[3D\x1b[K\r\n",
        );
        assert_shown("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\x1b[0m\n");
        assert_shown("é\u{a0}ü\n", "é\u{a0}ü\n");
    }

    #[test]
    fn what_answers_moves_or_hides_is_not_shown() {
        assert_shown("a\x1b[6nb", "ab"); // report the cursor
        assert_shown("a\x1b[2Jb\x1b[Hc\x1b[5Ad", "abcd");
        assert_shown("a\x1bcb\x1b(0c\x0ed\0e", "abcde"); // reset; other characters
        assert_shown("a\x1b[?1049hb", "ab"); // another screen
        assert_shown("a\x1b]0;title\x07b\x1bP+q\x1b\\c", "abc");
        assert_shown("a\x1b_x\x18b", "ab");
        assert_shown("a\u{9b}6nb\u{90}c", "a6nbc"); // the controls of 8 bits
        assert_shown("a\x1b[1;2;3;4;5;6;7;8;9;10mb", "ab");
    }

    proptest! {
        /// Whatever is sent, all that is shown is text or one of the sequences let through.
        #[test]
        fn nothing_else_comes_out(sent in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(ESC), Just(b'['), Just(b']'), Just(0xc2)], 0..100,
        )) {
            let shown = shown(&sent);
            let mut rest = &shown[..];
            while let [first, after @ ..] = rest {
                rest = after;
                if *first == ESC {
                    prop_assert_eq!(rest.first(), Some(&b'['));
                    let last = rest.iter().position(|byte| byte.is_ascii_alphabetic()).unwrap();
                    prop_assert!(b"CDJKm".contains(&rest[last]));
                    rest = &rest[last + 1..];
                } else {
                    prop_assert!(!(0..0x20).contains(first) || b"\r\n\t\x08\x07".contains(first));
                }
            }
        }
    }
}
