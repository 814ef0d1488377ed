//! What a guest took, in order.

use core::fmt;

use machine::{Error, println};

/// A few numbers, in the order they came.
#[derive(Clone, Copy)]
pub struct Taken {
    all: [u32; Self::MOST],
    count: usize,
}

impl Taken {
    const MOST: usize = 64;

    /// Returns what is there before anything came.
    pub const fn new() -> Self {
        Self {
            all: [0; Self::MOST],
            count: 0,
        }
    }

    /// Adds one.
    pub fn push(&mut self, number: u32) {
        if let Some(place) = self.all.get_mut(self.count) {
            *place = number;
        }
        self.count += 1; // past the end, it is another count than any that is expected
    }

    /// Fails unless these came, in this order.
    pub fn expect(
        &self,
        scene: &str,
        expected: impl IntoIterator<Item = u32>,
    ) -> Result<(), Error> {
        let mut all = Self::new();
        for number in expected {
            all.push(number);
        }
        if (self.count, &self.all) == (all.count, &all.all) {
            println!("{scene}: {self}");
            return Ok(());
        }
        println!("{scene}: WRONG: {self}, and not {all}");
        Err(Error::Guest(
            "a guest took other interrupts than it was sent",
        ))
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, number) in self.all.iter().take(self.count).enumerate() {
            let separator = if n == 0 { "" } else { " " };
            write!(f, "{separator}{number}")?;
        }
        Ok(())
    }
}
