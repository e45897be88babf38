//! Every interleaving and every allowed reordering of the rings' own code.
//!
//! A socket is modelled by what the argument needs of it: a count of bytes that can be read, and a
//! reader that sleeps until there are some. A reader that would sleep for ever is a lost wake-up, and
//! the model fails, since it may not end while one of its threads waits.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p loky-shm --test loom_rings --release`.
#![cfg(loom)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use loky_shm::{ModelWords, RingReader, RingWriter};
use loky_wire::RingPlace;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A ring of so many words, from an offset on.
const fn place(first: usize, words: u64) -> RingPlace {
    RingPlace {
        tail_at: first,
        head_at: first + 8,
        sleeper_at: first + 16,
        data_at: first + 24,
        words,
    }
}

const SMALL: RingPlace = place(0, 8);

/// The page. Who holds it is no part of the model.
type Memory = std::sync::Arc<ModelWords>;

fn memory() -> Memory {
    Memory::new(ModelWords::zeroed(2))
}

fn ends(place: RingPlace) -> (RingWriter<Memory>, RingReader<Memory>) {
    let words = memory();
    (
        RingWriter::over(words.clone(), place).unwrap(),
        RingReader::over(words, place).unwrap(),
    )
}

/// What a socket is to a reader: something that can be slept on.
#[derive(Default)]
struct Socket {
    bytes: Mutex<u32>,
    came: Condvar,
}

impl Socket {
    fn write(&self) {
        *self.bytes.lock().unwrap() += 1;
        self.came.notify_one();
    }

    /// Sleeps until there is something, and takes all of it.
    fn sleep(&self) -> u32 {
        let mut bytes = self.bytes.lock().unwrap();
        while *bytes == 0 {
            bytes = self.came.wait(bytes).unwrap();
        }
        std::mem::take(&mut *bytes)
    }
}

/// A record whose every byte is the same.
fn record(fill: u8) -> [u8; 12] {
    [fill; 12]
}

fn take(reader: &mut RingReader<Memory>) -> Option<u8> {
    let mut bytes = Vec::new();
    if !reader.take(&mut bytes).expect("the writer is honest") {
        return None;
    }
    assert_eq!(bytes.len(), 12, "a torn record");
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a torn record");
    Some(bytes[0])
}

/// Takes records as a process does that sleeps when there is nothing, until it has so many.
fn read_sleeping(reader: &mut RingReader<Memory>, socket: &Socket, count: u8) {
    let mut expected = 1;
    while expected <= count {
        match take(reader) {
            Some(fill) => {
                assert_eq!(fill, expected, "records come in order, once");
                expected += 1;
            }
            None => {
                reader.arm();
                if reader.peek().unwrap().is_none() {
                    socket.sleep();
                }
                reader.disarm();
            }
        }
    }
}

#[test]
fn a_record_is_seen_whole_or_not_at_all() {
    loom::model(|| {
        let (mut writer, mut reader) = ends(SMALL);
        let other = thread::spawn(move || assert!(writer.push(0, &record(7)).unwrap()));
        if let Some(fill) = take(&mut reader) {
            assert_eq!(fill, 7);
            assert_eq!(take(&mut reader), None);
        }
        other.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let (mut writer, mut reader) = ends(SMALL);
        let socket = Arc::new(Socket::default());
        let bell = socket.clone();
        let other = thread::spawn(move || {
            for fill in 1..=2 {
                assert!(writer.push(0, &record(fill)).unwrap());
                if writer.must_ring() {
                    bell.write();
                }
            }
        });
        read_sleeping(&mut reader, &socket, 2);
        other.join().unwrap();
    });
}

#[test]
fn bytes_of_the_socket_are_a_bell_if_that_was_said_before_they_were_written() {
    loom::model(|| {
        let (mut writer, mut reader) = ends(SMALL);
        let socket = Arc::new(Socket::default());
        let bell = socket.clone();
        let other = thread::spawn(move || {
            assert!(writer.push(0, &record(1)).unwrap());
            writer.will_wake();
            bell.write();
            assert!(writer.push(1, &record(2)).unwrap());
            if writer.must_ring() {
                bell.write();
            }
        });
        read_sleeping(&mut reader, &socket, 2);
        other.join().unwrap();
    });
}

#[test]
fn a_full_ring_refuses_and_what_is_read_is_never_written_over() {
    // Room for two records of four words.
    loom::model(|| {
        let (mut writer, mut reader) = ends(SMALL);
        assert!(writer.push(0, &record(1)).unwrap());
        assert!(writer.push(0, &record(2)).unwrap());
        let other = thread::spawn(move || {
            // Goes in where the first one was, or not at all.
            writer.push(0, &record(3)).unwrap()
        });
        assert_eq!(take(&mut reader), Some(1));
        assert_eq!(take(&mut reader), Some(2));
        let third = take(&mut reader);
        let pushed = other.join().unwrap();
        assert!(third.is_none() || pushed);
        assert_eq!(third.or_else(|| take(&mut reader)), pushed.then_some(3));
    });
}

#[test]
fn both_directions_answer_each_other_without_a_lost_wake_up() {
    loom::model(|| {
        let words = memory();
        let (there, back) = (place(0, 4), place(64, 4));
        let mut ask = RingWriter::over(words.clone(), there).unwrap();
        let mut asked = RingReader::over(words.clone(), there).unwrap();
        let mut answer = RingWriter::over(words.clone(), back).unwrap();
        let mut answered = RingReader::over(words, back).unwrap();
        let (near, far) = (Arc::new(Socket::default()), Arc::new(Socket::default()));
        let (wake_near, wake_far) = (near.clone(), far.clone());
        let other = thread::spawn(move || {
            read_sleeping(&mut asked, &far, 1);
            assert!(answer.push(0, &record(1)).unwrap());
            if answer.must_ring() {
                wake_near.write();
            }
        });
        assert!(ask.push(0, &record(1)).unwrap());
        if ask.must_ring() {
            wake_far.write();
        }
        read_sleeping(&mut answered, &near, 1);
        other.join().unwrap();
    });
}
