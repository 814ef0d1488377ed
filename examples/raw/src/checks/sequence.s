// Checks that w0 is `value`.
.macro chk_is value, text
    ldr w1, =\value
    adr x2, 9f
    bl .Lchk_compare
    b 8f
9: .asciz "\text"
    .balign 4
8:
.endm
// Checks where a private interrupt stands: 1 is pending, 2 active.
.macro chk_state intid, value, text
    mov w0, #\intid
    bl .Lchk_state
    chk_is \value, "\text"
.endm
// Acknowledges, and checks what comes: 1023 is nothing.
.macro chk_ack value, text
    bl .Lchk_ack
    chk_is \value, "\text"
.endm
// Ends, deactivates, or sends to itself.
.macro chk_do what, intid
    mov w0, #\intid
    bl .Lchk_\what
.endm
// Writes a bit of one of the private registers.
.macro chk_set register, intid
    mov w0, #(1 << \intid)
    str w0, [x20, #\register]
.endm
// Has another vCPU do something, and waits: its result is in w0.
.macro chk_ask vcpu, what
    mov w0, #\vcpu
    mov w1, #\what
    bl .Lchk_ask
.endm

.pushsection .rodata.guest, "a"
    .balign 16
.global raw_checks
raw_checks:
    mov x19, #0x09000000
    mov x24, #0
    mov x0, #0
    bl .Lchk_set_up
// What says what there is cannot be written.
    mov x1, #0xfe8 // ICPIDR2
    mov x2, #0xffe8
    cmp x22, #2
    csel x25, x1, x2, eq
    mov x26, #4 // TYPER
    bl .Lchk_read_only
    mov x26, #8 // IIDR
    bl .Lchk_read_only
    mov x26, x25
    bl .Lchk_read_only
// Where a virtio device may be, none is, and nothing faults.
    mov x1, #0x0a000000
    ldr w0, [x1, #8] // DeviceID
    chk_is 0, "no virtio device"
// An SGI in every state, read back.
    chk_do sgi, 5
    chk_state 5, 1, "sent: pending"
    chk_ack 5, "it comes"
    chk_state 5, 2, "acknowledged: active"
    chk_do sgi, 5
    chk_state 5, 3, "sent again: active and pending"
    chk_do end, 5
    chk_state 5, 1, "ended: pending"
    chk_ack 5, "it comes again"
    chk_do end, 5
    chk_state 5, 0, "ended: neither"
    chk_ack 1023, "no third"
// Ended by the distributor instead: it comes again.
    mov w27, #3
1: chk_do sgi, 5
    chk_ack 5, "it comes after an ICACTIVER"
    chk_set 0x380, 5
    chk_state 5, 0, "ICACTIVER: neither"
    chk_do end, 5 // the priority
    subs w27, w27, #1
    b.ne 1b
// Ended in two steps.
    bl .Lchk_split
    chk_do sgi, 5
    chk_ack 5, "it comes, EOImode"
    chk_do end, 5
    chk_state 5, 2, "dropped: active"
    chk_do sgi, 5
    chk_ack 1023, "not while it is active"
    chk_do deactivate, 5
    chk_ack 5, "deactivated: it comes"
    chk_do end, 5
    chk_do deactivate, 5
// Active by the distributor: not due, whatever is pending.
    chk_set 0x300, 6
    chk_state 6, 2, "ISACTIVER: active"
    chk_do sgi, 6
    chk_ack 1023, "not while ISACTIVER says so"
    chk_state 6, 3, "active and pending"
    chk_do deactivate, 6
    chk_ack 6, "deactivated after ISACTIVER: it comes"
    chk_do end, 6
    chk_do deactivate, 6
    chk_do sgi, 6
    chk_set 0x300, 6
    chk_state 6, 3, "ISACTIVER of one that is pending"
    chk_ack 1023, "not due any more"
    chk_set 0x380, 6
    chk_ack 6, "ICACTIVER: due"
    chk_do end, 6
    chk_do deactivate, 6
// More of them active than there are list registers, and deactivated in any order.
    mov w27, #1
2: mov w0, w27
    bl .Lchk_sgi
    add w27, w27, #1
    cmp w27, #13
    b.ne 2b
    mov w27, #1
3: bl .Lchk_ack_soon
    bl .Lchk_end
    add w27, w27, #1
    cmp w27, #13
    b.ne 3b
    ldr w0, [x20, #0x300]
    chk_is 0x1ffe, "twelve active"
    mov w27, #12
4: mov w0, w27
    cmp w27, #4
    b.eq 5f
    bl .Lchk_deactivate
5: subs w27, w27, #1
    b.ne 4b
    ldr w0, [x20, #0x300]
    chk_is 0x10, "the fourth is left"
    chk_do deactivate, 4
    ldr w0, [x20, #0x300]
    chk_is 0, "none is left"
    bl .Lchk_join
// An SPI by a write.
    mov w0, #1
    add x1, x21, #0x800
    strb w0, [x1, #40] // GICD_ITARGETSR, of a GICv2
    mov w0, #(1 << 8)
    str w0, [x21, #0x104]
    str w0, [x21, #0x204]
    ldr w0, [x21, #0x204]
    chk_is 0x100, "ISPENDR of an SPI"
    mov w0, #(1 << 8)
    str w0, [x21, #0x284]
    chk_ack 1023, "ICPENDR takes it from the list"
    mov w0, #(1 << 8)
    str w0, [x21, #0x204]
    str w0, [x21, #0x184] // out of the list, and back: it stays pending
    str w0, [x21, #0x104]
    chk_ack 40, "the SPI comes"
    ldr w0, [x21, #0x304]
    chk_is 0x100, "it is active"
    chk_do end, 40
    chk_ack 1023, "it comes once"
// Timers.
    mov w28, #27
    bl .Lchk_timer
    mov w28, #30
    bl .Lchk_timer
// Other vCPUs.
    adr x25, .Lchk_other
    mov w0, #1
    bl .Lchk_on
    cbnz w0, .Lchk_done
    bl .Lchk_second
    cmp x22, #2
    b.ne .Lchk_done
    mov w0, #2
    bl .Lchk_on
    cbnz w0, .Lchk_done
// Two senders of one SGI, the first twice.
    chk_ask 1, 3
    chk_ask 2, 3
    ldr w0, [x21, #0xf24]
    chk_is 0x06000000, "SPENDSGIR: both senders"
    chk_ack 0x407, "the first sender"
    chk_ask 1, 3
    movz w0, #0x407
    bl .Lchk_end
    bl .Lchk_ack_soon
    mov w27, w0
    bl .Lchk_end_last
    bl .Lchk_ack_soon
    orr w27, w27, w0
    bl .Lchk_end_last
    mov w0, w27 // in any order
    chk_is 0xc07, "the second sender, and the first again"
    chk_ack 1023, "no more senders"
    chk_ask 2, 3
    chk_set 0x180, 7
    chk_set 0x100, 7
    chk_ack 0x807, "the sender after a disable"
    bl .Lchk_end_last
    chk_ask 1, 3
    chk_ask 2, 3
    mov w0, #2
    strb w0, [x21, #0xf17] // CPENDSGIR: that of vCPU 1
    chk_ack 0x807, "the sender that was not cleared"
    bl .Lchk_end_last
    chk_ack 1023, "not the one that was"
.Lchk_done:
    adr x1, .Lchk_passed
    cbz x24, 6f
    adr x1, .Lchk_failed
6: bl .Lchk_print
    movz w0, #0x0008 // SYSTEM_OFF
    movk w0, #0x8400, lsl #16
    hvc #0
    .ltorg

