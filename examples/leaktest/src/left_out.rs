//! A load that leaves something out, as one of a table that lacks a row.

use aarch64_cpu::registers::{CPTR_EL2, Readable};
use vcpu_hal::{Cpu, Inject};
use vcpu_regs::{Cptr, FpState, IchReg, SwitchedReg};

use crate::guests::{Loaded, ThisCpu};

/// What the host leaves out of a load, as a table without the row would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A row of the table.
    Row(SwitchedReg),
    /// The FP registers.
    Fp,
    /// A register of the virtual CPU interface.
    Interface(IchReg),
}

/// What the hardware holds before a load, and after it where it is left out.
#[derive(Default)]
pub struct Stale {
    row: Option<(SwitchedReg, u64)>,
    fp: Option<FpState>,
    interface: Option<(IchReg, u64)>,
}

impl Stale {
    /// Reads what is to be left out.
    pub fn take<I: Inject>(el2: &ThisCpu<I>, left_out: Option<LeftOut>) -> Self {
        let mut stale = Self::default();
        match left_out {
            None => {}
            Some(LeftOut::Row(reg)) => {
                let cpu = el2.cpu();
                let e2h = cpu.host_mode().e2h;
                let cptr = Cptr::from_bits_retain(CPTR_EL2.get());
                let open = cptr.with_fp_trap(false, e2h).with_sve_trap(false, e2h);
                // SAFETY: at EL2, as an `El2` proves; the caller leaves out what the CPU has, and
                // ZCR_EL1 does not trap under `open`. CPTR_EL2 is as before in the end.
                let value = unsafe {
                    cpu.set_cptr(open);
                    let value = cpu.read_switched(reg);
                    cpu.set_cptr(cptr);
                    value
                };
                stale.row = Some((reg, value));
            }
            Some(LeftOut::Interface(reg)) => {
                // SAFETY: at EL2; `virt` has a GICv3 here, in use by system registers, and the
                // caller leaves out what it has.
                let value = unsafe { el2.cpu().read_ich(reg) };
                stale.interface = Some((reg, value));
            }
            Some(LeftOut::Fp) => {
                let fp = stale.fp.insert(FpState::default());
                // SAFETY: at EL2, where FP does not trap: neither the boot code nor guests that
                // have FP from their load set CPTR_EL2 so.
                unsafe { el2.cpu().save_fp(fp) };
            }
        }
        stale
    }

    /// Writes it over what the load brought.
    pub fn put_back<I: Inject>(self, live: &mut Loaded<'_, I>) {
        if let Some((reg, value)) = self.row {
            live.set_sysreg(reg, value);
        }
        if let Some((reg, value)) = self.interface {
            // SAFETY: as in `take`; the caller leaves out nothing that is only read.
            unsafe { live.cpu().write_ich(reg, value) };
        }
        if let Some(fp) = self.fp {
            // SAFETY: at EL2, and FP does not trap, as in `take`; nothing of the host lives there.
            unsafe { live.cpu().load_fp(&fp) };
        }
    }
}
