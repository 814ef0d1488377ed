//! An AArch64 virtual CPU at EL2: load, run, decoded exits, completion, injection.
#![no_std]
