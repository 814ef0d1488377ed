//! Words with the instruction behind them, and what they decode to.

use vcpu_exits::{
    AbortFlags, Condition, DataAbort, Decoded, Fault, FaultIpa, FaultKind, FaultStatus, Hvc, Pc,
    Smc, Svc, SvcRoute, Syndrome, SysRegAccess, Transfer, Wfx, WfxKind,
};
use vcpu_regs::{Esr, Ipa, SysReg, Va};

/// `str w3, [x1]`, stage-2 translation fault level 2.
const STR_W3: Esr = Esr(0x9383_0046);
/// `ldrsh x5, [x1]`, stage-2 translation fault level 3.
const LDRSH_X5: Esr = Esr(0x9365_8007 | 1 << 24);
/// `ldp x0, x1, [x2]`, stage-2 translation fault level 2: ISV is clear.
const LDP: Esr = Esr(0x9200_0006);
/// A stage-2 permission fault level 3 on a store, ISV clear.
const STP_PERMISSION: Esr = Esr(0x9200_004f);

fn data_abort(esr: Esr) -> DataAbort {
    match Syndrome::decode(esr) {
        Syndrome::DataAbort(abort) => abort,
        other => panic!("{other:?}"),
    }
}

#[test]
fn word_store_names_its_register() {
    let transfer = Transfer {
        size_bytes: 4,
        reg: 3,
        is_write: true,
        sign_extend: false,
        is_64bit: false,
        acquire_release: false,
    };
    assert_eq!(data_abort(STR_W3).transfer, Some(transfer));
    assert_eq!(
        data_abort(STR_W3).status,
        FaultStatus::new(FaultKind::Translation, Some(2)).unwrap()
    );
}

#[test]
fn signed_halfword_load_extends_to_its_register() {
    let transfer = data_abort(LDRSH_X5).transfer.unwrap();
    assert_eq!(
        (transfer.size_bytes, transfer.reg, transfer.sign_extend),
        (2, 5, true)
    );
    assert_eq!(transfer.loaded(0x1234_8001), 0xffff_ffff_ffff_8001);
    assert_eq!(
        Transfer {
            is_64bit: false,
            ..transfer
        }
        .loaded(0x8001),
        0xffff_8001
    );
    assert_eq!(
        Transfer {
            sign_extend: false,
            ..transfer
        }
        .loaded(0xffff_8001),
        0x8001
    );
    assert_eq!(transfer.stored(0xffff_8001), 0x8001);
}

#[test]
fn a_pair_has_no_transfer() {
    assert_eq!(data_abort(LDP).transfer, None);
}

#[test]
fn exact_ipa_joins_the_page_and_the_offset() {
    let fault = Fault::new(STR_W3, 0xffff_8000_1234_5678, 0x9_0000).unwrap();
    assert_eq!(fault.ipa(), FaultIpa::Exact(Ipa(0x900_0678)));
    assert_eq!(fault.va(), Some(Va(0xffff_8000_1234_5678)));
    assert_eq!(fault.is_nonsecure_ipa(), Some(false));
}

#[test]
fn permission_fault_without_s1ptw_needs_a_walk() {
    let fault = Fault::new(STP_PERMISSION, 0x4567, 0xdead_bee0).unwrap();
    assert_eq!(fault.ipa(), FaultIpa::Rewalk(Va(0x4567)));
    assert_eq!(fault.is_nonsecure_ipa(), None);
}

#[test]
fn table_walk_fault_gives_the_page_of_the_table() {
    let on_walk = Esr(STP_PERMISSION.0 | AbortFlags::S1_WALK.bits());
    let fault = Fault::new(on_walk, 0x4567, 1 << 63 | 0x4_0010).unwrap();
    assert_eq!(fault.ipa(), FaultIpa::TablePage(Ipa(0x400_1000)));
}

#[test]
fn invalid_far_leaves_the_page() {
    let fault = Fault::new(
        Esr(STR_W3.0 | AbortFlags::FAR_NOT_VALID.bits()),
        0x678,
        0x9_0000,
    )
    .unwrap();
    assert_eq!(
        (fault.va(), fault.ipa()),
        (None, FaultIpa::Page(Ipa(0x900_0000)))
    );
    let permission = Esr(STP_PERMISSION.0 | AbortFlags::FAR_NOT_VALID.bits());
    assert_eq!(
        Fault::new(permission, 0x678, 0x9_0000).unwrap().ipa(),
        FaultIpa::Unknown
    );
}

#[test]
fn imprecise_far_leaves_the_page() {
    let sve = Esr(LDP.0 | AbortFlags::FAR_NOT_PRECISE.bits());
    assert_eq!(
        Fault::new(sve, 0x678, 0x9_0000).unwrap().ipa(),
        FaultIpa::Page(Ipa(0x900_0000))
    );
    // With a transfer the same bit is SF, and FAR is precise.
    let ldr_x = Esr(STR_W3.0 | 1 << 15);
    assert!(Fault::new(ldr_x, 0x678, 0x9_0000).unwrap().is_va_precise());
}

#[test]
fn calls_keep_their_immediate_and_say_where_pc_is() {
    let cases = [
        (
            0x5a00_002a,
            Syndrome::Hvc(Hvc {
                imm: 42,
                is_aarch32: false,
            }),
            Pc::PastInstruction,
        ),
        (
            0x4a00_002a,
            Syndrome::Hvc(Hvc {
                imm: 42,
                is_aarch32: true,
            }),
            Pc::PastInstruction,
        ),
        (
            0x5e00_0001,
            Syndrome::Smc(Smc { imm: 1 }),
            Pc::OnInstruction,
        ),
        (
            0x5600_0000,
            Syndrome::Svc(Svc {
                imm: 0,
                is_aarch32: false,
            }),
            Pc::OnInstruction,
        ),
    ];
    for (word, syndrome, pc) in cases {
        assert_eq!(Syndrome::decode(Esr(word)), syndrome);
        assert_eq!(syndrome.pc(SvcRoute::Hfgitr), pc);
    }
    assert_eq!(
        Syndrome::decode(Esr(0x5600_0000)).pc(SvcRoute::Tge),
        Pc::PastInstruction
    );
}

#[test]
fn system_register_read_is_told_from_write() {
    // `mrs x3, CNTPCT_EL0`, `msr SCTLR_EL1, x4`.
    let read = Syndrome::decode(Esr(0x6232_f801 & !(0x1f << 5) | 3 << 5));
    let counter = SysReg::new(3, 3, 14, 0, 1);
    assert_eq!(
        read,
        Syndrome::SysReg(SysRegAccess {
            reg: counter,
            rt: 3,
            is_read: true
        })
    );
    let write = SysRegAccess {
        reg: SysReg::new(3, 0, 1, 0, 0),
        rt: 4,
        is_read: false,
    };
    assert_eq!(write.encode(), Esr(0x6230_0480));
}

#[test]
fn waiting_instructions_differ() {
    // `wfi` as QEMU reports it, and `wfit x7`.
    let always = Condition::ALWAYS;
    let wfi = Wfx {
        kind: WfxKind::Wfi,
        timeout_reg: None,
        condition: always,
    };
    assert_eq!(Syndrome::decode(Esr(0x07e0_0000)), Syndrome::Wfx(wfi));
    let wfit = Wfx {
        kind: WfxKind::Wfit,
        timeout_reg: Some(7),
        condition: always,
    };
    assert_eq!(Syndrome::decode(Esr(0x07e0_00e6)), Syndrome::Wfx(wfit));
}

#[test]
fn unknown_class_travels_whole() {
    let word = Esr(0xdead_beef_fe12_3456);
    assert_eq!(Syndrome::decode(word), Syndrome::Other(word));
    assert_eq!(Decoded::new(word).encode(), word);
}

#[test]
fn a_fault_reads_as_a_sentence() {
    let fault = Fault::new(STR_W3, 0x9000_0000, 0x9_0000).unwrap();
    assert_eq!(
        fault.to_string(),
        "guest wrote 4 bytes of w3 to IPA 0x9000000, translation fault level 2"
    );
    let fetch = Fault::new(Esr(0x8200_0006), 0x1000, 0x10).unwrap();
    assert_eq!(
        fetch.to_string(),
        "guest fetched an instruction from IPA 0x1000, translation fault level 2"
    );
}

#[test]
fn a_64_byte_access_is_not_taken_for_the_doubleword_it_looks_like() {
    use vcpu_exits::BlockAccess;
    // A store of x2, ISV set, LST 2: `st64b x2, [x1]`, translation fault level 3.
    let esr = Esr(0x93c2_9047);
    assert_eq!(
        data_abort(esr).block_access(),
        Some(BlockAccess::Ld64bSt64b)
    );
    let fault = Fault::new(esr, 0, 0x10).unwrap();
    assert_eq!(
        (fault.transfer(), fault.block_access()),
        (None, Some(BlockAccess::Ld64bSt64b))
    );
    // The same bits of an external abort are its severity.
    let external = Fault::new(Esr(0x93c2_9050), 0, 0x10).unwrap();
    assert_eq!(external.block_access(), None);
    assert!(external.transfer().is_some());
}
