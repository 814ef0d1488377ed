//! Values built from fields give the word that Arm's layout says, written here by hand from the manual's bit
//! numbers (DDI 0487, `ESR_EL2`), and decode back to themselves.

use vcpu_exits::*;
use vcpu_regs::{Esr, SysReg};

const IL: u64 = 1 << 25;

const fn ec(class: u64) -> u64 {
    class << 26 | IL
}

const NEVER: Condition = Condition {
    known: false,
    code: 0,
};

fn check(syndrome: Syndrome, word: u64) {
    assert_eq!(
        syndrome.encode(),
        Esr(word),
        "{syndrome:?}: {:#x}, not {word:#x}",
        syndrome.encode().0
    );
    assert_eq!(Syndrome::decode(Esr(word)), syndrome);
}

fn data_abort() -> DataAbort {
    DataAbort {
        status: FaultStatus::new(FaultKind::Translation, Some(3)).unwrap(),
        transfer: None,
        flags: AbortFlags::empty(),
        detail: 0,
        write_update: 0,
        status_reg: 0,
        from_same_el: false,
    }
}

#[test]
fn traps() {
    let condition = Condition {
        known: true,
        code: 0b0001,
    };
    let wfx = Wfx {
        kind: WfxKind::Wfet,
        timeout_reg: Some(9),
        condition,
    };
    check(
        Syndrome::Wfx(wfx),
        ec(0x01) | 1 << 24 | 1 << 20 | 9 << 5 | 1 << 2 | 3,
    );
    check(
        Syndrome::FpAccess(Condition::ALWAYS),
        ec(0x07) | 1 << 24 | 0xe << 20,
    );
    check(
        Syndrome::OtherInstruction(OtherInstruction::PsbCsync),
        ec(0x0a) | 4,
    );
    check(Syndrome::BranchTarget(2), ec(0x0d) | 2);
    check(
        Syndrome::Svc(Svc {
            imm: 0xabcd,
            is_aarch32: true,
        }),
        ec(0x11) | 0xabcd,
    );
    check(
        Syndrome::Smc32(Smc32 {
            is_conditional: true,
            condition,
        }),
        ec(0x13) | 1 << 24 | 1 << 20 | 1 << 19,
    );
    check(
        Syndrome::Eret(Eret {
            is_authenticated: true,
            uses_key_b: false,
        }),
        ec(0x1a) | 1 << 1,
    );
    check(Syndrome::Tstart(7), ec(0x1b) | 7 << 5);
    check(
        Syndrome::PointerAuthFailure(PointerAuthFailure {
            is_data_key: true,
            is_key_b: false,
        }),
        ec(0x1c) | 1 << 1,
    );
    check(Syndrome::SmeAccess(SmeReason::Zt0Disabled), ec(0x1d) | 4);
    check(Syndrome::Implementation(0x123_4567), ec(0x1f) | 0x123_4567);
    check(
        Syndrome::Brk(Brk {
            imm: 0xf000,
            is_aarch32: false,
        }),
        ec(0x3c) | 0xf000,
    );
    check(
        Syndrome::Brk(Brk {
            imm: 1,
            is_aarch32: true,
        }),
        ec(0x38) | 1,
    );
    check(Syndrome::Profiling(true), ec(0x3d) | 1);
    let nothing = [
        (Syndrome::Unknown, 0x00),
        (Syndrome::PointerAuth, 0x09),
        (Syndrome::IllegalState, 0x0e),
        (Syndrome::SveAccess, 0x19),
        (Syndrome::PcAlignment, 0x22),
        (Syndrome::SpAlignment, 0x26),
    ];
    for (syndrome, class) in nothing {
        check(syndrome, ec(class));
    }
}

#[test]
fn system_registers() {
    let reg = SysReg::new(3, 5, 9, 12, 6);
    let fields = 3 << 20 | 6 << 17 | 5 << 14 | 9 << 10 | 12 << 1;
    check(
        Syndrome::SysReg(SysRegAccess {
            reg,
            rt: 17,
            is_read: true,
        }),
        ec(0x18) | fields | 17 << 5 | 1,
    );
    check(
        Syndrome::SysRegPair(SysRegPairAccess {
            reg,
            rt: 18,
            is_read: false,
        }),
        ec(0x14) | fields | 9 << 6,
    );
}

#[test]
fn aarch32() {
    let condition = Condition {
        known: true,
        code: 0b1010,
    };
    let cond = 1 << 24 | 0b1010 << 20;
    let access = CpAccess {
        coprocessor: Coprocessor::Cp14,
        opc1: 5,
        crn: 9,
        crm: 12,
        opc2: 6,
        rt: 3,
        is_read: true,
        condition,
    };
    check(
        Syndrome::Cp(access),
        ec(0x05) | cond | 6 << 17 | 5 << 14 | 9 << 10 | 3 << 5 | 12 << 1 | 1,
    );
    let vmrs = CpAccess {
        coprocessor: Coprocessor::Cp10,
        condition: NEVER,
        ..access
    };
    check(
        Syndrome::Cp(vmrs),
        ec(0x08) | 6 << 17 | 5 << 14 | 9 << 10 | 3 << 5 | 12 << 1 | 1,
    );
    let pair = CpPairAccess {
        is_cp14: false,
        opc1: 11,
        crm: 2,
        rt: 4,
        rt2: 5,
        is_read: false,
        condition,
    };
    check(
        Syndrome::CpPair(pair),
        ec(0x04) | cond | 11 << 16 | 5 << 10 | 4 << 5 | 2 << 1,
    );
    let memory = CpMemoryAccess {
        is_load: true,
        mode: 2,
        adds_offset: true,
        base: 13,
        offset_words: 0x5a,
        condition,
    };
    check(
        Syndrome::CpMemory(memory),
        ec(0x06) | cond | 0x5a << 12 | 13 << 5 | 1 << 4 | 2 << 1 | 1,
    );
}

#[test]
fn aborts() {
    let transfer = Transfer {
        size_bytes: 2,
        reg: 21,
        is_write: false,
        sign_extend: true,
        is_64bit: true,
        acquire_release: true,
    };
    let isv = 1 << 24 | 1 << 22 | 1 << 21 | 21 << 16 | 1 << 15 | 1 << 14;
    let loaded = DataAbort {
        transfer: Some(transfer),
        ..data_abort()
    };
    check(Syndrome::DataAbort(loaded), ec(0x24) | isv | 0b00_0111);
    let bare = DataAbort {
        flags: AbortFlags::WRITE
            | AbortFlags::FAR_NOT_PRECISE
            | AbortFlags::VNCR
            | AbortFlags::PFAR_VALID,
        write_update: 3,
        from_same_el: true,
        ..data_abort()
    };
    check(
        Syndrome::DataAbort(bare),
        ec(0x25) | 3 << 16 | 1 << 15 | 1 << 14 | 1 << 13 | 1 << 6 | 0b00_0111,
    );
    let iss2 = DataAbort {
        status: FaultStatus::new(FaultKind::Permission, Some(2)).unwrap(),
        flags: AbortFlags::OVERLAY | AbortFlags::TAG_NOT_DATA | AbortFlags::S1_WALK,
        status_reg: 5,
        detail: 1,
        ..data_abort()
    };
    check(
        Syndrome::DataAbort(iss2),
        1 << 42 | 1 << 38 | 5 << 32 | ec(0x24) | 1 << 11 | 1 << 7 | 0b00_1110,
    );
    let fetch = InstructionAbort {
        status: FaultStatus::new(FaultKind::External, None).unwrap(),
        flags: AbortFlags::FAR_NOT_VALID | AbortFlags::ASSURED_ONLY,
        detail: 2,
        from_same_el: false,
    };
    check(
        Syndrome::InstructionAbort(fetch),
        1 << 39 | ec(0x20) | 2 << 11 | 1 << 10 | 0b01_0000,
    );
    let granule = GranuleProtection {
        status: FaultStatus::new(FaultKind::GranuleProtection, None).unwrap(),
        check: 0b01_0011,
        is_write: true,
        on_s1_walk: false,
        on_s2_walk: true,
        is_cache_maintenance: false,
        is_vncr: true,
        is_fetch: true,
    };
    check(
        Syndrome::GranuleProtection(granule),
        ec(0x1e) | 1 << 21 | 1 << 20 | 0b01_0011 << 14 | 1 << 13 | 1 << 6 | 0b10_1000,
    );
}

#[test]
fn memory_copies_and_guarded_stacks() {
    let mops = Mops {
        is_set: true,
        is_set_tag: false,
        options: 0b1010,
        from_epilogue: true,
        is_wrong_option: false,
        is_option_a: true,
        dest_reg: 3,
        src_reg: 4,
        size_reg: 5,
    };
    check(
        Syndrome::Mops(mops),
        ec(0x27) | 1 << 24 | 0b1010 << 19 | 1 << 18 | 1 << 16 | 3 << 10 | 4 << 5 | 5,
    );
    let gcs = Gcs {
        reason: 2,
        instruction: 0,
        reg: 6,
        addr_reg: 7,
    };
    check(Syndrome::Gcs(gcs), ec(0x2d) | 2 << 20 | 7 << 10 | 6 << 5);
}

#[test]
fn errors_and_debug() {
    let report = SErrorReport {
        code: 0x11,
        severity: SErrorSeverity::Recoverable,
        external_class: true,
        at_implicit_sync: true,
        is_write: Some(false),
        far_valid: true,
        pfar_valid: false,
        write_update: 2,
    };
    check(
        Syndrome::SError(SError::Architected(report)),
        ec(0x2f) | 2 << 16 | 1 << 15 | 1 << 13 | 3 << 10 | 1 << 9 | 1 << 7 | 0x11,
    );
    check(
        Syndrome::SError(SError::Implementation(0xab_cdef)),
        ec(0x2f) | 1 << 24 | 0xab_cdef,
    );
    let exception = FpException {
        flags_valid: true,
        flags: 0x81,
        vector_iteration: 7,
        is_aarch32: false,
    };
    check(
        Syndrome::FpException(exception),
        ec(0x2c) | 1 << 23 | 7 << 8 | 1 << 7 | 1,
    );
    let breakpoint = Breakpoint {
        code: 0x22,
        from_same_el: true,
    };
    check(Syndrome::Breakpoint(breakpoint), ec(0x31) | 0x22);
    check(Syndrome::VectorCatch(0x22), ec(0x3a) | 0x22);
    let step = SoftwareStep {
        code: 0x22,
        stepped_exclusive: Some(true),
        from_same_el: false,
    };
    check(
        Syndrome::SoftwareStep(step),
        ec(0x32) | 1 << 24 | 1 << 6 | 0x22,
    );
    let watchpoint = Watchpoint {
        code: 0x22,
        is_write: true,
        is_cache_maintenance: true,
        far_not_valid: false,
        far_not_precise: true,
        is_vncr: false,
        may_be_false: true,
        number: Some(11),
        from_same_el: false,
    };
    check(
        Syndrome::Watchpoint(watchpoint),
        ec(0x34) | 11 << 18 | 1 << 17 | 1 << 16 | 1 << 15 | 1 << 8 | 1 << 6 | 0x22,
    );
}

/// Level and kind of every fault status code that Arm defines, -2 included (FEAT_D128).
#[test]
fn fault_status_codes() {
    use FaultKind::*;
    for (kind, first, levels) in [
        (AddressSize, 0b00_0000, 0..4_i8),
        (Translation, 0b00_0100, 0..4),
        (AccessFlag, 0b00_1000, 0..4),
        (Permission, 0b00_1100, 0..4),
        (ExternalOnWalk, 0b01_0100, -2..4),
        (ParityOnWalk, 0b01_1100, -1..4),
        (GranuleProtectionOnWalk, 0b10_0100, -2..4),
    ] {
        for level in levels {
            let status = FaultStatus::new(kind, Some(level)).unwrap();
            assert_eq!(i16::from(status.bits()), first + i16::from(level));
            assert_eq!((status.kind(), status.level()), (kind, Some(level)));
        }
    }
    for (bits, kind, level) in [
        (0b10_1001, AddressSize, Some(-1)),
        (0b10_1100, AddressSize, Some(-2)),
        (0b10_1011, Translation, Some(-1)),
        (0b10_1010, Translation, Some(-2)),
        (0b01_0000, External, None),
        (0b01_0001, TagCheck, None),
        (0b01_1000, Parity, None),
        (0b10_0001, Alignment, None),
        (0b10_1000, GranuleProtection, None),
        (0b11_0000, TlbConflict, None),
        (0b11_0001, UnsupportedAtomicUpdate, None),
        (0b11_0100, Lockdown, None),
        (0b11_0101, UnsupportedExclusive, None),
    ] {
        let status = FaultStatus::new(kind, level).unwrap();
        assert_eq!(
            (status.bits(), status.kind(), status.level()),
            (bits, kind, level)
        );
    }
    let unknown = (0..64)
        .filter(|&bits| FaultStatus::from_bits(bits).kind() == Unknown)
        .count();
    assert_eq!(unknown, 16);
    assert_eq!(FaultStatus::new(Permission, Some(-1)), None);
    assert_eq!(FaultStatus::new(Alignment, Some(0)), None);
}
