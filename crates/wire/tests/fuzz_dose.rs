//! A dose of random and mutated bytes for the decoder, the same for the same seed.
//!
//! `LOKY_FUZZ_INPUTS` is the number of inputs, `LOKY_FUZZ_SEED` the seed.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use loky_wire::Role;
use support::{Chance, laws, replay, samples};

fn number_from(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number")),
        Err(_) => default,
    }
}

/// Honest frames in a row, so that mutations reach deep.
fn honest(chance: &mut Chance, role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..chance.count(3) {
        samples::append_frame(chance, role, &mut bytes);
    }
    bytes
}

/// One small lie.
fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let at = chance.below(bytes.len().max(1));
    match chance.below(7) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at.min(bytes.len()), chance.byte()),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][chance.below(5)],
        4 if at + 8 <= bytes.len() => {
            let word = [
                0,
                1,
                63,
                64,
                1 << 20,
                u64::from(u32::MAX),
                i64::MAX as u64,
                u64::MAX,
            ];
            bytes[at..at + 8].copy_from_slice(&word[chance.below(8)].to_le_bytes());
        }
        5 => {
            let piece = bytes[at.min(bytes.len())..].to_vec();
            bytes.extend(piece);
        }
        _ if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        _ => bytes.push(chance.byte()),
    }
}

fn input_of(chance: &mut Chance, role: Role) -> Vec<u8> {
    match chance.below(8) {
        0 => {
            let len = chance.below(120);
            chance.bytes(len)
        }
        1 => honest(chance, role),
        _ => {
            let mut bytes = honest(chance, role);
            for _ in 0..chance.count(3) {
                mutate(chance, &mut bytes);
            }
            bytes
        }
    }
}

/// Cuts the input anywhere, empty pieces included.
fn chunks_of<'a>(chance: &mut Chance, mut input: &'a [u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    while !input.is_empty() {
        let (chunk, rest) = input.split_at(chance.below(input.len().min(40) + 1));
        chunks.push(chunk);
        input = rest;
    }
    chunks
}

/// Prints how to get the same input again, if the test unwinds while it is at it.
struct Reproduction {
    seed: u64,
    input: u64,
}

impl Drop for Reproduction {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("LOKY_FUZZ_SEED={} fails at input {}", self.seed, self.input);
        }
    }
}

#[test]
fn any_bytes_give_frames_or_more_needed_or_an_error() {
    let inputs = number_from("LOKY_FUZZ_INPUTS", 200_000);
    let seed = number_from("LOKY_FUZZ_SEED", 0x10c4);
    let (mut refused, mut frames_seen) = (0_u64, 0_u64);
    for input in 0..inputs {
        let _reproduction = Reproduction { seed, input };
        let mut chance = Chance::new(seed ^ input.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let role = Role::ALL[chance.below(4)];
        let bytes = input_of(&mut chance, role);
        let whole = laws::check_stream(role, &bytes);
        let pieces = laws::verdict_of(role, chunks_of(&mut chance, &bytes));
        assert_eq!(whole, pieces, "how a stream is cut changes nothing");
        refused += u64::from(whole.1.is_some());
        frames_seen += whole.0.len() as u64;
    }
    // A dose that is always or never refused would prove nothing.
    if inputs >= 1000 {
        assert!(
            refused > inputs / 10 && refused < inputs,
            "{refused} of {inputs} refused"
        );
        assert!(
            frames_seen > inputs / 10,
            "{frames_seen} frames in {inputs} inputs"
        );
    }
}

#[test]
fn kept_inputs_of_the_fuzzer_keep_the_laws() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/stream");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("the kept inputs are in the tree") {
        replay::check_input(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs >= 4, "one for each direction at least");
}
