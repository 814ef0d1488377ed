//! A PL011 UART (Arm DDI 0183), as a guest sees it.

use crate::lanes;

/// Received bytes that wait for the guest: the FIFO of a PL011 revision r1p5.
const FIFO_BYTES: usize = 32;

/// A UART. What it sends is sent at once.
#[derive(Clone, Debug)]
pub struct Pl011 {
    fifo: [u8; FIFO_BYTES],
    first: usize,
    count: usize,
    /// Bytes that came while the FIFO was full, since the guest last read one (OE).
    overrun: bool,
    /// UARTRSR: errors of the byte read last.
    status: u32,
    /// UARTILPR, UARTIBRD, UARTFBRD, UARTLCR_H, UARTCR, UARTIFLS, UARTDMACR: kept, without effect
    /// but for UARTLCR_H.FEN and UARTCR.
    kept: [u32; 12],
    mask: u32,
    raw: u32,
}

/// Register offsets. DDI 0183, "Summary of registers".
mod at {
    pub const DR: u64 = 0x00;
    pub const RSR: u64 = 0x04;
    pub const FR: u64 = 0x18;
    pub const ILPR: u64 = 0x20;
    pub const LCR_H: u64 = 0x2c;
    pub const CR: u64 = 0x30;
    pub const IFLS: u64 = 0x34;
    pub const IMSC: u64 = 0x38;
    pub const RIS: u64 = 0x3c;
    pub const MIS: u64 = 0x40;
    pub const ICR: u64 = 0x44;
    pub const DMACR: u64 = 0x48;
    pub const PERIPH_ID: u64 = 0xfe0;
}

/// UARTFR.
const RXFE: u32 = 1 << 4;
const RXFF: u32 = 1 << 6;
const TXFE: u32 = 1 << 7;
/// UARTIMSC, UARTRIS, UARTMIS, UARTICR.
const RX: u32 = 1 << 4;
const TX: u32 = 1 << 5;
const RX_TIMEOUT: u32 = 1 << 6;
const OVERRUN: u32 = 1 << 10;
const INTERRUPTS: u32 = 0x7ff;
/// UARTCR.
const UARTEN: u32 = 1;
const LOOPBACK: u32 = 1 << 7;
const TXE: u32 = 1 << 8;
const RXE: u32 = 1 << 9;
/// UARTLCR_H.
const FEN: u32 = 1 << 4;
/// UARTDR: overrun of a received byte.
const DR_OVERRUN: u32 = 1 << 11;

/// UARTPeriphID0 to 3 (part 0x011, Arm, revision 3), UARTPCellID0 to 3.
const ID: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Returns the place of a register in `kept`.
const fn kept(offset: u64) -> usize {
    ((offset - at::ILPR) / 4) as usize
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Pl011 {
    /// Bytes of its registers.
    pub const SIZE_BYTES: u64 = 0x1000;

    /// Returns the UART after reset, but enabled: the firmware that a guest believes in has printed
    /// before it.
    pub const fn new() -> Self {
        let mut kept_words = [0; 12];
        kept_words[kept(at::CR)] = UARTEN | TXE | RXE;
        kept_words[kept(at::IFLS)] = 0x12;
        Self {
            fifo: [0; FIFO_BYTES],
            first: 0,
            count: 0,
            overrun: false,
            status: 0,
            kept: kept_words,
            mask: 0,
            raw: TX, // the FIFO is empty, below its level
        }
    }

    /// Reads a register, or part of one.
    pub fn read(&mut self, offset: u64, size_bytes: u8) -> u64 {
        let register = match offset & !3 {
            at::DR if offset & 3 == 0 => self.take(),
            at::RSR => self.status,
            at::FR => self.flags(),
            at::IMSC => self.mask,
            at::RIS => self.raw,
            at::MIS => self.raw & self.mask,
            at @ (at::ILPR..=at::IFLS | at::DMACR) => self.kept[kept(at)],
            at @ at::PERIPH_ID..=0xffc => u32::from(ID[(at - at::PERIPH_ID) as usize / 4]),
            _ => 0,
        };
        lanes::read(register.into(), offset & 3, size_bytes)
    }

    /// Writes a register, or its low part; returns the byte that this sends.
    pub fn write(&mut self, offset: u64, size_bytes: u8, value: u64) -> Option<u8> {
        let value = (value & lanes::mask(size_bytes)) as u32;
        match offset {
            at::DR => return self.send(value as u8),
            at::RSR => self.status = 0,
            at::IMSC => self.mask = value & INTERRUPTS,
            at::ICR => self.raw &= !value,
            at @ (at::ILPR..=at::IFLS | at::DMACR) if at & 3 == 0 => {
                self.kept[kept(at)] = value & 0xffff;
            }
            _ => {}
        }
        None
    }

    /// Takes a byte from the line; false, and lost, when the guest is not reading.
    pub fn receive(&mut self, byte: u8) -> bool {
        let control = self.kept[kept(at::CR)];
        if control & (UARTEN | RXE) != UARTEN | RXE {
            return false;
        }
        if self.count >= self.depth() {
            self.overrun = true;
            self.raw |= OVERRUN;
            return false;
        }
        self.fifo[(self.first + self.count) % FIFO_BYTES] = byte;
        self.count += 1;
        self.raw |= RX | RX_TIMEOUT;
        true
    }

    /// Returns whether one more byte would be kept.
    pub fn has_room(&self) -> bool {
        self.count < self.depth()
    }

    /// Returns the interrupt line, UARTINTR.
    #[inline]
    pub fn line(&self) -> bool {
        self.raw & self.mask != 0
    }

    fn depth(&self) -> usize {
        match self.kept[kept(at::LCR_H)] & FEN {
            0 => 1,
            _ => FIFO_BYTES,
        }
    }

    fn flags(&self) -> u32 {
        let empty = if self.count == 0 { RXFE } else { 0 };
        let full = if self.has_room() { 0 } else { RXFF };
        TXFE | empty | full
    }

    fn take(&mut self) -> u32 {
        if self.count == 0 {
            return 0;
        }
        let byte = self.fifo[self.first];
        self.first = (self.first + 1) % FIFO_BYTES;
        self.count -= 1;
        if self.count == 0 {
            self.raw &= !(RX | RX_TIMEOUT);
        }
        let overrun = core::mem::take(&mut self.overrun);
        self.status = u32::from(overrun) << 3;
        u32::from(byte) | if overrun { DR_OVERRUN } else { 0 }
    }

    fn send(&mut self, byte: u8) -> Option<u8> {
        let control = self.kept[kept(at::CR)];
        if control & (UARTEN | TXE) != UARTEN | TXE {
            return None;
        }
        self.raw |= TX; // it is gone, and the FIFO below its level again
        if control & LOOPBACK != 0 {
            self.receive(byte);
            return None;
        }
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_received_raises_the_line_until_it_is_read() {
        let mut uart = Pl011::new();
        uart.write(at::IMSC, 4, (RX | RX_TIMEOUT).into());
        assert!(!uart.line());
        assert!(uart.receive(b'a'));
        assert!(uart.line());
        assert_eq!(uart.read(at::MIS, 4), (RX | RX_TIMEOUT).into());
        assert_eq!(uart.read(at::DR, 1), b'a'.into());
        assert!(!uart.line());
        assert_eq!(uart.read(at::FR, 4), (TXFE | RXFE).into());
    }

    #[test]
    fn sent_byte_raises_transmit_again_after_it_was_cleared() {
        let mut uart = Pl011::new();
        uart.write(at::IMSC, 4, TX.into());
        assert!(uart.line());
        uart.write(at::ICR, 4, TX.into());
        assert!(!uart.line());
        assert_eq!(uart.write(at::DR, 1, u64::from(b'x') | 0xff00), Some(b'x'));
        assert!(uart.line());
    }

    #[test]
    fn overrun_is_told_with_the_next_byte() {
        let mut uart = Pl011::new(); // FEN is clear: one byte
        assert!(uart.receive(1));
        assert!(!uart.receive(2));
        assert_eq!(uart.read(at::DR, 4), u64::from(DR_OVERRUN) | 1);
        assert_eq!(uart.read(at::RSR, 4), 1 << 3);
        uart.write(at::LCR_H, 4, FEN.into());
        assert!((0..FIFO_BYTES as u8).all(|byte| uart.receive(byte)));
        assert!(!uart.receive(0));
        assert_eq!(uart.read(at::DR, 4), DR_OVERRUN.into());
        assert!((1..FIFO_BYTES as u64).all(|byte| uart.read(at::DR, 4) == byte));
    }

    #[test]
    fn identification_is_a_pl011() {
        let mut uart = Pl011::new();
        let id = |uart: &mut Pl011, first: u64| {
            (0..4).fold(0, |id, i| id | uart.read(first + 4 * i, 4) << (8 * i))
        };
        assert_eq!(id(&mut uart, 0xfe0), 0x0034_1011);
        assert_eq!(id(&mut uart, 0xff0), 0xb105_f00d);
    }

    proptest! {
        /// No access stops the host, no read gives more bits than asked, and what is received
        /// comes out in order or is refused.
        #[test]
        fn any_access_has_an_answer(
            accesses in proptest::collection::vec(
                (0_u64..0x1010, 0_u8..4, any::<Option<u64>>(), any::<bool>()), 0..200),
        ) {
            let mut uart = Pl011::new();
            for (offset, log2, value, comes) in accesses {
                let size_bytes = 1 << log2;
                if comes && uart.has_room() {
                    uart.receive(offset as u8);
                }
                match value {
                    Some(value) => drop(uart.write(offset, size_bytes, value)),
                    None => {
                        let value = uart.read(offset, size_bytes);
                        prop_assert_eq!(value & !lanes::mask(size_bytes), 0);
                    }
                }
                let masked = uart.read(at::RIS, 4) & uart.read(at::IMSC, 4);
                prop_assert_eq!(uart.read(at::MIS, 4), masked);
                prop_assert_eq!(uart.line(), masked != 0);
                let empty = uart.read(at::FR, 4) & u64::from(RXFE) != 0;
                prop_assert!(!empty || uart.read(at::DR, 1) == 0);
            }
        }
    }
}
