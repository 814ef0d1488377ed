//! SVE: two guests with vectors of different lengths, each of which is to find its own, and one
//! without the grant.

extern crate alloc;

use aarch64_cpu::registers::{CPTR_EL2, Readable};
use alloc::boxed::Box;
use machine::{Error, GuestRam, SingleCpu, guest_code, println};
use vcpu_core::{El2, Extensions, Fp, Policy, Vcpu, VcpuConfig, Vm};
use vcpu_hal::Cpu;
use vcpu_regs::{Cptr, Gpr, Predicates, SwitchedReg};
use vcpu_stage2::Stage2;

use crate::Check;

guest_code! {
    /// Stores Z0 to Z31 at x4, P0 to P15 and FFR at x5; loads others from x6 and x7. x0 takes the
    /// bytes of a vector; x1 takes ZCR_EL1, which takes x2.
    by_sve:
    ".arch_extension sve",
    "rdvl x0, #1",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "str z\\n, [x4, #\\n, mul vl]",
    "ldr z\\n, [x6, #\\n, mul vl]",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "str p\\n, [x5, #\\n, mul vl]",
    ".endr",
    "rdffr p0.b",
    "str p0, [x5, #16, mul vl]",
    "ldr p0, [x7, #16, mul vl]",
    "wrffr p0.b",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "ldr p\\n, [x7, #\\n, mul vl]",
    ".endr",
    "mrs x1, s3_0_c1_c2_0",
    "msr s3_0_c1_c2_0, x2",
    "hvc #1",
}

pub const SVE: fn() -> &'static [u8] = by_sve;

/// Bits of the longest vectors that the second guest is allowed.
const LIMIT_BITS: u32 = 256;
/// How often each guest has its turn.
const ROUNDS: u8 = 3;
/// What the host has in ZCR_EL2.
const HOST_ZCR: u64 = 2;
/// Guest RAM, from its start: what a guest stores, and what it loads.
const DATA: u64 = 0x10_0000;
const STORED_Z: u64 = DATA;
const STORED_P: u64 = DATA + 0x4000;
const GIVEN_Z: u64 = DATA + 0x8000;
const GIVEN_P: u64 = DATA + 0xc000;
/// CPACR_EL1: FP and SVE do not trap to EL1 (FPEN, ZEN).
const CPACR: u64 = 3 << 20 | 3 << 16;

/// What a guest holds in a round: no two have a register alike.
#[derive(Clone, Copy)]
struct Held {
    guest: u8,
    round: u8,
}

impl Held {
    fn next(self) -> Self {
        Self {
            round: self.round + 1,
            ..self
        }
    }

    fn byte(self, register: usize, at: usize) -> u8 {
        let salt = u64::from(self.guest) << 8 | u64::from(self.round);
        (crate::pattern(salt << 8 | register as u64, at) >> 24) as u8
    }

    fn z(self, n: usize) -> [u8; 256] {
        core::array::from_fn(|at| self.byte(n, at))
    }

    fn predicates(self) -> Predicates {
        let ones = usize::from(self.guest + 2 * self.round); // FFR is ones and then zeros
        Predicates {
            p: core::array::from_fn(|n| core::array::from_fn(|at| self.byte(32 + n, at))),
            ffr: core::array::from_fn(|at| if at < ones { 0xff } else { 0 }),
        }
    }

    /// LEN, which allows all vectors that the VM has: with shorter ones, the guest itself would lose
    /// what is beyond.
    fn zcr(self) -> u64 {
        match self.guest {
            0 => 0xf,
            _ => 0xf - u64::from(self.round),
        }
    }
}

/// A guest that is granted SVE.
struct Guest {
    vcpu: Vcpu<SingleCpu>,
    vm: Vm,
    held: Held,
    bytes: usize,
}

/// Checks SVE, if this CPU has it.
pub fn check<C: Cpu>(
    check: &mut Check,
    el2: &mut El2<'_, SingleCpu, C>,
    stage2: Stage2,
    ram: &mut GuestRam,
    entry: u64,
) -> Result<(), Error> {
    let lengths = el2.vector_lengths();
    println!("vectors of this CPU: {} bits", lengths.longest_bits());
    if lengths.longest_bits() < LIMIT_BITS {
        return Ok(());
    }
    let host_zcr = replace_zcr(el2, HOST_ZCR);
    for fp in [Fp::Lazy, Fp::Eager] {
        let mut rig = Rig {
            check: &mut *check,
            ram: &mut *ram,
            guests: guests(el2, stage2, fp)?,
            entry,
        };
        rig.rounds(el2, stage2)?;
        println!("SVE, {fp:?}: {} words", rig.check.take());
        rig.guests = guests(el2, stage2, fp)?;
        rig.rounds(&mut el2.take_turns(), stage2)?;
        println!("SVE in turns, {fp:?}: {} words", rig.check.take());
    }
    replace_zcr(el2, host_zcr);
    Ok(())
}

/// Returns two guests, with all lengths and with some.
fn guests<C: Cpu>(
    el2: &El2<'_, SingleCpu, C>,
    stage2: Stage2,
    fp: Fp,
) -> Result<[Guest; 2], Error> {
    let policy = Policy {
        fp,
        ..Policy::default()
    };
    let make = |guest: u8| -> Result<Guest, Error> {
        let mut vm = Vm::with(el2, stage2, Extensions::SVE);
        if guest == 1 {
            vm.limit_vectors(LIMIT_BITS)
                .map_err(|_| Error::Guest("no vectors so short"))?;
        }
        let mut vcpu = Vcpu::new(&VcpuConfig { mpidr: 0, policy });
        vcpu.lend_sve(Box::leak(Box::default()));
        let held = Held { guest, round: 0 };
        for n in 0..32 {
            vcpu.set_z(n, &held.z(n));
        }
        if let Some(predicates) = vcpu.predicates_mut() {
            *predicates = held.predicates();
        }
        vcpu.set_sysreg(SwitchedReg::CPACR_EL1, CPACR);
        vcpu.set_sysreg(SwitchedReg::ZCR_EL1, held.zcr());
        let bytes = vm.vector_lengths().longest_bits() as usize / 8;
        Ok(Guest {
            vcpu,
            vm,
            held,
            bytes,
        })
    };
    Ok([make(0)?, make(1)?])
}

/// Writes the host's ZCR_EL2, which may trap under its CPTR_EL2; returns what was there.
fn replace_zcr<C: Cpu>(el2: &El2<'_, SingleCpu, C>, zcr: u64) -> u64 {
    let cpu = el2.cpu();
    let e2h = cpu.host_mode().e2h;
    let cptr = Cptr::from_bits_retain(CPTR_EL2.get());
    let open = cptr.with_fp_trap(false, e2h).with_sve_trap(false, e2h);
    // SAFETY: at EL2, as `El2` says; the CPU has SVE, which does not trap under `open`; a host that
    // has FP registers of its own has nothing beyond their 128 bits. CPTR_EL2 is as before in the end.
    unsafe {
        cpu.set_cptr(open);
        let before = cpu.replace_zcr(zcr);
        cpu.set_cptr(cptr);
        before
    }
}

struct Rig<'r> {
    check: &'r mut Check,
    ram: &'r mut GuestRam,
    guests: [Guest; 2],
    entry: u64,
}

impl Rig<'_> {
    fn rounds<C: Cpu>(
        &mut self,
        el2: &mut El2<'_, SingleCpu, C>,
        stage2: Stage2,
    ) -> Result<(), Error> {
        let plain = Vm::new(el2, stage2);
        for _ in 0..ROUNDS {
            for n in 0..self.guests.len() {
                self.turn(el2, n)?;
                let zcr = replace_zcr(el2, HOST_ZCR);
                self.check.equal("ZCR_EL2", zcr, HOST_ZCR);
                self.without(el2, &plain)?;
            }
        }
        Ok(())
    }

    /// One guest looks at what it holds, and replaces it.
    fn turn<C: Cpu>(&mut self, el2: &mut El2<'_, SingleCpu, C>, n: usize) -> Result<(), Error> {
        let Guest {
            vcpu,
            vm,
            held,
            bytes,
        } = &mut self.guests[n];
        let (start, bytes, held_now) = (self.ram.start(), *bytes, *held);
        let (old, new) = (held_now, held_now.next());
        *held = new;
        let (z_end, p_end) = (32 * bytes, 17 * (bytes / 8));
        let data = |at: u64, len: usize| start + at..start + at + len as u64;
        for n in 0..32 {
            let at = start + GIVEN_Z + (n * bytes) as u64;
            self.ram.load(at, &new.z(n)[..bytes])?;
        }
        for (n, p) in each_predicate(&new.predicates()).enumerate() {
            let at = start + GIVEN_P + (n * bytes / 8) as u64;
            self.ram.load(at, &p[..bytes / 8])?;
        }
        self.ram.clear(data(STORED_Z, z_end))?;
        self.ram.clear(data(STORED_P, p_end))?;
        for (reg, at) in [(4, STORED_Z), (5, STORED_P), (6, GIVEN_Z), (7, GIVEN_P)] {
            vcpu.set_reg(Gpr::new(reg), start + at);
        }
        vcpu.set_reg(Gpr::X2, new.zcr());
        vcpu.set_pc(self.entry);
        self.check.run_beside_fp(&mut vcpu.load(el2, vm)?);

        // What the guest saw.
        self.check
            .equal("bytes of a vector", vcpu.reg(Gpr::X0), bytes as u64);
        self.check
            .equal("ZCR_EL1 in the guest", vcpu.reg(Gpr::X1), old.zcr());
        let stored = self.ram.bytes(data(STORED_Z, z_end))?;
        for (n, stored) in stored.chunks(bytes).enumerate() {
            self.check.bytes("Z in the guest", stored, &old.z(n));
        }
        let stored = self.ram.bytes(data(STORED_P, p_end))?;
        let expected = old.predicates();
        for (stored, expected) in stored.chunks(bytes / 8).zip(each_predicate(&expected)) {
            self.check.bytes("P or FFR in the guest", stored, expected);
        }
        // What it left. Beyond its vectors is what the host gave it at first.
        self.check
            .equal("ZCR_EL1", vcpu.sysreg(SwitchedReg::ZCR_EL1), new.zcr());
        let first = Held { round: 0, ..old };
        for n in 0..32 {
            let (z, q) = (vcpu.z(n).unwrap_or([0; 256]), vcpu.fp().q[n].to_le_bytes());
            self.check.bytes("Z", &z[..bytes], &new.z(n));
            self.check
                .bytes("Z, beyond", &z[bytes..], &first.z(n)[bytes..]);
            self.check.bytes("Q", &q, &new.z(n));
        }
        let (left, expected) = (vcpu.predicates(), new.predicates());
        for (left, expected) in left
            .into_iter()
            .flat_map(each_predicate)
            .zip(each_predicate(&expected))
        {
            self.check.bytes("P or FFR", &left[..bytes / 8], expected);
        }
        Ok(())
    }

    /// A guest without the grant: SVE is undefined, whether it has its FP registers or not.
    fn without<C: Cpu>(&mut self, el2: &mut El2<'_, SingleCpu, C>, vm: &Vm) -> Result<(), Error> {
        /// Current exception level with SP_ELx, synchronous.
        const VECTOR: u64 = 0x200;
        for fp in [Fp::Lazy, Fp::Eager] {
            let policy = Policy {
                fp,
                ..Policy::default()
            };
            let mut vcpu = Vcpu::new(&VcpuConfig { mpidr: 0, policy });
            vcpu.fp_mut().q = [!0; 32];
            vcpu.set_sysreg(SwitchedReg::CPACR_EL1, CPACR);
            vcpu.set_pc(self.entry);
            let mut live = vcpu.load(el2, vm)?;
            let exit = live.run();
            live.reflect(exit);
            self.check.equal("PC after UNDEF", live.pc(), VECTOR);
            let syndrome = live.sysreg(SwitchedReg::ESR_EL1);
            self.check.equal("ESR_EL1 of UNDEF", syndrome, 1 << 25);
        }
        Ok(())
    }
}

fn each_predicate(predicates: &Predicates) -> impl Iterator<Item = &[u8; 32]> {
    predicates.p.iter().chain([&predicates.ffr])
}

impl Check {
    /// Compares what there is of `found`.
    fn bytes(&mut self, name: &str, found: &[u8], expected: &[u8]) {
        for (found, expected) in found.chunks(8).zip(expected.chunks(8)) {
            let word = |bytes: &[u8]| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |word, &byte| word << 8 | u64::from(byte))
            };
            let expected = &expected[..found.len()];
            self.equal(name, word(found), word(expected));
        }
    }
}
