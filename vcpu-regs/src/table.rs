//! The register table, first part: what is switched.
//!
//! A row is `field NAME (op0, op1, CRn, CRm, op2) twin (…)|none reset value`. The twin is the
//! `_EL12`/`_EL02` encoding by which a host with `HCR_EL2.E2H` = 1 reaches the guest's register;
//! `none` where the plain encoding means the guest's either way. A group is what one feature
//! brings: it is switched as a whole where [`Features`](crate::Features) has its flag. This crate
//! makes the saved-state structs of the rows, `vcpu-asm` the instructions that move them.

/// Calls `$callback!` with every group of switched registers.
///
/// The callback receives `$(group Group { $(row)* })*`; `vcpu_regs::table`'s documentation in the
/// source says what a row is.
#[macro_export]
macro_rules! switched_registers {
    ($callback:ident) => {
        $callback! {
            /// Registers of EL1 and of EL0 threads that every CPU has.
            group El1Core el1 always {
                sctlr_el1 SCTLR_EL1 (3, 0, 1, 0, 0) twin (3, 5, 1, 0, 0) reset 0x30c5_0830
                cpacr_el1 CPACR_EL1 (3, 0, 1, 0, 2) twin (3, 5, 1, 0, 2) reset 0
                ttbr0_el1 TTBR0_EL1 (3, 0, 2, 0, 0) twin (3, 5, 2, 0, 0) reset 0
                ttbr1_el1 TTBR1_EL1 (3, 0, 2, 0, 1) twin (3, 5, 2, 0, 1) reset 0
                tcr_el1 TCR_EL1 (3, 0, 2, 0, 2) twin (3, 5, 2, 0, 2) reset 0
                spsr_el1 SPSR_EL1 (3, 0, 4, 0, 0) twin (3, 5, 4, 0, 0) reset 0
                elr_el1 ELR_EL1 (3, 0, 4, 0, 1) twin (3, 5, 4, 0, 1) reset 0
                afsr0_el1 AFSR0_EL1 (3, 0, 5, 1, 0) twin (3, 5, 5, 1, 0) reset 0
                afsr1_el1 AFSR1_EL1 (3, 0, 5, 1, 1) twin (3, 5, 5, 1, 1) reset 0
                esr_el1 ESR_EL1 (3, 0, 5, 2, 0) twin (3, 5, 5, 2, 0) reset 0
                far_el1 FAR_EL1 (3, 0, 6, 0, 0) twin (3, 5, 6, 0, 0) reset 0
                mair_el1 MAIR_EL1 (3, 0, 10, 2, 0) twin (3, 5, 10, 2, 0) reset 0
                amair_el1 AMAIR_EL1 (3, 0, 10, 3, 0) twin (3, 5, 10, 3, 0) reset 0
                vbar_el1 VBAR_EL1 (3, 0, 12, 0, 0) twin (3, 5, 12, 0, 0) reset 0
                contextidr_el1 CONTEXTIDR_EL1 (3, 0, 13, 0, 1) twin (3, 5, 13, 0, 1) reset 0
                par_el1 PAR_EL1 (3, 0, 7, 4, 0) twin none reset 0
                mdscr_el1 MDSCR_EL1 (2, 0, 0, 2, 2) twin none reset 0
                csselr_el1 CSSELR_EL1 (3, 2, 0, 0, 0) twin none reset 0
                sp_el1 SP_EL1 (3, 4, 4, 1, 0) twin none reset 0
                tpidrro_el0 TPIDRRO_EL0 (3, 3, 13, 0, 3) twin none reset 0
            }
            /// The virtual timer, and who may use timers at EL0.
            group Timers timers always {
                cntkctl_el1 CNTKCTL_EL1 (3, 0, 14, 1, 0) twin (3, 5, 14, 1, 0) reset 0
                cntv_cval_el0 CNTV_CVAL_EL0 (3, 3, 14, 3, 2) twin (3, 5, 14, 3, 2) reset 0
                cntv_ctl_el0 CNTV_CTL_EL0 (3, 3, 14, 3, 1) twin (3, 5, 14, 3, 1) reset 0
            }
            /// The physical timer of EL1, where the guest owns it.
            group PhysicalTimer physical_timer physical_timer {
                cntp_cval_el0 CNTP_CVAL_EL0 (3, 3, 14, 2, 2) twin (3, 5, 14, 2, 2) reset 0
                cntp_ctl_el0 CNTP_CTL_EL0 (3, 3, 14, 2, 1) twin (3, 5, 14, 2, 1) reset 0
            }
            /// The pointer-authentication keys (FEAT_PAuth).
            group PauthKeys pauth pauth {
                apiakeylo_el1 APIAKeyLo_EL1 (3, 0, 2, 1, 0) twin none reset 0
                apiakeyhi_el1 APIAKeyHi_EL1 (3, 0, 2, 1, 1) twin none reset 0
                apibkeylo_el1 APIBKeyLo_EL1 (3, 0, 2, 1, 2) twin none reset 0
                apibkeyhi_el1 APIBKeyHi_EL1 (3, 0, 2, 1, 3) twin none reset 0
                apdakeylo_el1 APDAKeyLo_EL1 (3, 0, 2, 2, 0) twin none reset 0
                apdakeyhi_el1 APDAKeyHi_EL1 (3, 0, 2, 2, 1) twin none reset 0
                apdbkeylo_el1 APDBKeyLo_EL1 (3, 0, 2, 2, 2) twin none reset 0
                apdbkeyhi_el1 APDBKeyHi_EL1 (3, 0, 2, 2, 3) twin none reset 0
                apgakeylo_el1 APGAKeyLo_EL1 (3, 0, 2, 3, 0) twin none reset 0
                apgakeyhi_el1 APGAKeyHi_EL1 (3, 0, 2, 3, 1) twin none reset 0
            }
            /// The virtual SError of a guest (FEAT_RAS): its own DISR_EL1 and the syndrome to come.
            group VirtualSError vserror ras {
                vdisr_el2 VDISR_EL2 (3, 4, 12, 1, 1) twin none reset 0
                vsesr_el2 VSESR_EL2 (3, 4, 5, 2, 3) twin none reset 0
            }
            /// What SME adds that only a fine-grained trap could refuse (FEAT_SME).
            group SmeThread sme_thread untrapped_sme {
                tpidr2_el0 TPIDR2_EL0 (3, 3, 13, 0, 5) twin none reset 0
                smpri_el1 SMPRI_EL1 (3, 0, 1, 2, 4) twin none reset 0
            }
            /// Context numbers for predictions (FEAT_CSV2_2). A VM has them by grant.
            group ContextNumbers context_numbers scxtnum {
                scxtnum_el1 SCXTNUM_EL1 (3, 0, 13, 0, 7) twin (3, 5, 13, 0, 7) reset 0
                scxtnum_el0 SCXTNUM_EL0 (3, 3, 13, 0, 7) twin none reset 0
            }
            /// The second translation-control register (FEAT_TCR2). A VM has it by grant.
            group Translation2 translation2 tcr2 {
                tcr2_el1 TCR2_EL1 (3, 0, 2, 0, 3) twin (3, 5, 2, 0, 3) reset 0
            }
            /// Permission indirection (FEAT_S1PIE). A VM has it by grant.
            group Indirection indirection s1pie {
                pire0_el1 PIRE0_EL1 (3, 0, 10, 2, 2) twin (3, 5, 10, 2, 2) reset 0
                pir_el1 PIR_EL1 (3, 0, 10, 2, 3) twin (3, 5, 10, 2, 3) reset 0
            }
            /// Permission overlays (FEAT_S1POE). A VM has them by grant.
            group Overlays overlays s1poe {
                por_el1 POR_EL1 (3, 0, 10, 2, 4) twin (3, 5, 10, 2, 4) reset 0
                por_el0 POR_EL0 (3, 3, 10, 2, 4) twin none reset 0
            }
            /// The vector length of EL1 (FEAT_SVE). A VM has it by grant. It moves with the Z registers:
            /// while these trap, so does it, at EL2 too.
            group ScalableVectors scalable_vectors sve {
                zcr_el1 ZCR_EL1 (3, 0, 1, 2, 0) twin (3, 5, 1, 2, 0) reset 0
            }
            /// Allocation tags (FEAT_MTE2). A VM has them by grant.
            group AllocationTags allocation_tags mte {
                rgsr_el1 RGSR_EL1 (3, 0, 1, 0, 5) twin none reset 0
                gcr_el1 GCR_EL1 (3, 0, 1, 0, 6) twin none reset 0
                tfsr_el1 TFSR_EL1 (3, 0, 5, 6, 0) twin (3, 5, 5, 6, 0) reset 0
                tfsre0_el1 TFSRE0_EL1 (3, 0, 5, 6, 1) twin none reset 0
            }
        }
    };
}
