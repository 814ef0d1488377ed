//! The run loop over the scripted CPU: every exit, what completes it, what a guest sees of it, and
//! what the host finds as it was.

mod rig;

mod aarch32;
mod calls;
mod clock;
mod debug;
mod enable;
mod fates;
mod faults;
mod firmware;
mod fp;
mod hard_float;
mod host_state;
mod identity;
mod injection;
mod interrupts;
mod list_registers;
mod mailbox;
mod masks;
mod mmio;
mod narrow;
mod power;
mod residency;
mod served;
mod settle;
mod snapshot;
mod sve;
mod system;
mod timers;
mod translations;
mod turns;
