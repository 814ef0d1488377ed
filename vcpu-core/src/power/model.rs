//! The cell over loom's atomics, and checks of it.

extern crate std;

use loom::sync::atomic;

macro_rules! constructor {
    ($(#[$doc:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$doc])* $vis fn $($rest)* };
}

fn pause() {
    loom::thread::yield_now();
}

#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the same code with atomics that loom watches"
)]
#[path = "cell.rs"]
mod cell;

use cell::{PowerCell, Start};
use loom::{sync::Arc, thread};
use std::vec::Vec;
use vcpu_exits::calls::{AffinityState, PsciError};
use vcpu_regs::Ipa;

/// A start whose words all tell which caller it is of.
fn start(caller: u64) -> Start {
    Start {
        entry: Ipa(caller * 0x1000),
        context: caller,
        big_endian: caller & 1 == 0,
    }
}

fn spawn<T: 'static>(
    cell: &Arc<PowerCell>,
    f: impl FnOnce(&PowerCell) -> T + 'static,
) -> thread::JoinHandle<T> {
    let cell = cell.clone();
    thread::spawn(move || f(&cell))
}

#[test]
fn of_two_callers_of_cpu_on_exactly_one_succeeds() {
    loom::model(|| {
        let cell = Arc::new(PowerCell::off(1));
        let callers: Vec<_> = [1, 2]
            .map(|caller| spawn(&cell, move |cell| cell.turn_on(&start(caller))))
            .into();
        let results: Vec<_> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        let winner = match results[..] {
            [Ok(()), Err(PsciError::OnPending)] => 1,
            [Err(PsciError::OnPending), Ok(())] => 2,
            _ => panic!("{results:?}"),
        };
        assert_eq!(cell.take_start(), Some(start(winner)));
        assert_eq!(cell.state(), AffinityState::On);
    });
}

#[test]
fn a_start_is_taken_once_and_whole_while_callers_compete() {
    loom::model(|| {
        let cell = Arc::new(PowerCell::off(1));
        let one = spawn(&cell, |cell| cell.turn_on(&start(1)));
        let other = spawn(&cell, |cell| cell.take_start());
        let second = cell.turn_on(&start(2));
        let (first, early) = (one.join().unwrap(), other.join().unwrap());
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let late = cell.take_start();
        let winner = if first.is_ok() { 1 } else { 2 };
        assert_eq!(early.or(late), Some(start(winner)));
        assert!(early.is_none() || late.is_none());
    });
}

/// Off and on again against a second taker: neither start is lost, torn or taken twice.
#[test]
fn off_and_on_again_hands_over_the_second_start() {
    loom::model(|| {
        let cell = Arc::new(PowerCell::off(1));
        cell.turn_on(&start(1)).unwrap();
        let taker = spawn(&cell, |cell| cell.take_start());
        let mut taken = Vec::new();
        let was_on = cell.turn_off();
        assert!(was_on, "it was pending or on");
        let again = cell.turn_on(&start(2));
        assert_eq!(again, Ok(()));
        taken.extend(taker.join().unwrap());
        taken.extend(cell.take_start());
        assert!(
            matches!(taken[..], [last] | [_, last] if last == start(2)),
            "{taken:?}"
        );
        assert!(taken.len() < 2 || taken[0] == start(1), "{taken:?}");
    });
}

/// What the vCPU did before it went off is seen by whoever turns it on.
#[test]
fn going_off_comes_before_coming_on() {
    loom::model(|| {
        let cell = Arc::new(PowerCell::on(1));
        let deed = Arc::new(loom::cell::UnsafeCell::new(0));
        let runner = {
            let deed = deed.clone();
            spawn(&cell, move |cell| {
                // SAFETY: loom checks that no access races with another.
                deed.with_mut(|deed| unsafe { *deed = 7 });
                cell.turn_off();
            })
        };
        if cell.turn_on(&start(1)).is_ok() {
            // SAFETY: as above.
            deed.with(|deed| assert_eq!(unsafe { *deed }, 7));
        }
        runner.join().unwrap();
    });
}
