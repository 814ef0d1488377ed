//! Bits of the EL2 controls, fields of the ID registers and names of general-purpose registers.

use vcpu_regs::{Cnthctl, Cptr, Gpr, Hcr, IccSre, IdRegisters, Mdcr, Pstate, SysReg};

/// Bit numbers from Arm ARM (DDI 0487) and IHI 0069.
#[test]
fn controls_are_where_the_manual_has_them() {
    let hcr = [
        (Hcr::VM, 0),
        (Hcr::SWIO, 1),
        (Hcr::PTW, 2),
        (Hcr::FMO, 3),
        (Hcr::IMO, 4),
        (Hcr::AMO, 5),
        (Hcr::VF, 6),
        (Hcr::VI, 7),
        (Hcr::VSE, 8),
        (Hcr::FB, 9),
        (Hcr::BSU_INNER, 10),
        (Hcr::TWI, 13),
        (Hcr::TWE, 14),
        (Hcr::TID1, 16),
        (Hcr::TID2, 17),
        (Hcr::TID3, 18),
        (Hcr::TSC, 19),
        (Hcr::TIDCP, 20),
        (Hcr::TACR, 21),
        (Hcr::TSW, 22),
        (Hcr::TGE, 27),
        (Hcr::RW, 31),
        (Hcr::E2H, 34),
        (Hcr::TLOR, 35),
        (Hcr::TERR, 36),
        (Hcr::TEA, 37),
        (Hcr::APK, 40),
        (Hcr::API, 41),
        (Hcr::FWB, 46),
        (Hcr::EN_SCXT, 53),
        (Hcr::ATA, 56),
        (Hcr::TID5, 58),
    ];
    for (flag, bit) in hcr {
        assert_eq!(flag.bits(), 1 << bit, "{flag:?}");
    }
    assert_eq!(Hcr::ROUTING.bits(), 1 << 27 | 1 << 5 | 1 << 4 | 1 << 3);
    let cptr = [
        (Cptr::TZ, 8),
        (Cptr::TFP, 10),
        (Cptr::TSM, 12),
        (Cptr::TTA, 20),
        (Cptr::TAM, 30),
        (Cptr::TCPAC, 31),
    ];
    for (flag, bit) in cptr {
        assert_eq!(flag.bits(), 1 << bit, "{flag:?}");
    }
    assert_eq!(Cptr::RES1.bits(), 0b10_0010_1111_1111);
    let mdcr = [
        (Mdcr::TPMCR, 5),
        (Mdcr::TPM, 6),
        (Mdcr::TDE, 8),
        (Mdcr::TDA, 9),
        (Mdcr::TDOSA, 10),
        (Mdcr::TDRA, 11),
        (Mdcr::TPMS, 14),
        (Mdcr::TTRF, 19),
    ];
    for (flag, bit) in mdcr {
        assert_eq!(flag.bits(), 1 << bit, "{flag:?}");
    }
    assert_eq!((Cnthctl::EL1PCTEN.bits(), Cnthctl::EL1PCEN.bits()), (1, 2));
    assert_eq!((IccSre::SRE.bits(), IccSre::ENABLE.bits()), (1, 8));
}

#[test]
fn bits_without_a_name_survive() {
    for bit in 0..64 {
        assert_eq!(Hcr::from_bits_retain(1 << bit).bits(), 1 << bit);
        assert_eq!(
            !Hcr::from_bits_retain(1 << bit),
            Hcr::from_bits_retain(!(1 << bit))
        );
        assert_eq!(Pstate::from_bits_retain(1 << bit).bits(), 1 << bit);
    }
}

const ID: fn(u8, u8) -> SysReg = |crm, op2| SysReg::new(3, 0, 0, crm, op2);

#[test]
fn id_space_is_read_whole_and_answers_by_name() {
    // Each register gives its own encoding.
    let mut asked = Vec::new();
    let ids = IdRegisters::read_with(|reg| {
        asked.push(reg);
        u64::from(reg.bits())
    });
    assert_eq!(asked.len(), 65);
    for crm in 0..8 {
        for op2 in 0..8 {
            assert_eq!(ids.get(ID(crm, op2)), Some(u64::from(ID(crm, op2).bits())));
        }
    }
    let by_name = [
        (ids.midr(), 0, 0),
        (ids.pfr0(), 4, 0),
        (ids.pfr1(), 4, 1),
        (ids.dfr0(), 5, 0),
        (ids.isar0(), 6, 0),
        (ids.isar1(), 6, 1),
        (ids.isar2(), 6, 2),
        (ids.mmfr0(), 7, 0),
        (ids.mmfr1(), 7, 1),
        (ids.mmfr2(), 7, 2),
        (ids.mmfr3(), 7, 3),
    ];
    for (value, crm, op2) in by_name {
        assert_eq!(value, u64::from(ID(crm, op2).bits()));
    }
    let model = ids.memory_model();
    assert_eq!(model.ctr, u64::from(SysReg::new(3, 3, 0, 0, 1).bits()));
    assert_eq!((model.mmfr0, model.mmfr1), (ids.mmfr0(), ids.mmfr1()));
    assert_eq!((model.mmfr2, model.mmfr3), (ids.mmfr2(), ids.mmfr3()));
    assert_eq!(model.isar0, ids.isar0());
}

#[test]
fn id_space_ends_at_its_borders() {
    let mut ids = IdRegisters::default();
    let inside = |reg: SysReg| (reg.op0(), reg.op1(), reg.crn()) == (3, 0, 0) && reg.crm() < 8;
    for bits in 0..=u16::MAX {
        let reg = SysReg::from_bits(bits);
        assert_eq!(ids.get(reg).is_some(), inside(reg), "{reg}");
        assert_eq!(ids.set(reg, 0), inside(reg), "{reg}");
    }
    assert_eq!(ids, IdRegisters::default());
}

/// Each question, at the smallest value that is a yes, and at every other field set.
#[test]
fn features_are_asked_of_their_field() {
    type Question = fn(&IdRegisters) -> bool;
    let questions: [(Question, u8, u8, u32, u64); 26] = [
        (IdRegisters::has_a32_el0, 4, 0, 0, 2),
        (|ids| ids.features().gicv3(), 4, 0, 24, 1),
        (|ids| ids.features().amu(), 4, 0, 44, 1),
        (|ids| ids.features().mpam(), 4, 0, 40, 1),
        (|ids| ids.features().mpam(), 4, 1, 16, 1),
        (|ids| ids.features().untrapped_sme(), 4, 1, 24, 1),
        (|ids| ids.features().scxtnum(), 4, 0, 56, 2),
        (|ids| ids.features().tcr2(), 7, 3, 0, 1),
        (|ids| ids.features().s1pie(), 7, 3, 8, 1),
        (|ids| ids.features().s1poe(), 7, 3, 16, 1),
        (|ids| ids.features().mte(), 4, 1, 8, 2),
        (|ids| ids.features().fgt2(), 7, 0, 56, 2),
        (|ids| ids.features().ras(), 4, 0, 28, 1),
        (|ids| ids.features().pauth(), 6, 1, 4, 1),
        (|ids| ids.features().fgt(), 7, 0, 56, 1),
        (|ids| ids.features().hcx(), 7, 1, 40, 1),
        (IdRegisters::has_ras, 4, 0, 28, 1),
        (IdRegisters::has_ssbs, 4, 1, 4, 1),
        (IdRegisters::has_mte, 4, 1, 8, 2),
        (IdRegisters::has_pauth, 6, 1, 4, 1),
        (IdRegisters::has_pauth, 6, 1, 8, 1),
        (IdRegisters::has_pauth, 6, 2, 12, 1),
        (IdRegisters::has_vhe, 7, 1, 8, 1),
        (IdRegisters::has_lor, 7, 1, 16, 1),
        (IdRegisters::has_pan, 7, 1, 20, 1),
        (IdRegisters::has_s2fwb, 7, 2, 40, 1),
    ];
    for (question, crm, op2, lo, least) in questions {
        let with = |value: u64| {
            let mut ids = IdRegisters::default();
            ids.set(ID(crm, op2), value << lo);
            question(&ids)
        };
        assert!(with(least), "({crm}, {op2}) bit {lo}");
        assert!(!with(least - 1), "({crm}, {op2}) bit {lo}");
    }
    let mut ids = IdRegisters::default();
    assert!(ids.features().always());
    ids.set(ID(5, 0), 5 << 12 | 3 << 20);
    assert_eq!(ids.debug_counts(), (6, 4));
}

#[test]
fn registers_have_their_names() {
    for number in 0..=u8::MAX {
        assert_eq!(Gpr::new(number).number(), number % 32);
    }
    let all = [
        Gpr::X0,
        Gpr::X1,
        Gpr::X2,
        Gpr::X3,
        Gpr::X4,
        Gpr::X5,
        Gpr::X6,
        Gpr::X7,
        Gpr::X8,
        Gpr::X9,
        Gpr::X10,
        Gpr::X11,
        Gpr::X12,
        Gpr::X13,
        Gpr::X14,
        Gpr::X15,
        Gpr::X16,
        Gpr::X17,
        Gpr::X18,
        Gpr::X19,
        Gpr::X20,
        Gpr::X21,
        Gpr::X22,
        Gpr::X23,
        Gpr::X24,
        Gpr::X25,
        Gpr::X26,
        Gpr::X27,
        Gpr::X28,
        Gpr::X29,
        Gpr::X30,
        Gpr::XZR,
    ];
    for (number, reg) in (0..).zip(all) {
        assert_eq!(reg, Gpr::new(number));
        let name = match number {
            31 => "xzr".to_string(),
            _ => format!("x{number}"),
        };
        assert_eq!((reg.to_string(), format!("{reg:?}")), (name.clone(), name));
    }
}
