//! The guest that an example is given: checked, and placed in RAM.
//!
//! The hypervisor owns the first 64 MiB of RAM and writes the guest's device tree right after
//! them; QEMU's guest-loader puts kernel and initrd where this file says, and tells the
//! hypervisor through `/chosen/module@…`.

use super::machine::Memory;
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Linux's Documentation/arm64/booting: the header of an Image.
const HEADER_BYTES: usize = 64;
const TEXT_OFFSET: usize = 8;
const IMAGE_SIZE: usize = 16;
const MAGIC: usize = 56;
const MAGIC_BYTES: &[u8; 4] = b"ARM\x64";

const ALIGNMENT: u64 = 2 << 20;

/// A kernel, or another program, with more files and its command line.
#[derive(Debug)]
pub struct Guest {
    /// The program.
    pub kernel: PathBuf,
    /// The initrd, and what else it is given.
    pub others: Vec<Placed>,
    /// Its command line.
    pub append: String,
}

/// Who says whether a file can be a guest's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// We: it runs where it is placed, so it is an arm64 Image.
    Us,
    /// The hypervisor, which copies it to where it belongs.
    Hypervisor,
}

/// A file with the address it is loaded at.
#[derive(Debug)]
pub struct Placed {
    /// The file.
    pub path: PathBuf,
    /// First address.
    pub address: u64,
}

impl Guest {
    /// Where the kernel goes: 2 MiB after the start of guest RAM, leaving room for the device tree.
    pub const KERNEL_ADDRESS: u64 = 0x4420_0000;

    /// Returns the guest of an Image, placed in a machine's RAM.
    pub fn new(kernel: &Path, initrd: Option<&Path>, append: &str, memory: Memory) -> Result<Self> {
        Self::placed(Judge::Us, kernel, initrd.as_slice(), append, memory)
    }

    /// Returns a guest, placed in a machine's RAM.
    pub fn placed(
        judge: Judge,
        kernel: &Path,
        others: &[impl AsRef<Path>],
        append: &str,
        memory: Memory,
    ) -> Result<Self> {
        let bytes = match judge {
            Judge::Us => image_bytes(kernel)?,
            Judge::Hypervisor => file_bytes(kernel, "kernel", "--kernel")?,
        };
        // The size comes from a file: whatever it says, the sum must not wrap.
        let mut end = Self::KERNEL_ADDRESS.saturating_add(bytes);
        let mut placed = Vec::new();
        for path in others.iter().map(AsRef::as_ref) {
            let address = end.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX);
            end = address.saturating_add(file_bytes(path, "initrd", "--initrd")?);
            placed.push(Placed {
                path: path.to_owned(),
                address,
            });
        }
        ensure!(
            end <= memory.end(),
            "kernel and initrd need RAM up to {end:#x}, but it ends at {:#x}: give --mem {}M or more",
            memory.end(),
            (end - Memory::BASE).div_ceil(1 << 20),
        );
        Ok(Self {
            kernel: kernel.to_owned(),
            others: placed,
            append: append.to_owned(),
        })
    }
}

/// Returns how much memory the kernel takes, or why it is no arm64 Image.
pub fn image_bytes(kernel: &Path) -> Result<u64> {
    let file_bytes = file_bytes(kernel, "kernel", "--kernel")?;
    let mut header = [0; HEADER_BYTES];
    let read = File::open(kernel).and_then(|mut file| file.read_exact(&mut header));
    let shown = kernel.display();
    if read.is_err() || !header[MAGIC..].starts_with(MAGIC_BYTES) {
        let hint = match header {
            [0x1f, 0x8b, ..] => "it is gzip-compressed: unpack it with `gunzip`",
            [0x7f, b'E', b'L', b'F', ..] => "it is ELF: use arch/arm64/boot/Image, not vmlinux",
            [b'M', b'Z', ..] => "it is an EFI program without the Image header",
            _ => "the build of a kernel leaves one in arch/arm64/boot/Image",
        };
        bail!("{shown} is not an arm64 Image: {hint}");
    }
    let text_offset = word(&header, TEXT_OFFSET);
    ensure!(
        text_offset == 0,
        "{shown} wants to be loaded {text_offset:#x} after a 2 MiB boundary; kernels since 5.8 do not"
    );
    // BSS is in image_size and not in the file.
    Ok(word(&header, IMAGE_SIZE).max(file_bytes))
}

/// Returns an Image of these instructions.
pub fn image_of(code: &[u32]) -> Vec<u8> {
    const BRANCH_OVER_HEADER: u32 = 0x1400_0000 | (HEADER_BYTES / 4) as u32;
    let mut image = vec![0; HEADER_BYTES];
    image[..4].copy_from_slice(&BRANCH_OVER_HEADER.to_le_bytes());
    image[MAGIC..][..MAGIC_BYTES.len()].copy_from_slice(MAGIC_BYTES);
    image.extend(
        code.iter()
            .flat_map(|instruction| instruction.to_le_bytes()),
    );
    let image_bytes = image.len() as u64;
    image[IMAGE_SIZE..][..8].copy_from_slice(&image_bytes.to_le_bytes());
    image
}

fn word(header: &[u8; HEADER_BYTES], offset: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[offset..offset + 8]);
    u64::from_le_bytes(bytes)
}

fn file_bytes(path: &Path, what: &str, option: &str) -> Result<u64> {
    let shown = path.display();
    let metadata = fs::metadata(path)
        .with_context(|| format!("cannot read the {what} {shown}; check what {option} names"))?;
    ensure!(
        metadata.is_file(),
        "the {what} {shown} is not a file; check what {option} names"
    );
    Ok(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tempfile::NamedTempFile;

    const NOP: u32 = 0xd503_201f;

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// An Image that takes more memory than its file has bytes.
    fn image(image_bytes: u64) -> NamedTempFile {
        let mut bytes = image_of(&[NOP]);
        bytes[IMAGE_SIZE..][..8].copy_from_slice(&image_bytes.to_le_bytes());
        file(&bytes)
    }

    fn refusal(kernel: &[u8]) -> String {
        image_bytes(file(kernel).path()).unwrap_err().to_string()
    }

    #[test]
    fn image_of_code_branches_to_it_and_is_an_image() {
        let bytes = image_of(&[NOP]);
        assert_eq!(bytes[..4], 0x1400_0010_u32.to_le_bytes()); // b .+64
        assert_eq!(bytes[64..], NOP.to_le_bytes());
        assert_eq!(image_bytes(file(&bytes).path()).unwrap(), 68);
    }

    #[test]
    fn initrd_comes_at_the_first_boundary_after_all_that_the_kernel_takes() {
        let initrd = file(b"cpio");
        let address = |image_bytes| {
            let kernel = image(image_bytes);
            let guest = Guest::new(kernel.path(), Some(initrd.path()), "", Memory::default());
            guest.unwrap().others[0].address
        };
        assert_eq!(address(1), 0x4440_0000);
        assert_eq!(address(2 << 20), 0x4440_0000);
        assert_eq!(address((2 << 20) + 1), 0x4460_0000);
    }

    #[test]
    fn guest_has_to_fit_into_ram() {
        let ram: Memory = "128M".parse().unwrap();
        let room = ram.end() - Guest::KERNEL_ADDRESS;
        assert!(Guest::new(image(room).path(), None, "", ram).is_ok());
        let error = Guest::new(image(room + 1).path(), None, "", ram).unwrap_err();
        assert!(error.to_string().contains("give --mem 129M"), "{error}");
    }

    #[test]
    fn kernel_size_beyond_any_ram_is_an_error() {
        let initrd = file(b"cpio");
        for image_bytes in [u64::MAX, u64::MAX - Guest::KERNEL_ADDRESS] {
            let kernel = image(image_bytes);
            let guest = Guest::new(kernel.path(), Some(initrd.path()), "", Memory::default());
            assert!(guest.unwrap_err().to_string().contains("--mem"));
        }
    }

    #[test]
    fn what_is_not_an_image_is_told_apart() {
        assert!(refusal(b"").contains("not an arm64 Image"));
        assert!(refusal(&[0x1f, 0x8b, 8, 0]).contains("gunzip"));
        assert!(refusal(b"\x7fELF").contains("not vmlinux"));
        let mut old = image_of(&[NOP]);
        old[TEXT_OFFSET + 2] = 8; // 0x8_0000
        assert!(refusal(&old).contains("0x80000 after"));
    }
}
