//! ELF64 programs for AArch64, by the crate `elf`.

use core::ops::Range;

use elf::{
    ElfBytes,
    abi::{EM_AARCH64, ET_EXEC, PT_LOAD},
    endian::AnyEndian,
    file::Class,
    segment::ProgramHeader,
};

use super::{LoadError, Part};

/// A program whose parts were all found in the file.
#[derive(Clone, Debug)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    headers: elf::segment::SegmentTable<'a, AnyEndian>,
    /// Where it starts, as a physical address.
    pub entry: u64,
}

impl<'a> Elf<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let not = LoadError::NotLoadable;
        let file = ElfBytes::<AnyEndian>::minimal_parse(bytes)
            .map_err(|_| not("its header is damaged or cut short"))?;
        let header = file.ehdr;
        if header.class != Class::ELF64 || header.e_machine != EM_AARCH64 {
            return Err(not("it is not ELF64 for AArch64"));
        }
        if header.e_type != ET_EXEC {
            return Err(not("it is not an executable at fixed addresses (ET_EXEC)"));
        }
        if !matches!(header.endianness, AnyEndian::Little) {
            return Err(not("it is big-endian"));
        }
        let headers = file.segments().ok_or(not("it has no program headers"))?;
        let mut program = Self {
            bytes,
            headers,
            entry: 0,
        };
        let mut entry = None;
        for segment in headers.iter().filter(is_loaded) {
            if program.part(&segment).is_none() {
                return Err(not(
                    "a segment reaches beyond the file, or beyond all memory",
                ));
            }
            // An entry is a virtual address; the MMU is off.
            let into = header.e_entry.wrapping_sub(segment.p_vaddr);
            if into < segment.p_memsz {
                entry = segment.p_paddr.checked_add(into);
            }
        }
        program.entry = entry.ok_or(not("no segment has its entry point"))?;
        Ok(program)
    }

    /// Returns all memory it takes.
    pub fn range(&self) -> Result<Range<u64>, LoadError> {
        let both = |a: Range<u64>, b: Range<u64>| a.start.min(b.start)..a.end.max(b.end);
        let parts = self.parts().map(|part| part.at..part.at + part.size_bytes);
        parts
            .reduce(both)
            .ok_or(LoadError::NotLoadable("it has nothing to load"))
    }

    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + '_ {
        let loaded = self.headers.iter().filter(is_loaded);
        loaded.filter_map(|segment| self.part(&segment))
    }

    /// Returns the memory of a segment, if the file and an address space hold it.
    fn part(&self, segment: &ProgramHeader) -> Option<Part<'a>> {
        let start = usize::try_from(segment.p_offset).ok()?;
        let end = start.checked_add(usize::try_from(segment.p_filesz).ok()?)?;
        let bytes = self.bytes.get(start..end)?;
        let size_bytes = segment.p_memsz.max(segment.p_filesz);
        segment.p_paddr.checked_add(size_bytes)?;
        Some(Part {
            at: segment.p_paddr,
            bytes,
            size_bytes,
        })
    }
}

fn is_loaded(segment: &ProgramHeader) -> bool {
    segment.p_type == PT_LOAD && segment.p_memsz != 0
}
