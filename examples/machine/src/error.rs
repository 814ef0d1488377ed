//! Everything that can stop an example before or between its guest's runs.

use core::fmt::{Display, Formatter, Result};

use vcpu_core::{EnableError, LoadError};
use vcpu_stage2::{GeometryError, MapError, RootError};

use crate::{NotInRam, TreeError};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident($of:ty),)*) => {
        /// Why an example could not go on.
        #[derive(Debug, defmt::Format)]
        pub enum Error {
            $($(#[$doc])* $name($of),)*
        }

        $(impl From<$of> for Error {
            fn from(error: $of) -> Self {
                Self::$name(error)
            }
        })*

        impl Display for Error {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                match self {
                    $(Self::$name(error) => write!(f, "{error:?}"),)*
                }
            }
        }
    };
}

errors! {
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
