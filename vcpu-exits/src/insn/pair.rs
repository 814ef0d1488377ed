//! Two registers at once, and the exclusive and ordered space they share.

use super::decode::{
    atomic_operation, atomic_order, base_only, bit, bits, general, rn, rs, rt, signed,
};
use super::{
    Address, Atomic, Form, Index, LoadStore, MemoryInsn, NotDecoded, Op, Order, Regs, TagAccess,
    TagOp, newer,
};

type Decoded = Result<MemoryInsn, NotDecoded>;

pub(super) const fn rt2(insn: u32) -> u8 {
    bits(insn, 14, 10)
}

pub(super) const fn general_pair(first: u8, second: u8, is_64bit: bool) -> Regs {
    Regs::General {
        first,
        second: Some(second),
        is_64bit,
        sign_extend: false,
    }
}

/// `LDP`, `STP`, their forms, and `STGP`.
pub(super) fn pair(insn: u32) -> Decoded {
    let (opc, is_vector, is_load) = (bits(insn, 31, 30), bit(insn, 26), bit(insn, 22));
    let (index, form) = match bits(insn, 24, 23) {
        0b00 => (Index::None, Form::NonTemporal),
        0b01 => (Index::Post, Form::Plain),
        0b10 => (Index::None, Form::Plain),
        _ => (Index::Pre, Form::Plain),
    };
    let at = |scale| Address::Immediate {
        base: rn(insn),
        offset: signed(insn, 15, 7) << scale,
        index,
    };
    let (first, second) = (rt(insn), rt2(insn));
    let (scale, regs) = match (opc, is_vector) {
        (0..=2, true) => (
            2 + opc,
            Regs::Vector {
                first,
                second: Some(second),
            },
        ),
        (0, false) => (2, general_pair(first, second, false)),
        (2, false) => (3, general_pair(first, second, true)),
        (1, false) if form == Form::NonTemporal => return Err(NotDecoded::Unallocated),
        (1, false) if is_load => (
            2,
            Regs::General {
                first,
                second: Some(second),
                is_64bit: true,
                sign_extend: true,
            },
        ),
        (1, false) => {
            let op = TagOp::StorePair { second };
            return Ok(MemoryInsn::Tag(TagAccess {
                op,
                reg: first,
                address: at(4),
            }));
        }
        // FEAT_LSUI
        (_, false) => (3, general_pair(first, second, true)),
        (_, true) => (
            4,
            Regs::Vector {
                first,
                second: Some(second),
            },
        ),
    };
    let form = match (opc, form) {
        (3, Form::NonTemporal) => Form::UnprivilegedNonTemporal,
        (3, _) => Form::Unprivileged,
        (_, form) => form,
    };
    Ok(MemoryInsn::LoadStore(LoadStore {
        op: if is_load { Op::Load } else { Op::Store },
        regs,
        size_bytes: 1 << scale,
        address: at(scale),
        order: Order::Plain,
        form,
    }))
}

/// Bits 29:24 = 001000: exclusives, ordered accesses, compare and swap.
pub(super) fn exclusive(insn: u32) -> Decoded {
    let size = bits(insn, 31, 30);
    let (o2, is_load, o1, o0) = (bit(insn, 23), bit(insn, 22), bit(insn, 21), bit(insn, 15));
    let exclusive = if is_load {
        Op::LoadExclusive
    } else {
        Op::StoreExclusive { status: rs(insn) }
    };
    let order = match (o0, is_load) {
        (false, _) => Order::Plain,
        (true, true) => Order::Acquire,
        (true, false) => Order::Release,
    };
    let (op, regs, size, order) = match (o2, o1) {
        (false, false) => (exclusive, general(insn, size == 3), size, order),
        (false, true) if size >= 2 => (
            exclusive,
            general_pair(rt(insn), rt2(insn), size == 3),
            size,
            order,
        ),
        (true, false) => {
            let op = if is_load { Op::Load } else { Op::Store };
            let order = match (o0, is_load) {
                (false, true) => Order::LimitedAcquire,
                (false, false) => Order::LimitedRelease,
                (true, _) => order,
            };
            (op, general(insn, size == 3), size, order)
        }
        // Compare and swap: Rt2 is 31; L is acquire and o0 release.
        _ if rt2(insn) != 31 => return Err(NotDecoded::Unallocated),
        (true, true) => {
            let op = Op::CompareAndSwap { compare: rs(insn) };
            (
                op,
                general(insn, size == 3),
                size,
                atomic_order(is_load, o0),
            )
        }
        (false, true) => {
            if (rs(insn) | rt(insn)) & 1 != 0 {
                return Err(NotDecoded::Unallocated);
            }
            let op = Op::CompareAndSwap { compare: rs(insn) };
            let regs = general_pair(rt(insn), rt(insn) + 1, size == 1);
            (op, regs, size + 2, atomic_order(is_load, o0))
        }
    };
    Ok(MemoryInsn::LoadStore(LoadStore {
        op,
        regs,
        size_bytes: 1 << size,
        address: base_only(insn),
        order,
        form: Form::Plain,
    }))
}

/// `LDCLRP`, `LDSETP`, `SWPP` (FEAT_LSE128), and their read-check-write twins (FEAT_THE).
pub(super) fn atomic_128(insn: u32) -> Decoded {
    let (size, opc) = (bits(insn, 31, 30), bits(insn, 15, 12));
    let (operation, form) = match (atomic_operation(opc), newer::read_check_write(opc)) {
        (Some(operation @ (Atomic::Clear | Atomic::Set | Atomic::Swap)), _) if size == 0 => {
            (operation, Form::Plain)
        }
        (_, Some(operation)) if size <= 1 => {
            (operation, Form::ReadCheckWrite { is_soft: size == 1 })
        }
        _ => return Err(NotDecoded::Unallocated),
    };
    let (first, second) = (rt(insn), rs(insn));
    if first == 31 || second == 31 || first == second {
        return Err(NotDecoded::Unallocated);
    }
    Ok(MemoryInsn::LoadStore(LoadStore {
        op: Op::Atomic {
            operation,
            operand: first,
        },
        regs: general_pair(first, second, true),
        size_bytes: 8,
        address: base_only(insn),
        order: atomic_order(bit(insn, 23), bit(insn, 22)),
        form,
    }))
}

/// `LDIAPP`, `STILP`, and `LDAPR` and `STLR` that move the base (FEAT_LRCPC3).
pub(super) fn rcpc3(insn: u32) -> Decoded {
    let (size, is_load) = (bits(insn, 31, 30), bit(insn, 22));
    if size < 2 {
        return Err(NotDecoded::Unallocated);
    }
    let bytes: u8 = 1 << size;
    let is_pair = !bit(insn, 23);
    let (regs, moves) = match (is_pair, bits(insn, 15, 12), rs(insn)) {
        (true, opc2 @ (0 | 1), second) => (
            general_pair(rt(insn), second, size == 3),
            if opc2 == 0 { 2 * bytes } else { 0 },
        ),
        (false, 0, 0) => (general(insn, size == 3), bytes),
        _ => return Err(NotDecoded::Unallocated),
    };
    // A load moves the base up after, a store down before.
    let (offset, index) = match (moves, is_load) {
        (0, _) => (0, Index::None),
        (_, true) => (i32::from(moves), Index::Post),
        (_, false) => (-i32::from(moves), Index::Pre),
    };
    Ok(MemoryInsn::LoadStore(LoadStore {
        op: if is_load { Op::Load } else { Op::Store },
        regs,
        size_bytes: bytes,
        address: Address::Immediate {
            base: rn(insn),
            offset,
            index,
        },
        order: if is_load {
            Order::AcquirePc
        } else {
            Order::Release
        },
        form: Form::Plain,
    }))
}
