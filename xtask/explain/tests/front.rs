//! The front from the outside: what goes in, what comes out, what is complained of.

use serde_json::Value;
use vcpu_explain::{Args, run};

struct Answer {
    out: String,
    err: String,
    bad: usize,
}

fn ask(args: &Args, input: &str) -> Answer {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let bad = run(args, &mut input.as_bytes(), &mut out, &mut err).unwrap();
    Answer {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        bad,
    }
}

fn json() -> Args {
    Args {
        json: true,
        ..Args::default()
    }
}

fn objects(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn numbers_are_hexadecimal_and_decimal_where_they_cannot_be() {
    let args = Args {
        inputs: [
            "0x96000046",
            "96000046",
            "2516582470",
            "0X5600_002A",
            "18446744071948206150",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..json()
    };
    let answer = ask(&args, "");
    assert_eq!(answer.bad, 0, "{}", answer.err);
    let esrs: Vec<_> = objects(&answer.out)
        .iter()
        .map(|object| object["esr"].as_str().unwrap().to_owned())
        .collect();
    // The third could be decimal, but is read as what it can be; the last has too many digits for that.
    assert_eq!(
        esrs,
        [
            "0x0000000096000046",
            "0x0000000096000046",
            "0x0000002516582470",
            "0x000000005600002a",
            "0xffffffff97040046"
        ]
    );
}

#[test]
fn an_object_has_the_promised_keys_and_gives_the_word_back() {
    let words = [
        0x9600_0046,
        0x6232_0401,
        0xdead_beef_ffff_ffff,
        0,
        u64::MAX,
        0x0000_0fff_9383_0046,
    ];
    let input: String = words
        .iter()
        .map(|word: &u64| format!("{word:x}\n"))
        .collect();
    let objects = objects(&ask(&json(), &input).out);
    assert_eq!(objects.len(), words.len());
    for (object, word) in objects.iter().zip(words) {
        let mut keys: Vec<_> = object
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "class",
                "ec",
                "esr",
                "fields",
                "reencoded",
                "summary",
                "sysreg"
            ]
        );
        assert_eq!(object["esr"], format!("{word:#018x}"));
        assert_eq!(object["reencoded"], object["esr"]);
        assert_eq!(object["ec"], word >> 26 & 0x3f);
        let mut joined = 0;
        let mut above = 64;
        for field in object["fields"].as_array().unwrap() {
            let number = |key: &str| field[key].as_u64().unwrap();
            assert_eq!(number("hi") + 1, above, "{field}");
            above = number("lo");
            joined |= number("value") << above;
            assert!(!field["name"].as_str().unwrap().is_empty());
            assert!(!field["meaning"].as_str().unwrap().is_empty(), "{field}");
        }
        assert_eq!((joined, above), (word, 0));
    }
}

#[test]
fn system_registers_have_name_and_access() {
    // msr ICC_SGI1R_EL1, x0; mrs x0, MIDR_EL1; dc civac, x0; mrs x0, S3_0_C15_C2_1.
    let input = "623a3016 62300001 6212780a 6232_3c05";
    let objects = objects(&ask(&json(), &format!("62 {input}")).out);
    let of = |index: usize| objects[index]["sysreg"].to_string();
    assert_eq!(of(0), "null");
    assert_eq!(of(1), r#"{"access":"wo","name":"ICC_SGI1R_EL1"}"#);
    assert_eq!(of(2), r#"{"access":"ro","name":"MIDR_EL1"}"#);
    assert_eq!(of(4), r#"{"access":null,"name":"S3_0_C15_C2_1"}"#);
}

#[test]
fn bad_lines_are_named_and_the_rest_goes_on() {
    let answer = ask(
        &json(),
        "96000046\nnonsense\n\n123456789012345678901234567890 5600002a # svc\n",
    );
    assert_eq!(answer.bad, 2);
    assert_eq!(objects(&answer.out).len(), 2);
    assert!(
        answer.err.contains("line 2: `nonsense` is neither"),
        "{}",
        answer.err
    );
    assert!(answer.err.contains("line 4: "), "{}", answer.err);
    assert!(answer.err.contains("more than 64 bits"), "{}", answer.err);
    let args = Args {
        inputs: vec!["xyz".to_owned(), "5600002a".to_owned()],
        ..json()
    };
    let answer = ask(&args, "");
    assert_eq!((answer.bad, objects(&answer.out).len()), (1, 1));
    assert!(answer.err.contains("argument 1: `xyz`"), "{}", answer.err);
}

#[test]
fn addresses_make_a_sentence_and_the_instruction_fills_in() {
    let args = Args {
        inputs: vec!["93830046".to_owned()],
        far: Some(0x1004),
        hpfar: Some(0x9_0000),
        ..Args::default()
    };
    let first = "ESR 0x0000000093830046: guest wrote 4 bytes of w3 to IPA 0x9000004, translation fault level 2";
    assert_eq!(ask(&args, "").out.lines().next(), Some(first));
    let args = Args {
        insn: Some(0x29ff_0be1),
        elr: Some(0x4000),
        ..Args::default()
    };
    let answer = ask(&args, "92000006");
    assert!(
        answer
            .out
            .contains("instruction 0x29ff0be1: ldp w1, w2, [sp, #-8]!"),
        "{}",
        answer.out
    );
    assert!(
        answer.out.contains("ELR 0x4000 is on the instruction"),
        "{}",
        answer.out
    );
    let answer = ask(&Args::default(), "92000006 far=0x1000 hpfar=10");
    assert!(answer.out.contains("IPA 0x1000,"), "{}", answer.out);
}

/// A log, and what must be said of each of its syndromes, in order.
fn explained(log: &str, expected: &[&str]) {
    let answer = ask(&Args::default(), log);
    assert_eq!((answer.bad, answer.err.as_str()), (0, ""));
    let (added, printed): (Vec<_>, Vec<_>) = answer
        .out
        .lines()
        .partition(|line| line.starts_with("    >> "));
    // The log itself comes back untouched.
    assert_eq!(printed, log.lines().collect::<Vec<_>>());
    let summaries: Vec<_> = added
        .iter()
        .filter(|line| line.starts_with("    >> 0x"))
        .collect();
    assert_eq!(summaries.len(), expected.len(), "{}", answer.out);
    for (summary, expected) in summaries.iter().zip(expected) {
        assert!(summary.contains(expected), "{summary} lacks {expected}");
    }
    assert_eq!(objects(&ask(&json(), log).out).len(), expected.len());
}

#[test]
fn linux_oopses_are_annotated() {
    explained(
        "[ 1.0] Unable to handle kernel paging request at virtual address ffff00000badc0de\n\
         [ 1.0] Mem abort info:\n\
         [ 1.0]   ESR = 0x0000000096000046\n\
         [ 1.0]   EC = 0x25: DABT (current EL), IL = 32 bits\n\
         [ 1.0] pc : die_here+0x10/0x20\n\
         [ 1.0] x29: 0000000012345678 x28: 0000000000000000\n",
        &["wrote to memory, translation fault level 2 (VA 0xffff00000badc0de)"],
    );
    explained(
        "[ 2.0] Internal error: Oops - BUG: 00000000f2000800 [#1] SMP\n\
         [ 2.0] Internal error: synchronous external abort: 0000000096000410 [#2] SMP\n\
         [ 2.0] SError Interrupt on CPU0, code 0x00000000be000011 -- SError\n",
        &[
            "brk #0x800",
            "synchronous external abort",
            "SError, uncontainable",
        ],
    );
    let answer = ask(
        &Args::default(),
        "[1.0] ESR = 0x92000006\n[1.0] Code: d503201f (29ff0be1)\n",
    );
    assert!(
        answer
            .out
            .contains(">>   instruction: ldp w1, w2, [sp, #-8]!"),
        "{}",
        answer.out
    );
}

#[test]
fn hypervisors_are_annotated() {
    explained(
        "kvm_guest_fault: ipa 0x9000000, hsr 0x93830046, hxfar 0xffff800009000004, pc 0xffff800008001234\n",
        &["wrote 4 bytes of w3 to memory, translation fault level 2 (VA 0xffff800009000004)"],
    );
    explained(
        "nVHE hyp panic: PS:600003c9 PC:0000aaaabbbbcccc ESR:0000000096000006\n\
         FAR:ffff800000000000 HPFAR:0000000000090000 PAR:0000000000000000\n",
        &["hypervisor read from VA 0xffff800000000000, translation fault level 2"],
    );
    explained(
        "(XEN) traps.c:2021:d0v0 HSR=0x93830046 pc=0xffff800008001234 gva=0xffff800009000000 gpa=0x00000009000000\n",
        &["wrote 4 bytes of w3"],
    );
    explained(
        "...from EL1 to EL2\n...with ESR 0x24/0x93830046\n...with FAR 0x9000000\n",
        &["(VA 0x9000000)"],
    );
}

#[test]
fn firmware_and_small_systems_are_annotated() {
    explained(
        "\"Synchronous Abort\" handler, esr 0x96000010, far 0x1122334455667788\n",
        &["(VA 0x1122334455667788)"],
    );
    explained(
        "  ESR 0x96000046          FAR 0x0000000000000000\n",
        &["wrote to memory"],
    );
    explained(
        "ESR : EC 0x25  IL 0x1  ISS 0x00000046\n",
        &["wrote to memory, translation fault level 2"],
    );
    explained(
        "esr_el3        = 0x00000000be000011\nesr_el1        = 0x0000000000000000\n",
        &["SError"],
    );
    explained(
        "E: ELR_ELn: 0x0000000040001234\nE: ESR_ELn: 0x0000000096000046\nE: FAR_ELn: 0x0000000000000010\n",
        &["(VA 0x10)"],
    );
    explained(
        "<<seL4>> vm fault on data at address 0x10 with status 0x92000046\n",
        &["wrote to memory, translation fault level 2 (VA 0x10)"],
    );
    explained(
        "FAULT HANDLER: data fault from app, address 0x10, PC = 0x400, FSR 0x92000007\n",
        &["translation fault level 3"],
    );
    explained(
        "panic(cpu 0 caller 0xfffffe00): Kernel data abort. at pc 0xfffffe0011112222, cpsr: 0x60401208 esr: 0x96000047 far: 0xfffffe1000000000\n",
        &["(VA 0xfffffe1000000000)"],
    );
}

#[test]
fn dumps_keep_their_addresses_apart() {
    explained(
        "ESR = 0x96000004\nFAR = 0x1000\nsomething else\nESR = 0x96000046\nFAR = 0x2000\n",
        &["(VA 0x1000)", "(VA 0x2000)"],
    );
}
