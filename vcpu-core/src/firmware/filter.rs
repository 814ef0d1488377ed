//! What becomes of functions that the VM's firmware does not answer itself, as data.

use vcpu_exits::calls::FunctionId;

/// What becomes of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// The guest gets NOT_SUPPORTED.
    Deny,
    /// The host answers.
    Host,
    /// The machine's firmware answers.
    Forward,
}

/// A range of functions and what becomes of them. Identifiers are compared in 32 bits, as firmware
/// reads them, and without the hint about SVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rule {
    first: FunctionId,
    last: FunctionId,
    action: Action,
}

impl Rule {
    /// Returns the rule that refuses the functions from `first` to `last`.
    pub const fn deny(first: FunctionId, last: FunctionId) -> Self {
        Self {
            first,
            last,
            action: Action::Deny,
        }
    }

    /// Returns the rule that leaves the functions from `first` to `last` to the host.
    pub const fn host(first: FunctionId, last: FunctionId) -> Self {
        Self {
            first,
            last,
            action: Action::Host,
        }
    }

    /// Returns the rule that sends the functions from `first` to `last` to the machine's firmware,
    /// by `SMC`.
    ///
    /// # Safety
    ///
    /// EL3 is there to be called. Whatever arguments a guest gives them, these functions change no
    /// memory and no state of a CPU that the host, or another guest, relies on, and they return.
    pub const unsafe fn forward(first: FunctionId, last: FunctionId) -> Self {
        Self {
            first,
            last,
            action: Action::Forward,
        }
    }
}

/// Returns what the first rule that names `function` says.
pub(super) fn action(rules: &[Rule], function: FunctionId) -> Action {
    let id = function.without_hint().0;
    rules
        .iter()
        .find(|rule| (rule.first.0..=rule.last.0).contains(&id))
        .map_or(Action::Deny, |rule| rule.action)
}
