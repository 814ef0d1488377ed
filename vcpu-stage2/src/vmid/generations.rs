//! The allocator. Its parent module says whose atomics it uses, so that a test can watch them.

use super::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};
use vcpu_regs::{Invalidate, Vmid};

/// Bits of a tag below its generation.
const VMID_BITS: u32 = 16;
const VMID_MASK: u64 = (1 << VMID_BITS) - 1;
/// What one generation adds to a tag.
const GENERATION: u64 = 1 << VMID_BITS;

/// The VMIDs of a machine of `CPUS` CPUs: one such value for all VMs.
///
/// `WORDS` is the size of the table of VMIDs in 64 bits: 1024 for 16-bit ones, 4 for 8-bit ones.
///
/// Whoever calls must not be interrupted by another caller on the same CPU: interrupts are masked
/// or held off, as they are when a vCPU is loaded.
#[derive(Debug)]
pub struct Vmids<const CPUS: usize, const WORDS: usize = 1024> {
    /// Held while a VMID is given out; never on the way in of a VM that has one.
    lock: AtomicBool,
    generation: AtomicU64,
    /// VMIDs from 1 to below this.
    end: u64,
    /// Where the search for a free one starts.
    next: AtomicU64,
    used: [AtomicU64; WORDS],
    /// The tag each CPU runs or ran last; 0 since the last rollover.
    active: [AtomicU64; CPUS],
    /// The tag each CPU ran at the last rollover: still good.
    reserved: [AtomicU64; CPUS],
    /// CPUs that have something of an older generation in their TLBs.
    must_flush: [AtomicBool; CPUS],
}

/// What a VM remembers of its VMID, and of who used it where.
#[derive(Debug)]
pub struct VmTag<const CPUS: usize> {
    /// Generation and VMID; 0 before the first.
    tag: AtomicU64,
    /// The vCPU that ran last on each CPU; 0 for none.
    last: [AtomicU32; CPUS],
}

/// What a vCPU remembers of where it ran.
#[derive(Debug)]
pub struct VcpuTag {
    /// Not 0.
    number: u32,
    last_cpu: usize,
}

impl VcpuTag {
    const NOWHERE: usize = usize::MAX;

    /// Returns the tag of a vCPU that has not run; `number` is its own within the VM, and below
    /// 2^31.
    pub const fn new(number: u32) -> Self {
        Self {
            number: number | 1 << 31,
            last_cpu: Self::NOWHERE,
        }
    }

    /// Makes no TLB good for this vCPU: its address space was changed while it was on no CPU.
    pub const fn forget(&mut self) {
        self.last_cpu = Self::NOWHERE;
    }
}

/// Who of a VM ran on a CPU before: whose translations its TLB may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// None of the VM.
    Nobody,
    /// This vCPU, and it has been nowhere else since.
    Same,
    /// Another vCPU, or this one before it was elsewhere.
    Other,
}

/// A VMID to enter a guest with.
#[must_use = "the invalidation comes before the guest"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Activation {
    /// The VMID, for `VTTBR_EL2`.
    pub vmid: Vmid,
    /// What this CPU must forget once `VTTBR_EL2` holds the VMID, before the guest runs.
    pub before: Option<Invalidate>,
}

impl<const CPUS: usize> Default for VmTag<CPUS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CPUS: usize> VmTag<CPUS> {
    constructor! {
        /// Returns the tag of a VM that has not run.
        pub fn new() -> Self {
            Self { tag: AtomicU64::new(0), last: atomics![AtomicU32::new(0); CPUS] }
        }
    }

    /// Notes that `vcpu` of this VM comes to `cpu`, the calling one; returns who was there before.
    /// `None` if `cpu` is not below `CPUS`: nobody keeps count there.
    ///
    /// For a VM with a VMID of its own; [`Vmids::activate`] does it for the others.
    #[inline]
    pub fn visit(&self, cpu: usize, vcpu: &mut VcpuTag) -> Option<Before> {
        let here = self.last.get(cpu)?;
        // Only the CPU itself touches its entry.
        let before = here.load(Relaxed);
        let stayed = vcpu.last_cpu == cpu;
        here.store(vcpu.number, Relaxed);
        vcpu.last_cpu = cpu;
        Some(match before {
            0 => Before::Nobody,
            number if number == vcpu.number && stayed => Before::Same,
            _ => Before::Other,
        })
    }

    /// Returns the VMID under which CPUs may have used the VM's table: the one to invalidate
    /// after a change of it. `None` if the VM has not run.
    ///
    /// Call it after the change: a CPU that takes another VMID later sees the change.
    pub fn vmid(&self) -> Option<Vmid> {
        // The change is before this, the VM's tag in `activate` before its guest's table walks:
        // one of the two sees the other.
        fence(SeqCst);
        number(self.tag.load(Relaxed))
    }
}

impl<const CPUS: usize, const WORDS: usize> Vmids<CPUS, WORDS> {
    constructor! {
        /// Returns the VMIDs of CPUs that have `vmid_bits`, as
        /// [`Geometry::vmid_bits`](crate::Geometry::vmid_bits) says. `None` if there are not more
        /// VMIDs than CPUs.
        pub fn new(vmid_bits: u8) -> Option<Self> {
            let by_bits = if vmid_bits >= 16 { 1 << 16 } else { 1 << vmid_bits };
            let by_words = WORDS as u64 * 64;
            let end = if by_bits < by_words { by_bits } else { by_words };
            // VMID 0 is nobody's.
            if end < CPUS as u64 + 2 {
                return None;
            }
            Some(Self {
                lock: AtomicBool::new(false),
                generation: AtomicU64::new(GENERATION),
                end,
                next: AtomicU64::new(1),
                used: atomics![AtomicU64::new(0); WORDS],
                active: atomics![AtomicU64::new(0); CPUS],
                reserved: atomics![AtomicU64::new(0); CPUS],
                // What ran before us may have left anything.
                must_flush: atomics![AtomicBool::new(true); CPUS],
            })
        }
    }

    /// Returns how many bits its VMIDs may need: 8 or 16.
    pub const fn bits(&self) -> u8 {
        if self.end > 1 << 8 { 16 } else { 8 }
    }

    /// Returns the VMID under which `vcpu` of `vm` is to run on CPU `cpu`, and what that CPU must
    /// forget first. `None` if `cpu` is not below `CPUS`.
    ///
    /// No other VM has this VMID on any CPU until the next call for the same `cpu`.
    ///
    /// # Safety
    ///
    /// `cpu` is the calling CPU's own number, below `CPUS` and no other's, and the caller carries
    /// out [`Activation::before`] before a guest runs.
    #[inline]
    pub unsafe fn activate(
        &self,
        cpu: usize,
        vm: &VmTag<CPUS>,
        vcpu: &mut VcpuTag,
    ) -> Option<Activation> {
        let active = self.active.get(cpu)?;
        let current = active.load(Relaxed);
        let tag = vm.tag.load(Relaxed);
        // A rollover takes `active` away first: then the exchange fails. If the exchange comes
        // first, the rollover finds the tag there, and reserves it.
        let fast = current != 0
            && self.is_current(tag)
            && active
                .compare_exchange(current, tag, Relaxed, Relaxed)
                .is_ok();
        let (tag, flush_all) = if fast {
            (tag, false)
        } else {
            self.activate_slowly(cpu, vm)?
        };
        // vCPUs share the VMID and assume TLBs of their own.
        let before = match vm.visit(cpu, vcpu)? {
            _ if flush_all => Some(Invalidate::LocalAllVmids),
            Before::Other => Some(Invalidate::LocalVmid),
            Before::Nobody | Before::Same => None,
        };
        Some(Activation {
            vmid: number(tag)?,
            before,
        })
    }

    /// The tag, and whether this CPU must flush, under the lock.
    #[cold]
    fn activate_slowly(&self, cpu: usize, vm: &VmTag<CPUS>) -> Option<(u64, bool)> {
        let (active, must_flush) = (self.active.get(cpu)?, self.must_flush.get(cpu)?);
        while self
            .lock
            .compare_exchange_weak(false, true, Acquire, Relaxed)
            .is_err()
        {
            super::pause();
        }
        let mut tag = vm.tag.load(Relaxed);
        if !self.is_current(tag) {
            tag = self.new_tag(tag);
            vm.tag.store(tag, Relaxed);
        }
        let flush = must_flush.load(Relaxed);
        must_flush.store(false, Relaxed);
        active.store(tag, Relaxed);
        self.lock.store(false, Release);
        // Pairs with the fence in `VmTag::vmid`: the guest's walks come after the tag.
        fence(SeqCst);
        Some((tag, flush))
    }

    fn is_current(&self, tag: u64) -> bool {
        (tag ^ self.generation.load(Relaxed)) >> VMID_BITS == 0
    }

    /// A tag of the current generation. The lock is held.
    fn new_tag(&self, old: u64) -> u64 {
        let generation = self.generation.load(Relaxed);
        if old != 0 {
            let tag = generation | old & VMID_MASK;
            // On a CPU at the rollover: kept, and its number is taken already.
            let mut kept = false;
            for reserved in &self.reserved {
                if reserved.load(Relaxed) == old {
                    reserved.store(tag, Relaxed);
                    kept = true;
                }
            }
            // Not on a CPU, but nobody took the number since.
            if kept || self.take(old & VMID_MASK) {
                return tag;
            }
        }
        loop {
            if let Some(vmid) = self.take_next() {
                return self.generation.load(Relaxed) | vmid;
            }
            // At most one VMID a CPU survives this, and `new` made sure that there are more.
            self.start_generation();
        }
    }

    /// Marks a VMID used; whether it was free.
    fn take(&self, vmid: u64) -> bool {
        let Some(word) = self.used.get((vmid / 64) as usize) else {
            return false;
        };
        let bit = 1 << (vmid % 64);
        let old = word.load(Relaxed);
        word.store(old | bit, Relaxed);
        old & bit == 0
    }

    fn take_next(&self) -> Option<u64> {
        let start = self.next.load(Relaxed);
        let free = (start..self.end).find(|&vmid| self.take(vmid));
        self.next
            .store(free.map_or(self.end, |vmid| vmid + 1), Relaxed);
        free
    }

    fn start_generation(&self) {
        let generation = self.generation.load(Relaxed).wrapping_add(GENERATION);
        self.generation.store(generation, Relaxed);
        self.used.iter().for_each(|word| word.store(0, Relaxed));
        for ((active, reserved), must_flush) in
            self.active.iter().zip(&self.reserved).zip(&self.must_flush)
        {
            let running = match active.swap(0, Relaxed) {
                // Not entered since the rollover before: what was reserved then still is.
                0 => reserved.load(Relaxed),
                tag => tag,
            };
            reserved.store(running, Relaxed);
            if running != 0 {
                self.take(running & VMID_MASK);
            }
            must_flush.store(true, Relaxed);
        }
        self.next.store(1, Relaxed);
    }
}

fn number(tag: u64) -> Option<Vmid> {
    Vmid::new((tag & VMID_MASK) as u16)
}
