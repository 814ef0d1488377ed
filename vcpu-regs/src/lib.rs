//! AArch64 register layouts, saved-state structs and system-register identities, as plain values.
#![no_std]
