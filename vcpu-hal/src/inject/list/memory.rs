//! A GICv2's virtual interface control block, `GICH`: registers in memory, each CPU its own at the
//! same address.

use vcpu_regs::{
    IchHcr, IchMisr, IchVmcr, ListRegister,
    gic::v2::{GichLr, GichVtr},
};

use super::interface::{ActivePriorities, VirtualInterface};

/// GIC architecture, version 2 (IHI 0048), "The virtual interface control registers".
const GICH_HCR: usize = 0x000;
const GICH_VTR: usize = 0x004;
const GICH_VMCR: usize = 0x008;
const GICH_MISR: usize = 0x010;
const GICH_APR: usize = 0x0f0;
const GICH_LR0: usize = 0x100;

/// The block, for the CPU that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gich {
    address: usize,
}

impl Gich {
    /// Returns the block at `address`.
    ///
    /// # Safety
    ///
    /// There is a GICv2's `GICH` block, mapped as Device memory for good on every CPU that uses
    /// this, and nothing else uses it.
    pub const unsafe fn new(address: usize) -> Self {
        Self { address }
    }

    fn register(&self, offset: usize) -> *mut u32 {
        core::ptr::with_exposed_provenance_mut(self.address + offset)
    }

    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: `new`'s caller has the block mapped; the offsets are of its registers, and
        // reading those has no side effect.
        unsafe { self.register(offset).read_volatile() }
    }

    #[inline(always)]
    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`; what these registers do is raise virtual interrupts in a guest.
        unsafe { self.register(offset).write_volatile(value) };
    }

    /// Gives the interface the guest's settings and active priorities.
    pub fn load(&self, vmcr: IchVmcr, priorities: &ActivePriorities) {
        self.write(GICH_VMCR, vmcr.0 as u32);
        self.write(GICH_APR, priorities[0][0] as u32);
    }

    /// Takes the active priorities.
    pub fn save(&self, priorities: &mut ActivePriorities) {
        priorities[0][0] = u64::from(self.read(GICH_APR));
    }
}

impl VirtualInterface for Gich {
    fn list_registers(&self) -> u8 {
        GichVtr(self.read(GICH_VTR)).list_registers().min(16)
    }

    fn can_trap_dir(&self) -> bool {
        false
    }

    #[inline(always)]
    fn list(&self, n: u8) -> ListRegister {
        GichLr(self.read(GICH_LR0 + 4 * usize::from(n))).to_v3()
    }

    #[inline(always)]
    fn set_list(&self, n: u8, content: ListRegister) {
        // What has no place here was not admitted.
        let content = GichLr::new(content).unwrap_or_default();
        self.write(GICH_LR0 + 4 * usize::from(n), content.0);
    }

    fn hcr(&self) -> IchHcr {
        IchHcr::from_bits_retain(self.read(GICH_HCR).into())
    }

    fn set_hcr(&self, hcr: IchHcr) {
        self.write(GICH_HCR, hcr.bits() as u32);
    }

    #[inline(always)]
    fn misr(&self) -> IchMisr {
        IchMisr::from_bits_retain(self.read(GICH_MISR).into())
    }

    fn vmcr(&self) -> IchVmcr {
        IchVmcr(self.read(GICH_VMCR).into())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::boxed::Box;

    use vcpu_regs::Intid;

    use super::*;
    use crate::{
        Inject,
        fake::ScriptedCpu,
        inject::{ListRegistersV2, QueueError, Trigger, VirtualInterrupt},
    };

    /// Memory in place of the block: 4 list registers, and what is written stays.
    struct Block(*mut u32);

    impl Block {
        fn new() -> Self {
            let mut memory = Box::new([0; 0x80]);
            memory[GICH_VTR / 4] = 3;
            Self(Box::into_raw(memory).cast())
        }

        fn backend(&self) -> ListRegistersV2 {
            // SAFETY: memory that is the test's, for good, and as large as the block.
            unsafe { ListRegistersV2::new(self.0.expose_provenance()) }
        }

        fn at(&self, offset: usize) -> u32 {
            // SAFETY: within the memory that `new` made.
            unsafe { self.0.byte_add(offset).read_volatile() }
        }

        fn set(&self, offset: usize, value: u32) {
            // SAFETY: within the memory that `new` made.
            unsafe { self.0.byte_add(offset).write_volatile(value) };
        }
    }

    #[test]
    fn state_travels_through_the_registers() {
        let block = Block::new();
        let backend = block.backend();
        let cpu = ScriptedCpu::new(&[]);
        let mut state = Default::default();
        let sgi = VirtualInterrupt {
            trigger: Trigger::SentBy(5),
            ..Intid(3).into()
        };
        backend.inject(&mut state, sgi).unwrap();
        backend.load(&cpu, &mut state, 0);
        assert_eq!(
            block.at(GICH_LR0),
            1 << 30 | 1 << 28 | (0xa0 >> 3) << 23 | 5 << 10 | 3
        );
        assert_eq!(block.at(GICH_HCR), 1);
        // The guest takes it.
        block.set(
            GICH_LR0,
            1 << 30 | 1 << 29 | (0xa0 >> 3) << 23 | 5 << 10 | 3,
        );
        block.set(GICH_VMCR, 0xf800_0003);
        block.set(GICH_APR, 1 << 20);
        backend.put(&cpu, &mut state);
        assert!(backend.status(&state, Intid(3)).active);
        assert_eq!(block.at(GICH_HCR), 0);
        for offset in [GICH_LR0, GICH_VMCR, GICH_APR] {
            block.set(offset, !0);
        }
        backend.load(&cpu, &mut state, 0);
        assert_eq!(
            block.at(GICH_LR0),
            1 << 30 | 1 << 29 | (0xa0 >> 3) << 23 | 5 << 10 | 3
        );
        assert_eq!(
            (block.at(GICH_VMCR), block.at(GICH_APR)),
            (0xf800_0003, 1 << 20)
        );
    }

    #[test]
    fn numbers_that_a_gicv2_has_not_are_refused() {
        let backend = Block::new().backend();
        let mut state = Default::default();
        let refused = Err(QueueError::NoSuchIntid(Intid(8192)));
        assert_eq!(backend.inject(&mut state, Intid(8192).into()), refused);
        let interrupt = VirtualInterrupt {
            trigger: Trigger::Hardware(Intid(1024)),
            ..Intid(40).into()
        };
        let refused = Err(QueueError::NoSuchHardware(Intid(1024)));
        assert_eq!(backend.inject(&mut state, interrupt), refused);
        let interrupt = VirtualInterrupt {
            trigger: Trigger::SentBy(1),
            ..Intid(16).into()
        };
        let refused = Err(QueueError::NoSuchIntid(Intid(16)));
        assert_eq!(backend.inject(&mut state, interrupt), refused);
    }
}
