//! Both stages together: a guest's VA to physical memory.

use crate::{AddressMap, FrameSource, Leaf, Stage1, Stage1Fault, Stage1Leaf, Table, Walk};
use vcpu_regs::{Ipa, Pa, Va};

/// What a walk of both stages found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GuestWalk {
    /// Memory. What is permitted is what both stages permit.
    Mapped {
        /// What the guest's tables say.
        stage1: Stage1Leaf,
        /// What ours say of the IPA.
        stage2: Leaf,
    },
    /// The guest's own tables refuse: its own fault.
    Stage1(Stage1Fault),
    /// Ours have nothing for the address the guest meant.
    Stage2 {
        /// What the guest's tables say, with that address.
        stage1: Stage1Leaf,
        /// What the walk found.
        walk: Walk,
    },
    /// Ours have nothing for one of the guest's tables.
    Stage2OnWalk {
        /// Address of the descriptor.
        ipa: Ipa,
        /// What the walk found.
        walk: Walk,
    },
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Returns where `va` of a guest with these stage-1 registers goes, reading its descriptors
    /// with `read`: eight bytes of physical memory, least significant first, or `None` where
    /// there is no memory to read.
    pub fn walk_guest(
        &self,
        stage1: &Stage1,
        va: Va,
        mut read: impl FnMut(Pa) -> Option<u64>,
    ) -> GuestWalk {
        let mut refused = None;
        let leaf = stage1.walk(va, |ipa| match self.walk(ipa) {
            Walk::Mapped(leaf) => read(leaf.pa),
            walk => {
                refused = Some(GuestWalk::Stage2OnWalk { ipa, walk });
                None
            }
        });
        match (leaf, refused) {
            (_, Some(refused)) => refused,
            (Err(fault), None) => GuestWalk::Stage1(fault),
            (Ok(stage1), None) => match self.walk(stage1.ipa) {
                Walk::Mapped(stage2) => GuestWalk::Mapped { stage1, stage2 },
                walk => GuestWalk::Stage2 { stage1, walk },
            },
        }
    }
}
