//! Waiting, and the smaller classes of trapped instructions.

use vcpu_regs::Esr;
use vcpu_regs::iss::{BrkIss, EretIss, FpacIss, GcsIss, MopsIss, WfxIss};

/// The condition a trapped instruction carried: CV and COND. From A64 always known, and `AL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Condition {
    /// `code` means something (CV); where not, the host reads SPSR and the instruction.
    pub known: bool,
    /// The condition code as an instruction has it (COND): 0b1110 is `AL`.
    pub code: u8,
}

impl Condition {
    /// What A64 reports.
    pub const ALWAYS: Self = Self {
        known: true,
        code: 0b1110,
    };

    /// Returns the mnemonic suffix: `EQ` to `AL`, `NV` for 0b1111.
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; 16] = [
            "EQ", "NE", "CS", "CC", "MI", "PL", "VS", "VC", "HI", "LS", "GE", "LT", "GT", "LE",
            "AL", "NV",
        ];
        NAMES[(self.code & 15) as usize]
    }
}

/// Which waiting instruction trapped (TI).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum WfxKind {
    /// `WFI`
    Wfi,
    /// `WFE`
    Wfe,
    /// `WFIT`, with a timeout (FEAT_WFxT).
    Wfit,
    /// `WFET`, with a timeout (FEAT_WFxT).
    Wfet,
}

/// EC 0x01: the guest would wait. ELR is on the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Wfx {
    /// Which instruction.
    pub kind: WfxKind,
    /// Register with the counter value to wait until, where the syndrome tells it.
    pub timeout_reg: Option<u8>,
    /// Condition of an AArch32 instruction.
    pub condition: Condition,
}

impl Wfx {
    /// Reads `esr` as a trapped wait.
    pub const fn decode(esr: Esr) -> Self {
        let iss = WfxIss::new(esr);
        Self {
            kind: match iss.ti() {
                0 => WfxKind::Wfi,
                1 => WfxKind::Wfe,
                2 => WfxKind::Wfit,
                _ => WfxKind::Wfet,
            },
            timeout_reg: if iss.rv() { Some(iss.rn()) } else { None },
            condition: Condition {
                known: iss.cv(),
                code: iss.cond(),
            },
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = WfxIss::new(Esr(0))
            .with_ti(self.kind as u8)
            .with_cv(self.condition.known)
            .with_cond(self.condition.code);
        let iss = match self.timeout_reg {
            Some(reg) => iss.with_rv(true).with_rn(reg),
            None => iss,
        };
        Esr(Esr::of_class(0x01).0 | iss.bits())
    }
}

/// EC 0x1A: `ERET`, `ERETAA` or `ERETAB`, trapped for nested virtualisation. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Eret {
    /// `ERETAA` or `ERETAB` (ERET).
    pub is_authenticated: bool,
    /// `ERETAB`; means something only when authenticated (ERETA).
    pub uses_key_b: bool,
}

impl Eret {
    /// Reads `esr` as a trapped exception return.
    pub const fn decode(esr: Esr) -> Self {
        let iss = EretIss::new(esr);
        Self {
            is_authenticated: iss.eret(),
            uses_key_b: iss.ereta(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = EretIss::new(Esr(0))
            .with_eret(self.is_authenticated)
            .with_ereta(self.uses_key_b);
        Esr(Esr::of_class(0x1a).0 | iss.bits())
    }
}

/// EC 0x1C: a pointer failed to authenticate (FEAT_FPAC). ELR is on the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PointerAuthFailure {
    /// With a data key rather than an instruction key.
    pub is_data_key: bool,
    /// With key B rather than key A.
    pub is_key_b: bool,
}

impl PointerAuthFailure {
    /// Reads `esr` as a failed authentication.
    pub const fn decode(esr: Esr) -> Self {
        let iss = FpacIss::new(esr);
        Self {
            is_data_key: iss.dni(),
            is_key_b: iss.bna(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = FpacIss::new(Esr(0))
            .with_dni(self.is_data_key)
            .with_bna(self.is_key_b);
        Esr(Esr::of_class(0x1c).0 | iss.bits())
    }
}

/// EC 0x27: a `CPY*` or `SET*` found registers of the other implementation option (FEAT_MOPS).
///
/// ELR is on the instruction; the handler rewinds the three registers and PC to the prologue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mops {
    /// A `SET*` rather than a `CPY*` (MemInst).
    pub is_set: bool,
    /// A `SETG*` (isSETG).
    pub is_set_tag: bool,
    /// Options field of the instruction.
    pub options: u8,
    /// In the epilogue rather than the main instruction (FromEpilogue).
    pub from_epilogue: bool,
    /// The format of the registers was wrong (WrongOption).
    pub is_wrong_option: bool,
    /// PSTATE.C said option A (OptionA).
    pub is_option_a: bool,
    /// Register of the destination address.
    pub dest_reg: u8,
    /// Register of the source address, or of the value set.
    pub src_reg: u8,
    /// Register of the size.
    pub size_reg: u8,
}

impl Mops {
    /// Reads `esr` as a Memory Copy or Memory Set exception.
    pub const fn decode(esr: Esr) -> Self {
        let iss = MopsIss::new(esr);
        Self {
            is_set: iss.mem_inst(),
            is_set_tag: iss.is_setg(),
            options: iss.options(),
            from_epilogue: iss.from_epilogue(),
            is_wrong_option: iss.wrong_option(),
            is_option_a: iss.option_a(),
            dest_reg: iss.destreg(),
            src_reg: iss.srcreg(),
            size_reg: iss.sizereg(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = MopsIss::new(Esr(0))
            .with_mem_inst(self.is_set)
            .with_is_setg(self.is_set_tag)
            .with_options(self.options)
            .with_from_epilogue(self.from_epilogue)
            .with_wrong_option(self.is_wrong_option)
            .with_option_a(self.is_option_a)
            .with_destreg(self.dest_reg)
            .with_srcreg(self.src_reg)
            .with_sizereg(self.size_reg);
        Esr(Esr::of_class(0x27).0 | iss.bits())
    }
}

/// EC 0x2D: a Guarded Control Stack check failed or a GCS instruction trapped. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gcs {
    /// Why: 0 the value popped did not match, 1 EXLOCK, 2 a `GCSSTR` or `GCSSTTR` (ExType).
    pub reason: u8,
    /// The instruction of a mismatch (IT).
    pub instruction: u8,
    /// Register of the instruction, or of the value stored (Rn, Rvalue).
    pub reg: u8,
    /// Address register of `GCSSTR` or `GCSSTTR` (Raddr).
    pub addr_reg: u8,
}

impl Gcs {
    /// Reads `esr` as a Guarded Control Stack exception.
    pub const fn decode(esr: Esr) -> Self {
        let iss = GcsIss::new(esr);
        Self {
            reason: iss.ex_type(),
            instruction: iss.it(),
            reg: iss.rn(),
            addr_reg: iss.raddr(),
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let iss = GcsIss::new(Esr(0))
            .with_ex_type(self.reason)
            .with_it(self.instruction)
            .with_rn(self.reg)
            .with_raddr(self.addr_reg);
        Esr(Esr::of_class(0x2d).0 | iss.bits())
    }
}

/// EC 0x38 and 0x3C: `BKPT` or `BRK`. ELR is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Brk {
    /// The instruction's immediate (Comment).
    pub imm: u16,
    /// `BKPT`, of AArch32.
    pub is_aarch32: bool,
}

impl Brk {
    /// Reads `esr` as a breakpoint instruction.
    pub const fn decode(esr: Esr) -> Self {
        Self {
            imm: BrkIss::new(esr).comment(),
            is_aarch32: esr.class() == 0x38,
        }
    }

    /// Returns the syndrome word, IL set.
    pub const fn encode(self) -> Esr {
        let class = if self.is_aarch32 { 0x38 } else { 0x3c };
        Esr(Esr::of_class(class).0 | self.imm as u64)
    }
}
