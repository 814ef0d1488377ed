// The program of `hostile.rs`, at 0x40080000. x9 is a word that changes with each access, x19 the
// UART, x27 the RAM that its vCPUs share, x28 how many rounds were made.
.pushsection .rodata.guest, "a"
.balign 2048 // so that the vectors are aligned wherever the first byte is
.global hostile
hostile:
    // An identity map of 512 GiB as Normal, without which no unaligned access gets out.
    mov x1, #0x40200000
    mov x2, #0x701 // a block, accessed, outer shareable: Normal by MAIR's first
    mov w3, #512
    mov x4, #0x40000000
1:  str x2, [x1], #8
    add x2, x2, x4
    subs w3, w3, #1
    b.ne 1b
    bl .Lset_up
    mov x28, #0
    mov w20, #1
1:  mov w0, w20
    bl .Lturn_on
    add w20, w20, #1
    cmp w20, #4
    b.lo 1b

.Lround:
    adr x20, .Lranges
2:  ldp x21, x22, [x20], #16
    cbz x22, 5f
    // Eight bytes at a time: every byte, half, word and double word that is aligned.
3:  bl .Lnext_word
    .irp at, 0, 1, 2, 3, 4, 5, 6, 7
    ldrb w0, [x21, #\at]
    strb w9, [x21, #\at]
    .endr
    .irp at, 0, 2, 4, 6
    ldrh w0, [x21, #\at]
    strh w9, [x21, #\at]
    .endr
    bl .Lnext_word
    .irp at, 0, 4
    ldr w0, [x21, #\at]
    str w9, [x21, #\at]
    .endr
    ldr x0, [x21]
    str x9, [x21]
    // Others, which are not.
    ubfx x1, x9, #20, #3
    orr x1, x1, #1
    add x1, x1, x21
    ldrh w0, [x1]
    strh w9, [x1]
    ldr w0, [x1]
    str x9, [x1]
    // What says less of itself than a host wants to know.
    ldp x0, x2, [x21]
    stp x9, x9, [x21]
    .inst 0x3d8002a0 // str q0, [x21]: the assembler is told of no FP
    ldr x0, [x1], #8
    ldxr x0, [x21]
    tst x21, #0x38
    b.ne 4f
    bl .Lsgis
    dc zva, x21
4:  add x21, x21, #8
    tst x21, #0xff8
    b.ne 6f
    bl .Lother_things
6:  cmp x21, x22
    b.lo 3b
    b 2b
5:  add x28, x28, #1
    ldr w0, [x27]
    cbz w0, .Lround
    b .Lend

// Raises SGIs at everyone, by both kinds of controller. Clobbers: x0, x1.
.Lsgis:
    ubfx w0, w9, #9, #4
    lsl x0, x0, #24
    orr x0, x0, #(1 << 40) // at all others
    msr icc_sgi1r_el1, x0
    msr icc_asgi1r_el1, x0
    and x0, x0, #0xf000000
    orr x0, x0, #0xff // at these
    msr icc_sgi1r_el1, x0
    msr icc_sgi0r_el1, x0
    lsr x0, x0, #24
    orr w0, w0, #0xff0000
    mov x1, #0x08000000
    str w0, [x1, #0xf00] // GICD_SGIR
    ret

// Changes x9. Clobbers: nothing else.
.Lnext_word:
    mul x9, x9, x10
    add x9, x9, x11
    ret

// Timers, calls, power, invalidations; and whether this round is the last. Clobbers: x0 to x7, x23 to x26.
.Lother_things:
    mov x26, x30
    msr cntv_cval_el0, xzr
    mov x0, #1
    msr cntv_ctl_el0, x0
    msr cntp_cval_el0, xzr
    msr cntp_ctl_el0, x0
    mov x1, #-1
    msr cntp_cval_el0, x1
    msr cntp_tval_el0, x9
    // CNTV_CVAL_EL0 near its end and an offset make QEMU 7.2 hang: not that, nor by TVAL.
    lsr x1, x1, #1
    msr cntv_cval_el0, x1
    and x0, x9, #0x7fffffff
    msr cntv_tval_el0, x0
    msr cntkctl_el1, x9
    tlbi vmalle1is
    ic ialluis
    dsb sy
    isb
    adr x23, .Lfunctions
1:  ldr w24, [x23], #4
    cbz w24, 3f
    mov x25, #0
2:  // But for those that end or stop the caller, by their number: 1, 2, 8, 9, 0xe, 0x12, 0x15.
    mov x0, #0x4306
    movk x0, #0x24, lsl #16
    lsr x0, x0, x25
    tbnz x0, #0, 4f
    orr w0, w24, w25
    mov x1, x9
    sub x2, x21, #8
    mov x3, x9
    hvc #0
    orr w0, w24, w25
    and x1, x9, #3
    sub x2, x21, #8 // no RAM is there
    mov x3, x9
    smc #0
4:  add x25, x25, #1
    cmp x25, #64
    b.lo 2b
    b 1b
3:  hvc #0x1234
    smc #0xffff
    mov w0, #0 // itself; then those that are on; then the one that may be off
    bl .Lturn_on
    mov w0, #1
    bl .Lturn_on
    mov w0, #3
    bl .Lturn_on
    // What was typed, if the UART is still one that hears.
    mov w0, #0x301
    str w0, [x19, #0x30]
    mov w0, #0x70
    str w0, [x19, #0x2c]
5:  ldr w0, [x19, #0x18]
    tbnz w0, #4, 6f
    ldrb w0, [x19]
    cmp w0, #'q'
    b.ne 5b
    mov w0, #1
    str w0, [x27] // stop; this is the last round
    b 5b
6:  mov x30, x26
    ret

// The end: once the flood is over, says how many rounds there were.
.Lend:
1:  yield
    ldr w0, [x27, #4]
    cbz w0, 1b
    mov w0, #0x301
    str w0, [x19, #0x30]
    adr x1, .Llast_words
2:  ldrb w0, [x1], #1
    cbz w0, 3f
    strb w0, [x19]
    b 2b
3:  mov x2, #1000
4:  udiv x0, x28, x2
    msub x28, x0, x2, x28
    add w0, w0, #'0'
    strb w0, [x19]
    mov x3, #10
    udiv x2, x2, x3
    cbnz x2, 4b
    mov w0, #'\n'
    strb w0, [x19]
    movz w0, #0x0008 // SYSTEM_OFF
    movk w0, #0x8400, lsl #16
    hvc #0
    b .

// Turns the vCPU w0 on. Clobbers: x0 to x4.
.Lturn_on:
    mov w1, w0
    mov w3, w0
    adr x2, .Lstart
    movz w0, #0x0003 // CPU_ON
    movk w0, #0xc400, lsl #16
    hvc #0
    ret

// Where vCPUs start but the first.
.Lstart:
    mov x29, x0
    bl .Lset_up
    cmp x29, #2
    b.hi .Lsleep
    b.eq .Lflood

// The second: spins.
1:  ldr w0, [x27]
    cbz w0, 1b
    b .Lturn_off

// The third.
.Lflood:
    mov x20, #0
    adr x21, .Lnoise
1:  bl .Lnext_word
    bl .Lsgis
    ldrb w0, [x21, x20]
    strb w0, [x19]
    add x20, x20, #1
    cbnz w0, 1b
    ldr w0, [x27]
    cbz w0, .Lflood
    str w0, [x27, #4]
    b .Lturn_off

// The fourth. What it sleeps for may never come.
.Lsleep:
    mov w20, #64
1:  bl .Lsgis
    mrs x0, cntvct_el0
    add x0, x0, #0x10000
    msr cntv_cval_el0, x0
    mov x0, #1
    msr cntv_ctl_el0, x0
    wfe
    subs w20, w20, #1
    b.ne 1b
    movz w0, #0x0001 // CPU_SUSPEND
    movk w0, #0xc400, lsl #16
    mov x1, #0
    hvc #0
    wfi

.Lturn_off:
    movz w0, #0x0002 // CPU_OFF
    movk w0, #0x8400, lsl #16
    hvc #0
    b .

// What each vCPU needs. Clobbers: x0.
.Lset_up:
    mov x0, #(3 << 20) // FPEN
    msr cpacr_el1, x0
    adr x0, .Lvectors
    msr vbar_el1, x0
    isb
    mov x0, #7
    msr icc_sre_el1, x0
    isb
    msr icc_pmr_el1, x0
    msr icc_igrpen1_el1, x0
    mov x0, #0x44 // Normal, not cached
    msr mair_el1, x0
    mov x0, #25 // 512 GiB by TTBR0 in pages of 4 KiB, nothing by TTBR1, addresses of 40 bits
    movk x0, #0x80, lsl #16
    movk x0, #2, lsl #32
    msr tcr_el1, x0
    mov x0, #0x40200000
    msr ttbr0_el1, x0
    isb
    mrs x0, sctlr_el1
    orr x0, x0, #1
    bic x0, x0, #2 // no alignment checks
    msr sctlr_el1, x0
    isb
    movz x10, #0x7f2d
    movk x10, #0x4c95, lsl #16
    movk x10, #0xf42d, lsl #32
    movk x10, #0x5851, lsl #48
    movz x11, #0x1405
    movk x11, #0xf767, lsl #16
    mov x9, x11
    mov x19, #0x09000000
    mov x27, #0x40300000
    ret

.balign 8
.Lranges:
    .quad 0x08000000, 0x08020010 // GICD; GICV; beyond
    .quad 0x080a0000, 0x08120010 // both frames of each vCPU's GICR; beyond
    .quad 0x09000000, 0x09001010 // UART: what it prints, nobody wants to read
    .quad 0x0909f000, 0x090a1010 // stolen time, which it can only read; around it
    .quad 0x0a000000, 0x0a001000 // a disk; beyond
    .quad 0x00000000, 0x00001000
    .quad 0x3ffff000, 0x40000000 // below RAM
    .quad 0x7ffffff000, 0x7ffffffff8
    .quad 0, 0
.Lfunctions:
    .word 0x84000000, 0xc4000000, 0x80000000, 0xc0000000, 0x82000000, 0xc6000000, 0x7f000000
    .word 0x84000040, 0
.Lnoise: // a string of the terminal that does not end here, another screen, nothing visible
    .asciz "\033]0;all of this terminal is mine\n\033[?1049h\033[8m1| and this\r1| too\n"
.Llast_words:
    .asciz "\033\\\n\nwhole rounds: "
.balign 2048
.Lvectors:
    .space 0x200
    // Synchronous, current EL with SP_ELx: on to the next instruction. Clobbers: x17.
    mrs x17, elr_el1
    add x17, x17, #4
    msr elr_el1, x17
    eret
    .space 0x600 - 16
.global hostile_end
hostile_end:
.popsection
