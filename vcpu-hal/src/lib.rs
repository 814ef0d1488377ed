//! What a host swaps under an AArch64 virtual CPU: the platform backends and the CPU itself.
#![no_std]
