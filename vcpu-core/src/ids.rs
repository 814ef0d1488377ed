//! What a guest is told about its CPU.

use bitflags::bitflags;
use vcpu_regs::IdRegisters;

bitflags! {
    /// What a VM is shown beyond the default, where its CPU has it.
    ///
    /// Each costs its registers on every load and put, so none comes unasked.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Extensions: u32 {
        /// `SCXTNUM_EL0` and `SCXTNUM_EL1` (FEAT_CSV2_2).
        const CONTEXT_NUMBERS = 1 << 0;
        /// `TCR2_EL1` (FEAT_TCR2).
        const TCR2 = 1 << 1;
        /// Permission indirection at stage 1 (FEAT_S1PIE); it is turned on in `TCR2_EL1`.
        const PERMISSION_INDIRECTION = 1 << 2 | 1 << 1;
        /// Permission overlays at stage 1 (FEAT_S1POE); they are turned on in `TCR2_EL1`.
        const PERMISSION_OVERLAYS = 1 << 3 | 1 << 1;
        /// Allocation tags (FEAT_MTE2). The host clears the tags of memory before a guest gets it.
        const ALLOCATION_TAGS = 1 << 4;
        /// Scalable vectors (FEAT_SVE), as long as this CPU has them or
        /// [`Vm::limit_vectors`](crate::Vm::limit_vectors) says. Each vCPU needs
        /// [memory](crate::Vcpu::lend_sve) for them.
        const SVE = 1 << 5;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Extensions {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Extensions({=u32:#x})", self.bits());
    }
}

/// Fields of the ID registers that a guest may see, by register (CRm, op2).
///
/// The rest reads as zero: what is hidden traps, or its state is not switched, or it is EL2's. A
/// field joins the mask when the feature behind it is switched or needs nothing of us.
const VISIBLE: &[(u8, u8, u64)] = &[
    // MIDR_EL1, MPIDR_EL1, REVIDR_EL1: which part this is.
    (0, 0, !0),
    (0, 5, !0),
    (0, 6, !0),
    // AArch32 at EL0: ID_PFR0/1, ID_DFR0 without trace and monitors, ID_MMFR0-4, ID_ISAR0-6, MVFR0-2.
    (1, 0, 0x0000_ffff),
    (1, 1, 0x0fff_ffff),
    (1, 2, 0x0000_0fff),
    (1, 4, !0),
    (1, 5, !0),
    (1, 6, !0),
    (1, 7, !0),
    (2, 0, !0),
    (2, 1, !0),
    (2, 2, !0),
    (2, 3, !0),
    (2, 4, !0),
    (2, 5, !0),
    (2, 6, !0),
    (2, 7, !0),
    (3, 0, !0),
    (3, 1, !0),
    (3, 2, !0),
    (3, 4, 0xff),
    // ID_AA64PFR0_EL1: EL0, EL1, FP, AdvSIMD, GIC, DIT, CSV2, CSV3. Not RAS, SVE, MPAM, AMU, EL2.
    (4, 0, fields(&[0, 4, 16, 20, 24, 48, 56, 60])),
    // ID_AA64PFR1_EL1: BT, SSBS. Not MTE, SME, NMI, GCS.
    (4, 1, fields(&[0, 4])),
    // ID_AA64DFR0_EL1: DebugVer, BRPs, WRPs, CTX_CMPs, DoubleLock. Not trace, PMU, SPE, BRBE.
    (5, 0, fields(&[0, 12, 20, 28, 36])),
    // ID_AA64ISAR0_EL1: all but TME; bits 3:0 are reserved.
    (6, 0, !fields(&[0, 24])),
    // ID_AA64ISAR1_EL1: all but LS64.
    (6, 1, !fields(&[60])),
    // ID_AA64ISAR2_EL1: RPRES, GPA3, APA3, BC, PAC_frac. Not WFxT, MOPS.
    (6, 2, fields(&[4, 8, 12, 20, 24])),
    // ID_AA64MMFR0_EL1: all but ECV, FGT and the granules of stage 2.
    (7, 0, fields(&[0, 4, 8, 12, 16, 20, 24, 28, 44])),
    // ID_AA64MMFR1_EL1: HAFDBS, HPDS, PAN, SpecSEI, XNX, ETS, AFP, nTLBPA. Not VMIDs, VHE, LOR.
    (7, 1, fields(&[0, 12, 20, 24, 28, 36, 44, 48])),
    // ID_AA64MMFR2_EL1: all but IESB, NV, FWB, EVT.
    (7, 2, !fields(&[12, 24, 40, 44, 56])),
];

/// Returns the mask of the four-bit fields at these positions.
const fn fields(at: &[u32]) -> u64 {
    let mut mask = 0;
    let mut i = 0;
    while i < at.len() {
        mask |= 0xf << at[i];
        i += 1;
    }
    mask
}

/// Returns the ID registers that a guest on a CPU with `host` sees, all hidden features narrowed.
///
/// `pa_bits` is what the guest may take for the size of physical addresses: the bits of an IPA.
pub fn guest_ids(host: &IdRegisters, pa_bits: u8, extensions: Extensions) -> IdRegisters {
    let mut guest = IdRegisters::default();
    for &(crm, op2, mask) in VISIBLE {
        let reg = vcpu_regs::SysReg::new(3, 0, 0, crm, op2);
        guest.set(reg, host.get(reg).unwrap_or(0) & mask);
    }
    // FEAT_CSV2_2 shows SCXTNUM_ELx; CSV2_frac, which could too, stays hidden.
    let most = match extensions.contains(Extensions::CONTEXT_NUMBERS) {
        true => 2,
        false => 1,
    };
    let csv2 = (guest.pfr0() >> 56 & 0xf).min(most);
    guest.set_pfr0(guest.pfr0() & !(0xf << 56) | csv2 << 56);
    if extensions.contains(Extensions::ALLOCATION_TAGS) && host.has_mte() {
        // FEAT_MTE2, or FEAT_MTE3, which adds no register.
        let mte = (host.pfr1() >> 8 & 0xf).min(3);
        guest.set_pfr1(guest.pfr1() | mte << 8);
    }
    if extensions.contains(Extensions::SVE) && host.features().sve() {
        guest.set_pfr0(guest.pfr0() | 1 << 32);
        guest.set_zfr0(host.zfr0()); // instructions, all of it
    }
    for (extension, lo) in [
        (Extensions::TCR2, 0),
        (Extensions::PERMISSION_INDIRECTION, 8),
        (Extensions::PERMISSION_OVERLAYS, 16),
    ] {
        if extensions.contains(extension) {
            let shown = (host.mmfr3() >> lo & 0xf).min(1);
            guest.set_mmfr3(guest.mmfr3() | shown << lo);
        }
    }
    // FEAT_Debugv8p9 would show MDSELR_EL1.
    let debug = (guest.dfr0() & 0xf).min(10);
    guest.set_dfr0(guest.dfr0() & !0xf | debug);
    // AArch32 stops at EL0.
    let el1 = (guest.pfr0() >> 4 & 0xf).min(1);
    guest.set_pfr0(guest.pfr0() & !(0xf << 4) | el1 << 4);
    // FEAT_HAFT would show TCR2_EL1, FEAT_HDBSS is EL2's.
    let hafdbs = (guest.mmfr1() & 0xf).min(2);
    guest.set_mmfr1(guest.mmfr1() & !0xf | hafdbs);
    let range = (guest.mmfr0() & 0xf).min(pa_range(pa_bits));
    guest.set_mmfr0(guest.mmfr0() & !0xf | range);
    guest
}

/// Returns the largest `ID_AA64MMFR0_EL1.PARange` that promises no more than `bits`.
const fn pa_range(bits: u8) -> u64 {
    match bits {
        0..=35 => 0,
        36..=39 => 1,
        40..=41 => 2,
        42..=43 => 3,
        44..=47 => 4,
        48..=51 => 5,
        _ => 6,
    }
}
