// Subroutines. X30 is in x18 where they call others, in x17 a level below.
.Lchk_print:
    ldrb w2, [x1], #1
    cbz w2, 1f
    strb w2, [x19]
    b .Lchk_print
1: ret
// W0 = w1, or the text at x2 is printed.
.Lchk_compare:
    cmp w0, w1
    b.eq 1f
    mov x18, x30
    add x24, x24, #1
    mov w3, w0
    mov x4, x2
    adr x1, .Lchk_wrong
    bl .Lchk_print
    mov x1, x4
    bl .Lchk_print
    adr x1, .Lchk_found
    bl .Lchk_print
    mov w4, #32
2: sub w4, w4, #4
    lsr w5, w3, w4
    and w5, w5, #15
    adr x1, .Lchk_digits
    ldrb w5, [x1, x5]
    strb w5, [x19]
    cbnz w4, 2b
    adr x1, .Lchk_line
    bl .Lchk_print
    mov x30, x18
1: ret
// The register at x26 of the distributor.
.Lchk_read_only:
    mov x16, x30
    ldr w3, [x21, x26]
    mvn w0, w3
    str w0, [x21, x26]
    ldr w0, [x21, x26]
    mov w1, w3
    adr x2, .Lchk_read_only_text
    bl .Lchk_compare
    ret x16
// X0 = index. This CPU's interface, its SGIs enabled, all of one priority.
.Lchk_set_up:
    mov x21, #0x08000000
    mov x20, x21
    mov x23, #0x08010000
    mov x22, #2
    ldr w1, [x21, #0xfe8] // ICPIDR2.ArchRev of a GICv2
    ubfx w1, w1, #4, #4
    cmp w1, #2
    b.eq 1f
    mov x22, #3
    mov x20, #0x080a0000
    add x20, x20, x0, lsl #17
    str wzr, [x20, #0x14] // GICR_WAKER
    add x20, x20, #0x10, lsl #12 // SGI_base
    mov w1, #-1
    str w1, [x20, #0x80] // GICR_IGROUPR0
    str w1, [x21, #0x84] // GICD_IGROUPR1
    mov x1, #7
    msr icc_sre_el1, x1
    isb
    mov x1, #0xff
    msr icc_pmr_el1, x1
    mov x1, #1
    msr icc_igrpen1_el1, x1
    isb
    mov w1, #0x12 // ARE, Group 1
    str w1, [x21]
    b 2f
1: mov w1, #1
    str w1, [x21]
    mov w2, #0xff
    str w2, [x23, #4] // GICC_PMR
    str w1, [x23]
2: mov w1, #0xffff
    str w1, [x20, #0x100]
    ret
// IAR, or 1023.
.Lchk_ack:
    cmp x22, #2
    b.eq 1f
    mrs x0, icc_iar1_el1
    ret
1: ldr w0, [x23, #0xc]
    ret
// The same, but a list register may have to be filled first.
.Lchk_ack_soon:
    mov x16, x30
    mov w7, #10000
1: bl .Lchk_ack
    cmp w0, #1023
    b.ne 2f
    subs w7, w7, #1
    b.ne 1b
2: mov w6, w0
    ret x16
.Lchk_end_last:
    mov w0, w6
.Lchk_end:
    cmp x22, #2
    b.eq 1f
    msr icc_eoir1_el1, x0
    isb
    ret
1: str w0, [x23, #0x10]
    ret
.Lchk_deactivate:
    cmp x22, #2
    b.eq 1f
    msr icc_dir_el1, x0
    isb
    ret
1: add x1, x23, #1, lsl #12
    str w0, [x1] // GICC_DIR
    ret
.Lchk_split:
    mov w0, #1
    b 2f
.Lchk_join:
    mov w0, #0
2: cmp x22, #2
    b.eq 1f
    lsl x0, x0, #1
    msr icc_ctlr_el1, x0
    isb
    ret
1: lsl w0, w0, #9
    orr w0, w0, #1
    str w0, [x23]
    ret
// SGI w0 to the first vCPU.
.Lchk_sgi:
    cmp x22, #2
    b.eq 1f
    lsl x0, x0, #24
    orr x0, x0, #1
    msr icc_sgi1r_el1, x0
    isb
    ret
1: orr w0, w0, #(1 << 16)
    str w0, [x21, #0xf00]
    ret
.Lchk_state:
    ldr w1, [x20, #0x200]
    ldr w2, [x20, #0x300]
    lsr w1, w1, w0
    lsr w2, w2, w0
    and w1, w1, #1
    and w2, w2, #1
    orr w0, w1, w2, lsl #1
    ret
    .ltorg
// The timer whose interrupt is w28.
.macro chk_timer control, ticks
    mov x0, #\control
    ldr x1, =\ticks
    bl .Lchk_program
.endm
.macro chk_timer_is value, text
    mov w0, w28
    bl .Lchk_state
    chk_is \value, "\text"
.endm
.Lchk_timer:
    mov x15, x30
    mov w0, #1
    lsl w27, w0, w28
// Disabled: its level, as it is now.
    str w27, [x20, #0x180]
    chk_timer 1, 0x10000000
    chk_timer_is 0, "timer: not due"
    chk_timer 1, -1
    chk_timer_is 1, "timer: due"
    chk_timer 0, -1
    str w27, [x20, #0x100]
    chk_ack 1023, "timer: off when its interrupt is enabled"
    chk_timer_is 0, "timer: off"
    chk_timer 3, -1
    chk_timer_is 0, "timer: masked"
// In the list, and gone from it.
    chk_timer 1, -1
    chk_timer_is 1, "timer: due, in the list"
    chk_timer 0, -1
    chk_timer_is 0, "timer: off, in the list"
    chk_ack 1023, "timer: nothing left in the list"
// Due while disabled, then set anew: it comes when that is due.
    str w27, [x20, #0x180]
    chk_timer 1, -1
    chk_timer_is 1, "timer: due, disabled"
    chk_timer 1, 0x20000
    str w27, [x20, #0x100]
    chk_ack 1023, "timer: set anew, enabled"
    wfi
    bl .Lchk_ack_soon
    mov w1, w28
    adr x2, .Lchk_timer_text
    bl .Lchk_compare
    chk_timer_is 3, "timer: active and still due"
    chk_timer 0, -1
    chk_timer_is 2, "timer: active and off"
// Ended by the distributor: the next one comes.
    str w27, [x20, #0x380]
    bl .Lchk_end_last
    chk_timer_is 0, "timer: ICACTIVER"
    chk_timer 1, 0x1000
    wfi
    bl .Lchk_ack_soon
    mov w1, w28
    adr x2, .Lchk_timer_text
    bl .Lchk_compare
    chk_timer 0, -1
    bl .Lchk_end_last
    chk_timer_is 0, "timer: ended"
    str w27, [x20, #0x180]
    ret x15
// X0 = its control, x1 = when, in ticks from now.
.Lchk_program:
    cmp w28, #30
    b.eq 1f
    mrs x2, cntvct_el0
    add x1, x1, x2
    msr cntv_cval_el0, x1
    msr cntv_ctl_el0, x0
    isb
    ret
1: mrs x2, cntpct_el0
    add x1, x1, x2
    msr cntp_cval_el0, x1
    msr cntp_ctl_el0, x0
    isb
    ret
    .ltorg
// A second vCPU: what it has acknowledged, seen and deactivated from here.
.Lchk_second:
    mov x15, x30
// An SPI of its own.
    mov w0, #2
    add x1, x21, #0x800
    strb w0, [x1, #41] // GICD_ITARGETSR, of a GICv2
    mov x1, #(0x6000 + 8 * 41)
    mov x0, #1
    cmp x22, #2
    b.eq 1f
    str x0, [x21, x1] // GICD_IROUTER
1: mov w0, #(1 << 9)
    str w0, [x21, #0x104]
    str w0, [x21, #0x204]
    chk_ask 1, 1
    chk_is 41, "another's SPI comes"
    ldr w0, [x21, #0x304]
    chk_is 0x200, "another's SPI is active"
    mov w0, #(1 << 9)
    str w0, [x21, #0x384]
    ldr w0, [x21, #0x304]
    chk_is 0, "another's SPI, deactivated from here"
    chk_ask 1, 2 // the priority
    mov w0, #(1 << 9)
    str w0, [x21, #0x204]
    ldr w0, [x21, #0x204]
    chk_is 0x200, "another's SPI is pending again"
    chk_ask 1, 1
    chk_is 41, "another's SPI comes again"
    chk_ask 1, 2
    cmp x22, #2
    b.eq 2f
// Its SGIs and PPIs, which a GICv2 keeps to itself.
    mov x14, x20
    add x20, x20, #0x20, lsl #12
    chk_set 0x200, 3
    chk_state 3, 1, "another's SGI is pending"
    chk_ask 1, 1
    chk_is 3, "another's SGI comes"
    chk_state 3, 2, "another's SGI is active"
    chk_set 0x380, 3
    chk_state 3, 0, "another's SGI, deactivated from here"
    chk_ask 1, 2
    chk_ask 1, 4 // its timer is due, and disabled
    chk_state 27, 1, "another's timer is due"
    chk_ask 1, 5 // and off
    chk_state 27, 0, "another's timer is off"
    mov x20, x14
2: ret x15
// Turns vCPU w0 on; W0 is what PSCI says.
.Lchk_on:
    mov w3, w0
    mov w1, w0
    movz w0, #0x0003 // CPU_ON, SMC64
    movk w0, #0xc400, lsl #16
    mov x2, x25
    hvc #0
    ret
// Has vCPU w0 do w1.
.Lchk_ask:
    adr x2, .Lchk_words
    add x2, x2, x0, lsl #3
    str w1, [x2]
1: ldr w1, [x2]
    cbnz w1, 1b
    ldr w0, [x2, #4]
    ret
.Lchk_other: // X0 = its index
    mov x25, x0
    mov x19, #0x09000000
    bl .Lchk_set_up
    adr x26, .Lchk_words
    add x26, x26, x25, lsl #3
2: ldr w1, [x26]
    mov w28, #27
    cmp w1, #1
    b.eq 3f
    cmp w1, #2
    b.eq 4f
    cmp w1, #3
    b.eq 5f
    cmp w1, #4
    b.eq 6f
    cmp w1, #5
    b.eq 7f
    b 2b
3: bl .Lchk_ack_soon
    str w0, [x26, #4]
    b 8f
4: bl .Lchk_end_last
    b 8f
5: mov w0, #7
    bl .Lchk_sgi
    b 8f
6: mov x0, #1
    mov x1, #-1
    bl .Lchk_program
    b 8f
7: mov x0, #0
    bl .Lchk_program
8: str wzr, [x26]
    b 2b
.Lchk_wrong: .asciz "FAILED: "
.Lchk_found: .asciz " (0x"
.Lchk_line: .asciz ")\r\n"
.Lchk_digits: .asciz "0123456789abcdef"
.Lchk_read_only_text: .asciz "a register that says what there is"
.Lchk_timer_text: .asciz "timer: its interrupt"
.Lchk_passed: .asciz "all checks passed\r\n"
.Lchk_failed: .asciz "some checks failed\r\n"
    .balign 8
.Lchk_words: .space 64 // for each vCPU: what it is to do, and what came of it
.global raw_checks_end
raw_checks_end:
.popsection
