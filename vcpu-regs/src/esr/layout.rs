//! One row per field makes three things: the private bit table, the accessors, and the list of names.

/// Declares the layout of one ISS form.
///
/// A row is `CONSTANT getter setter: type = "ArmName" [lowest bit, width];`. The bit positions live
/// in a private `register_bitfields!` table, from which the `const` accessors take them.
macro_rules! layout {
    (
        $(#[$doc:meta])*
        $table:ident $name:ident {
            $($(#[$fdoc:meta])* $field:ident $get:ident $with:ident: $ty:ident = $arm:literal
                [$lo:literal, $bits:literal];)*
        }
    ) => {
        tock_registers::register_bitfields![u64,
            $table [ $($(#[$fdoc])* $field OFFSET($lo) NUMBITS($bits) []),* ]
        ];

        $(#[$doc])*
        ///
        /// Arm ARM (DDI 0487), `ESR_EL2`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(u64);

        impl $name {
            /// The named fields of this form, lowest first; bits in none of them are RES0.
            pub const FIELDS: &'static [$crate::EsrField] = &[
                $($crate::EsrField {
                    name: $arm,
                    lo: $table::$field.shift as u8,
                    bits: $table::$field.mask.count_ones() as u8,
                }),*
            ];

            /// Reads the fields of `esr`, whatever its class.
            pub const fn new(esr: $crate::Esr) -> Self {
                Self(esr.0)
            }

            /// Returns the fields' bits in place; every other bit is 0.
            pub const fn bits(self) -> u64 {
                self.0 & (0 $(| $table::$field.mask << $table::$field.shift)*)
            }

            $(
                $(#[$fdoc])*
                pub const fn $get(self) -> $ty {
                    let value = self.0 >> $table::$field.shift & $table::$field.mask;
                    layout!(@value $ty value)
                }

                /// Returns the form with this field set; bits beyond its width are dropped.
                #[must_use]
                pub const fn $with(self, value: $ty) -> Self {
                    let field = (value as u64 & $table::$field.mask) << $table::$field.shift;
                    Self(self.0 & !($table::$field.mask << $table::$field.shift) | field)
                }
            )*
        }
    };
    (@value bool $value:ident) => { $value != 0 };
    (@value $ty:ident $value:ident) => { $value as $ty };
}
pub(super) use layout;
