//! What `HVC` and `SMC` ask for: SMCCC function identifiers and the calls of PSCI.

mod psci;
mod smccc;

pub use psci::{AffinityState, PsciCall, PsciError, PsciFunction};
pub use smccc::{FunctionId, Owner};
