//! The parent of the tests: it starts a zygote, orders workers, and says and hears frames.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU64;

use loky_shm::{Ledger, Words};
use loky_sys::memory::{self, Mapping};
use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{clock, pidfd, process, signal, socket};
use loky_wire::limits::{LEDGER_LEN, LEDGER_SLOTS, SPAWN_FDS};
use loky_wire::{
    Body, DONE_RAISED, Decoder, DoneBody, ExitedBody, Frame, Header, Kind, Layout, Part, Piece,
    Role, SPAWN_EXEC, SegmentRef, SpawnBody, TaskBody, Ticket, encode, encode_body,
};

use crate::front::ZYGOTE_ROLE;
use crate::witness::{HANG_NS, ready};

/// How the workers of a test are made, and which fall-back is forced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    Fork,
    Exec,
    ForkWithoutPidfd,
    ForkWithoutChildrenFile,
}

impl Setting {
    pub const ALL: [Self; 4] = [
        Self::Fork,
        Self::Exec,
        Self::ForkWithoutPidfd,
        Self::ForkWithoutChildrenFile,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::ForkWithoutPidfd => "fork_without_pidfd",
            Self::ForkWithoutChildrenFile => "fork_without_children_file",
        }
    }

    pub fn named(name: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|setting| setting.name() == name)
            .unwrap()
    }

    fn forced(self) -> Option<&'static str> {
        match self {
            Self::Fork | Self::Exec => None,
            Self::ForkWithoutPidfd => Some("no_pidfd"),
            Self::ForkWithoutChildrenFile => Some("no_children_file"),
        }
    }

    fn flags(self) -> u8 {
        if self == Self::Exec { SPAWN_EXEC } else { 0 }
    }
}

/// One socket, as frames.
pub struct Link {
    pub socket: OwnedFd,
    decoder: Decoder,
    descriptors: VecDeque<Option<OwnedFd>>,
}

impl Link {
    fn new(socket: OwnedFd, role: Role) -> Self {
        Self {
            socket,
            decoder: Decoder::new(role),
            descriptors: VecDeque::new(),
        }
    }

    /// The next frame with its descriptors; `None` at the end.
    pub fn hear(&mut self) -> Option<(Frame, Vec<OwnedFd>)> {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                let count = usize::from(frame.header.fds);
                let descriptors = self
                    .descriptors
                    .drain(..count)
                    .map(|descriptor| descriptor.unwrap());
                return Some((frame, descriptors.collect()));
            }
            assert!(
                ready(&self.socket, Some(HANG_NS)).is_some(),
                "no frame comes"
            );
            let mut bytes = [0; 4096];
            match socket::recv(&self.socket, &mut bytes, &mut self.descriptors) {
                Ok(0) => return None,
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn expect(&mut self, kind: Kind) -> Frame {
        let (frame, _) = self
            .hear()
            .unwrap_or_else(|| panic!("the end instead of {kind:?}"));
        assert_eq!(frame.header.kind, kind, "{frame:?}");
        frame
    }

    pub fn expect_end(&mut self) {
        let heard = self.hear();
        assert!(heard.is_none(), "{heard:?}");
    }

    pub fn say(&self, header: &Header, body: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut bytes = Vec::new();
        encode(header, &[body], &mut bytes).unwrap();
        self.write(&bytes, descriptors);
    }

    fn say_body(&self, header: &Header, body: &impl Body, descriptors: &[BorrowedFd<'_>]) {
        let mut bytes = Vec::new();
        encode_body(header, body, &mut bytes).unwrap();
        self.write(&bytes, descriptors);
    }

    fn write(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let hang_at_ns = clock::monotonic_ns() + HANG_NS;
        while let Err(error) = socket::send(&self.socket, &[IoSlice::new(bytes)], descriptors) {
            // So many descriptors are on their way that the kernel takes no more of them for now.
            let crowded = error.raw_os_error() == Some(libc::ETOOMANYREFS);
            assert!(crowded && clock::monotonic_ns() < hang_at_ns, "{error}");
            std::thread::yield_now();
        }
    }
}

/// A zygote and the way to it.
pub struct Family {
    pub setting: Setting,
    pub control: Link,
    pub zygote: i32,
    reaped: bool,
}

/// How a worker ended.
pub struct Exit {
    pub status: process::WaitStatus,
    pub body: ExitedBody,
}

impl Family {
    pub fn start(setting: Setting) -> Self {
        let (ours, theirs) = socket::pair().unwrap();
        let mut environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        environment.retain(|(name, _)| name != "LOKY_FORCE");
        environment.extend(
            setting
                .forced()
                .map(|forced| ("LOKY_FORCE".into(), forced.into())),
        );
        let order = Spawn {
            program: &std::env::current_exe().unwrap(),
            args: &[
                ZYGOTE_ROLE.into(),
                "3".into(),
                process::pid().to_string().into(),
            ],
            env: Some(&environment),
            keep: &[(theirs.as_fd(), 3)],
            null_stdin: true,
        };
        let zygote = spawn(&order).unwrap();
        drop(theirs);
        let mut family = Self {
            setting,
            control: Link::new(ours, Role::ZygoteToParent),
            zygote,
            reaped: false,
        };
        let hello = family.control.expect(Kind::Hello);
        assert_eq!(hello.header.aux.cast_signed(), zygote);
        family
    }

    /// Orders a worker without waiting for it.
    pub fn order(
        &self,
        id: u64,
        flags: u8,
        setup: &[u8],
        extra: &[(&dyn AsFd, RawFd)],
    ) -> WorkerEnd {
        let (ours, theirs) = socket::pair().unwrap();
        let page = memory::memfd(c"test-ledger", LEDGER_LEN as u64).unwrap();
        let setup_file = memory::memfd_of(c"test-setup", setup).unwrap();
        let stack = memory::growing_memfd(c"test-stack", 0).unwrap();
        let mut descriptors = vec![
            theirs.as_fd(),
            page.as_fd(),
            setup_file.as_fd(),
            stack.as_fd(),
        ];
        descriptors.extend(extra.iter().map(|(descriptor, _)| descriptor.as_fd()));
        let body = SpawnBody {
            setup_len: u32::try_from(setup.len()).unwrap(),
            targets: extra.iter().map(|(_, target)| *target).collect(),
            rest: b"",
        };
        let fds = SPAWN_FDS + u16::try_from(extra.len()).unwrap();
        let header = Header::for_worker(Kind::Spawn, id, 7)
            .with_flags(flags)
            .with_fds(fds);
        self.control.say_body(&header, &body, &descriptors);
        WorkerEnd {
            id,
            pid: 0,
            link: Link::new(ours, Role::WorkerToParent),
            ledger: Ledger::over(Page(
                Mapping::shared(&page, LEDGER_LEN).unwrap().into_words(),
            ))
            .unwrap(),
            slot: 0,
            tickets: Vec::new(),
            segments: Vec::new(),
            freed: Vec::new(),
        }
    }

    /// A worker that is ready.
    pub fn spawn(&mut self, id: u64) -> WorkerEnd {
        self.spawn_with(id, b"", &[])
    }

    pub fn spawn_with(&mut self, id: u64, setup: &[u8], extra: &[(&dyn AsFd, RawFd)]) -> WorkerEnd {
        let mut worker = self.order(id, self.setting.flags(), setup, extra);
        self.expect_spawned(&mut worker);
        let ready = worker.link.expect(Kind::Ready);
        assert_eq!(ready.header.aux.cast_signed(), worker.pid);
        worker
    }

    pub fn expect_spawned(&mut self, worker: &mut WorkerEnd) {
        let spawned = self.control.expect(Kind::Spawned);
        assert_eq!(spawned.header.task, worker.id);
        worker.pid = spawned.header.aux.cast_signed();
    }

    /// The zygote says when a signal other than SIGKILL has been sent.
    pub fn expect_signalled(&mut self, id: u64, signal: i32) {
        let frame = self.control.expect(Kind::Signalled);
        assert_eq!(
            (frame.header.task, frame.header.aux.cast_signed()),
            (id, signal)
        );
    }

    pub fn expect_exited(&mut self, id: u64) -> Exit {
        let frame = self.control.expect(Kind::Exited);
        assert_eq!(frame.header.task, id);
        let status = process::WaitStatus(frame.header.aux.cast_signed());
        Exit {
            status,
            body: frame.exited_body().unwrap(),
        }
    }

    pub fn kill(&self, id: u64, signal: i32) {
        self.control.say(
            &Header::for_worker(Kind::Kill, id, signal.cast_unsigned()),
            b"",
            &[],
        );
    }

    /// Kills the zygote and waits for its end.
    pub fn kill_zygote(&mut self) {
        process::kill(self.zygote, signal::SIGKILL).unwrap();
        self.wait_zygote();
    }

    /// Closes the way to the zygote and waits for its end.
    pub fn close_control(mut self) -> process::WaitStatus {
        let (replacement, _) = socket::pair().unwrap();
        self.control = Link::new(replacement, Role::ZygoteToParent);
        self.wait_zygote()
    }

    /// Waits for the zygote's end.
    pub fn wait_zygote(&mut self) -> process::WaitStatus {
        if let Some(pidfd) = pidfd::open(self.zygote).unwrap() {
            assert!(
                ready(&pidfd, Some(HANG_NS)).is_some(),
                "the zygote does not end"
            );
        }
        self.reaped = true;
        process::wait_pid(self.zygote, true)
            .unwrap()
            .unwrap()
            .status
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = process::kill(self.zygote, signal::SIGKILL);
            let _ = process::wait_pid(self.zygote, true);
        }
    }
}

/// A worker as its parent sees it.
pub struct WorkerEnd {
    pub id: u64,
    pub pid: i32,
    pub link: Link,
    pub ledger: Ledger<Page>,
    slot: u16,
    tickets: Vec<(u64, Ticket)>,
    /// The files of the segments that were sent; the number of one is its place.
    pub segments: Vec<OwnedFd>,
    /// Segments of the parent that the worker needs no more.
    pub freed: Vec<u32>,
}

/// An answer, copied.
#[derive(Debug)]
pub struct Done {
    pub raised: bool,
    pub run_ns: u64,
    pub stream: Vec<u8>,
    pub buffers: Vec<Vec<u8>>,
    pub segment: Option<u32>,
}

impl WorkerEnd {
    pub fn send(&mut self, task: u64, stream: &[u8]) -> Ticket {
        self.send_with(task, stream, &[])
    }

    pub fn send_with(&mut self, task: u64, stream: &[u8], buffers: &[&[u8]]) -> Ticket {
        let ticket = self.ledger.publish(self.slot, task, 1).unwrap();
        self.slot = (self.slot + 1) % LEDGER_SLOTS;
        self.tickets.push((task, ticket));
        self.say_task(task, ticket, stream, buffers);
        ticket
    }

    pub fn say_task(&mut self, task: u64, ticket: Ticket, stream: &[u8], buffers: &[&[u8]]) {
        let layout = Layout::of(stream.len(), buffers.iter().map(|buffer| buffer.len())).unwrap();
        let mut segment = None;
        if layout.segment_len > 0 {
            let file = memory::memfd(c"test-segment", layout.segment_len).unwrap();
            let pages =
                Mapping::shared(&file, usize::try_from(layout.segment_len).unwrap()).unwrap();
            let parts = layout.buffers.iter().zip(buffers.iter().copied());
            for (extent, bytes) in
                parts.chain(layout.stream.as_ref().map(|extent| (extent, stream)))
            {
                pages
                    .write_at(usize::try_from(extent.offset).unwrap(), bytes)
                    .unwrap();
            }
            let id = u32::try_from(self.segments.len()).unwrap();
            segment = Some(SegmentRef {
                id,
                size: layout.segment_len,
            });
            self.segments.push(file);
        }
        let descriptors: Vec<BorrowedFd<'_>> = segment
            .iter()
            .map(|_| self.segments.last().unwrap().as_fd())
            .collect();
        let header = Header::for_task(Kind::Task, task, 1, ticket.slot)
            .with_fds(u16::from(segment.is_some()));
        let body = TaskBody {
            generation: ticket.generation,
            payload: layout.into_payload(segment, stream),
        };
        self.link.say_body(&header, &body, &descriptors);
    }

    /// Waits for the answer of a task, noting freed segments on the way.
    pub fn expect_done(&mut self, task: u64) -> Done {
        let (frame, mut descriptors) = self
            .hear_sorted()
            .expect("the worker ended before its answer");
        assert_eq!(
            (frame.header.kind, frame.header.task, frame.header.attempt),
            (Kind::Done, task, 1),
            "{frame:?}"
        );
        let DoneBody { run_ns, payload } = frame.done_body().unwrap();
        let segment = payload.segments.first();
        let pages = segment.map(|segment| {
            Mapping::private(
                descriptors.remove(0),
                usize::try_from(segment.size).unwrap(),
            )
            .unwrap()
        });
        let part = |part: &Part| {
            let extent = part.extent;
            let (start, len) = (
                usize::try_from(extent.offset).unwrap(),
                usize::try_from(extent.len).unwrap(),
            );
            pages.as_ref().unwrap().as_slice()[start..start + len].to_vec()
        };
        Done {
            raised: frame.header.flags & DONE_RAISED != 0,
            run_ns,
            stream: match payload.pieces.as_slice() {
                [Piece::Placed(at)] => part(at),
                [] => payload.inline.to_vec(),
                pieces => panic!("an answer in pieces: {pieces:?}"),
            },
            buffers: payload.buffers.iter().map(part).collect(),
            segment: segment.map(|segment| segment.id),
        }
    }

    /// Gives the slot of an answered task back.
    pub fn ledger_release(&mut self, task: u64) {
        let at = self.tickets.iter().position(|(of, _)| *of == task).unwrap();
        self.ledger.release(self.tickets.remove(at).1).unwrap();
    }

    /// The next frame that is no news of a freed segment.
    pub fn hear_sorted(&mut self) -> Option<(Frame, Vec<OwnedFd>)> {
        loop {
            let (frame, descriptors) = self.link.hear()?;
            if frame.header.kind != Kind::SegmentFreed {
                return Some((frame, descriptors));
            }
            self.freed.push(frame.header.aux);
        }
    }

    /// Waits until so many segments have come back.
    pub fn expect_freed(&mut self, count: usize) {
        while self.freed.len() < count {
            let frame = self.link.expect(Kind::SegmentFreed);
            self.freed.push(frame.header.aux);
        }
        self.freed.sort_unstable();
        let expected: Vec<u32> = (0..u32::try_from(count).unwrap()).collect();
        assert_eq!(self.freed, expected, "each segment comes back once");
    }

    /// Tells the worker that a segment of its own may be filled again.
    pub fn free(&self, segment: u32) {
        self.link
            .say(&Header::bare(Kind::SegmentFreed, segment), b"", &[]);
    }

    /// A task and its answer, without large parts.
    pub fn ask(&mut self, task: u64, stream: &str) -> Vec<u8> {
        self.send(task, stream.as_bytes());
        let done = self.expect_done(task);
        assert!(!done.raised, "{}", String::from_utf8_lossy(&done.stream));
        done.stream
    }
}

/// A mapped ledger page, as words.
pub struct Page(memory::Words);

impl Words for Page {
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        self.0.as_ref().get(offset / size_of::<AtomicU64>())
    }
}
