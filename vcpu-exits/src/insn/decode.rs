//! The loads-and-stores space of A64: single registers, atomics, literals, and the way to the rest.

use super::{
    Address, Atomic, Extend, Form, Index, LoadStore, MemoryInsn, NotDecoded, Op, Order, Prefetch,
    Regs, newer, pair, special, structure, system,
};

/// Bits `hi..=lo` of an instruction.
pub(super) const fn bits(insn: u32, hi: u32, lo: u32) -> u8 {
    (insn >> lo & ((1 << (hi - lo + 1)) - 1)) as u8
}

pub(super) const fn bit(insn: u32, at: u32) -> bool {
    insn >> at & 1 != 0
}

/// `width` bits from `lo`, as a signed number.
pub(super) const fn signed(insn: u32, lo: u32, width: u32) -> i32 {
    (insn << (32 - lo - width)) as i32 >> (32 - width)
}

pub(super) const fn rt(insn: u32) -> u8 {
    bits(insn, 4, 0)
}

pub(super) const fn rn(insn: u32) -> u8 {
    bits(insn, 9, 5)
}

pub(super) const fn rs(insn: u32) -> u8 {
    bits(insn, 20, 16)
}

pub(super) const fn base_only(insn: u32) -> Address {
    Address::Immediate {
        base: rn(insn),
        offset: 0,
        index: Index::None,
    }
}

pub(super) const fn general(insn: u32, is_64bit: bool) -> Regs {
    Regs::General {
        first: rt(insn),
        second: None,
        is_64bit,
        sign_extend: false,
    }
}

type Decoded = Result<MemoryInsn, NotDecoded>;

pub(super) fn decode(insn: u32) -> Decoded {
    // Arm ARM (DDI 0487), top level encodings for A64.
    match bits(insn, 28, 25) {
        0b0100 | 0b0110 | 0b1100 | 0b1110 => load_store(insn),
        0b1010 if insn >> 22 == 0b11_0101_0100 => system::decode(insn),
        // SVE: the memory encodings; SME: all its loads and stores, bit 31 set.
        0b0010 if bit(insn, 31) => Err(NotDecoded::SveOrSme),
        0b0000 if bit(insn, 31) && bit(insn, 29) => Err(NotDecoded::SveOrSme),
        _ => Err(NotDecoded::NotMemory),
    }
}

fn load_store(insn: u32) -> Decoded {
    // Bits 29:28, then V at 26 and 24.
    match (bits(insn, 29, 28), bit(insn, 26), bit(insn, 24)) {
        (0b00, true, _) => structure::decode(insn),
        (0b00, false, false) => pair::exclusive(insn),
        (0b00, false, true) => newer::exclusive(insn),
        (0b01, _, false) => literal(insn),
        (0b01, _, true) => release_tags_copy(insn),
        (0b10, _, _) => pair::pair(insn),
        (0b11, _, true) => {
            let Some(access) = Single::of(insn) else {
                return Err(NotDecoded::Unallocated);
            };
            let offset = i32::from((insn >> 10 & 0xfff) as u16) << access.scale;
            let address = Address::Immediate {
                base: rn(insn),
                offset,
                index: Index::None,
            };
            Ok(access.at(insn, address, Form::Plain))
        }
        _ => register(insn),
    }
}

/// Bits 29:27 = 111, 24 = 0: unscaled, indexed, unprivileged, register offset, atomic, authenticated.
fn register(insn: u32) -> Decoded {
    let is_vector = bit(insn, 26);
    let offset = signed(insn, 12, 9);
    let immediate = |index| Address::Immediate {
        base: rn(insn),
        offset,
        index,
    };
    if bit(insn, 21) {
        return match bits(insn, 11, 10) {
            0b00 if !is_vector => atomic(insn),
            0b10 => register_offset(insn),
            0b01 | 0b11 if !is_vector && bits(insn, 31, 30) == 0b11 => Ok(authenticated(insn)),
            _ => Err(NotDecoded::Unallocated),
        };
    }
    let access = Single::of(insn).ok_or(NotDecoded::Unallocated)?;
    match bits(insn, 11, 10) {
        0b00 => Ok(access.at(insn, immediate(Index::None), Form::Unscaled)),
        _ if access.is_prefetch => Err(NotDecoded::Unallocated),
        0b01 => Ok(access.at(insn, immediate(Index::Post), Form::Plain)),
        0b10 if is_vector => Err(NotDecoded::Unallocated),
        0b10 => Ok(access.at(insn, immediate(Index::None), Form::Unprivileged)),
        _ => Ok(access.at(insn, immediate(Index::Pre), Form::Plain)),
    }
}

/// What size, V and opc say of one register's load or store.
struct Single {
    scale: u8,
    is_load: bool,
    is_prefetch: bool,
    regs: Regs,
}

impl Single {
    fn of(insn: u32) -> Option<Self> {
        let (size, opc) = (bits(insn, 31, 30), bits(insn, 23, 22));
        if bit(insn, 26) {
            let scale = (opc & 2) << 1 | size;
            let regs = Regs::Vector {
                first: rt(insn),
                second: None,
            };
            let access = Self {
                scale,
                is_load: opc & 1 != 0,
                is_prefetch: false,
                regs,
            };
            return (scale <= 4).then_some(access);
        }
        let (is_load, sign_extend, is_64bit) = match (opc, size) {
            (0, _) => (false, false, size == 3),
            (1, _) => (true, false, size == 3),
            (2, 3) => (true, false, true),
            (2, _) => (true, true, true),
            (_, 0 | 1) => (true, true, false),
            _ => return None,
        };
        let regs = Regs::General {
            first: rt(insn),
            second: None,
            is_64bit,
            sign_extend,
        };
        Some(Self {
            scale: size,
            is_load,
            is_prefetch: opc == 2 && size == 3,
            regs,
        })
    }

    fn at(&self, insn: u32, address: Address, form: Form) -> MemoryInsn {
        if self.is_prefetch {
            return MemoryInsn::Prefetch(Prefetch {
                hint: rt(insn),
                address,
                form,
            });
        }
        MemoryInsn::LoadStore(LoadStore {
            op: if self.is_load { Op::Load } else { Op::Store },
            regs: self.regs,
            size_bytes: 1 << self.scale,
            address,
            order: Order::Plain,
            form,
        })
    }
}

fn register_offset(insn: u32) -> Decoded {
    let access = Single::of(insn).ok_or(NotDecoded::Unallocated)?;
    let extend = match bits(insn, 15, 13) {
        0b010 => Extend::Uxtw,
        0b011 => Extend::Lsl,
        0b110 => Extend::Sxtw,
        0b111 => Extend::Sxtx,
        _ => return Err(NotDecoded::Unallocated),
    };
    let shift = if bit(insn, 12) { access.scale } else { 0 };
    let address = Address::Register {
        base: rn(insn),
        offset: rs(insn),
        extend,
        shift,
    };
    Ok(access.at(insn, address, Form::Plain))
}

fn authenticated(insn: u32) -> MemoryInsn {
    let offset = (signed(insn, 22, 1) << 9 | i32::from((insn >> 12 & 0x1ff) as u16)) * 8;
    let index = if bit(insn, 11) {
        Index::Pre
    } else {
        Index::None
    };
    MemoryInsn::LoadStore(LoadStore {
        op: Op::LoadAuthenticated {
            is_key_b: bit(insn, 23),
        },
        regs: general(insn, true),
        size_bytes: 8,
        address: Address::Immediate {
            base: rn(insn),
            offset,
            index,
        },
        order: Order::Plain,
        form: Form::Plain,
    })
}

pub(super) const fn atomic_order(acquire: bool, release: bool) -> Order {
    match (acquire, release) {
        (false, false) => Order::Plain,
        (true, false) => Order::Acquire,
        (false, true) => Order::Release,
        (true, true) => Order::AcquireRelease,
    }
}

pub(super) const fn atomic_operation(opc: u8) -> Option<Atomic> {
    Some(match opc {
        0b0000 => Atomic::Add,
        0b0001 => Atomic::Clear,
        0b0010 => Atomic::Xor,
        0b0011 => Atomic::Set,
        0b0100 => Atomic::SignedMax,
        0b0101 => Atomic::SignedMin,
        0b0110 => Atomic::UnsignedMax,
        0b0111 => Atomic::UnsignedMin,
        0b1000 => Atomic::Swap,
        _ => return None,
    })
}

fn atomic(insn: u32) -> Decoded {
    let size = bits(insn, 31, 30);
    let (acquire, release, opc) = (bit(insn, 23), bit(insn, 22), bits(insn, 15, 12));
    let mut access = LoadStore {
        op: Op::Load,
        regs: general(insn, size == 3),
        size_bytes: 1 << size,
        address: base_only(insn),
        order: atomic_order(acquire, release),
        form: Form::Plain,
    };
    if let Some(operation) = atomic_operation(opc) {
        access.op = Op::Atomic {
            operation,
            operand: rs(insn),
        };
    } else if let Some(operation) = newer::read_check_write(opc).filter(|_| size <= 1) {
        access.op = Op::Atomic {
            operation,
            operand: rs(insn),
        };
        access.regs = general(insn, true);
        access.size_bytes = 8;
        access.form = Form::ReadCheckWrite { is_soft: size == 1 };
    } else if opc == 0b1100 && acquire && !release {
        access.order = Order::AcquirePc;
    } else if size == 3 && !acquire && !release {
        // FEAT_LS64: eight registers, the first even and at most 22.
        if rt(insn) & 1 != 0 || rt(insn) > 22 {
            return Err(NotDecoded::Unallocated);
        }
        access.regs = Regs::Block { first: rt(insn) };
        access.size_bytes = 64;
        access.op = match (opc, rs(insn)) {
            (0b1001, 31) => Op::Store,
            (0b1010, status) => Op::StoreWithStatus {
                status,
                from_accdata: true,
            },
            (0b1011, status) => Op::StoreWithStatus {
                status,
                from_accdata: false,
            },
            (0b1101, 31) => Op::Load,
            _ => return Err(NotDecoded::Unallocated),
        };
    } else {
        return Err(NotDecoded::Unallocated);
    }
    Ok(MemoryInsn::LoadStore(access))
}

fn literal(insn: u32) -> Decoded {
    let address = Address::Literal {
        offset: signed(insn, 5, 19) * 4,
    };
    let first = rt(insn);
    let (size_bytes, regs) = match (bits(insn, 31, 30), bit(insn, 26)) {
        (0b00, false) => (4, general(insn, false)),
        (0b01, false) => (8, general(insn, true)),
        (0b10, false) => (
            4,
            Regs::General {
                first,
                second: None,
                is_64bit: true,
                sign_extend: true,
            },
        ),
        (0b11, false) => {
            let prefetch = Prefetch {
                hint: first,
                address,
                form: Form::Plain,
            };
            return Ok(MemoryInsn::Prefetch(prefetch));
        }
        (opc @ 0..=2, true) => (
            4 << opc,
            Regs::Vector {
                first,
                second: None,
            },
        ),
        _ => return Err(NotDecoded::Unallocated),
    };
    let (op, order, form) = (Op::Load, Order::Plain, Form::Plain);
    Ok(MemoryInsn::LoadStore(LoadStore {
        op,
        regs,
        size_bytes,
        address,
        order,
        form,
    }))
}

/// Bits 29:27 = 011, 24 = 1: RCpc with an offset, 128-bit atomics, tags, memory copy and set.
fn release_tags_copy(insn: u32) -> Decoded {
    let (size, is_vector) = (bits(insn, 31, 30), bit(insn, 26));
    match (bit(insn, 21), bits(insn, 11, 10)) {
        (false, 0b01) if size == 0 => special::copy_set(insn),
        (false, 0b00) if !is_vector => rcpc(insn),
        (false, 0b10) if is_vector => rcpc(insn),
        (false, 0b10) => pair::rcpc3(insn),
        (true, _) if size == 3 && !is_vector => special::tags(insn),
        (false, 0b11) if !is_vector => special::guarded_stack(insn),
        (true, 0b00) if !is_vector => pair::atomic_128(insn),
        (true, _) if !is_vector => newer::atomic(insn),
        _ => Err(NotDecoded::Unallocated),
    }
}

/// `LDAPUR`, `STLUR` (FEAT_LRCPC2), and of vectors (FEAT_LRCPC3).
fn rcpc(insn: u32) -> Decoded {
    let access = Single::of(insn).ok_or(NotDecoded::Unallocated)?;
    if access.is_prefetch {
        return Err(NotDecoded::Unallocated);
    }
    let offset = signed(insn, 12, 9);
    let address = Address::Immediate {
        base: rn(insn),
        offset,
        index: Index::None,
    };
    Ok(MemoryInsn::LoadStore(LoadStore {
        op: if access.is_load { Op::Load } else { Op::Store },
        regs: access.regs,
        size_bytes: 1 << access.scale,
        address,
        order: if access.is_load {
            Order::AcquirePc
        } else {
            Order::Release
        },
        form: Form::Unscaled,
    }))
}
