//! Any bytes as a payload: it is refused, or says the same thing when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loky_wire::{Body, PayloadRef};

fuzz_target!(|input: &[u8]| {
    if let Ok(payload) = PayloadRef::decode(input) {
        payload.check().expect("what was read can be written");
        let mut bytes = Vec::new();
        payload.write(&mut bytes);
        assert_eq!(bytes, input);
    }
});
