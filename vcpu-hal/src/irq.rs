//! How a physical interrupt that ended a run is fetched.

use vcpu_regs::Intid;

use crate::Cpu;

/// Takes physical interrupts from the interrupt controller, or leaves them there.
pub trait FetchIrq {
    /// What the host gets in its hands: an INTID, a token of its own, or nothing.
    type Token;

    /// Fetches the interrupt that brought the CPU to EL2. Called with interrupts masked.
    fn fetch<C: Cpu>(&self, cpu: &C) -> Self::Token;
}

/// Leaves the interrupt pending: the host's own vector takes it once `run` unmasks interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeavePending;

impl FetchIrq for LeavePending {
    type Token = ();

    fn fetch<C: Cpu>(&self, _: &C) {}
}

/// Acknowledges at the GICv3 CPU interface; ending and deactivating stay with the host.
#[derive(Clone, Copy, Debug)]
pub struct GicV3(());

impl GicV3 {
    /// Returns the backend.
    ///
    /// # Safety
    ///
    /// On every CPU that runs guests, the GICv3 CPU interface is enabled for Group 1 and used by
    /// system registers (`ICC_SRE_EL2.SRE` = 1).
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// Drops the running priority of an acknowledged interrupt: it can be deactivated later.
    pub fn end<C: Cpu>(&self, cpu: &C, intid: Intid) {
        // SAFETY: `new`'s caller has the interface in use on every CPU that runs guests, at EL2.
        unsafe { cpu.gic_end(intid) }
    }

    /// Deactivates an ended interrupt: it can come again.
    pub fn deactivate<C: Cpu>(&self, cpu: &C, intid: Intid) {
        // SAFETY: as in `end`.
        unsafe { cpu.gic_deactivate(intid) }
    }
}

impl FetchIrq for GicV3 {
    /// The INTID, or `None` when the interrupt was gone by then (INTID 1020 to 1023).
    type Token = Option<Intid>;

    fn fetch<C: Cpu>(&self, cpu: &C) -> Option<Intid> {
        // SAFETY: `new`'s caller has the interface in use; `fetch` is called at EL2 by `run`.
        let intid = unsafe { cpu.gic_acknowledge() };
        (!(1020..=1023).contains(&intid.0)).then_some(intid)
    }
}

/// Acknowledges at a GICv2's CPU interface, `GICC`; ending and deactivating stay with the host.
///
/// With `GICC_CTLR.EOImode` = 1, ending drops the priority and [`deactivate`](Self::deactivate) does
/// the rest, as [`Trigger::Hardware`](crate::inject::Trigger::Hardware) wants it; with 0, ending is
/// both.
#[derive(Clone, Copy, Debug)]
pub struct GicV2 {
    address: usize,
}

/// What a GICv2's acknowledge gave: an interrupt and, for an SGI, who sent it. It is ended as it
/// was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AcknowledgedV2(u32);

impl AcknowledgedV2 {
    /// Returns the interrupt.
    pub const fn intid(self) -> Intid {
        Intid(self.0 & 0x3ff)
    }

    /// Returns the CPU interface that sent an SGI; 0 for others.
    pub const fn sender(self) -> u8 {
        (self.0 >> 10 & 7) as u8
    }
}

/// GIC architecture, version 2 (IHI 0048), "The CPU interface register map".
const GICC_IAR: usize = 0x000c;
const GICC_EOIR: usize = 0x0010;
const GICC_DIR: usize = 0x1000;

impl GicV2 {
    /// Returns the backend for the CPU interface `GICC` that is mapped at `address`.
    ///
    /// # Safety
    ///
    /// On every CPU that runs guests, at `address` is the `GICC` block of a GICv2, both of its
    /// pages, mapped as Device memory for EL2 for good.
    pub const unsafe fn new(address: usize) -> Self {
        Self { address }
    }

    /// Drops the running priority of an acknowledged interrupt.
    pub fn end(&self, acknowledged: AcknowledgedV2) {
        self.write(GICC_EOIR, acknowledged.0);
    }

    /// Deactivates an ended interrupt: it can come again. Where `GICC_CTLR.EOImode` is 1.
    pub fn deactivate(&self, acknowledged: AcknowledgedV2) {
        self.write(GICC_DIR, acknowledged.0);
    }

    fn register(&self, offset: usize) -> *mut u32 {
        core::ptr::with_exposed_provenance_mut(self.address + offset)
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: `new`'s caller has the block mapped, and the offset is of one of its registers;
        // ending an interrupt concerns no memory.
        unsafe { self.register(offset).write_volatile(value) };
    }
}

impl FetchIrq for GicV2 {
    /// The interrupt, or `None` when it was gone by then (INTID 1020 to 1023).
    type Token = Option<AcknowledgedV2>;

    fn fetch<C: Cpu>(&self, _: &C) -> Option<AcknowledgedV2> {
        // SAFETY: `new`'s caller has the block mapped; reading this register acknowledges, which is
        // what `run` calls for.
        let acknowledged = AcknowledgedV2(unsafe { self.register(GICC_IAR).read_volatile() });
        (acknowledged.intid().0 < 1020).then_some(acknowledged)
    }
}
