//! Anything at all as ESR, FAR, HPFAR, ELR, an instruction and call arguments: no panic, no overflow, nothing lost.
//!
//! `cargo +nightly fuzz run decode` in `vcpu-exits`; cargo-fuzz turns overflow checks on.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use vcpu_exits::calls::{FunctionId, StandardCall};
use vcpu_exits::explain::{Context, Fields, explain};
use vcpu_exits::insn::MemoryInsn;
use vcpu_exits::{Decoded, Fault, Midr, SgiRequest, SvcRoute};
use vcpu_regs::{Esr, SysReg};

fuzz_target!(|words: (u64, u64, u64, u64, u32, [u64; 7])| {
    let (esr, far, hpfar, elr, insn, x) = words;
    let esr = Esr(esr);
    let mut text = String::new();

    let decoded = Decoded::new(esr);
    assert_eq!(decoded.encode(), esr);
    assert_eq!(
        Fields::of(esr).map(|field| field.in_place()).sum::<u64>(),
        esr.0
    );
    let pc = (
        decoded.syndrome.pc(SvcRoute::Tge),
        decoded.syndrome.pc(SvcRoute::Hfgitr),
    );
    write!(text, "{} {decoded:?} {pc:?}", decoded.syndrome).unwrap();
    let context = Context {
        esr,
        far: Some(far),
        hpfar: Some(hpfar),
        elr: Some(elr),
        insn: Some(insn),
    };
    explain(&mut text, &context).unwrap();
    explain(
        &mut text,
        &Context {
            hpfar: None,
            ..context
        },
    )
    .unwrap();

    if let Some(fault) = Fault::new(esr, far, hpfar) {
        write!(
            text,
            "{fault} {fault:?} {:?} {:?}",
            fault.ipa().page(),
            fault.ipa().exact()
        )
        .unwrap();
        if let Some(transfer) = fault.transfer() {
            let unused = 64 - 8 * u32::from(transfer.size_bytes);
            assert_eq!(transfer.stored(x[0]), x[0] << unused >> unused);
            assert_eq!(
                transfer.stored(transfer.loaded(x[0])),
                transfer.stored(x[0])
                    & if transfer.is_64bit {
                        u64::MAX
                    } else {
                        0xffff_ffff
                    }
            );
        }
    }

    if let Ok(access) = MemoryInsn::decode(insn) {
        write!(text, "{access} {access:?}").unwrap();
        if let Some(address) = access.address() {
            let reg = |number: u8| x[usize::from(number) % 7];
            write!(
                text,
                "{} {:?}",
                address.resolve(elr, reg),
                address.write_back(reg)
            )
            .unwrap();
        }
    }

    let id = FunctionId::from_x0(x[0]);
    let call = StandardCall::decode([x[0], x[1], x[2], x[3]]);
    write!(text, "{id} {id:?} {:?} {call:?}", id.arguments(x)).unwrap();
    let sgi = SgiRequest::decode(x[4]);
    assert_eq!(SgiRequest::decode(sgi.encode()), sgi);
    write!(
        text,
        "{:?} {}",
        sgi.target.affinities().collect::<Vec<_>>(),
        Midr(insn)
    )
    .unwrap();
    let reg = SysReg::from_bits(insn as u16);
    assert_eq!(SysReg::from_name(&reg.to_string()), Some(reg));
});
