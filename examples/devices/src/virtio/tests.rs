extern crate std;

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

const RAM: u64 = 0x4000_0000;
const DESCRIPTORS: u64 = RAM;
const AVAILABLE: u64 = RAM + 0x1000;
const USED: u64 = RAM + 0x2000;
const DATA: u64 = RAM + 0x3000;

struct Ram(Vec<u8>);

impl Ram {
    fn range(&self, ipa: u64, bytes: usize) -> Option<core::ops::Range<usize>> {
        let start = usize::try_from(ipa.checked_sub(RAM)?).ok()?;
        let end = start.checked_add(bytes)?;
        (end <= self.0.len()).then_some(start..end)
    }
}

impl Memory for Ram {
    fn read(&self, ipa: u64, to: &mut [u8]) -> bool {
        let range = self.range(ipa, to.len());
        range
            .map(|range| to.copy_from_slice(&self.0[range]))
            .is_some()
    }

    fn write(&mut self, ipa: u64, from: &[u8]) -> bool {
        let range = self.range(ipa, from.len());
        range
            .map(|range| self.0[range].copy_from_slice(from))
            .is_some()
    }
}

fn descriptor(ram: &mut Ram, index: u64, at: u64, bytes: u32, flags: u16, next: u16) {
    let to = DESCRIPTORS + 16 * index;
    ram.write(to, &at.to_le_bytes());
    ram.write(to + 8, &bytes.to_le_bytes());
    ram.write(to + 12, &flags.to_le_bytes());
    ram.write(to + 14, &next.to_le_bytes());
}

fn disk() -> Vec<u8> {
    (0..2048_u32).map(|i| (i / 512) as u8 + 1).collect()
}

/// As far as DRIVER_OK, with a queue of eight.
fn driven<'d>(disk: &'d [u8], ram: &mut Ram) -> Block<'d> {
    let mut block = Block::new(disk);
    for (offset, value) in [
        (0x70, 1 | 2),
        (0x24, 1),
        (0x20, 1),
        (0x70, 1 | 2 | 8),
        (0x30, 0),
        (0x38, 8),
        (0x80, DESCRIPTORS),
        (0x90, AVAILABLE),
        (0xa0, USED),
        (0x44, 1),
        (0x70, 1 | 2 | 4 | 8),
    ] {
        assert!(!block.write(ram, offset, 4, value));
    }
    assert_eq!(block.read(0x70, 4), 1 | 2 | 4 | 8);
    assert_eq!(block.read(0x44, 4), 1);
    block
}

/// Asks for `bytes` of `sector` to DATA + 0x100, status to DATA + 0x20.
fn request(ram: &mut Ram, kind: u32, sector: u64, bytes: u32) {
    ram.write(DATA, &kind.to_le_bytes());
    ram.write(DATA + 8, &sector.to_le_bytes());
    ram.write(DATA + 0x20, &[0xff]);
    descriptor(ram, 0, DATA, 16, 1, 1);
    descriptor(ram, 1, DATA + 0x100, bytes, 1 | 2, 2);
    descriptor(ram, 2, DATA + 0x20, 1, 2, 0);
    ram.write(AVAILABLE + 2, &1_u16.to_le_bytes());
}

/// Writes as a driver does: what is not done goes on. Returns how often it was written.
fn write(block: &mut Block<'_>, ram: &mut Ram, offset: u64, value: u64) -> u32 {
    let mut count = 1;
    while block.write(ram, offset, 4, value) {
        count += 1;
    }
    count
}

fn byte(ram: &Ram, at: u64) -> u8 {
    let mut byte = [0];
    assert!(ram.read(at, &mut byte));
    byte[0]
}

/// A disk, and RAM, for a request of 200 KiB.
fn large() -> (Vec<u8>, Ram) {
    let disk = (0..400 * 512_u32).map(|i| (i / 512) as u8).collect();
    (disk, Ram(vec![0xee; 0x40000]))
}

#[test]
fn much_is_copied_in_parts_that_each_are_short() {
    let (disk, mut ram) = large();
    ram.0[..0x3000].fill(0);
    let mut block = driven(&disk, &mut ram);
    request(&mut ram, 0, 0, 400 * 512);
    let mut last = 0;
    let mut times = 1;
    while block.write(&mut ram, 0x50, 4, 0) {
        let copied = ram.0[0x3100..].iter().rposition(|byte| *byte != 0xee);
        let copied = copied.map_or(0, |last| last + 1);
        assert!(copied - last <= Block::BUDGET as usize, "{last}..{copied}");
        assert!(!block.line(), "it is not done");
        (last, times) = (copied, times + 1);
    }
    assert_eq!(times, 4);
    assert_eq!(byte(&ram, DATA + 0x20), 0);
    assert_eq!(ram.0[0x3100..][..400 * 512], disk);
    assert_eq!(ram.0[0x2002..0x2004], [1, 0], "used once");
}

#[test]
fn what_was_not_done_is_forgotten_by_a_reset() {
    let (disk, mut ram) = large();
    ram.0[..0x3000].fill(0);
    let mut block = driven(&disk, &mut ram);
    request(&mut ram, 0, 0, 400 * 512);
    assert!(block.write(&mut ram, 0x50, 4, 0));
    assert!(!block.write(&mut ram, 0x70, 4, 0));
    ram.0[..0x3000].fill(0);
    let registers = driven(&disk, &mut ram).registers;
    block.registers = registers;
    assert!(!block.write(&mut ram, 0x50, 4, 0), "nothing is asked for");
    assert_eq!(ram.0[0x2002..0x2004], [0, 0]);
}

#[test]
fn sector_is_read_and_the_driver_interrupted() {
    let (disk, mut ram) = (disk(), Ram(vec![0; 0x8000]));
    let mut block = driven(&disk, &mut ram);
    assert_eq!(block.read(0x100, 8), 4, "sectors");
    request(&mut ram, 0, 2, 512);
    write(&mut block, &mut ram, 0x50, 0);
    assert_eq!(byte(&ram, DATA + 0x20), 0);
    assert_eq!([byte(&ram, DATA + 0x100), byte(&ram, DATA + 0x2ff)], [3, 3]);
    assert_eq!(
        ram.0[0x2002..0x200c],
        [1, 0, 0, 0, 0, 0, 1, 2, 0, 0],
        "used: 513 bytes"
    );
    assert!(block.line());
    write(&mut block, &mut ram, 0x64, 1);
    assert!(!block.line());
}

#[test]
fn what_is_beyond_the_disk_or_unknown_is_an_error_of_that_request() {
    let (disk, mut ram) = (disk(), Ram(vec![0; 0x8000]));
    for (kind, sector, bytes, status) in [
        (0, 3, 1024, 1),
        (0, u64::MAX, 512, 1),
        (1, 0, 512, 2), // a write
        (4, 0, 512, 0),
    ] {
        let mut block = driven(&disk, &mut ram);
        request(&mut ram, kind, sector, bytes);
        write(&mut block, &mut ram, 0x50, 0);
        assert_eq!(byte(&ram, DATA + 0x20), status, "{kind} {sector} {bytes}");
        assert_eq!(block.read(0x70, 4) & 64, 0);
    }
}

#[test]
fn broken_queue_needs_a_reset() {
    let disk = disk();
    let spoilers: [fn(&mut Ram); 4] = [
        |ram| descriptor(ram, 0, DATA, 16, 1, 0), // a loop
        |ram| descriptor(ram, 0, DATA, 16, 1, 9), // beyond the table
        |ram| descriptor(ram, 0, u64::MAX - 4, 16, 1, 1),
        |ram| assert!(ram.write(AVAILABLE + 2, &77_u16.to_le_bytes())),
    ];
    for spoil in spoilers {
        let mut ram = Ram(vec![0; 0x8000]);
        let mut block = driven(&disk, &mut ram);
        request(&mut ram, 0, 0, 512);
        spoil(&mut ram);
        write(&mut block, &mut ram, 0x50, 0);
        assert_eq!(block.read(0x70, 4) & 64, 64);
        assert!(block.line());
        write(&mut block, &mut ram, 0x70, 0);
        assert_eq!((block.read(0x70, 4), block.line()), (0, false));
    }
}

#[test]
fn driver_that_wants_what_is_not_offered_is_not_ok() {
    let (disk, mut ram) = (disk(), Ram(Vec::new()));
    let mut block = Block::new(&disk);
    write(&mut block, &mut ram, 0x20, 1 << 9);
    write(&mut block, &mut ram, 0x70, 1 | 2 | 8);
    assert_eq!(block.read(0x70, 4), 3);
}

proptest! {
    /// Whatever is in the queue's memory and in the registers, notifications end, and what is
    /// written to memory is in memory.
    #[test]
    fn hostile_driver_harms_nobody(
        words in proptest::collection::vec((0_usize..0x1ff0, any::<u64>()), 0..64),
        accesses in proptest::collection::vec((0_u64..0x210, 0_u8..4, any::<Option<u32>>()), 0..32),
        small in any::<[u8; 8]>(),
    ) {
        let (disk, mut ram) = (disk(), Ram(vec![0; 0x4000]));
        let mut block = driven(&disk, &mut ram);
        request(&mut ram, small[0].into(), small[1].into(), small[2].into());
        for (i, &byte) in small.iter().enumerate() {
            ram.0[i * 7 % 64] = byte;
        }
        for (at, word) in words {
            let word = if word & 1 == 0 { word % 0x1_0000 + RAM } else { word };
            ram.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        for (offset, log2, value) in accesses {
            write(&mut block, &mut ram, 0x50, 0);
            match value {
                Some(value) => {
                    let _ = block.write(&mut ram, offset, 1 << log2, value.into());
                }
                None => {
                    let read = block.read(offset, 1 << log2);
                    prop_assert_eq!(read & !crate::lanes::mask(1 << log2), 0);
                }
            }
        }
    }
}

#[test]
fn place_without_a_device_says_so() {
    let words = [0, 4, 8].map(|offset| super::read_empty(offset, 4));
    assert_eq!(words, [0x7472_6976, 2, 0]);
}
