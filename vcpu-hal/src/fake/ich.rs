//! The registers of a virtual CPU interface.

use vcpu_regs::IchReg;

/// The virtual CPU interface of a [`ScriptedCpu`](super::ScriptedCpu): registers that keep
/// what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IchRegisters {
    /// `ICH_HCR_EL2`.
    pub hcr: u64,
    /// `ICH_VTR_EL2`.
    pub vtr: u64,
    /// `ICH_VMCR_EL2`.
    pub vmcr: u64,
    /// `ICH_MISR_EL2`.
    pub misr: u64,
    /// `ICH_LR<n>_EL2`.
    pub lr: [u64; 16],
    /// `ICH_AP0R<n>_EL2`.
    pub ap0r: [u64; 4],
    /// `ICH_AP1R<n>_EL2`.
    pub ap1r: [u64; 4],
    /// `ICC_SRE_EL1`.
    pub sre_el1: u64,
}

impl Default for IchRegisters {
    fn default() -> Self {
        /// Five bits of priority, 24 of an INTID, ICH_HCR_EL2.TDIR, four list registers.
        const VTR: u64 = 4 << 29 | 4 << 26 | 1 << 23 | 1 << 19 | 3;
        Self {
            hcr: 0,
            vtr: VTR,
            vmcr: 0,
            misr: 0,
            lr: [0; 16],
            ap0r: [0; 4],
            ap1r: [0; 4],
            sre_el1: 0,
        }
    }
}

impl IchRegisters {
    pub(super) fn register(&mut self, reg: IchReg) -> &mut u64 {
        match reg {
            IchReg::Hcr => &mut self.hcr,
            IchReg::Vtr => &mut self.vtr,
            IchReg::Vmcr => &mut self.vmcr,
            IchReg::Misr => &mut self.misr,
            IchReg::Lr(n) => &mut self.lr[usize::from(n)],
            IchReg::Ap0r(n) => &mut self.ap0r[usize::from(n)],
            IchReg::Ap1r(n) => &mut self.ap1r[usize::from(n)],
            IchReg::SreEl1 => &mut self.sre_el1,
        }
    }
}
