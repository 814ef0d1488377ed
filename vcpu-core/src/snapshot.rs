//! All state of a vCPU at rest, by register: what a snapshot, a migration or a debugger reads and
//! writes.

use core::fmt;

use vcpu_hal::{Inject, Platform};
use vcpu_regs::{DebugState, Gpr, Pstate, SveState, SwitchedReg, SysReg};

use crate::{Vcpu, timers::HeldTimers};

/// A part of a vCPU's state with a number that stays the same from release to release.
///
/// Beside these, a vCPU has its virtual interrupts, of the host's own backend
/// ([`Vcpu::interrupts`]), and what it was made with; a [`Vm`](crate::Vm) has its clock and its ID
/// registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StateReg {
    /// X0 to X30.
    X(Gpr),
    /// Where the guest goes on.
    Pc,
    /// PSTATE, in the layout of SPSR_EL1.
    Pstate,
    /// Whether a virtual SError is pending: 1 or 0. Its syndrome is VSESR_EL2.
    VirtualSError,
    /// Which timers the host holds back until the guest has ended their interrupt, as
    /// [`TimerDelivery::Masked`](crate::TimerDelivery::Masked) does; two bits each.
    HeldTimers,
    /// Q0 to Q31, of 128 bits.
    Q(u8),
    /// Z0 to Z31, and which 128 bits of it: 1 to 15, for the first are Q. A vCPU has them, and those
    /// below, while it is [lent memory](Vcpu::lend_sve) for them.
    Z(u8, u8),
    /// P0 to P15, and which 128 bits of it: 0 or 1.
    P(u8, u8),
    /// Which 128 bits of FFR: 0 or 1.
    Ffr(u8),
    /// A system register.
    System(SysReg),
}

/// A value that its register cannot hold, or a register that a vCPU has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StateError {
    /// The register.
    pub reg: StateReg,
    /// The value.
    pub value: u128,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no vCPU has {:#x} in {}", self.value, self.reg)
    }
}

impl core::error::Error for StateError {}

const SP_EL0: SysReg = SysReg::new(3, 0, 4, 1, 0);
const TPIDR_EL0: SysReg = SysReg::new(3, 3, 13, 0, 2);
const TPIDR_EL1: SysReg = SysReg::new(3, 0, 13, 0, 4);
const FPCR: SysReg = SysReg::new(3, 3, 4, 4, 0);
const FPSR: SysReg = SysReg::new(3, 3, 4, 4, 1);
/// What the frame and the FP state hold.
const OTHERS: [SysReg; 5] = [SP_EL0, TPIDR_EL0, TPIDR_EL1, FPCR, FPSR];

impl StateReg {
    const PC: u32 = 0x20;
    const PSTATE: u32 = 0x21;
    const VIRTUAL_SERROR: u32 = 0x22;
    const HELD_TIMERS: u32 = 0x23;
    const Q0: u32 = 0x100;
    const Z0: u32 = 0x200;
    const P0: u32 = 0x400;
    const FFR: u32 = 0x420;
    const SYSTEM: u32 = 0x1_0000;

    /// Returns every part of the state, but for those [of SVE](Self::of_sve).
    pub fn all() -> impl Iterator<Item = Self> {
        let x = (0..31).map(|n| Self::X(Gpr::new(n)));
        let rest = [
            Self::Pc,
            Self::Pstate,
            Self::VirtualSError,
            Self::HeldTimers,
        ];
        let q = (0..32).map(Self::Q);
        let switched = SwitchedReg::ALL.iter().map(|reg| reg.sysreg());
        let system = OTHERS
            .into_iter()
            .chain(switched)
            .chain(DebugState::registers());
        x.chain(rest).chain(q).chain(system.map(Self::System))
    }

    /// Returns the parts that a vCPU with memory for SVE registers has beside the others.
    pub fn of_sve() -> impl Iterator<Item = Self> {
        let z = (0..32).flat_map(|n| (1..16).map(move |part| Self::Z(n, part)));
        let p = (0..16).flat_map(|n| (0..2).map(move |part| Self::P(n, part)));
        z.chain(p).chain((0..2).map(Self::Ffr))
    }

    /// Returns the number to keep beside the value.
    pub const fn id(self) -> u32 {
        match self {
            Self::X(reg) => reg.number() as u32,
            Self::Pc => Self::PC,
            Self::Pstate => Self::PSTATE,
            Self::VirtualSError => Self::VIRTUAL_SERROR,
            Self::HeldTimers => Self::HELD_TIMERS,
            Self::Q(n) => Self::Q0 + n as u32,
            Self::Z(n, part) => Self::Z0 + n as u32 * 16 + part as u32,
            Self::P(n, part) => Self::P0 + n as u32 * 2 + part as u32,
            Self::Ffr(part) => Self::FFR + part as u32,
            Self::System(reg) => Self::SYSTEM + reg.bits() as u32,
        }
    }

    /// Returns the part with this number, or `None` where there is none.
    pub fn from_id(id: u32) -> Option<Self> {
        let mut all = Self::all().chain(Self::of_sve());
        all.find(|reg| reg.id() == id)
    }
}

/// `x0`, `PC`, `q31`, `SCTLR_EL1`.
impl fmt::Display for StateReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X(reg) => reg.fmt(f),
            Self::Pc => f.write_str("PC"),
            Self::Pstate => f.write_str("PSTATE"),
            Self::VirtualSError => f.write_str("virtual SError"),
            Self::HeldTimers => f.write_str("held timers"),
            Self::Q(n) => write!(f, "q{n}"),
            Self::Z(n, part) => write!(f, "z{n}[{part}]"),
            Self::P(n, part) => write!(f, "p{n}[{part}]"),
            Self::Ffr(part) => write!(f, "ffr[{part}]"),
            Self::System(reg) => reg.fmt(f),
        }
    }
}

/// `$of` borrows the register that a part belongs to; also returns which part.
macro_rules! of_sve {
    ($of:ident $get:ident $($mut:tt)?) => {
        fn $of(state: &$($mut)? SveState, reg: StateReg) -> Option<(&$($mut)? [u8], u8)> {
            let predicates = &$($mut)? state.predicates;
            Some(match reg {
                StateReg::Z(n, part) if part != 0 => (state.z.$get(usize::from(n))?, part),
                StateReg::P(n, part) => (predicates.p.$get(usize::from(n))?, part),
                StateReg::Ffr(part) => (&$($mut)? predicates.ffr, part),
                _ => return None,
            })
        }
    };
}
of_sve!(of_sve get);
of_sve!(of_sve_mut get_mut mut);

impl<P: Platform> Vcpu<P> {
    /// Returns the virtual interrupts, in the words of the host's backend.
    pub fn interrupts(&self) -> &<P::Inject as Inject>::State {
        &self.pending
    }

    /// Returns the virtual interrupts, to change them.
    pub fn interrupts_mut(&mut self) -> &mut <P::Inject as Inject>::State {
        &mut self.pending
    }

    /// Returns a part of the state, or `None` when no vCPU has it.
    pub fn state(&self, reg: StateReg) -> Option<u128> {
        let word = match reg {
            StateReg::X(reg) => self.reg(reg),
            StateReg::Pc => self.pc(),
            StateReg::Pstate => self.pstate().bits(),
            StateReg::VirtualSError => self.serror_pending.into(),
            StateReg::HeldTimers => self.held_timers.bits(),
            StateReg::Q(n) => return self.fp.q.get(usize::from(n)).copied(),
            StateReg::Z(..) | StateReg::P(..) | StateReg::Ffr(_) => {
                let (bytes, part) = of_sve(self.sve.as_deref()?, reg)?;
                let part = bytes.as_chunks().0.get(usize::from(part))?;
                return Some(u128::from_le_bytes(*part));
            }
            StateReg::System(reg) => self.system(reg)?,
        };
        Some(word.into())
    }

    fn system(&self, reg: SysReg) -> Option<u64> {
        Some(match reg {
            SP_EL0 => self.sp_el0(),
            TPIDR_EL0 => self.thread_ids().0,
            TPIDR_EL1 => self.thread_ids().1,
            FPCR => self.fp.fpcr,
            FPSR => self.fp.fpsr,
            _ => match SwitchedReg::from_sysreg(reg) {
                Some(reg) => self.switched.get(reg),
                None => self.debug.get(reg)?,
            },
        })
    }

    /// Replaces a part of the state.
    ///
    /// A PSTATE that no guest may have is made one that it may, as by
    /// [`set_pstate`](crate::Registers::set_pstate).
    ///
    /// # Errors
    ///
    /// A value too wide for the register, or no such register; nothing changes then.
    pub fn set_state(&mut self, reg: StateReg, value: u128) -> Result<(), StateError> {
        self.try_set_state(reg, value)
            .ok_or(StateError { reg, value })
    }

    fn try_set_state(&mut self, reg: StateReg, value: u128) -> Option<()> {
        if let StateReg::Q(n) = reg {
            *self.fp.q.get_mut(usize::from(n))? = value;
            return Some(());
        }
        if let StateReg::Z(..) | StateReg::P(..) | StateReg::Ffr(_) = reg {
            let (bytes, part) = of_sve_mut(self.sve.as_deref_mut()?, reg)?;
            let part = bytes.as_chunks_mut().0.get_mut(usize::from(part))?;
            *part = value.to_le_bytes();
            return Some(());
        }
        let word = u64::try_from(value).ok()?;
        match reg {
            StateReg::X(reg) => self.set_reg(reg, word),
            StateReg::Pc => self.set_pc(word),
            StateReg::Pstate => self.set_pstate(Pstate::from_bits_retain(word)),
            StateReg::VirtualSError if word <= 1 => self.serror_pending = word == 1,
            StateReg::VirtualSError => return None,
            StateReg::HeldTimers => self.held_timers = HeldTimers::from_bits(word)?,
            StateReg::Q(_) | StateReg::Z(..) | StateReg::P(..) | StateReg::Ffr(_) => {}
            StateReg::System(reg) => self.set_system(reg, word)?,
        }
        Some(())
    }

    fn set_system(&mut self, reg: SysReg, value: u64) -> Option<()> {
        let (el0, el1) = self.thread_ids();
        match reg {
            SP_EL0 => self.set_sp_el0(value),
            TPIDR_EL0 => self.set_thread_ids(value, el1),
            TPIDR_EL1 => self.set_thread_ids(el0, value),
            FPCR => self.fp.fpcr = value,
            FPSR => self.fp.fpsr = value,
            _ => match SwitchedReg::from_sysreg(reg) {
                Some(reg) => self.set_sysreg(reg, value),
                None => *self.debug.register(reg, DebugState::MOST)? = value,
            },
        }
        Some(())
    }
}
