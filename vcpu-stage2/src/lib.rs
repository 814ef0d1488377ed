//! AArch64 stage-2 translation: geometry from ID registers, tables, VMIDs and walks, as values.
#![no_std]
