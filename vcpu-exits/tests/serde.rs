//! With the `serde` feature, what was decoded can be stored and read back.

use vcpu_exits::insn::MemoryInsn;
use vcpu_exits::{Decoded, Fault};
use vcpu_regs::Esr;

#[test]
fn values_survive_json() {
    for class in 0..64_u64 {
        for iss in [0, 0x0123_4567 & 0x1ff_ffff, 0x1ff_ffff, 0x00d5_5555] {
            let decoded = Decoded::new(Esr(class << 26 | 1 << 25 | iss | 0xabc << 32));
            let text = serde_json::to_string(&decoded).unwrap();
            assert_eq!(serde_json::from_str::<Decoded>(&text).unwrap(), decoded);
        }
    }
    let fault = Fault::new(Esr(0x9383_0046), 0x1004, 0x9_0000).unwrap();
    let text = serde_json::to_string(&fault).unwrap();
    assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
    let insn = MemoryInsn::decode(0x29ff_0be1).unwrap();
    let text = serde_json::to_string(&insn).unwrap();
    assert_eq!(serde_json::from_str::<MemoryInsn>(&text).unwrap(), insn);
}
