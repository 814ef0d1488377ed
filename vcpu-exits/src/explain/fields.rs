//! Every field of a word: disjoint, covering all 64 bits, highest first.

use core::fmt;

use vcpu_regs::iss::*;
use vcpu_regs::{Esr, EsrField};

use super::meaning::{Meaning, meaning};
use crate::FaultStatus;

/// A field of a syndrome word with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Field {
    /// Arm's name, or `RES0` for bits that have none.
    pub name: &'static str,
    /// Highest bit in the 64-bit word.
    pub hi: u8,
    /// Lowest bit in the 64-bit word.
    pub lo: u8,
    /// The bits' value.
    pub value: u64,
    /// The whole word: a meaning may depend on another field.
    esr: Esr,
    is_reserved: bool,
}

impl Field {
    /// Returns whether Arm defines nothing here.
    pub const fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// Returns what the value says.
    pub fn meaning(&self) -> Meaning {
        meaning(self.esr, self.name, self.value)
    }

    /// Returns the field's bits in their place: the word is the OR over its fields.
    pub const fn in_place(&self) -> u64 {
        self.value << self.lo
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hi == self.lo {
            write!(f, "{:>5}  {:<12}", self.lo, self.name)?;
        } else {
            write!(f, "{:>2}:{:<2}  {:<12}", self.hi, self.lo, self.name)?;
        }
        write!(f, " {:#x}  {}", self.value, self.meaning())
    }
}

pub(super) const RES0: &str = "RES0";

const OUTER: [EsrField; 2] = [field("IL", 25, 1), field("EC", 26, 6)];
const WHOLE_ISS: &[EsrField] = &[field("ISS", 0, 25)];
const UNALLOCATED: &[EsrField] = &[field("ISS", 0, 25), field("ISS2", 32, 24)];

const fn field(name: &'static str, lo: u8, bits: u8) -> EsrField {
    EsrField { name, lo, bits }
}

/// The fields of the word's form, lowest first, EC and IL left out.
const fn form_of(esr: Esr) -> &'static [EsrField] {
    match esr.class() {
        0x00 | 0x09 | 0x0e | 0x19 | 0x22 | 0x26 => &[],
        0x01 => WfxIss::FIELDS,
        0x03 | 0x05 | 0x08 => McrIss::FIELDS,
        0x04 | 0x0c => McrrIss::FIELDS,
        0x06 => LdcIss::FIELDS,
        0x07 => FpAccessIss::FIELDS,
        0x0a => OtherInstructionIss::FIELDS,
        0x0d => BtiIss::FIELDS,
        0x11 | 0x12 | 0x15 | 0x16 | 0x17 => CallIss::FIELDS,
        0x13 => Smc32Iss::FIELDS,
        0x14 => System128Iss::FIELDS,
        0x18 => SystemIss::FIELDS,
        0x1a => EretIss::FIELDS,
        0x1b => TstartIss::FIELDS,
        0x1c => FpacIss::FIELDS,
        0x1d => SmeIss::FIELDS,
        0x1e => GpcIss::FIELDS,
        0x1f => WHOLE_ISS,
        0x20 | 0x21 => InstructionAbortIss::FIELDS,
        0x24 | 0x25 => {
            if DataAbortIss::new(esr).isv() {
                DataAbortIss::FIELDS
            } else {
                DataAbortBareIss::FIELDS
            }
        }
        0x27 => MopsIss::FIELDS,
        0x28 | 0x2c => FpExceptionIss::FIELDS,
        0x2d => GcsIss::FIELDS,
        0x2f => {
            if SErrorIss::new(esr).ids() {
                SErrorImpdefIss::FIELDS
            } else {
                SErrorIss::FIELDS
            }
        }
        0x30 | 0x31 | 0x3a => BreakpointIss::FIELDS,
        0x32 | 0x33 => StepIss::FIELDS,
        0x34 | 0x35 => WatchpointIss::FIELDS,
        0x38 | 0x3c => BrkIss::FIELDS,
        0x3d => ProfilingIss::FIELDS,
        _ => UNALLOCATED,
    }
}

/// Iterates over the fields of a word, from bit 63 down to bit 0.
#[derive(Clone, Debug)]
pub struct Fields {
    esr: Esr,
    form: &'static [EsrField],
    /// Entries of `OUTER` and of `form` still to come, both taken from their ends.
    outer: usize,
    inner: usize,
    /// One above the highest bit not yet given out.
    next: u8,
}

impl Fields {
    /// Returns the fields of `esr`.
    pub const fn of(esr: Esr) -> Self {
        let form = form_of(esr);
        Self {
            esr,
            form,
            outer: OUTER.len(),
            inner: form.len(),
            next: 64,
        }
    }
}

impl Iterator for Fields {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        if self.next == 0 {
            return None;
        }
        let outer = self.outer.checked_sub(1).and_then(|last| OUTER.get(last));
        let inner = self
            .inner
            .checked_sub(1)
            .and_then(|last| self.form.get(last));
        let candidate = match (outer, inner) {
            (Some(outer), Some(inner)) if outer.lo > inner.lo => Some(outer),
            (_, Some(inner)) => Some(inner),
            (outer, None) => outer,
        };
        let (name, lo, is_reserved) = match candidate {
            Some(field) if field.hi() + 1 == self.next => {
                if outer.is_some_and(|outer| outer.lo == field.lo) {
                    self.outer -= 1;
                } else {
                    self.inner -= 1;
                }
                (form_name(self.esr, field), field.lo, false)
            }
            // A gap, down to the next field; never across the words' halves.
            gap => {
                let below = gap.map_or(0, |field| field.hi() + 1);
                let lo = if self.next > 32 && below < 32 {
                    32
                } else {
                    below
                };
                (RES0, lo, true)
            }
        };
        let field = EsrField {
            name,
            lo,
            bits: self.next - lo,
        };
        self.next = lo;
        let value = field.read(self.esr.0);
        Some(Field {
            name,
            hi: field.hi(),
            lo,
            value,
            esr: self.esr,
            is_reserved,
        })
    }
}

/// The name of a field that other fields rename.
fn form_name(esr: Esr, field: &EsrField) -> &'static str {
    match (esr.class(), field.lo) {
        (0x24 | 0x25, 11) if FaultStatus::from_bits((esr.0 & 0x3f) as u8).has_lst() => "LST",
        (0x2d, 5) if GcsIss::new(esr).ex_type() == 2 => "Rvalue",
        _ => field.name,
    }
}
