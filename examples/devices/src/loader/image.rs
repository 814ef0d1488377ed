//! The header of an arm64 `Image`. Linux, Documentation/arch/arm64/booting, "Decompress the kernel
//! image" and "Call the kernel image".

/// What a loader has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// From a 2 MiB boundary to the first byte.
    pub text_offset: u64,
    /// How much memory it takes from there, zeroed parts included.
    pub image_size: u64,
}

const TEXT_OFFSET: usize = 8;
const IMAGE_SIZE: usize = 16;
const MAGIC: usize = 56;
/// Before 3.17 the header had no size, and the offset was this.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;

impl Header {
    /// Returns the header, or `None` when there is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(MAGIC..MAGIC + 4)? != b"ARM\x64" {
            return None;
        }
        let word = |at| {
            bytes
                .get(at..at + 8)?
                .try_into()
                .ok()
                .map(u64::from_le_bytes)
        };
        let (text_offset, image_size) = (word(TEXT_OFFSET)?, word(IMAGE_SIZE)?);
        Some(Self {
            text_offset: match image_size {
                0 => OLD_TEXT_OFFSET,
                _ => text_offset,
            },
            image_size,
        })
    }
}
