//! Switches that force each fall-back, so that all of them can be tested on one kernel.
//!
//! Read once from `LOKY_FORCE`, a list of names with commas; never read outside of this crate, and
//! never a way to choose behaviour in production.

use std::sync::OnceLock;

/// The variable that is read.
pub const VARIABLE: &str = "LOKY_FORCE";

/// A mechanism that is taken to be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// `pidfd_open`.
    NoPidfd,
    /// Seals of memory files.
    NoSeals,
    /// `memfd_create`.
    NoMemfd,
    /// `eventfd`.
    NoEventfd,
    /// `close_range`, and what the C library builds on it.
    NoCloseRange,
    /// `/proc/<pid>/task/<tid>/children`.
    NoChildrenFile,
    /// Limits of other processes, which marks are made of.
    NoMark,
}

impl Switch {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoPidfd,
        Self::NoSeals,
        Self::NoMemfd,
        Self::NoEventfd,
        Self::NoCloseRange,
        Self::NoChildrenFile,
        Self::NoMark,
    ];

    /// The name in the variable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPidfd => "no_pidfd",
            Self::NoSeals => "no_seals",
            Self::NoMemfd => "no_memfd",
            Self::NoEventfd => "no_eventfd",
            Self::NoCloseRange => "no_close_range",
            Self::NoChildrenFile => "no_children_file",
            Self::NoMark => "no_mark",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::NoPidfd => 1,
            Self::NoSeals => 2,
            Self::NoMemfd => 4,
            Self::NoEventfd => 8,
            Self::NoCloseRange => 16,
            Self::NoChildrenFile => 32,
            Self::NoMark => 64,
        }
    }
}

/// Whether this mechanism is to be taken for missing.
pub fn is_forced(switch: Switch) -> bool {
    static FORCED: OnceLock<u8> = OnceLock::new();
    let forced = FORCED.get_or_init(|| bits_of(&std::env::var(VARIABLE).unwrap_or_default()));
    forced & switch.bit() != 0
}

/// Unknown names are ignored: a newer test suite may name what an older build does not have.
fn bits_of(list: &str) -> u8 {
    let named = |name: &str| Switch::ALL.into_iter().find(|switch| switch.name() == name);
    list.split(',')
        .filter_map(|name| named(name.trim()))
        .fold(0, |bits, switch| bits | switch.bit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_has_a_name_and_a_bit_of_its_own() {
        for switch in Switch::ALL {
            assert_eq!(bits_of(switch.name()), switch.bit());
            assert_eq!(switch.bit().count_ones(), 1);
        }
        let all = Switch::ALL.map(Switch::name).join(", ");
        assert_eq!(bits_of(&all), 0b111_1111);
    }

    #[test]
    fn nothing_is_forced_by_an_empty_or_unknown_name() {
        assert_eq!(bits_of(""), 0);
        assert_eq!(bits_of("no_such_thing,,"), 0);
    }
}
