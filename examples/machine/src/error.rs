//! Everything that can stop an example before or between its guest's runs.

use core::fmt::{Display, Formatter, Result};

use devices::{
    BusError,
    gic::{MAX_VCPUS, V2_VCPUS},
    loader,
};
use vcpu_core::{EnableError, LoadError};
use vcpu_stage2::{GeometryError, MapError, RootError};

use crate::{NotInRam, TreeError};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident($of:ty),)*) => {
        /// Why an example could not go on.
        #[derive(Debug)]
        pub enum Error {
            $($(#[$doc])* $name($of),)*
        }

        $(impl From<$of> for Error {
            fn from(error: $of) -> Self {
                Self::$name(error)
            }
        })*

        impl Display for Error {
            #[allow(unreachable_patterns, reason = "the first ones say it better")]
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                match self {
                    Self::Bus(error) => write!(f, "{error}"),
                    Self::Program(error) => write!(f, "{error}"),
                    Self::Vcpus(asked) => write!(
                        f, "{asked} vCPUs were asked for; a guest has 1 to {MAX_VCPUS}, or to {V2_VCPUS} with a GICv2"
                    ),
                    Self::Guest(why) => f.write_str(why),
                    $(Self::$name(error) => write!(f, "{error:?}"),)*
                }
            }
        }
    };
}

/// For people too: the log is theirs.
impl defmt::Format for Error {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(to, "{}", defmt::Display2Format(self));
    }
}

errors! {
    /// Two devices of a guest are at one address.
    Bus(BusError),
    /// The program cannot be the guest's.
    Program(loader::LoadError),
    /// More vCPUs than a guest may have, or none.
    Vcpus(usize),
    /// This CPU cannot run guests.
    Enable(EnableError),
    /// No stage 2 fits.
    Geometry(GeometryError),
    /// A mapping was refused.
    Map(MapError),
    /// The table's root cannot be used.
    Root(RootError),
    /// The vCPU cannot run on this CPU.
    Load(LoadError),
    /// Guest RAM is smaller.
    Ram(NotInRam),
    /// The guest's device tree could not be made.
    Tree(TreeError),
    /// The guest, or what was given for it, makes no sense.
    Guest(&'static str),
}
