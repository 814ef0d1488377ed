//! A guest's memory as stage 2 shows it, and the bytes of guests written in an example.

use core::ops::Range;

use vcpu_regs::{IdRegisters, Ipa, Pa, Vmid};
use vcpu_stage2::{Attributes, FrameSource, Geometry, IpaBits, LinearMap, Request, Stage2, Table};

use crate::{Error, Frames, GuestRam, NotInRam};

/// Memory at the guest's own addresses, which are the machine's: devices passed through stay where
/// their drivers expect them.
pub struct GuestMemory<'r, F: FrameSource = Frames> {
    table: Table<F, LinearMap>,
    ram: &'r GuestRam,
}

impl<'r, F: FrameSource> GuestMemory<'r, F> {
    /// An IPA of 40 bits is more than `virt` uses, and has no more than three levels.
    const REQUEST: Request = Request {
        ipa: IpaBits::AtMost(40),
        ..Request::MOST
    };

    /// Returns an empty memory for CPUs with `ids`; tables come from `frames`.
    pub fn new(ids: &IdRegisters, frames: F, ram: &'r GuestRam) -> Result<Self, Error> {
        let geometry = Geometry::probe(&ids.memory_model(), &Self::REQUEST)?;
        // SAFETY: `Frames` gives out hypervisor RAM, which is mapped where it lies, and not at 0.
        let memory = unsafe { LinearMap::new(0) };
        Ok(Self {
            table: Table::new(geometry, frames, memory)?,
            ram,
        })
    }

    /// Shows the guest its RAM where the machine has it.
    pub fn map_ram(&mut self, range: Range<u64>) -> Result<(), Error> {
        self.map_ram_at(range.start, range)
    }

    /// Shows the guest RAM from `ipa` on.
    pub fn map_ram_at(&mut self, ipa: u64, range: Range<u64>) -> Result<(), Error> {
        let inside = self.ram.start() <= range.start && range.end <= self.ram.end();
        if !inside {
            let size_bytes = range.end.saturating_sub(range.start);
            return Err(NotInRam {
                at: range.start,
                size_bytes,
            }
            .into());
        }
        // SAFETY: guest RAM, of which no borrow lives while `self.ram` is shared: Rust only reads
        // it through `bytes`, whose callers see what the guest wrote before.
        unsafe { self.map(ipa, range, Attributes::RAM) }
    }

    /// Gives the guest a device.
    ///
    /// # Safety
    ///
    /// The hypervisor does not use the device while the guest has it, and the device cannot reach
    /// memory that is not the guest's.
    pub unsafe fn map_device(&mut self, range: Range<u64>) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        unsafe { self.map_device_at(range.start, range) }
    }

    /// Gives the guest a device, from `ipa` on.
    ///
    /// # Safety
    ///
    /// As for [`map_device`](Self::map_device).
    pub unsafe fn map_device_at(&mut self, ipa: u64, range: Range<u64>) -> Result<(), Error> {
        // SAFETY: the caller's promise.
        unsafe { self.map(ipa, range, Attributes::DEVICE) }
    }

    /// Gives the guest a range, from `ipa` on.
    ///
    /// # Safety
    ///
    /// The guest may do with the range what `attributes` allow.
    pub unsafe fn map(
        &mut self,
        ipa: u64,
        range: Range<u64>,
        attributes: Attributes,
    ) -> Result<(), Error> {
        let bytes = range.end.saturating_sub(range.start);
        let (ipa, pa) = (Ipa(ipa), Pa(range.start));
        // SAFETY: the caller's promise.
        let change = unsafe { self.table.map(ipa, pa, bytes, attributes)? };
        change.defer(); // loading the vCPU publishes it: nothing walks the table before
        Ok(())
    }

    /// Returns what a vCPU is loaded with, its VMID from the host's `Vmids`. The table is done
    /// with: it stays as it is.
    pub fn finish_unnumbered(self) -> Result<Stage2, Error> {
        // SAFETY: the table is neither released nor changed, for it is leaked here.
        Ok(unsafe { self.table.unnumbered_stage2()? })
    }

    /// Returns what a vCPU is loaded with. The table is done with: it stays as it is.
    pub fn finish(self, vmid: Vmid) -> Result<Stage2, Error> {
        // SAFETY: the table is neither released nor changed, for it is leaked here; an example gives
        // each VMID to one guest.
        Ok(unsafe { self.table.stage2(vmid)? })
    }
}

/// Assembles guest code into the example's image: a function that returns its bytes.
///
/// The code runs at whatever address it is copied to, so it addresses nothing absolutely.
#[macro_export]
macro_rules! guest_code {
    ($(#[$doc:meta])* $name:ident: $($line:literal,)+) => {
        core::arch::global_asm!(
            ".pushsection .rodata.guest, \"a\"",
            ".balign 4",
            concat!("guest_", stringify!($name), ":"),
            $($line,)+
            concat!("guest_", stringify!($name), "_end:"),
            ".popsection",
        );

        $crate::guest_bytes! {
            $(#[$doc])*
            $name: { concat!("guest_", stringify!($name)) }
                to { concat!("guest_", stringify!($name), "_end") }
        }
    };
}

/// Makes a function that returns the guest code from one label of the example's assembly to another.
#[macro_export]
macro_rules! guest_bytes {
    ($(#[$doc:meta])* $vis:vis $name:ident: { $($start:tt)+ } to { $($end:tt)+ }) => {
        $(#[$doc])*
        $vis fn $name() -> &'static [u8] {
            unsafe extern "C" {
                #[link_name = $($start)+]
                static START: u8;
                #[link_name = $($end)+]
                static END: u8;
            }
            let (start, end) = (&raw const START, &raw const END);
            // SAFETY: the assembly is between the two labels, in read-only memory.
            unsafe { core::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
        }
    };
}
