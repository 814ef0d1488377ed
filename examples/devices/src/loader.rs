//! Guest programs in the three forms they come in, read before anything runs: what goes where, or
//! why it cannot.

mod elf;
mod image;

use core::{
    fmt::{self, Display, Formatter},
    ops::Range,
};

/// Where a flat program goes if nobody says otherwise: so far from the start of RAM, as arm64
/// kernels before 5.8 did and test programs are linked for.
pub const FLAT_OFFSET: u64 = 0x8_0000;

/// Where an `Image` goes, but for its own offset: at the first 2 MiB boundary that leaves the start
/// of RAM to the device tree.
const IMAGE_OFFSET: u64 = 2 << 20;

/// A program that fits into the guest's RAM: where its parts go, and where it starts.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// Which form it has.
    pub form: Form,
    /// Where the guest starts.
    pub entry: u64,
    /// All memory it takes, its zeroed parts included.
    pub range: Range<u64>,
    parts: Parts<'a>,
}

/// The form of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// An arm64 `Image` (Linux, Documentation/arch/arm64/booting).
    Image,
    /// ELF64 for AArch64, at its physical addresses.
    Elf,
    /// Instructions from the first byte on.
    Flat,
}

#[derive(Clone, Debug)]
enum Parts<'a> {
    Whole(&'a [u8]),
    Elf(elf::Elf<'a>),
}

/// A run of bytes of the guest's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where it goes.
    pub at: u64,
    /// What it starts with; zeros follow.
    pub bytes: &'a [u8],
    /// How many bytes it has with those zeros.
    pub size_bytes: u64,
}

/// Why a program cannot be a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// It has no bytes.
    Empty,
    /// It is compressed by gzip.
    Compressed,
    /// It needs this memory, which is not all RAM.
    NoRam {
        /// What it needs.
        needed: Range<u64>,
        /// What there is.
        ram: Range<u64>,
    },
    /// An ELF file, but not of this kind.
    NotLoadable(&'static str),
}

impl Display for LoadError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the program has no bytes"),
            Self::Compressed => f.write_str("the program is gzip-compressed: unpack it first"),
            Self::NoRam { needed, ram } => write!(
                f,
                "the program needs memory at {:#x}..{:#x}, but the guest's RAM is {:#x}..{:#x}",
                needed.start, needed.end, ram.start, ram.end
            ),
            Self::NotLoadable(why) => write!(f, "the ELF file cannot be loaded: {why}"),
        }
    }
}

impl core::error::Error for LoadError {}

impl<'a> Program<'a> {
    /// Reads the program in `bytes`, for a guest with this RAM. A flat one goes `flat_offset` after
    /// its start: see [`FLAT_OFFSET`].
    pub fn read(bytes: &'a [u8], ram: &Range<u64>, flat_offset: u64) -> Result<Self, LoadError> {
        let program = match bytes {
            [] => return Err(LoadError::Empty),
            [0x1f, 0x8b, ..] => return Err(LoadError::Compressed),
            [0x7f, b'E', b'L', b'F', ..] => Self::elf(bytes)?,
            _ => match image::Header::read(bytes) {
                Some(header) => Self::image(bytes, header, ram),
                None => Self::whole(Form::Flat, bytes, ram, flat_offset, bytes.len() as u64),
            },
        };
        let (range, ram) = (&program.range, ram.clone());
        if range.start < ram.start || range.end > ram.end || range.is_empty() {
            let needed = range.clone();
            return Err(LoadError::NoRam { needed, ram });
        }
        Ok(program)
    }

    fn image(bytes: &'a [u8], header: image::Header, ram: &Range<u64>) -> Self {
        let offset = header.text_offset.saturating_add(IMAGE_OFFSET);
        Self::whole(Form::Image, bytes, ram, offset, header.image_size)
    }

    fn whole(form: Form, bytes: &'a [u8], ram: &Range<u64>, offset: u64, size_bytes: u64) -> Self {
        let start = ram.start.saturating_add(offset);
        // What a header says of the size may be less than there is, or more than fits anywhere.
        let size_bytes = size_bytes.max(bytes.len() as u64);
        Self {
            form,
            entry: start,
            range: start..start.saturating_add(size_bytes),
            parts: Parts::Whole(bytes),
        }
    }

    fn elf(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let elf = elf::Elf::read(bytes)?;
        Ok(Self {
            form: Form::Elf,
            entry: elf.entry,
            range: elf.range()?,
            parts: Parts::Elf(elf),
        })
    }

    /// Returns what goes where; all of it is within [`range`](Self::range).
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + '_ {
        let (whole, elf) = match &self.parts {
            Parts::Whole(bytes) => (Some(*bytes), None),
            Parts::Elf(elf) => (None, Some(elf)),
        };
        let whole = whole.map(|bytes| Part {
            at: self.range.start,
            bytes,
            size_bytes: self.range.end - self.range.start,
        });
        whole
            .into_iter()
            .chain(elf.into_iter().flat_map(elf::Elf::parts))
    }
}

#[cfg(test)]
mod tests;
