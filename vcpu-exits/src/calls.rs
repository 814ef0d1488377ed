//! What `HVC` and `SMC` ask for: SMCCC function identifiers, their names, and the arguments of the calls that
//! a hypervisor answers itself.

mod answer;
mod names;
mod psci;
mod smccc;
mod standard;

pub use answer::{AffinityState, PowerState, PsciError, SmcccError, TrngError};
pub use psci::{PsciCall, PsciFunction};
pub use smccc::{FunctionId, Owner};
pub use standard::{ArchCall, PvTimeCall, StandardCall, TrngCall};
