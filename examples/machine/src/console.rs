//! Text for the person at the terminal, on the PL011. A guest that owns the UART writes to the same
//! terminal.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use arm_pl011_uart::{DataBits, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart};
use safe_mmio::UniqueMmioPointer;

use crate::layout::UART;

/// `virt` feeds its PL011 from a fixed clock ("apb-pclk" in the device tree).
const CLOCK_HZ: u32 = 24_000_000;

/// Writes one line to the console.
#[macro_export]
macro_rules! println {
    () => { $crate::console::print(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Writes to the console without a line end.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::print(format_args!($($argument)*)) };
}

/// Writes formatted text; what [`println!`](crate::println) expands to.
pub fn print(text: fmt::Arguments) {
    with_uart(|uart| {
        // The UART cannot fail; a `Display` that does has said so in its own way.
        let _ = CarriageReturns(uart).write_fmt(text);
    });
}

/// Sends bytes as they are.
pub fn write_bytes(bytes: &[u8]) {
    with_uart(|uart| {
        for &byte in bytes {
            while uart.is_tx_fifo_full() {}
            uart.write_word(byte);
        }
    });
}

/// Returns a byte that was typed.
pub fn read_byte() -> Option<u8> {
    let mut byte = None;
    // A byte with an error is as good as none: the line is QEMU's.
    with_uart(|uart| byte = uart.read_word().ok().flatten());
    byte
}

/// Has the UART's interrupt come while something was typed that is not read.
pub(crate) fn listen() {
    with_uart(|uart| uart.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI));
}

/// Sets the line up: 8N1, as QEMU's other end expects.
pub(crate) fn enable() {
    let line = LineConfig {
        data_bits: DataBits::Bits8,
        parity: Parity::None,
        stop_bits: StopBits::One,
    };
    with_uart(|uart| {
        uart.enable(line, 115_200, CLOCK_HZ)
            .expect("115200 baud is in reach of 24 MHz");
    });
}

fn with_uart(use_uart: impl FnOnce(&mut Uart)) {
    critical_section::with(|_| {
        let registers = NonNull::new(UART as *mut PL011Registers).expect("the UART is not at 0");
        // SAFETY: `UART` is the PL011 of `virt`, mapped as Device for as long as the program runs.
        // The critical section keeps every other user in this image out; only a panic nests, and
        // what it interrupts never goes on.
        let registers = unsafe { UniqueMmioPointer::new(registers) };
        use_uart(&mut Uart::new(registers));
    });
}

/// Sends `\r\n` for `\n`: the terminal is raw when a guest owns it.
struct CarriageReturns<'a, 'b>(&'a mut Uart<'b>);

impl Write for CarriageReturns<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    self.0.write_str(line)?;
                    self.0.write_str("\r\n")?;
                }
                None => self.0.write_str(line)?,
            }
        }
        Ok(())
    }
}
