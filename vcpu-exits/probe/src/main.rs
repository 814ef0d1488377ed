//! Calls every public decode function on words the compiler cannot know. Not meant to run.
//!
//! The panic handler calls a function that does not exist: if a panic can be reached from here, the program
//! does not link. `tests/no_panic.rs` links it, and once more with a panic planted.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use vcpu_exits::calls::{FunctionId, PsciCall, PsciError, PsciFunction, StandardCall};
use vcpu_exits::explain::{Context, Fields, class_name, explain};
use vcpu_exits::insn::{Atomic, MemoryInsn};
use vcpu_exits::*;
use vcpu_regs::{Esr, SysReg};

unsafe extern "C" {
    safe fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_can_be_reached()
}

fn word() -> u64 {
    black_box(0x1234_5678_9abc_def0)
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let esr = Esr(word());
    let decoded = Decoded::new(esr);
    black_box(decoded.encode());
    let syndrome = Syndrome::decode(esr);
    black_box((
        syndrome.encode(),
        syndrome.pc(SvcRoute::Tge),
        syndrome.pc(SvcRoute::Hfgitr),
    ));
    payloads(esr);
    faults(esr);
    instructions(word() as u32);
    calls();
    registers();
    for field in Fields::of(esr) {
        black_box((field.in_place(), field.meaning(), field.is_reserved()));
    }
    black_box(class_name(word() as u8));
    let (far, hpfar) = (Some(word()), Some(word()));
    for hint in (Context {
        esr,
        far,
        hpfar,
        elr: None,
        insn: None,
    })
    .hints()
    {
        black_box(hint);
    }
    black_box(Midr(word() as u32).implementer_name());
    black_box(Midr(word() as u32).part_name());
    let context = Context {
        esr,
        far,
        hpfar,
        elr: Some(word()),
        insn: Some(word() as u32),
    };
    let _ = black_box(explain(&mut Sink, &context));
    #[cfg(feature = "planted")]
    black_box([0_u8; 4][word() as usize]);
    loop {
        core::hint::spin_loop();
    }
}

/// Somewhere for text to go.
struct Sink;

impl core::fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        black_box(text);
        Ok(())
    }
}

/// Each class by itself, whatever class the word has, and back.
fn payloads(esr: Esr) {
    macro_rules! each {
        ($($payload:ident)*) => { $( black_box(black_box($payload::decode(esr)).encode()); )* };
    }
    each! {
        Wfx CpAccess CpPairAccess CpMemoryAccess Svc Hvc Smc Smc32 SysRegAccess SysRegPairAccess Eret
        PointerAuthFailure GranuleProtection InstructionAbort DataAbort Mops FpException Gcs SError Breakpoint
        SoftwareStep Watchpoint Brk
    }
    black_box(black_box(OtherInstruction::from_bits(word() as u32)).bits());
    black_box(black_box(SmeReason::from_bits(word() as u8)).bits());
    black_box(black_box(SErrorSeverity::from_bits(word() as u8)).bits());
    black_box(
        black_box(Condition {
            known: true,
            code: word() as u8,
        })
        .name(),
    );
    let status = black_box(FaultStatus::from_bits(word() as u8));
    black_box((
        status.bits(),
        status.kind(),
        status.level(),
        status.is_on_walk(),
    ));
    black_box(FaultStatus::new(
        black_box(FaultKind::Permission),
        black_box(Some(word() as i8)),
    ));
    let transfer = black_box(Transfer {
        size_bytes: word() as u8,
        reg: 0,
        is_write: false,
        sign_extend: true,
        is_64bit: false,
        acquire_release: false,
    });
    black_box((transfer.loaded(word()), transfer.stored(word())));
    black_box(
        DataAbort {
            transfer: Some(transfer),
            ..DataAbort::decode(esr)
        }
        .encode(),
    );
}

fn faults(esr: Esr) {
    let Some(fault) = black_box(Fault::new(esr, word(), word())) else {
        return;
    };
    black_box((
        fault.esr(),
        fault.flags(),
        fault.status(),
        fault.kind(),
        fault.level(),
    ));
    black_box((
        fault.access(),
        fault.is_on_s1_walk(),
        fault.is_from_same_el(),
        fault.transfer(),
    ));
    black_box((
        fault.va(),
        fault.is_va_precise(),
        fault.ipa().page(),
        fault.ipa().exact(),
    ));
    black_box(fault.is_nonsecure_ipa());
    black_box(Fault::of_data_abort(DataAbort::decode(esr), word(), word()).ipa());
    black_box(Fault::of_instruction_abort(InstructionAbort::decode(esr), word(), word()).ipa());
}

fn instructions(insn: u32) {
    let Ok(access) = black_box(MemoryInsn::decode(insn)) else {
        return;
    };
    if let Some(address) = black_box(access.address()) {
        black_box((
            address.resolve(word(), |_| word()),
            address.write_back(|_| word()),
        ));
    }
    match access {
        MemoryInsn::Structure(structure) => drop(black_box(structure.size_bytes())),
        MemoryInsn::Maintenance(maintenance) => drop(black_box(maintenance.is_zeroing())),
        _ => {}
    }
    black_box(black_box(Atomic::SignedMax).apply(word(), word(), word() as u8));
}

fn calls() {
    let x = [word(); 7];
    let id = FunctionId::from_x0(word());
    black_box((
        id.is_fast(),
        id.is_64bit(),
        id.has_no_sve_state(),
        id.number(),
        id.owner(),
    ));
    black_box((
        id.name(),
        id.without_hint(),
        id.argument(word()),
        id.arguments(x),
    ));
    black_box(StandardCall::decode([x[0], x[1], x[2], x[3]]));
    if let Some(call) = black_box(PsciCall::decode([x[0], x[1], x[2], x[3]])) {
        black_box((call.function().name(), call.function().id()));
    }
    black_box(PsciFunction::from_id(id));
    black_box(black_box(PsciError::Denied).as_x0());
    let request = black_box(SgiRequest::decode(word()));
    black_box((request.encode(), request.target.includes(word(), word())));
    for affinity in request.target.affinities() {
        black_box(affinity);
    }
}

fn registers() {
    let reg = SysReg::from_bits(word() as u16);
    black_box((
        reg.name_for(black_box(true)),
        reg.directions(),
        reg.is_id_space(),
        SgiGroup::of(reg),
    ));
    black_box(SysReg::from_name(black_box("S3_0_C15_C2_1")));
    for row in SysReg::named() {
        black_box(row);
    }
}
