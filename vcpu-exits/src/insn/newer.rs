//! Unprivileged exclusives and atomics (FEAT_LSUI), and read-check-write ones (FEAT_THE).
//!
//! They mirror older instructions in neighbouring encodings, so they decode to the same values with a
//! [`Form`] of their own.

use super::decode::{atomic_operation, atomic_order, base_only, bit, bits, general, rs, rt};
use super::pair::{general_pair, rt2};
use super::{Atomic, Form, LoadStore, MemoryInsn, NotDecoded, Op, Order, Regs};

type Decoded = Result<MemoryInsn, NotDecoded>;

fn at(insn: u32, op: Op, regs: Regs, size_bytes: u8, order: Order, form: Form) -> Decoded {
    let address = base_only(insn);
    Ok(MemoryInsn::LoadStore(LoadStore {
        op,
        regs,
        size_bytes,
        address,
        order,
        form,
    }))
}

/// Bits 29:24 = 001001: `LDTXR`, `STTXR`, `CAST`, `CASPT`.
pub(super) fn exclusive(insn: u32) -> Decoded {
    let (size, is_load, o0) = (bits(insn, 31, 30), bit(insn, 22), bit(insn, 15));
    let form = Form::Unprivileged;
    if bit(insn, 21) {
        return Err(NotDecoded::Unallocated);
    }
    if !bit(insn, 23) {
        if size < 2 {
            return Err(NotDecoded::Unallocated);
        }
        let (op, order) = match (is_load, o0) {
            (true, false) => (Op::LoadExclusive, Order::Plain),
            (true, true) => (Op::LoadExclusive, Order::Acquire),
            (false, false) => (Op::StoreExclusive { status: rs(insn) }, Order::Plain),
            (false, true) => (Op::StoreExclusive { status: rs(insn) }, Order::Release),
        };
        return at(insn, op, general(insn, size == 3), 1 << size, order, form);
    }
    let (op, order) = (
        Op::CompareAndSwap { compare: rs(insn) },
        atomic_order(is_load, o0),
    );
    match size {
        _ if rt2(insn) != 31 => Err(NotDecoded::Unallocated),
        3 => at(insn, op, general(insn, true), 8, order, form),
        1 => pair_swap(insn, form, order),
        _ => Err(NotDecoded::Unallocated),
    }
}

/// A compare and swap of two X registers each.
fn pair_swap(insn: u32, form: Form, order: Order) -> Decoded {
    if (rs(insn) | rt(insn)) & 1 != 0 {
        return Err(NotDecoded::Unallocated);
    }
    let op = Op::CompareAndSwap { compare: rs(insn) };
    at(
        insn,
        op,
        general_pair(rt(insn), rt(insn) | 1, true),
        8,
        order,
        form,
    )
}

/// Bits 29:24 = 011001, 21 = 1, 11:10 not 0: `LDTADD`, `LDTCLR`, `LDTSET`, `SWPT`; `RCWCAS`, `RCWCASP`.
pub(super) fn atomic(insn: u32) -> Decoded {
    let (size, opc) = (bits(insn, 31, 30), bits(insn, 15, 12));
    let order = atomic_order(bit(insn, 23), bit(insn, 22));
    let form = Form::ReadCheckWrite { is_soft: size == 1 };
    match (bits(insn, 11, 10), opc) {
        _ if size > 1 => Err(NotDecoded::Unallocated),
        (0b01, _) => match atomic_operation(opc) {
            Some(operation @ (Atomic::Add | Atomic::Clear | Atomic::Set | Atomic::Swap)) => {
                let op = Op::Atomic {
                    operation,
                    operand: rs(insn),
                };
                at(
                    insn,
                    op,
                    general(insn, size == 1),
                    4 << size,
                    order,
                    Form::Unprivileged,
                )
            }
            _ => Err(NotDecoded::Unallocated),
        },
        (0b10, 0) => {
            let op = Op::CompareAndSwap { compare: rs(insn) };
            at(insn, op, general(insn, true), 8, order, form)
        }
        (0b11, 0) => pair_swap(insn, form, order),
        _ => Err(NotDecoded::Unallocated),
    }
}

/// What opc 1001 to 1011 of the atomics is, as a read-check-write.
pub(super) const fn read_check_write(opc: u8) -> Option<Atomic> {
    match opc {
        0b1001 => Some(Atomic::Clear),
        0b1010 => Some(Atomic::Swap),
        0b1011 => Some(Atomic::Set),
        _ => None,
    }
}
