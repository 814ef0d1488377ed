//! Words and hints for people.

use vcpu_exits::explain::{Context, Fields, Hint, explain};
use vcpu_exits::{Fault, Syndrome};
use vcpu_regs::Esr;

fn hints(context: Context) -> Vec<Hint> {
    context.hints().collect()
}

fn with_far(esr: u64, far: u64) -> Context {
    Context {
        far: Some(far),
        ..Context::new(Esr(esr))
    }
}

#[test]
fn the_explanation_of_a_store_has_every_field() {
    let context = Context {
        far: Some(0xffff_8000_0900_0004),
        hpfar: Some(0x9_0000),
        elr: Some(0xffff_8000_0800_1234),
        insn: Some(0xb900_0023),
        ..Context::new(Esr(0x9383_0046))
    };
    let mut text = String::new();
    explain(&mut text, &context).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines[0],
        "ESR 0x0000000093830046: guest wrote 4 bytes of w3 to IPA 0x9000004, translation fault level 2"
    );
    for expected in [
        "31:26  EC           0x24  Data Abort from a lower Exception level",
        "24  ISV          0x1  the syndrome describes the access",
        "20:16  SRT          0x3  w3",
        "5:0   DFSC         0x6  translation fault level 2",
        "ELR 0xffff800008001234 is on the instruction",
        "instruction 0xb9000023: str w3, [x1]",
    ] {
        assert!(lines.contains(&expected), "{expected:?} is not in\n{text}");
    }
    // Two lines of context, the summary, and each field that is not an empty reserved one.
    let fields = Fields::of(context.esr).filter(|field| !field.is_reserved() || field.value != 0);
    assert_eq!(lines.len(), 3 + fields.count());
}

#[test]
fn null_and_poisoned_pointers_are_suspected() {
    const READ: u64 = 0x9600_0004;
    assert_eq!(hints(with_far(READ, 0x18)), [Hint::NearNull]);
    assert_eq!(hints(with_far(READ, u64::MAX - 7)), [Hint::NearNull]);
    assert_eq!(hints(with_far(READ, 0x4000_1000)), []);
    // A kernel pointer whose authentication failed with key A, and one with key B.
    assert_eq!(
        hints(with_far(READ, 0xbfff_8000_1234_5678)),
        [Hint::PoisonedPointer]
    );
    assert_eq!(
        hints(with_far(READ, 0xdfff_8000_1234_5678)),
        [Hint::PoisonedPointer]
    );
    // And a user pointer, without and with top-byte-ignore.
    assert_eq!(
        hints(with_far(READ, 0x2000_aaaa_1234_5678)),
        [Hint::PoisonedPointer]
    );
    assert_eq!(
        hints(with_far(READ, 0x0040_aaaa_1234_5678)),
        [Hint::PoisonedPointer]
    );
    assert_eq!(hints(with_far(READ, 0xffff_8000_1234_5678)), []);
    // An address that FAR does not hold is not suspected.
    assert_eq!(hints(with_far(READ | 1 << 10, 0x18)), []);
}

#[test]
fn stage_2_faults_say_what_hpfar_is() {
    let with_hpfar = |esr, far| Context {
        hpfar: Some(0x10),
        ..with_far(esr, far)
    };
    assert_eq!(hints(with_hpfar(0x9200_004f, 0x4000_1000)), [Hint::NoHpfar]);
    assert_eq!(
        hints(with_hpfar(0x9200_00cf, 0x4000_1000)),
        [Hint::TableNotAccess]
    );
    // A guest without stage 1 may well read at 0.
    assert_eq!(hints(with_hpfar(0x9200_0006, 0)), []);
}

#[test]
fn classes_have_their_hints() {
    // mrs x0, ID_AA64PFR0_EL1; the same written; mrs x0, SCTLR_EL1.
    assert_eq!(hints(Context::new(Esr(0x6230_0009))), [Hint::LegalIdRead]);
    assert_eq!(hints(Context::new(Esr(0x6230_0008))), []);
    assert_eq!(hints(Context::new(Esr(0x6230_0401))), []);
    assert_eq!(hints(Context::new(Esr(0xbe00_0011))), [Hint::PcNotToBlame]);
    assert_eq!(
        hints(Context::new(Esr(0xf200_0800))),
        [Hint::KnownBrk("Linux BUG() or WARN()")]
    );
    assert_eq!(hints(Context::new(Esr(0xf200_1234))), []);
}

#[test]
fn sentences_name_what_happened() {
    for (esr, words) in [
        (0x0200_0000, "undefined instruction, or an unknown reason"),
        (0x07e0_00e6, "wfit until x7"),
        (0x1fe0_0000, "trapped SIMD, floating-point or SVE access"),
        (0x4a00_002a, "AArch32 hvc #42"),
        (0x5e00_0000, "smc #0"),
        (0x6230_0009, "mrs x0, ID_AA64PFR0_EL1"),
        (0x623a_3016, "msr ICC_SGI1R_EL1, x0"),
        (0x6232_3c05, "mrs x0, S3_0_C15_C2_1"),
        (0x6212_dcfc, "DC CIVAC, x7"),
        (0x6220_c00a, "msr DBGDTRTX_EL0, x0"),
        (
            0x8200_0087,
            "fetched an instruction, translation fault level 3 on a stage-1 table walk",
        ),
        (
            0x9365_8007,
            "read 2 bytes sign-extended into x5 from memory, translation fault level 3",
        ),
        (
            0x9200_0147,
            "did cache maintenance on memory, translation fault level 3",
        ),
        (0xbe00_0c11, "SError, recoverable"),
        (0xd226_0062, "watchpoint 9 on a write"),
        (0xf200_0800, "brk #0x800"),
        (0xfe00_0000, "unallocated class 0x3f, Esr(0xfe000000)"),
    ] {
        let esr = Esr(esr);
        assert_eq!(Syndrome::decode(esr).to_string(), words, "{esr:?}");
    }
}

#[test]
fn faults_say_how_well_the_address_is_known() {
    for (esr, far, words) in [
        (
            0x9200_008f,
            0x5008,
            "guest read from VA 0x5008, whose translation table is in the page of IPA 0x1000, permission fault level 3, the syndrome does not tell the registers",
        ),
        (
            0x9200_004f,
            0x5008,
            "guest wrote to VA 0x5008, permission fault level 3, the syndrome does not tell the registers",
        ),
        (
            0x9200_0407,
            0x5008,
            "guest read from the page of IPA 0x1000, translation fault level 3, the syndrome does not tell the registers",
        ),
        (
            0x8200_0007,
            0x5008,
            "guest fetched an instruction from IPA 0x1008, translation fault level 3",
        ),
        (
            0x9200_044f,
            0x5008,
            "guest wrote to an unknown address, permission fault level 3, the syndrome does not tell the registers",
        ),
    ] {
        assert_eq!(Fault::new(Esr(esr), far, 0x10).unwrap().to_string(), words);
    }
}
