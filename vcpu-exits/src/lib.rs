//! Decodes AArch64 exception syndromes into what the guest did, for hypervisors and debuggers.
#![no_std]
