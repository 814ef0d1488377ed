//! What `HVC` and `SMC` ask for: SMCCC function identifiers, their names, and the arguments of the calls that
//! a hypervisor answers itself.

mod names;
mod psci;
mod smccc;
mod standard;

pub use psci::{AffinityState, PsciCall, PsciError, PsciFunction};
pub use smccc::{FunctionId, Owner};
pub use standard::{ArchCall, PvTimeCall, StandardCall, TrngCall};
