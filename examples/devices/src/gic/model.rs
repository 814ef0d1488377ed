//! The registers and the choice of what is next against a model that keeps each interrupt by itself.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;
use vcpu_regs::Intid;

use super::{Gic, SPIS, Version, v3};

const GICD_CTLR: u64 = 0;
const IGROUPR: u64 = 0x80;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IROUTER: u64 = 0x6000;
const SGI_BASE: u64 = 0x1_0000;

/// One interrupt, by itself.
#[derive(Clone, Copy, Debug)]
struct Line {
    group1: bool,
    enabled: bool,
    latched: bool,
    high: bool,
    edge: bool,
    active: bool,
    priority: u8,
    target: u64,
}

/// All interrupts of two vCPUs: private ones of the first, of the second, SPIs.
struct Model {
    lines: Vec<Line>,
    groups: [bool; 2],
}

impl Model {
    fn new() -> Self {
        let line = |n: usize| Line {
            group1: true,
            enabled: false,
            latched: false,
            high: false,
            edge: n < 64 && n % 32 < 16,
            active: false,
            priority: 0,
            target: if n < 64 { n as u64 / 32 } else { 0 },
        };
        Self {
            lines: (0..64 + SPIS).map(line).collect(),
            groups: [false; 2],
        }
    }

    fn is_ready(&self, line: &Line, vcpu: u64) -> bool {
        let pending = line.latched || line.high && !line.edge;
        let group = self.groups[usize::from(line.group1)];
        pending && line.enabled && group && !line.active && line.target == vcpu
    }

    /// Priority and INTID of what the vCPU would get next.
    fn best(&self, vcpu: u64) -> Option<(u8, u32)> {
        let intid = |n: usize| if n < 64 { n % 32 } else { n - 32 } as u32;
        let ready = self.lines.iter().enumerate();
        ready
            .filter(|(_, line)| self.is_ready(line, vcpu))
            .map(|(n, line)| (line.priority, intid(n)))
            .min()
    }

    /// Writes to the word of a register that starts at `register`, for lines from `first` on.
    fn write(&mut self, register: u64, first: usize, value: u32) {
        for i in 0..32 {
            let line = &mut self.lines[first + i];
            let bit = value >> i & 1 != 0;
            match register {
                IGROUPR => line.group1 = bit,
                ISENABLER => line.enabled |= bit,
                ICENABLER => line.enabled &= !bit,
                ISPENDR => line.latched |= bit,
                ICPENDR => line.latched &= !bit,
                ISACTIVER => line.active |= bit,
                _ => line.active &= !bit,
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Bits {
        register: u64,
        bank: usize,
        value: u32,
    },
    Priority {
        line: usize,
        value: u8,
    },
    Config {
        bank: usize,
        half: usize,
        value: u32,
    },
    Route {
        spi: usize,
        affinity: u64,
    },
    Groups(u64),
    Raise {
        line: usize,
        high: bool,
    },
    Any {
        offset: u64,
        log2: u8,
        value: u64,
        frame: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let bank = 0..4_usize;
    prop_oneof![
        4 => (1_u64..8, bank.clone(), any::<u32>()).prop_map(|(n, bank, value)| Op::Bits {
            register: n * 0x80, bank, value
        }),
        2 => (0..64 + SPIS, any::<u8>()).prop_map(|(line, value)| Op::Priority { line, value }),
        1 => (bank, 0..2_usize, any::<u32>())
            .prop_map(|(bank, half, value)| Op::Config { bank, half, value }),
        1 => (0..SPIS, 0..3_u64).prop_map(|(spi, affinity)| Op::Route { spi, affinity }),
        1 => (0..4_u64).prop_map(Op::Groups),
        3 => (0..64 + SPIS, any::<bool>()).prop_map(|(line, high)| Op::Raise { line, high }),
        1 => (0..0x6_0000_u64, 0..4_u8, any::<u64>(), 0..2_u8)
            .prop_map(|(offset, log2, value, frame)| Op::Any { offset, log2, value, frame }),
    ]
}

/// Frame and offset of the registers of a bank: 0 and 1 are private.
fn place(bank: usize, register: u64) -> (bool, u64) {
    match bank {
        0 | 1 => (
            true,
            bank as u64 * v3::REDISTRIBUTOR_BYTES + SGI_BASE + register,
        ),
        _ => (false, register + 4 * (bank as u64 - 1)),
    }
}

fn write(gic: &mut Gic, (redistributor, offset): (bool, u64), size_bytes: u8, value: u64) {
    match redistributor {
        true => gic.write_redistributor(offset, size_bytes, value),
        false => gic.write_distributor(offset, size_bytes, value),
    }
}

fn read(gic: &Gic, (redistributor, offset): (bool, u64), size_bytes: u8) -> u64 {
    match redistributor {
        true => gic.read_redistributor(offset, size_bytes),
        false => gic.read_distributor(offset, size_bytes),
    }
}

proptest! {
    /// Registers read back as the model says, and the model's most urgent interrupt is next.
    #[test]
    fn registers_and_choice_agree_with_a_model(ops in proptest::collection::vec(op(), 1..60)) {
        let mut gic = Gic::new(Version::V3, 2).unwrap();
        let mut model = Model::new();
        for op in ops {
            match op {
                Op::Bits { register, bank, value } => {
                    write(&mut gic, place(bank, register), 4, value.into());
                    model.write(register, 32 * bank, value);
                }
                Op::Priority { line, value } => {
                    let (bank, index) = (line / 32, line as u64 % 32);
                    let first = if bank < 2 { 0 } else { 28 * (bank as u64 - 1) };
                    let (frame, offset) = place(bank, IPRIORITYR + index + first);
                    write(&mut gic, (frame, offset), 1, value.into());
                    model.lines[line].priority = value & 0xf8;
                }
                Op::Config { bank, half, value } => {
                    let first = if bank < 2 { 0 } else { 4 * (bank as u64 - 1) };
                    let (frame, offset) = place(bank, ICFGR + 4 * half as u64 + first);
                    write(&mut gic, (frame, offset), 4, value.into());
                    for i in (0..16).filter(|_| bank >= 2 || half == 1) {
                        let line = &mut model.lines[32 * bank + 16 * half + i];
                        line.edge = value >> (2 * i + 1) & 1 != 0;
                    }
                }
                Op::Route { spi, affinity } => {
                    gic.write_distributor(IROUTER + 8 * (spi as u64 + 32), 8, affinity);
                    model.lines[64 + spi].target = affinity;
                }
                Op::Groups(value) => {
                    gic.write_distributor(GICD_CTLR, 4, value);
                    model.groups = [value & 1 != 0, value & 2 != 0];
                }
                Op::Raise { line, high } => {
                    let was = model.lines[line].high;
                    if line < 64 {
                        if line % 32 < 16 { continue } // an SGI has no line
                        gic.set_private_line(line / 32, Intid(line as u32 % 32), high);
                    } else {
                        gic.set_line(Intid(line as u32 - 32), high);
                    }
                    let line = &mut model.lines[line];
                    line.latched |= high && !was && line.edge;
                    line.high = high;
                }
                Op::Any { offset, log2, value, frame } => {
                    // Where nothing of the model is: any size, any place.
                    let known = 0..0xd00_u64;
                    let is_known = match frame {
                        0 => known.contains(&offset) || (0x6000..0x8000).contains(&offset),
                        _ => known.contains(&(offset % v3::REDISTRIBUTOR_BYTES - SGI_BASE.min(offset % v3::REDISTRIBUTOR_BYTES))),
                    };
                    if !is_known {
                        write(&mut gic, (frame != 0, offset), 1 << log2, value);
                    }
                    read(&gic, (frame != 0, offset), 1 << log2);
                }
            }
            for bank in 0..4 {
                let lines = &model.lines[32 * bank..32 * bank + 32];
                let word = |of: &dyn Fn(&Line) -> bool| {
                    lines.iter().enumerate().fold(0, |word, (i, line)| word | u64::from(of(line)) << i)
                };
                prop_assert_eq!(read(&gic, place(bank, IGROUPR), 4), word(&|line| line.group1));
                prop_assert_eq!(read(&gic, place(bank, ICENABLER), 4), word(&|line| line.enabled));
                prop_assert_eq!(
                    read(&gic, place(bank, ISPENDR), 4),
                    word(&|line| line.latched || line.high && !line.edge)
                );
                prop_assert_eq!(read(&gic, place(bank, ISACTIVER), 4), word(&|line| line.active));
            }
            for vcpu in 0..2 {
                let next = gic.clone().next(vcpu).map(|offer| (offer.priority, offer.intid.0));
                prop_assert_eq!(next, model.best(vcpu as u64));
            }
        }
    }
}
