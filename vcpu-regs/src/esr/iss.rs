//! The ISS of each exception class: every field's name, place and width.
//!
//! Rows follow the classes' numbers. A class whose ISS is RES0 has no row; one whose fields depend on a
//! valid bit has a row for each form.

use super::layout::layout;

layout! {
    /// ISS of a trapped `WFI`, `WFE`, `WFIT` or `WFET` (EC 0x01).
    WFX WfxIss {
        /// Which instruction.
        TI ti with_ti: u8 = "TI" [0, 2];
        /// RN is valid.
        RV rv with_rv: bool = "RV" [2, 1];
        /// Register that holds the timeout.
        RN rn with_rn: u8 = "RN" [5, 5];
        /// Condition code of the AArch32 instruction; 0b1110 from AArch64.
        COND cond with_cond: u8 = "COND" [20, 4];
        /// COND is valid.
        CV cv with_cv: bool = "CV" [24, 1];
    }
}

layout! {
    /// ISS of a trapped AArch32 `MCR`, `MRC` or `VMRS` (EC 0x03, 0x05, 0x08).
    MCR McrIss {
        /// 1 is a read (`MRC`).
        DIRECTION direction with_direction: bool = "Direction" [0, 1];
        /// CRm of the instruction.
        CRM crm with_crm: u8 = "CRm" [1, 4];
        /// Register transferred, in AArch64 numbering.
        RT rt with_rt: u8 = "Rt" [5, 5];
        /// CRn of the instruction.
        CRN crn with_crn: u8 = "CRn" [10, 4];
        /// Opc1 of the instruction.
        OPC1 opc1 with_opc1: u8 = "Opc1" [14, 3];
        /// Opc2 of the instruction.
        OPC2 opc2 with_opc2: u8 = "Opc2" [17, 3];
        /// Condition code of the AArch32 instruction; 0b1110 from AArch64.
        COND cond with_cond: u8 = "COND" [20, 4];
        /// COND is valid.
        CV cv with_cv: bool = "CV" [24, 1];
    }
}

layout! {
    /// ISS of a trapped AArch32 `MCRR` or `MRRC` (EC 0x04, 0x0C).
    MCRR McrrIss {
        /// 1 is a read (`MRRC`).
        DIRECTION direction with_direction: bool = "Direction" [0, 1];
        /// CRm of the instruction.
        CRM crm with_crm: u8 = "CRm" [1, 4];
        /// First register, in AArch64 numbering.
        RT rt with_rt: u8 = "Rt" [5, 5];
        /// Second register, in AArch64 numbering.
        RT2 rt2 with_rt2: u8 = "Rt2" [10, 5];
        /// Opc1 of the instruction.
        OPC1 opc1 with_opc1: u8 = "Opc1" [16, 4];
        /// Condition code of the AArch32 instruction; 0b1110 from AArch64.
        COND cond with_cond: u8 = "COND" [20, 4];
        /// COND is valid.
        CV cv with_cv: bool = "CV" [24, 1];
    }
}

layout! {
    /// ISS of a trapped AArch32 `LDC` or `STC` (EC 0x06).
    LDC LdcIss {
        /// 1 is a read of memory (`LDC`).
        DIRECTION direction with_direction: bool = "Direction" [0, 1];
        /// Addressing mode.
        AM am with_am: u8 = "AM" [1, 3];
        /// 1 adds the immediate, 0 subtracts it.
        OFFSET offset with_offset: bool = "Offset" [4, 1];
        /// Base register, in AArch64 numbering.
        RN rn with_rn: u8 = "Rn" [5, 5];
        /// Immediate offset, in words.
        IMM8 imm8 with_imm8: u8 = "imm8" [12, 8];
        /// Condition code of the AArch32 instruction; 0b1110 from AArch64.
        COND cond with_cond: u8 = "COND" [20, 4];
        /// COND is valid.
        CV cv with_cv: bool = "CV" [24, 1];
    }
}

layout! {
    /// ISS of a trapped SVE, SIMD or floating-point access (EC 0x07).
    FP_ACCESS FpAccessIss {
        /// Condition code of the AArch32 instruction; 0b1110 from AArch64.
        COND cond with_cond: u8 = "COND" [20, 4];
        /// COND is valid.
        CV cv with_cv: bool = "CV" [24, 1];
    }
}

layout! {
    /// ISS of a trapped instruction that no other class covers (EC 0x0A).
    OTHER_INSTRUCTION OtherInstructionIss {
        /// Which instruction.
        INSTRUCTION instruction with_instruction: u32 = "ISS" [0, 25];
    }
}

layout! {
    /// ISS of a Branch Target exception (EC 0x0D).
    BTI BtiIss {
        /// PSTATE.BTYPE when the target was fetched.
        BTYPE btype with_btype: u8 = "BTYPE" [0, 2];
    }
}

layout! {
    /// ISS of `SVC`, `HVC` or AArch64 `SMC` (EC 0x11, 0x12, 0x15, 0x16, 0x17).
    CALL CallIss {
        /// Immediate of the instruction.
        IMM16 imm16 with_imm16: u16 = "imm16" [0, 16];
    }
}

layout! {
    /// ISS of a trapped AArch32 `SMC` (EC 0x13).
    SMC32 Smc32Iss {
        /// COND is meaningful: the instruction might have been conditional.
        CCKNOWNPASS ccknownpass with_ccknownpass: bool = "CCKNOWNPASS" [19, 1];
        /// Condition code of the AArch32 instruction; 0b1110 from AArch64.
        COND cond with_cond: u8 = "COND" [20, 4];
        /// COND is valid.
        CV cv with_cv: bool = "CV" [24, 1];
    }
}

layout! {
    /// ISS of a trapped `MSR`, `MRS` or `SYS` (EC 0x18).
    SYSTEM SystemIss {
        /// 1 is a read.
        DIRECTION direction with_direction: bool = "Direction" [0, 1];
        /// CRm of the instruction.
        CRM crm with_crm: u8 = "CRm" [1, 4];
        /// Register transferred.
        RT rt with_rt: u8 = "Rt" [5, 5];
        /// CRn of the instruction.
        CRN crn with_crn: u8 = "CRn" [10, 4];
        /// Op1 of the instruction.
        OP1 op1 with_op1: u8 = "Op1" [14, 3];
        /// Op2 of the instruction.
        OP2 op2 with_op2: u8 = "Op2" [17, 3];
        /// Op0 of the instruction.
        OP0 op0 with_op0: u8 = "Op0" [20, 2];
    }
}

layout! {
    /// ISS of a trapped `MSRR`, `MRRS` or `SYSP` (EC 0x14).
    SYSTEM_128 System128Iss {
        /// 1 is a read.
        DIRECTION direction with_direction: bool = "Direction" [0, 1];
        /// CRm of the instruction.
        CRM crm with_crm: u8 = "CRm" [1, 4];
        /// Half the number of the first (even) register transferred.
        RT rt_pair with_rt_pair: u8 = "Rt" [6, 4];
        /// CRn of the instruction.
        CRN crn with_crn: u8 = "CRn" [10, 4];
        /// Op1 of the instruction.
        OP1 op1 with_op1: u8 = "Op1" [14, 3];
        /// Op2 of the instruction.
        OP2 op2 with_op2: u8 = "Op2" [17, 3];
        /// Op0 of the instruction.
        OP0 op0 with_op0: u8 = "Op0" [20, 2];
    }
}

layout! {
    /// ISS of a trapped `ERET`, `ERETAA` or `ERETAB` (EC 0x1A).
    ERET EretIss {
        /// `ERETAB` rather than `ERETAA`, when ERET is set.
        ERETA ereta with_ereta: bool = "ERETA" [0, 1];
        /// An authenticated return.
        ERET eret with_eret: bool = "ERET" [1, 1];
    }
}

layout! {
    /// ISS of a trapped `TSTART` (EC 0x1B).
    TSTART TstartIss {
        /// Destination register.
        RD rd with_rd: u8 = "Rd" [5, 5];
    }
}

layout! {
    /// ISS of a failed pointer authentication (EC 0x1C). Arm names neither bit.
    FPAC FpacIss {
        /// B key rather than A key.
        BNA bna with_bna: bool = "BnA" [0, 1];
        /// Data key rather than instruction key.
        DNI dni with_dni: bool = "DnI" [1, 1];
    }
}

layout! {
    /// ISS of a trapped SME access (EC 0x1D).
    SME SmeIss {
        /// Why.
        SMTC smtc with_smtc: u8 = "SMTC" [0, 3];
    }
}

layout! {
    /// ISS of a Granule Protection Check exception (EC 0x1E).
    GPC GpcIss {
        /// Fault status code.
        XFSC xfsc with_xfsc: u8 = "xFSC" [0, 6];
        /// A write.
        WNR wnr with_wnr: bool = "WnR" [6, 1];
        /// On a stage-1 table walk.
        S1PTW s1ptw with_s1ptw: bool = "S1PTW" [7, 1];
        /// Cache maintenance.
        CM cm with_cm: bool = "CM" [8, 1];
        /// From an access through VNCR_EL2.
        VNCR vncr with_vncr: bool = "VNCR" [13, 1];
        /// Granule protection check status.
        GPCSC gpcsc with_gpcsc: u8 = "GPCSC" [14, 6];
        /// An instruction fetch.
        IND ind with_ind: bool = "InD" [20, 1];
        /// On a stage-2 table walk.
        S2PTW s2ptw with_s2ptw: bool = "S2PTW" [21, 1];
    }
}

layout! {
    /// ISS and ISS2 of an Instruction Abort (EC 0x20, 0x21).
    INSTRUCTION_ABORT InstructionAbortIss {
        /// Fault status code.
        IFSC ifsc with_ifsc: u8 = "IFSC" [0, 6];
        /// On a stage-1 table walk.
        S1PTW s1ptw with_s1ptw: bool = "S1PTW" [7, 1];
        /// IMPLEMENTATION DEFINED class of an external abort.
        EA ea with_ea: bool = "EA" [9, 1];
        /// FAR is not valid.
        FNV fnv with_fnv: bool = "FnV" [10, 1];
        /// Severity of a synchronous external abort (FEAT_RAS).
        SET set with_set: u8 = "SET" [11, 2];
        /// PFAR is valid (FEAT_PFAR).
        PFV pfv with_pfv: bool = "PFV" [14, 1];
        /// Fault of the TopLevel permission (FEAT_THE).
        TOP_LEVEL top_level with_top_level: bool = "TopLevel" [21, 1];
        /// Overlay permission fault (FEAT_S1POE, FEAT_S2POE).
        OVERLAY overlay with_overlay: bool = "Overlay" [38, 1];
        /// AssuredOnly fault (FEAT_THE).
        ASSURED_ONLY assured_only with_assured_only: bool = "AssuredOnly" [39, 1];
        /// The dirty state structure was full or faulted (FEAT_HDBSS).
        HDBSSF hdbssf with_hdbssf: bool = "HDBSSF" [43, 1];
    }
}

layout! {
    /// ISS and ISS2 of a Data Abort (EC 0x24, 0x25) whose ISV is set.
    DATA_ABORT DataAbortIss {
        /// Fault status code.
        DFSC dfsc with_dfsc: u8 = "DFSC" [0, 6];
        /// A write.
        WNR wnr with_wnr: bool = "WnR" [6, 1];
        /// On a stage-1 table walk.
        S1PTW s1ptw with_s1ptw: bool = "S1PTW" [7, 1];
        /// Cache maintenance or address translation.
        CM cm with_cm: bool = "CM" [8, 1];
        /// IMPLEMENTATION DEFINED class of an external abort.
        EA ea with_ea: bool = "EA" [9, 1];
        /// FAR is not valid.
        FNV fnv with_fnv: bool = "FnV" [10, 1];
        /// Severity of a synchronous external abort (FEAT_RAS).
        SET set with_set: u8 = "SET" [11, 2];
        /// From an access through VNCR_EL2 (FEAT_NV2).
        VNCR vncr with_vncr: bool = "VNCR" [13, 1];
        /// Acquire or release.
        AR ar with_ar: bool = "AR" [14, 1];
        /// The register is 64 bits wide.
        SF sf with_sf: bool = "SF" [15, 1];
        /// Register transferred; 31 is XZR.
        SRT srt with_srt: u8 = "SRT" [16, 5];
        /// The value is sign-extended.
        SSE sse with_sse: bool = "SSE" [21, 1];
        /// log2 of the access size in bytes.
        SAS sas with_sas: u8 = "SAS" [22, 2];
        /// SAS, SSE, SRT, SF and AR are valid.
        ISV isv with_isv: bool = "ISV" [24, 1];
        /// Status register of `ST64BV` or `ST64BV0` (FEAT_LS64_V).
        XS xs with_xs: u8 = "Xs" [32, 5];
        /// Permission fault for want of dirty state (FEAT_S1PIE, FEAT_S2PIE).
        DIRTY_BIT dirty_bit with_dirty_bit: bool = "DirtyBit" [37, 1];
        /// Overlay permission fault (FEAT_S1POE, FEAT_S2POE).
        OVERLAY overlay with_overlay: bool = "Overlay" [38, 1];
        /// AssuredOnly fault (FEAT_THE).
        ASSURED_ONLY assured_only with_assured_only: bool = "AssuredOnly" [39, 1];
        /// A Guarded Control Stack access (FEAT_GCS).
        GCS gcs with_gcs: bool = "GCS" [40, 1];
        /// NoTagAccess fault (FEAT_MTE_PERM).
        TAG_ACCESS tag_access with_tag_access: bool = "TagAccess" [41, 1];
        /// Allocation tag written to canonically tagged memory (FEAT_MTE_CANONICAL_TAGS).
        TND tnd with_tnd: bool = "TnD" [42, 1];
        /// The dirty state structure was full or faulted (FEAT_HDBSS).
        HDBSSF hdbssf with_hdbssf: bool = "HDBSSF" [43, 1];
    }
}

layout! {
    /// ISS and ISS2 of a Data Abort (EC 0x24, 0x25) whose ISV is clear.
    DATA_ABORT_BARE DataAbortBareIss {
        /// Fault status code.
        DFSC dfsc with_dfsc: u8 = "DFSC" [0, 6];
        /// A write.
        WNR wnr with_wnr: bool = "WnR" [6, 1];
        /// On a stage-1 table walk.
        S1PTW s1ptw with_s1ptw: bool = "S1PTW" [7, 1];
        /// Cache maintenance or address translation.
        CM cm with_cm: bool = "CM" [8, 1];
        /// IMPLEMENTATION DEFINED class of an external abort.
        EA ea with_ea: bool = "EA" [9, 1];
        /// FAR is not valid.
        FNV fnv with_fnv: bool = "FnV" [10, 1];
        /// Severity of a synchronous external abort (FEAT_RAS).
        SET set with_set: u8 = "SET" [11, 2];
        /// From an access through VNCR_EL2 (FEAT_NV2).
        VNCR vncr with_vncr: bool = "VNCR" [13, 1];
        /// PFAR is valid (FEAT_PFAR).
        PFV pfv with_pfv: bool = "PFV" [14, 1];
        /// FAR is not precise: any address in the same granule.
        FNP fnp with_fnp: bool = "FnP" [15, 1];
        /// Whether a store updated the location (FEAT_RASv2).
        WU wu with_wu: u8 = "WU" [16, 2];
        /// Fault of the TopLevel permission (FEAT_THE).
        TOP_LEVEL top_level with_top_level: bool = "TopLevel" [21, 1];
        /// SAS, SSE, SRT, SF and AR are valid.
        ISV isv with_isv: bool = "ISV" [24, 1];
        /// Status register of `ST64BV` or `ST64BV0` (FEAT_LS64_V).
        XS xs with_xs: u8 = "Xs" [32, 5];
        /// Permission fault for want of dirty state (FEAT_S1PIE, FEAT_S2PIE).
        DIRTY_BIT dirty_bit with_dirty_bit: bool = "DirtyBit" [37, 1];
        /// Overlay permission fault (FEAT_S1POE, FEAT_S2POE).
        OVERLAY overlay with_overlay: bool = "Overlay" [38, 1];
        /// AssuredOnly fault (FEAT_THE).
        ASSURED_ONLY assured_only with_assured_only: bool = "AssuredOnly" [39, 1];
        /// A Guarded Control Stack access (FEAT_GCS).
        GCS gcs with_gcs: bool = "GCS" [40, 1];
        /// NoTagAccess fault (FEAT_MTE_PERM).
        TAG_ACCESS tag_access with_tag_access: bool = "TagAccess" [41, 1];
        /// Allocation tag written to canonically tagged memory (FEAT_MTE_CANONICAL_TAGS).
        TND tnd with_tnd: bool = "TnD" [42, 1];
        /// The dirty state structure was full or faulted (FEAT_HDBSS).
        HDBSSF hdbssf with_hdbssf: bool = "HDBSSF" [43, 1];
    }
}

layout! {
    /// ISS of a Memory Copy or Memory Set exception (EC 0x27).
    MOPS MopsIss {
        /// Register of the size.
        SIZEREG sizereg with_sizereg: u8 = "sizereg" [0, 5];
        /// Register of the source address or the value.
        SRCREG srcreg with_srcreg: u8 = "srcreg" [5, 5];
        /// Register of the destination address.
        DESTREG destreg with_destreg: u8 = "destreg" [10, 5];
        /// PSTATE.C said option A.
        OPTION_A option_a with_option_a: bool = "OptionA" [16, 1];
        /// The registers are those of the other option.
        WRONG_OPTION wrong_option with_wrong_option: bool = "WrongOption" [17, 1];
        /// From the epilogue, not the main instruction.
        FROM_EPILOGUE from_epilogue with_from_epilogue: bool = "FromEpilogue" [18, 1];
        /// Options field of the instruction.
        OPTIONS options with_options: u8 = "Options" [19, 4];
        /// A `SETG*` instruction.
        IS_SETG is_setg with_is_setg: bool = "isSETG" [23, 1];
        /// A `SET*`, not a `CPY*`.
        MEM_INST mem_inst with_mem_inst: bool = "MemInst" [24, 1];
    }
}

layout! {
    /// ISS of a trapped floating-point exception (EC 0x28, 0x2C).
    FP_EXCEPTION FpExceptionIss {
        /// Invalid Operation.
        IOF iof with_iof: bool = "IOF" [0, 1];
        /// Divide by Zero.
        DZF dzf with_dzf: bool = "DZF" [1, 1];
        /// Overflow.
        OFF off with_off: bool = "OFF" [2, 1];
        /// Underflow.
        UFF uff with_uff: bool = "UFF" [3, 1];
        /// Inexact.
        IXF ixf with_ixf: bool = "IXF" [4, 1];
        /// Input Denormal.
        IDF idf with_idf: bool = "IDF" [7, 1];
        /// AArch32 vector iteration; 0b111 from AArch64.
        VECITR vecitr with_vecitr: u8 = "VECITR" [8, 3];
        /// The flags say which exceptions occurred.
        TFV tfv with_tfv: bool = "TFV" [23, 1];
    }
}

layout! {
    /// ISS of a Guarded Control Stack exception (EC 0x2D).
    GCS GcsIss {
        /// Which instruction found the mismatch.
        IT it with_it: u8 = "IT" [0, 5];
        /// Register of the instruction: the source, or the value stored.
        RN rn with_rn: u8 = "Rn" [5, 5];
        /// Address register of `GCSSTR` or `GCSSTTR`.
        RADDR raddr with_raddr: u8 = "Raddr" [10, 5];
        /// Why.
        EX_TYPE ex_type with_ex_type: u8 = "ExType" [20, 4];
    }
}

layout! {
    /// ISS of an SError (EC 0x2F) whose IDS is clear.
    SERROR SErrorIss {
        /// Fault status code.
        DFSC dfsc with_dfsc: u8 = "DFSC" [0, 6];
        /// A write, when WnRV is set.
        WNR wnr with_wnr: bool = "WnR" [6, 1];
        /// WnR is valid (FEAT_RASv2).
        WNRV wnrv with_wnrv: bool = "WnRV" [7, 1];
        /// IMPLEMENTATION DEFINED class of an external abort.
        EA ea with_ea: bool = "EA" [9, 1];
        /// Severity (FEAT_RAS).
        AET aet with_aet: u8 = "AET" [10, 3];
        /// Taken at an implicit error synchronization (FEAT_IESB).
        IESB iesb with_iesb: bool = "IESB" [13, 1];
        /// PFAR is valid (FEAT_PFAR).
        PFV pfv with_pfv: bool = "PFV" [14, 1];
        /// FAR is valid (FEAT_RASv2).
        VFV vfv with_vfv: bool = "VFV" [15, 1];
        /// Whether a store updated the location (FEAT_RASv2).
        WU wu with_wu: u8 = "WU" [16, 2];
        /// The rest is IMPLEMENTATION DEFINED.
        IDS ids with_ids: bool = "IDS" [24, 1];
    }
}

layout! {
    /// ISS of an SError (EC 0x2F) whose IDS is set.
    SERROR_IMPDEF SErrorImpdefIss {
        /// Left to the implementation.
        IMPDEF impdef with_impdef: u32 = "IMPLEMENTATION DEFINED" [0, 24];
        /// The rest is IMPLEMENTATION DEFINED.
        IDS ids with_ids: bool = "IDS" [24, 1];
    }
}

layout! {
    /// ISS of a Breakpoint or Vector Catch exception (EC 0x30, 0x31, 0x3A).
    BREAKPOINT BreakpointIss {
        /// Fault status code, 0b100010: debug exception.
        IFSC ifsc with_ifsc: u8 = "IFSC" [0, 6];
    }
}

layout! {
    /// ISS of a Software Step exception (EC 0x32, 0x33).
    STEP StepIss {
        /// Fault status code, 0b100010: debug exception.
        IFSC ifsc with_ifsc: u8 = "IFSC" [0, 6];
        /// An exclusive load was stepped, when ISV is set.
        EX ex with_ex: bool = "EX" [6, 1];
        /// EX is valid.
        ISV isv with_isv: bool = "ISV" [24, 1];
    }
}

layout! {
    /// ISS of a Watchpoint exception (EC 0x34, 0x35).
    WATCHPOINT WatchpointIss {
        /// Fault status code, 0b100010: debug exception.
        DFSC dfsc with_dfsc: u8 = "DFSC" [0, 6];
        /// A write.
        WNR wnr with_wnr: bool = "WnR" [6, 1];
        /// Cache maintenance.
        CM cm with_cm: bool = "CM" [8, 1];
        /// FAR is not valid.
        FNV fnv with_fnv: bool = "FnV" [10, 1];
        /// From an access through VNCR_EL2 (FEAT_NV2).
        VNCR vncr with_vncr: bool = "VNCR" [13, 1];
        /// FAR is not precise: any address in the same granule.
        FNP fnp with_fnp: bool = "FnP" [15, 1];
        /// The watchpoint might not have matched what was accessed.
        WPF wpf with_wpf: bool = "WPF" [16, 1];
        /// WPT is valid.
        WPTV wptv with_wptv: bool = "WPTV" [17, 1];
        /// Number of the watchpoint.
        WPT wpt with_wpt: u8 = "WPT" [18, 6];
    }
}

layout! {
    /// ISS of `BKPT` or `BRK` (EC 0x38, 0x3C).
    BRK BrkIss {
        /// Immediate of the instruction.
        COMMENT comment with_comment: u16 = "Comment" [0, 16];
    }
}

layout! {
    /// ISS of a Profiling exception (EC 0x3D).
    PROFILING ProfilingIss {
        /// Synchronous (FEAT_SEBEP).
        SYNC sync with_sync: bool = "SYNC" [0, 1];
    }
}
