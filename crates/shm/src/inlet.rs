//! Two ways in, one order: frames of a ring and frames of a socket. Owner: whose turn it is.
//!
//! Never reads the socket: it is told how many of its bytes have been taken as frames.

use std::collections::VecDeque;

use loky_wire::limits::HEADER_LEN;
use loky_wire::{Decoder, Frame, RingPlace, Role, WireError};

use crate::error::ShmError;
use crate::ring::RingReader;
use crate::words::Words;

/// What lies in a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Nothing.
    Nothing,
    /// A frame that has its turn.
    Frame,
    /// A frame that has its turn after bytes of the socket, which are on their way.
    Socket,
}

/// The reading end of a ring beside a socket.
pub struct Inlet<W: Words> {
    reader: RingReader<W>,
    role: Role,
    /// How many bytes of the socket have been taken as frames.
    taken: u64,
    bytes: Vec<u8>,
    /// The frames of the last record, which have their turn now.
    frames: VecDeque<Frame>,
    /// Something has come by the socket since the last arming: it may have been the bell for it.
    rung: bool,
}

impl<W: Words> Inlet<W> {
    /// The reading end of a new ring, beside a socket of which nothing has been read.
    pub fn over(words: W, place: RingPlace, role: Role) -> Result<Self, ShmError> {
        Ok(Self {
            reader: RingReader::over(words, place)?,
            role,
            taken: 0,
            bytes: Vec::new(),
            frames: VecDeque::new(),
            rung: false,
        })
    }

    /// The next frame of the ring, if it has its turn before any more of the socket. To be asked until
    /// there is none before each frame of the socket.
    ///
    /// # Errors
    /// What lies in the ring was not written by an honest process. There is no way on from there.
    pub fn frame(&mut self) -> Result<Option<Frame>, ShmError> {
        if self.frames.is_empty() && self.look()? == Look::Frame {
            self.take_record()?;
        }
        Ok(self.frames.pop_front())
    }

    /// What there is, without taking it.
    ///
    /// # Errors
    /// As `frame`.
    pub fn look(&mut self) -> Result<Look, ShmError> {
        if !self.frames.is_empty() {
            return Ok(Look::Frame);
        }
        match self.reader.peek()? {
            None => Ok(Look::Nothing),
            Some(after) if after < self.taken => Err(ShmError::RingGarbled {
                what: "a record whose turn is over",
            }),
            Some(after) if after == self.taken => Ok(Look::Frame),
            Some(_) => Ok(Look::Socket),
        }
    }

    fn take_record(&mut self) -> Result<(), ShmError> {
        self.bytes.clear();
        self.reader.take(&mut self.bytes)?;
        // A decoder of its own for each record: a frame that is not whole is none.
        let mut decoder = Decoder::new(self.role);
        decoder.push(&self.bytes);
        while let Some(frame) = decoder.next()? {
            if frame.header.fds != 0 {
                let what = "a frame with descriptors, which only a socket carries";
                return Err(ShmError::RingGarbled { what });
            }
            self.frames.push_back(frame);
        }
        match decoder.pending() {
            0 => Ok(()),
            bytes => Err(WireError::Truncated { bytes }.into()),
        }
    }

    /// A frame of the socket is being taken, a bell included.
    pub fn note_socket(&mut self, frame: &Frame) {
        let len = (HEADER_LEN + frame.body.len()) as u64;
        self.taken = self.taken.wrapping_add(len);
        self.rung = true;
    }

    /// Says that the reader is about to sleep, unless that stands already and nobody can have rung
    /// for it; see [`RingReader::arm`].
    pub fn arm(&mut self) {
        if self.rung || !self.reader.is_armed() {
            self.rung = false;
            self.reader.arm();
        }
    }

    /// Says that the reader looks by itself; see [`RingReader::disarm`].
    pub fn disarm(&mut self) {
        self.reader.disarm();
    }
}
