//! A pipe as a witness: whoever has its writing end is alive, and its end is the end of them all.

use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::AsFd;

use loky_sys::poll::{Interest, Ready, poll};

/// Nothing here takes this long unless it hangs.
pub const HANG_NS: u64 = 60_000_000_000;

pub struct Witness {
    reader: PipeReader,
}

impl Witness {
    /// A witness, and the end for those whose life it watches.
    pub fn new() -> (Self, PipeWriter) {
        let (reader, writer) = pipe().unwrap();
        (Self { reader }, writer)
    }

    /// Waits for the word of somebody who lives.
    pub fn expect(&mut self, byte: u8) {
        assert!(
            ready(&self.reader, Some(HANG_NS)).is_some(),
            "nobody gave the sign {:?}",
            char::from(byte)
        );
        let mut found = [0];
        self.reader
            .read_exact(&mut found)
            .expect("all are dead before the sign");
        assert_eq!(char::from(found[0]), char::from(byte));
    }

    /// Waits for the words of several, in any order.
    pub fn expect_signs(&mut self, bytes: &[u8]) {
        let mut found = vec![0; bytes.len()];
        self.reader
            .read_exact(&mut found)
            .expect("all are dead before their signs");
        let mut expected = bytes.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    /// Whether a byte comes within this time.
    pub fn comes_within(&mut self, timeout_ns: u64) -> bool {
        ready(&self.reader, Some(timeout_ns)).is_some()
    }

    /// Proves that somebody is still there.
    pub fn expect_alive(&self) {
        let ended = ready(&self.reader, Some(0)).is_some_and(|ready| ready.ended);
        assert!(!ended, "nobody is alive any more");
    }

    /// Waits until nobody is there.
    pub fn expect_all_gone(mut self) {
        loop {
            assert!(
                ready(&self.reader, Some(HANG_NS)).is_some(),
                "somebody has outlived the family"
            );
            if self.reader.read(&mut [0; 64]).unwrap() == 0 {
                return;
            }
        }
    }
}

/// What there is to read within this time.
pub fn ready(fd: &impl AsFd, timeout_ns: Option<u64>) -> Option<Ready> {
    let mut interests = [Interest::new(fd.as_fd(), true, false)];
    let found = poll(&mut interests, timeout_ns).unwrap();
    (found > 0).then_some(interests[0].ready)
}
