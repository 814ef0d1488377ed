//! Calls of the Power State Coordination Features (Arm DEN0022, to version 1.3).

use super::FunctionId;

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $number:literal $widths:ident $arm:literal;)*) => {
        /// A PSCI function, without its width.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub enum PsciFunction {
            $($(#[$doc])* $name,)*
        }

        impl PsciFunction {
            /// Returns the function of this identifier, in a width it exists in.
            pub const fn from_id(id: FunctionId) -> Option<Self> {
                let id = id.without_hint();
                match id.0 {
                    $($number if functions!(@has32 $widths) => Some(Self::$name),)*
                    other => Self::from_id_64(other),
                }
            }

            const fn from_id_64(id: u32) -> Option<Self> {
                if id & 1 << 30 == 0 {
                    return None;
                }
                match id & !(1 << 30) {
                    $($number if functions!(@has64 $widths) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns Arm's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $arm,)*
                }
            }

            /// Returns the identifier of the SMC64 form, or of the SMC32 form where that is the only one.
            pub const fn id(self) -> FunctionId {
                match self {
                    $(Self::$name => FunctionId(
                        $number | if functions!(@has64 $widths) { 1 << 30 } else { 0 },
                    ),)*
                }
            }
        }
    };
    (@has32 both) => { true };
    (@has32 only32) => { true };
    (@has32 only64) => { false };
    (@has64 both) => { true };
    (@has64 only32) => { false };
    (@has64 only64) => { true };
}

functions! {
    /// Which PSCI this is.
    Version = 0x8400_0000 only32 "PSCI_VERSION";
    /// Suspends the calling CPU.
    CpuSuspend = 0x8400_0001 both "CPU_SUSPEND";
    /// Turns the calling CPU off.
    CpuOff = 0x8400_0002 only32 "CPU_OFF";
    /// Turns another CPU on.
    CpuOn = 0x8400_0003 both "CPU_ON";
    /// Tells whether a CPU is on.
    AffinityInfo = 0x8400_0004 both "AFFINITY_INFO";
    /// Moves a uniprocessor Trusted OS.
    Migrate = 0x8400_0005 both "MIGRATE";
    /// Tells what Trusted OS there is.
    MigrateInfoType = 0x8400_0006 only32 "MIGRATE_INFO_TYPE";
    /// Tells where a uniprocessor Trusted OS is.
    MigrateInfoUpCpu = 0x8400_0007 both "MIGRATE_INFO_UP_CPU";
    /// Powers the machine off.
    SystemOff = 0x8400_0008 only32 "SYSTEM_OFF";
    /// Resets the machine.
    SystemReset = 0x8400_0009 only32 "SYSTEM_RESET";
    /// Tells whether a function exists.
    Features = 0x8400_000a only32 "PSCI_FEATURES";
    /// Parks the calling CPU.
    CpuFreeze = 0x8400_000b only32 "CPU_FREEZE";
    /// Suspends the calling CPU in the platform's default state.
    CpuDefaultSuspend = 0x8400_000c both "CPU_DEFAULT_SUSPEND";
    /// Tells the state of a power domain.
    NodeHwState = 0x8400_000d both "NODE_HW_STATE";
    /// Suspends the machine to RAM.
    SystemSuspend = 0x8400_000e both "SYSTEM_SUSPEND";
    /// Chooses who coordinates power states.
    SetSuspendMode = 0x8400_000f only32 "PSCI_SET_SUSPEND_MODE";
    /// Tells how long a power state lasted.
    StatResidency = 0x8400_0010 both "PSCI_STAT_RESIDENCY";
    /// Tells how often a power state was used.
    StatCount = 0x8400_0011 both "PSCI_STAT_COUNT";
    /// Resets the machine in a chosen way.
    SystemReset2 = 0x8400_0012 both "SYSTEM_RESET2";
    /// Turns memory protection on or off.
    MemProtect = 0x8400_0013 only32 "MEM_PROTECT";
    /// Tells whether a range is protected.
    MemProtectCheckRange = 0x8400_0014 both "MEM_PROTECT_CHECK_RANGE";
    /// Powers the machine off in a chosen way, or hibernates it.
    SystemOff2 = 0x8400_0015 both "SYSTEM_OFF2";
    /// Cleans and invalidates a range of memory from all caches.
    CleanInvMemRegion = 0x8400_0016 only64 "PSCI_CLEAN_INV_MEMREGION";
    /// Tells what cleaning a range involves.
    CleanInvMemRegionAttributes = 0x8400_0017 only32 "PSCI_CLEAN_INV_MEMREGION_ATTRIBUTES";
}

/// A PSCI call with its arguments, truncated where the SMC32 form takes 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PsciCall {
    /// PSCI_VERSION.
    Version,
    /// CPU_SUSPEND.
    CpuSuspend {
        /// Which state, in the platform's encoding.
        power_state: u32,
        /// Where to resume after a power-down state.
        entry: u64,
        /// What the first register holds there.
        context: u64,
    },
    /// CPU_OFF.
    CpuOff,
    /// CPU_ON.
    CpuOn {
        /// MPIDR affinity of the CPU.
        target: u64,
        /// Where it starts.
        entry: u64,
        /// What its first register holds.
        context: u64,
    },
    /// AFFINITY_INFO.
    AffinityInfo {
        /// MPIDR affinity of the CPU.
        target: u64,
        /// Lowest affinity level that counts.
        lowest_level: u32,
    },
    /// MIGRATE.
    Migrate {
        /// MPIDR affinity of the CPU to go to.
        target: u64,
    },
    /// MIGRATE_INFO_TYPE.
    MigrateInfoType,
    /// MIGRATE_INFO_UP_CPU.
    MigrateInfoUpCpu,
    /// SYSTEM_OFF.
    SystemOff,
    /// SYSTEM_RESET.
    SystemReset,
    /// PSCI_FEATURES.
    Features {
        /// The function asked about.
        function: FunctionId,
    },
    /// CPU_FREEZE.
    CpuFreeze,
    /// CPU_DEFAULT_SUSPEND.
    CpuDefaultSuspend {
        /// Where to resume.
        entry: u64,
        /// What the first register holds there.
        context: u64,
    },
    /// NODE_HW_STATE.
    NodeHwState {
        /// MPIDR affinity of the CPU.
        target: u64,
        /// Level of the power domain.
        level: u32,
    },
    /// SYSTEM_SUSPEND.
    SystemSuspend {
        /// Where to resume.
        entry: u64,
        /// What the first register holds there.
        context: u64,
    },
    /// PSCI_SET_SUSPEND_MODE.
    SetSuspendMode {
        /// 0 platform-coordinated, 1 OS-initiated.
        mode: u32,
    },
    /// PSCI_STAT_RESIDENCY.
    StatResidency {
        /// MPIDR affinity of the CPU.
        target: u64,
        /// The state asked about.
        power_state: u32,
    },
    /// PSCI_STAT_COUNT.
    StatCount {
        /// MPIDR affinity of the CPU.
        target: u64,
        /// The state asked about.
        power_state: u32,
    },
    /// SYSTEM_RESET2.
    SystemReset2 {
        /// 0 warm; bit 31 set, the vendor's own.
        reset_type: u32,
        /// The vendor's argument.
        cookie: u64,
    },
    /// MEM_PROTECT.
    MemProtect {
        /// 0 off, anything else on.
        enable: u32,
    },
    /// MEM_PROTECT_CHECK_RANGE.
    MemProtectCheckRange {
        /// First byte.
        base: u64,
        /// Length in bytes.
        size_bytes: u64,
    },
    /// SYSTEM_OFF2.
    SystemOff2 {
        /// Bit 0: hibernate.
        off_type: u32,
        /// The vendor's argument.
        cookie: u64,
    },
    /// PSCI_CLEAN_INV_MEMREGION.
    CleanInvMemRegion {
        /// First byte.
        base: u64,
        /// Length in bytes.
        size_bytes: u64,
        /// Bit 0: operation starts anew.
        flags: u64,
    },
    /// PSCI_CLEAN_INV_MEMREGION_ATTRIBUTES.
    CleanInvMemRegionAttributes {
        /// Which attribute.
        attribute: u32,
    },
}

impl PsciCall {
    /// Decodes a call from the first four argument registers, x0 to x3.
    ///
    /// `None` when w0 is not a PSCI function, or not one in that width. The upper half of x0 never
    /// counts, and those of x1 to x3 only in the SMC64 form.
    pub const fn decode(x: [u64; 4]) -> Option<Self> {
        let id = FunctionId::from_x0(x[0]);
        let Some(function) = PsciFunction::from_id(id) else {
            return None;
        };
        let (a, b, c) = (id.argument(x[1]), id.argument(x[2]), id.argument(x[3]));
        Some(match function {
            PsciFunction::Version => Self::Version,
            PsciFunction::CpuSuspend => Self::CpuSuspend {
                power_state: a as u32,
                entry: b,
                context: c,
            },
            PsciFunction::CpuOff => Self::CpuOff,
            PsciFunction::CpuOn => Self::CpuOn {
                target: a,
                entry: b,
                context: c,
            },
            PsciFunction::AffinityInfo => Self::AffinityInfo {
                target: a,
                lowest_level: b as u32,
            },
            PsciFunction::Migrate => Self::Migrate { target: a },
            PsciFunction::MigrateInfoType => Self::MigrateInfoType,
            PsciFunction::MigrateInfoUpCpu => Self::MigrateInfoUpCpu,
            PsciFunction::SystemOff => Self::SystemOff,
            PsciFunction::SystemReset => Self::SystemReset,
            PsciFunction::Features => Self::Features {
                function: FunctionId(a as u32),
            },
            PsciFunction::CpuFreeze => Self::CpuFreeze,
            PsciFunction::CpuDefaultSuspend => Self::CpuDefaultSuspend {
                entry: a,
                context: b,
            },
            PsciFunction::NodeHwState => Self::NodeHwState {
                target: a,
                level: b as u32,
            },
            PsciFunction::SystemSuspend => Self::SystemSuspend {
                entry: a,
                context: b,
            },
            PsciFunction::SetSuspendMode => Self::SetSuspendMode { mode: a as u32 },
            PsciFunction::StatResidency => Self::StatResidency {
                target: a,
                power_state: b as u32,
            },
            PsciFunction::StatCount => Self::StatCount {
                target: a,
                power_state: b as u32,
            },
            PsciFunction::SystemReset2 => Self::SystemReset2 {
                reset_type: a as u32,
                cookie: b,
            },
            PsciFunction::MemProtect => Self::MemProtect { enable: a as u32 },
            PsciFunction::MemProtectCheckRange => Self::MemProtectCheckRange {
                base: a,
                size_bytes: b,
            },
            PsciFunction::SystemOff2 => Self::SystemOff2 {
                off_type: a as u32,
                cookie: b,
            },
            PsciFunction::CleanInvMemRegion => Self::CleanInvMemRegion {
                base: a,
                size_bytes: b,
                flags: c,
            },
            PsciFunction::CleanInvMemRegionAttributes => Self::CleanInvMemRegionAttributes {
                attribute: a as u32,
            },
        })
    }

    /// Returns which function this calls.
    pub const fn function(self) -> PsciFunction {
        match self {
            Self::Version => PsciFunction::Version,
            Self::CpuSuspend { .. } => PsciFunction::CpuSuspend,
            Self::CpuOff => PsciFunction::CpuOff,
            Self::CpuOn { .. } => PsciFunction::CpuOn,
            Self::AffinityInfo { .. } => PsciFunction::AffinityInfo,
            Self::Migrate { .. } => PsciFunction::Migrate,
            Self::MigrateInfoType => PsciFunction::MigrateInfoType,
            Self::MigrateInfoUpCpu => PsciFunction::MigrateInfoUpCpu,
            Self::SystemOff => PsciFunction::SystemOff,
            Self::SystemReset => PsciFunction::SystemReset,
            Self::Features { .. } => PsciFunction::Features,
            Self::CpuFreeze => PsciFunction::CpuFreeze,
            Self::CpuDefaultSuspend { .. } => PsciFunction::CpuDefaultSuspend,
            Self::NodeHwState { .. } => PsciFunction::NodeHwState,
            Self::SystemSuspend { .. } => PsciFunction::SystemSuspend,
            Self::SetSuspendMode { .. } => PsciFunction::SetSuspendMode,
            Self::StatResidency { .. } => PsciFunction::StatResidency,
            Self::StatCount { .. } => PsciFunction::StatCount,
            Self::SystemReset2 { .. } => PsciFunction::SystemReset2,
            Self::MemProtect { .. } => PsciFunction::MemProtect,
            Self::MemProtectCheckRange { .. } => PsciFunction::MemProtectCheckRange,
            Self::SystemOff2 { .. } => PsciFunction::SystemOff2,
            Self::CleanInvMemRegion { .. } => PsciFunction::CleanInvMemRegion,
            Self::CleanInvMemRegionAttributes { .. } => PsciFunction::CleanInvMemRegionAttributes,
        }
    }
}
