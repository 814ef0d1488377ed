//! One terminal for all guests: lines say whose they are, and one guest at a time is typed to.

use crate::console;

/// Whose output is at the terminal, and who is typed to.
pub struct Terminal {
    guests: usize,
    /// Who wrote last, and whether that line is not at its end.
    last: Option<usize>,
    lines: [Line; Self::MOST],
    typed_to: usize,
    /// The byte typed last was [`Terminal::SWITCH`].
    switching: bool,
}

/// What a guest wrote that is not shown yet.
#[derive(Clone, Copy)]
struct Line {
    bytes: [u8; Self::LENGTH],
    count: usize,
}

impl Line {
    const LENGTH: usize = 120;
}

impl Terminal {
    /// The most guests.
    pub const MOST: usize = 4;
    /// Ctrl-T; a guest's number after it is whom to type to.
    const SWITCH: u8 = 0x14;

    /// Returns the terminal of so many guests; the first is typed to.
    pub const fn new(guests: usize) -> Self {
        let line = Line {
            bytes: [0; Line::LENGTH],
            count: 0,
        };
        Self {
            guests,
            last: None,
            lines: [line; Self::MOST],
            typed_to: 0,
            switching: false,
        }
    }

    /// Shows a byte that a guest sent: at once where there is one guest, else line by line.
    pub fn show(&mut self, guest: usize, byte: u8) {
        if self.guests == 1 {
            return console::write_bytes(&[byte]);
        }
        let Some(line) = self.lines.get_mut(guest) else {
            return;
        };
        if let Some(place) = line.bytes.get_mut(line.count) {
            *place = byte;
            line.count += 1;
        }
        if byte == b'\n' || line.count == Line::LENGTH {
            self.flush(guest);
        }
    }

    /// Shows the part of a line that a guest has written: it waits now, perhaps for an answer.
    pub fn flush(&mut self, guest: usize) {
        let Some(line) = self.lines.get_mut(guest) else {
            return;
        };
        let bytes = line.bytes;
        let count = core::mem::take(&mut line.count);
        let Some(bytes @ [.., last]) = bytes.get(..count) else {
            return;
        };
        if self.last != Some(guest) {
            if self.last.is_some() {
                console::write_bytes(b"\r\n");
            }
            console::write_bytes(&[b'0' + guest as u8 + 1, b'|', b' ']);
        }
        console::write_bytes(bytes);
        self.last = (*last != b'\n').then_some(guest);
    }

    /// Returns who gets a byte that was typed.
    pub fn typed(&mut self, byte: u8) -> Option<usize> {
        if self.guests > 1 && byte == Self::SWITCH {
            self.switching = true;
            return None;
        }
        if core::mem::take(&mut self.switching) {
            let number = usize::from(byte.wrapping_sub(b'1'));
            if number < self.guests {
                self.typed_to = number;
            }
            return None;
        }
        Some(self.typed_to)
    }
}
