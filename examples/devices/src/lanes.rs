//! Narrow accesses to wide registers.

/// Returns the bits of an access of so many bytes: all of them from 8 on.
pub(crate) const fn mask(size_bytes: u8) -> u64 {
    match size_bytes {
        0 => 0,
        1..8 => (1 << (8 * size_bytes)) - 1,
        _ => !0,
    }
}

/// Returns what an access of `size_bytes` at byte `at` (0 to 7) of a register reads.
pub(crate) const fn read(register: u64, at: u64, size_bytes: u8) -> u64 {
    register >> (8 * (at & 7)) & mask(size_bytes)
}

/// Returns the register after such an access wrote `value`.
pub(crate) const fn write(register: u64, at: u64, size_bytes: u8, value: u64) -> u64 {
    let (shift, mask) = (8 * (at & 7), mask(size_bytes));
    register & !(mask << shift) | (value & mask) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_word_is_read_and_written_alone() {
        let register = 0x1122_3344_5566_7788;
        assert_eq!(read(register, 4, 4), 0x1122_3344);
        assert_eq!(read(register, 1, 1), 0x77);
        assert_eq!(write(register, 4, 4, !0), 0xffff_ffff_5566_7788);
        assert_eq!(write(register, 0, 8, 1), 1);
    }
}
