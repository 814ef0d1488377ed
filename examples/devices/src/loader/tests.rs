extern crate std;

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

const RAM: Range<u64> = 0x4000_0000..0x4800_0000;
const KERNEL: u64 = RAM.start + (2 << 20);

fn image(text_offset: u64, image_size: u64, bytes: usize) -> Vec<u8> {
    let mut image = vec![0; bytes];
    image[8..16].copy_from_slice(&text_offset.to_le_bytes());
    image[16..24].copy_from_slice(&image_size.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

/// An executable of one segment: file bytes 0 to 120 at `paddr`, and zeros up to `memory`.
fn elf(paddr: u64, memory: u64) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    for half in [2_u16, 183] {
        file.extend(half.to_le_bytes()); // ET_EXEC, EM_AARCH64
    }
    file.extend(1_u32.to_le_bytes());
    for word in [0xffff_0040_u64, 64, 0] {
        file.extend(word.to_le_bytes()); // entry, program headers, section headers
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for half in [1_u32, 5] {
        file.extend(half.to_le_bytes()); // PT_LOAD, R+X
    }
    for word in [0, 0xffff_0000_u64, paddr, 120, memory, 4096] {
        file.extend(word.to_le_bytes()); // offset, vaddr, paddr, filesz, memsz, align
    }
    file
}

#[test]
fn flat_program_starts_at_its_first_byte() {
    let program = Program::read(&[1, 2, 3], &RAM, FLAT_OFFSET).unwrap();
    assert_eq!((program.form, program.entry), (Form::Flat, 0x4008_0000));
    let part = Part {
        at: 0x4008_0000,
        bytes: &[1, 2, 3],
        size_bytes: 3,
    };
    assert_eq!(program.parts().collect::<Vec<_>>(), [part]);
}

#[test]
fn image_goes_where_its_header_says_and_takes_what_it_says() {
    let bytes = image(0, 0x100_0000, 64);
    let program = Program::read(&bytes, &RAM, FLAT_OFFSET).unwrap();
    assert_eq!((program.form, program.entry), (Form::Image, KERNEL));
    assert_eq!(program.range, KERNEL..KERNEL + 0x100_0000);
    let bytes = image(0, 0, 64);
    assert_eq!(
        Program::read(&bytes, &RAM, FLAT_OFFSET).unwrap().entry,
        KERNEL + 0x8_0000
    );
}

#[test]
fn elf_goes_to_its_physical_addresses() {
    let bytes = elf(0x4010_0000, 0x1000);
    let program = Program::read(&bytes, &RAM, FLAT_OFFSET).unwrap();
    assert_eq!((program.form, program.entry), (Form::Elf, 0x4010_0040));
    assert_eq!(program.range, 0x4010_0000..0x4010_1000);
    let parts: Vec<_> = program.parts().collect();
    assert_eq!(
        (parts.len(), parts[0].bytes.len(), parts[0].size_bytes),
        (1, 120, 0x1000)
    );
}

#[test]
fn ram_that_is_too_small_is_told_with_what_is_needed() {
    let refusal = |bytes: &[u8]| Program::read(bytes, &RAM, FLAT_OFFSET).unwrap_err();
    let needs = |needed| LoadError::NoRam { needed, ram: RAM };
    assert_eq!(
        refusal(&image(0, RAM.end - KERNEL + 1, 64)),
        needs(KERNEL..RAM.end + 1)
    );
    assert_eq!(refusal(&image(0, u64::MAX, 64)), needs(KERNEL..u64::MAX));
    assert_eq!(refusal(&image(u64::MAX, 1, 64)), needs(u64::MAX..u64::MAX));
    assert_eq!(refusal(&elf(0x1000, 0x1000)), needs(0x1000..0x2000));
}

#[test]
fn what_is_no_program_is_told_apart() {
    let refusal = |bytes: &[u8]| Program::read(bytes, &RAM, FLAT_OFFSET).unwrap_err();
    assert_eq!(refusal(&[]), LoadError::Empty);
    assert_eq!(refusal(&[0x1f, 0x8b, 8]), LoadError::Compressed);
    let mut x86 = elf(RAM.start, 0x1000);
    x86[18] = 62;
    let mut pie = elf(RAM.start, 0x1000);
    pie[16] = 3;
    for (bytes, why) in [
        (b"\x7fELF".to_vec(), "damaged"),
        (x86, "AArch64"),
        (pie, "fixed addresses"),
        (elf(u64::MAX, 0x1000), "beyond"),
    ] {
        let LoadError::NotLoadable(says) = refusal(&bytes) else {
            panic!("{bytes:?}")
        };
        assert!(says.contains(why), "{says}");
    }
}

proptest! {
    /// Whatever an ELF file says, it is refused or all its parts are in RAM and do not overrun.
    #[test]
    fn parts_stay_in_ram(
        changes in proptest::collection::vec((0_usize..120, any::<u8>()), 0..8),
        cut in 0_usize..=120,
    ) {
        let mut bytes = elf(0x4010_0000, 0x1000);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut.max(1));
        if let Ok(program) = Program::read(&bytes, &RAM, FLAT_OFFSET) {
            for part in program.parts() {
                prop_assert!(RAM.start <= part.at);
                prop_assert!(part.at + part.size_bytes <= RAM.end);
                prop_assert!(part.bytes.len() as u64 <= part.size_bytes);
            }
        }
    }
}
