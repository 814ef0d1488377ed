//! The instructions of an AArch64 virtual CPU: world switch, save and restore, invalidation.
#![no_std]
