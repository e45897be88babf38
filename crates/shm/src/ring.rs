//! Bytes from one process to another without a system call. Owner: the protocol of commit, take,
//! arm and bell.
//!
//! One writer, one reader, records in order. Never waits, never rings: the writer is told when to.
//! Neither side trusts a word that the other can write. The orderings are argued in `README.md`.

use loky_wire::ring::{RECORD_HEAD, RECORD_MAX, RingPlace};

use crate::error::ShmError;
use crate::primitive::{AtomicU64, Ordering, fence};
use crate::words::Words;

const WORD: usize = size_of::<u64>();

/// The words of one ring.
struct Ring<W> {
    words: W,
    place: RingPlace,
}

impl<W: Words> Ring<W> {
    fn over(words: W, place: RingPlace) -> Result<Self, ShmError> {
        let ring = Self { words, place };
        let last = ring.place.words.wrapping_sub(1);
        let control = [place.tail_at, place.head_at, place.sleeper_at];
        let whole = place.words.is_power_of_two()
            && control.iter().all(|at| ring.words.word(*at).is_some())
            && ring.data(last).is_some();
        if whole {
            Ok(ring)
        } else {
            Err(ShmError::PageTooShort { len: place.data_at })
        }
    }

    /// A word of control. `over` has seen that it is there.
    fn control(&self, at: usize) -> Result<&AtomicU64, ShmError> {
        let missing = ShmError::PageTooShort { len: at };
        self.words.word(at).ok_or(missing)
    }

    /// The word in which the `position`th word of the stream lies.
    fn data(&self, position: u64) -> Option<&AtomicU64> {
        let index = usize::try_from(position & (self.place.words - 1)).ok()?;
        self.words.word(self.place.data_at + index * WORD)
    }

    fn put(&self, position: u64, word: u64) {
        if let Some(place) = self.data(position) {
            place.store(word, Ordering::Relaxed);
        }
    }

    fn get(&self, position: u64) -> u64 {
        self.data(position)
            .map_or(0, |place| place.load(Ordering::Relaxed))
    }

    /// How many words a record of so many bytes takes.
    fn words_of(bytes: usize) -> u64 {
        RECORD_HEAD + bytes.div_ceil(WORD) as u64
    }
}

/// The writing end of a ring.
pub struct RingWriter<W: Words> {
    ring: Ring<W>,
    /// How many words have been committed. The copy in the page is for the reader.
    tail: u64,
    /// How many words the reader had taken out when it was last asked.
    head: u64,
    /// The sleep for which a bell has been rung, or will be before anything is lost.
    rung_for: u64,
}

impl<W: Words> RingWriter<W> {
    /// The writing end of a ring that is new: nothing has been committed.
    pub fn over(words: W, place: RingPlace) -> Result<Self, ShmError> {
        let ring = Ring::over(words, place)?;
        Ok(Self {
            ring,
            tail: 0,
            head: 0,
            rung_for: 0,
        })
    }

    /// Commits a record by one store, to be taken out once `after` bytes of the socket have been
    /// taken. False: there is no room now, or the record is too long for a ring; nothing has
    /// changed.
    ///
    /// # Errors
    /// The reader has written what no reader writes.
    pub fn push(&mut self, after: u64, bytes: &[u8]) -> Result<bool, ShmError> {
        if bytes.is_empty() || bytes.len() > RECORD_MAX {
            return Ok(false);
        }
        let needed = Ring::<W>::words_of(bytes.len());
        if !self.has_room(needed)? {
            return Ok(false);
        }
        self.ring.put(self.tail, bytes.len() as u64);
        self.ring.put(self.tail.wrapping_add(1), after);
        let mut position = self.tail.wrapping_add(RECORD_HEAD);
        for piece in bytes.chunks(WORD) {
            let mut word = [0; WORD];
            for (to, from) in word.iter_mut().zip(piece) {
                *to = *from;
            }
            self.ring.put(position, u64::from_le_bytes(word));
            position = position.wrapping_add(1);
        }
        self.tail = position;
        // Everything above becomes visible by this store, or nothing of it.
        self.ring
            .control(self.ring.place.tail_at)?
            .store(position, Ordering::Release);
        Ok(true)
    }

    fn has_room(&mut self, needed: u64) -> Result<bool, ShmError> {
        let capacity = self.ring.place.words;
        let used = self.tail.wrapping_sub(self.head);
        if capacity.saturating_sub(used) >= needed {
            return Ok(true);
        }
        let word = self.ring.control(self.ring.place.head_at)?;
        // Pairs with the release in `take`: what has been read there may be written over here.
        let head = word.load(Ordering::Acquire);
        if head.wrapping_sub(self.head) > used {
            let what = "its reader has taken more than there was";
            return Err(ShmError::RingGarbled { what });
        }
        self.head = head;
        Ok(capacity.saturating_sub(self.tail.wrapping_sub(head)) >= needed)
    }

    /// Whether the reader seems to sleep, and nobody has rung: a hint, to be trusted by nobody who needs
    /// to know.
    pub fn reader_seems_asleep(&self) -> bool {
        self.sleep().is_some_and(|sleep| sleep != self.rung_for)
    }

    /// After commits: whether the reader sleeps and has to be woken by the caller, by bytes on the
    /// socket. Answers true once a sleep.
    pub fn must_ring(&mut self) -> bool {
        // Pairs with the fence in `arm`: of the commit and the reader's word, at least one is seen.
        fence(Ordering::SeqCst);
        let unrung = self.sleep().filter(|sleep| *sleep != self.rung_for);
        if let Some(sleep) = unrung {
            self.rung_for = sleep;
        }
        unrung.is_some()
    }

    /// Before bytes are written to the socket, which wake the reader as a bell would: nobody needs to
    /// ring for this sleep any more. Never after: it could be the next sleep by then.
    pub fn will_wake(&mut self) {
        if let Some(sleep) = self.sleep() {
            self.rung_for = sleep;
        }
    }

    /// The number of the sleep that the reader is in; `None`: it is awake.
    fn sleep(&self) -> Option<u64> {
        let word = self.ring.words.word(self.ring.place.sleeper_at)?;
        Some(word.load(Ordering::Relaxed)).filter(|sleep| is_sleep(*sleep))
    }
}

/// The reader counts its sleeps and its awakenings in one word, so that each has a number.
const fn is_sleep(state: u64) -> bool {
    !state.is_multiple_of(2)
}

/// A record that has been seen and not been taken out. Its words are not read a second time.
#[derive(Clone, Copy)]
struct Record {
    bytes: usize,
    after: u64,
}

/// The reading end of a ring.
pub struct RingReader<W: Words> {
    ring: Ring<W>,
    /// How many words have been taken out. The copy in the page is for the writer.
    head: u64,
    /// How many words had been committed when it was last asked.
    tail: u64,
    next: Option<Record>,
    /// The number of this sleep, or of this awakening. The copy in the page is for the writer.
    state: u64,
}

impl<W: Words> RingReader<W> {
    /// The reading end of a ring from which nothing has been taken.
    pub fn over(words: W, place: RingPlace) -> Result<Self, ShmError> {
        let ring = Ring::over(words, place)?;
        Ok(Self {
            ring,
            head: 0,
            tail: 0,
            next: None,
            state: 0,
        })
    }

    /// After how many bytes of the socket the next record is to be taken; `None`: there is none.
    ///
    /// # Errors
    /// The words are none that a writer writes. There is no way on from there.
    pub fn peek(&mut self) -> Result<Option<u64>, ShmError> {
        if self.next.is_none() && self.has_more()? {
            self.next = Some(self.read_head()?);
        }
        Ok(self.next.map(|record| record.after))
    }

    fn has_more(&mut self) -> Result<bool, ShmError> {
        if self.head == self.tail {
            let word = self.ring.control(self.ring.place.tail_at)?;
            // Pairs with the release in `push`: what has been committed is there.
            let tail = word.load(Ordering::Acquire);
            if tail.wrapping_sub(self.head) > self.ring.place.words {
                let what = "more is committed than there is room for";
                return Err(ShmError::RingGarbled { what });
            }
            self.tail = tail;
        }
        Ok(self.head != self.tail)
    }

    fn read_head(&self) -> Result<Record, ShmError> {
        let committed = self.tail.wrapping_sub(self.head);
        let garbled = |what| Err(ShmError::RingGarbled { what });
        let Ok(bytes @ 1..=RECORD_MAX) = usize::try_from(self.ring.get(self.head)) else {
            return garbled("a record of a length that none has");
        };
        if Ring::<W>::words_of(bytes) > committed {
            return garbled("a record that is longer than what is committed");
        }
        let after = self.ring.get(self.head.wrapping_add(1));
        Ok(Record { bytes, after })
    }

    /// Takes the next record out, by copying it behind what `out` has. False: there is none.
    ///
    /// # Errors
    /// As `peek`.
    pub fn take(&mut self, out: &mut Vec<u8>) -> Result<bool, ShmError> {
        self.peek()?;
        let Some(record) = self.next.take() else {
            return Ok(false);
        };
        let end = out.len() + record.bytes;
        let mut position = self.head.wrapping_add(RECORD_HEAD);
        while out.len() < end {
            let word = self.ring.get(position).to_le_bytes();
            let left = end - out.len();
            out.extend_from_slice(word.get(..left).unwrap_or(&word));
            position = position.wrapping_add(1);
        }
        self.head = position;
        self.ring
            .control(self.ring.place.head_at)?
            .store(position, Ordering::Release);
        Ok(true)
    }

    /// Says that the reader is about to sleep: a new sleep, for which the writer has not rung. It must
    /// look once more afterwards, and may sleep if there is nothing then.
    pub fn arm(&mut self) {
        let step = if self.is_armed() { 2 } else { 1 };
        self.enter(self.state.wrapping_add(step));
        // Pairs with the fence in `must_ring`.
        fence(Ordering::SeqCst);
    }

    /// Says that the reader looks by itself, until it arms again.
    pub fn disarm(&mut self) {
        if self.is_armed() {
            self.enter(self.state.wrapping_add(1));
        }
    }

    /// Whether it has said that it sleeps.
    pub const fn is_armed(&self) -> bool {
        is_sleep(self.state)
    }

    fn enter(&mut self, state: u64) {
        self.state = state;
        if let Some(word) = self.ring.words.word(self.ring.place.sleeper_at) {
            word.store(state, Ordering::Relaxed);
        }
    }
}
