//! The rings step by step, with two threads for a while, and over pages that a wild process writes.
//! `LOKY_STRESS_TASKS` is the number of records, `LOKY_FUZZ_INPUTS` that of wild pages.
#![cfg(not(loom))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use loky_shm::{AtomicWords, Inlet, Look, RingReader, RingWriter, ShmError};
use loky_wire::limits::HEADER_LEN;
use loky_wire::ring::{RECORD_MAX, RINGS_LEN, TO_PARENT, TO_WORKER};
use loky_wire::{Decoder, Frame, Header, Kind, Role, encode};

type Page = Arc<AtomicWords<Arc<[AtomicU64]>>>;

fn page() -> Page {
    let words: Arc<[AtomicU64]> = (0..RINGS_LEN / 8).map(|_| AtomicU64::new(0)).collect();
    Arc::new(AtomicWords(words))
}

fn word(page: &Page, at: usize) -> &AtomicU64 {
    &page.0[at / 8]
}

fn ends(page: &Page) -> (RingWriter<Page>, RingReader<Page>) {
    (
        RingWriter::over(Arc::clone(page), TO_PARENT).unwrap(),
        RingReader::over(Arc::clone(page), TO_PARENT).unwrap(),
    )
}

fn taken(reader: &mut RingReader<Page>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(&mut bytes).unwrap().then_some(bytes)
}

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Numbers that any seed gives again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[test]
fn records_of_every_length_come_out_as_they_went_in() {
    let page = page();
    let (mut writer, mut reader) = ends(&page);
    for len in (1..80)
        .chain([RECORD_MAX - 1, RECORD_MAX])
        .cycle()
        .take(900)
    {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
        assert!(writer.push(len as u64, &bytes).unwrap());
        assert_eq!(reader.peek().unwrap(), Some(len as u64));
        assert_eq!(taken(&mut reader), Some(bytes));
        assert_eq!(taken(&mut reader), None);
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let page = page();
    let (mut writer, mut reader) = ends(&page);
    assert!(!writer.push(0, &[]).unwrap());
    assert!(!writer.push(0, &[1; RECORD_MAX + 1]).unwrap());
    let mut pushed = 0_u8;
    while writer.push(u64::from(pushed), &[pushed; 1000]).unwrap() {
        pushed += 1;
    }
    assert_eq!(pushed, 16, "sixteen records of 127 words fit into 2048");
    assert_eq!(taken(&mut reader), Some(vec![0; 1000]));
    assert!(writer.push(0, &[99; 1000]).unwrap(), "there is room again");
    assert!(!writer.push(0, &[99; 1000]).unwrap());
    for fill in (1..pushed).chain([99]) {
        assert_eq!(taken(&mut reader), Some(vec![fill; 1000]));
    }
    assert_eq!(taken(&mut reader), None);
}

#[test]
fn one_bell_is_rung_for_a_sleep() {
    let page = page();
    let (mut writer, mut reader) = ends(&page);
    assert!(writer.push(0, &[1]).unwrap());
    assert!(!writer.reader_seems_asleep() && !writer.must_ring());
    reader.arm();
    assert!(writer.reader_seems_asleep());
    assert!(writer.must_ring() && !writer.must_ring());
    assert!(!writer.reader_seems_asleep(), "it has been woken");
    reader.arm();
    assert!(writer.must_ring(), "this is the next sleep");
    reader.arm();
    reader.disarm();
    assert!(!writer.must_ring());
    reader.arm();
    writer.will_wake();
    assert!(!writer.must_ring(), "the bytes of the socket have woken it");
    word(&page, TO_PARENT.sleeper_at).store(77, Ordering::Relaxed);
    assert!(
        writer.must_ring(),
        "a wild word is at worst a bell too many"
    );
}

#[test]
fn an_inlet_that_was_rung_for_begins_a_new_sleep() {
    let mut line = Line::new();
    line.inlet.arm();
    assert!(line.writer.must_ring());
    line.inlet.arm();
    assert!(
        !line.writer.must_ring(),
        "nothing has come: the bell is on its way"
    );
    let mut bell = Vec::new();
    encode(&Header::bare(Kind::Bell, 0), &[], &mut bell).unwrap();
    line.sent += bell.len() as u64;
    line.socket.push(&bell);
    assert_eq!(line.next().unwrap().header.kind, Kind::Bell);
    line.inlet.arm();
    assert!(line.writer.must_ring());
}

#[test]
fn a_half_written_record_is_invisible() {
    let page = page();
    let (mut writer, mut reader) = ends(&page);
    assert!(writer.push(0, &[5; 100]).unwrap());
    // All of a second record but its commit: the writer died one store before.
    let committed = word(&page, TO_PARENT.tail_at).load(Ordering::Relaxed);
    assert!(writer.push(0, &[6; 100]).unwrap());
    word(&page, TO_PARENT.tail_at).store(committed, Ordering::Relaxed);
    assert_eq!(taken(&mut reader), Some(vec![5; 100]));
    assert_eq!(taken(&mut reader), None);
}

#[test]
fn a_reader_that_takes_what_is_not_there_is_told_of() {
    let page = page();
    let (mut writer, _) = ends(&page);
    word(&page, TO_PARENT.head_at).store(1 << 40, Ordering::Relaxed);
    let refused = loop {
        match writer.push(0, &[1; 1000]) {
            Ok(pushed) => assert!(pushed, "it asks the reader before it is full"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ShmError::RingGarbled { .. }));
}

#[test]
fn two_processes_worth_of_threads_lose_and_tear_nothing() {
    let records = number_from("LOKY_STRESS_TASKS", 50_000);
    let page = page();
    let (mut writer, mut reader) = ends(&page);
    let writing = thread::spawn(move || {
        let mut chance = Chance(7);
        for number in 0..records {
            let len = 8 + chance.below(300) as usize;
            let mut bytes = vec![number as u8; len];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            while !writer.push(number, &bytes).unwrap() {
                thread::yield_now();
            }
        }
    });
    for number in 0..records {
        let bytes = loop {
            if let Some(bytes) = taken(&mut reader) {
                break bytes;
            }
            thread::yield_now();
        };
        assert_eq!(bytes[..8], number.to_le_bytes());
        assert!(bytes[8..].iter().all(|byte| *byte == number as u8));
    }
    writing.join().unwrap();
}

fn freed(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&Header::bare(Kind::SegmentFreed, number), &[], &mut bytes).unwrap();
    bytes
}

/// Frames that go by the one or the other, and how they come out.
struct Line {
    writer: RingWriter<Page>,
    inlet: Inlet<Page>,
    socket: Decoder,
    sent: u64,
}

impl Line {
    fn new() -> Self {
        let page = page();
        Self {
            writer: RingWriter::over(Arc::clone(&page), TO_WORKER).unwrap(),
            inlet: Inlet::over(page, TO_WORKER, Role::ParentToWorker).unwrap(),
            socket: Decoder::new(Role::ParentToWorker),
            sent: 0,
        }
    }

    fn by_ring(&mut self, number: u32) -> bool {
        self.writer.push(self.sent, &freed(number)).unwrap()
    }

    fn by_socket(&mut self, number: u32) {
        let bytes = freed(number);
        self.sent += bytes.len() as u64;
        self.socket.push(&bytes);
    }

    fn next(&mut self) -> Option<Frame> {
        if let Some(frame) = self.inlet.frame().unwrap() {
            return Some(frame);
        }
        let frame = self.socket.next().unwrap()?;
        self.inlet.note_socket(&frame);
        Some(frame)
    }
}

#[test]
fn frames_keep_their_order_whichever_way_they_go() {
    let mut chance = Chance(3);
    let mut line = Line::new();
    let (mut sent, mut seen) = (0, 0);
    for _ in 0..20_000 {
        match chance.below(3) {
            0 if line.by_ring(sent) => sent += 1,
            0 | 1 => {
                line.by_socket(sent);
                sent += 1;
            }
            _ => {
                while let Some(frame) = line.next() {
                    assert_eq!(frame.header.aux, seen);
                    seen += 1;
                    if chance.below(4) == 0 {
                        break;
                    }
                }
            }
        }
    }
    while line.next().is_some() {
        seen += 1;
    }
    assert_eq!((seen, sent > 10_000), (sent, true));
}

#[test]
fn a_frame_behind_one_of_the_socket_waits_for_it() {
    let mut line = Line::new();
    assert!(line.by_ring(0));
    // On its way: sent, and not arrived.
    line.sent += HEADER_LEN as u64;
    assert!(line.by_ring(2));
    assert_eq!(line.next().unwrap().header.aux, 0);
    assert_eq!(line.inlet.look().unwrap(), Look::Socket);
    assert!(line.next().is_none());
    line.socket.push(&freed(1));
    assert_eq!(line.next().unwrap().header.aux, 1);
    assert_eq!(line.next().unwrap().header.aux, 2);
}

#[test]
fn what_is_no_whole_frame_is_refused() {
    let mut with_descriptor = Vec::new();
    let header = Header::for_task(Kind::Task, 1, 1, 0).with_fds(1);
    encode(&header, &[&[0; 12]], &mut with_descriptor).unwrap();
    let half = freed(1)[..20].to_vec();
    let wrong_way = {
        let mut bytes = Vec::new();
        encode(&Header::bare(Kind::Ready, 5), &[], &mut bytes).unwrap();
        bytes
    };
    for bytes in [with_descriptor, half, wrong_way, vec![0xff; 64]] {
        let mut line = Line::new();
        assert!(line.writer.push(0, &bytes).unwrap());
        assert!(line.inlet.frame().is_err(), "{bytes:?}");
    }
    let mut line = Line::new();
    line.by_socket(0);
    assert!(line.next().is_some());
    assert!(line.writer.push(0, &freed(1)).unwrap());
    assert!(line.inlet.frame().is_err(), "its turn is over");
}

/// Reads what a wild process has written, as far as a reader goes. True: it was found out.
fn read_wild(page: &Page) -> bool {
    let mut inlet = Inlet::over(Arc::clone(page), TO_PARENT, Role::WorkerToParent).unwrap();
    // A ring holds fewer records than this; whoever gives more has no end.
    for _ in 0..=TO_PARENT.words {
        match inlet.frame() {
            Ok(Some(frame)) => assert_eq!(frame.header.fds, 0),
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
    panic!("a ring gave more frames than it has words");
}

#[test]
fn any_words_give_frames_nothing_or_an_error() {
    let inputs = number_from("LOKY_FUZZ_INPUTS", 20_000);
    let seed = number_from("LOKY_FUZZ_SEED", 0x10c5);
    let page = page();
    let (first, data) = (TO_PARENT.tail_at, TO_PARENT.data_at);
    let (mut refused, mut honest) = (0, 0);
    for input in 0..inputs {
        let mut chance = Chance(seed ^ input.wrapping_mul(0x2545_f491_4f6c_dd1d));
        for at in [first, TO_PARENT.head_at, TO_PARENT.sleeper_at] {
            word(&page, at).store(0, Ordering::Relaxed);
        }
        // Honest records first, so that lies are found deep.
        let mut writer = RingWriter::over(Arc::clone(&page), TO_PARENT).unwrap();
        for number in 0..chance.below(6) {
            assert!(writer.push(0, &freed(number as u32)).unwrap());
        }
        for _ in 0..chance.below(4) {
            let value = match chance.below(6) {
                0 => 0,
                1 => chance.below(64),
                2 => TO_PARENT.words + chance.below(3) - 1,
                3 => RECORD_MAX as u64 + chance.below(3) - 1,
                4 => u64::MAX - chance.below(3),
                _ => chance.next(),
            };
            let at = match chance.below(4) {
                0 => first,
                1 => TO_PARENT.head_at,
                _ => data + 8 * chance.below(40) as usize,
            };
            word(&page, at).store(value, Ordering::Relaxed);
        }
        if read_wild(&page) {
            refused += 1;
        } else {
            honest += 1;
        }
        // A writer that meets a wild reader refuses to go on, or goes on.
        let mut writer = RingWriter::over(Arc::clone(&page), TO_PARENT).unwrap();
        let outcome = (0..40).try_for_each(|_| writer.push(0, &[1; 900]).map(|_| ()));
        assert!(matches!(
            outcome,
            Ok(()) | Err(ShmError::RingGarbled { .. })
        ));
    }
    assert!(
        refused > inputs / 10 && honest > inputs / 10,
        "{refused} refused, {honest} not"
    );
}

#[test]
fn a_page_that_changes_while_it_is_read_harms_nobody() {
    let page = page();
    let wild = Arc::clone(&page);
    let over = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&over);
    let writing = thread::spawn(move || {
        let mut chance = Chance(11);
        while told.load(Ordering::Relaxed) == 0 {
            let at = match chance.below(3) {
                0 => TO_PARENT.tail_at,
                _ => TO_PARENT.data_at + 8 * chance.below(16) as usize,
            };
            let value = chance.below(5) * chance.below(40);
            word(&wild, at).store(value, Ordering::Relaxed);
        }
    });
    for _ in 0..number_from("LOKY_FUZZ_INPUTS", 20_000) / 10 {
        read_wild(&page);
    }
    over.store(1, Ordering::Relaxed);
    writing.join().unwrap();
}
