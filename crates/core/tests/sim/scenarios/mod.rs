//! Named cases on the same simulator.
