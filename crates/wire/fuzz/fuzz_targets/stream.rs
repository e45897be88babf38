//! Any bytes as a stream, held to the laws that the tests hold it to.
#![no_main]

#[path = "../../tests/support/laws.rs"]
mod laws;
#[path = "../../tests/support/replay.rs"]
mod replay;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| replay::check_input(input));
