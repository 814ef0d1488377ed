//! What every example shares.
#![no_std]
