//! Pages of a file in this process.
//!
//! Owner of the address range. It never decides who may write when.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::file::file_len;

/// The first bytes of a file, mapped readable and writable until this value dies.
///
/// A **shared** mapping is written and read by copying ([`Mapping::write_at`],
/// [`Mapping::read_at`]) or as atomics ([`Mapping::into_words`]), since other processes see its
/// bytes. A **private** one gives slices: what this process writes there, nobody else sees. Bytes of
/// the file that a peer writes after the mapping was made may show through in pages that have not
/// been written here; a peer that keeps the protocol does not write what it has lent.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<c_void>,
    len: usize,
    is_private: bool,
    /// Held while bytes are copied in or out of a shared mapping, for two threads may do it at once.
    copying: Mutex<()>,
}

// SAFETY: the address range belongs to the process, not to a thread, until `drop`.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference, a private mapping is only read and a shared one only copied
// from and to under the lock; raw pointers are their user's responsibility.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a file so that every process sees what is written. `ENXIO`: the file is shorter.
    pub fn shared<Fd: AsFd>(file: Fd, len: usize) -> io::Result<Self> {
        Self::new(file, len, false)
    }

    /// Maps a file copy-on-write: writing here changes nothing anywhere else. `ENXIO`: the file is
    /// shorter.
    pub fn private<Fd: AsFd>(file: Fd, len: usize) -> io::Result<Self> {
        Self::new(file, len, true)
    }

    fn new<Fd: AsFd>(file: Fd, len: usize, is_private: bool) -> io::Result<Self> {
        // Pages behind the end of a file can be mapped, but touching them is a SIGBUS. A sealed file
        // (see `is_sealed`) stays as long as it is now.
        if file_len(&file)? < len as u64 {
            return Err(io::Error::from_raw_os_error(libc::ENXIO));
        }
        let flags = if is_private {
            MapFlags::PRIVATE
        } else {
            MapFlags::SHARED
        };
        // SAFETY: the kernel chooses the address, so no memory in use is replaced.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
                &file,
                0,
            )?
        };
        let start =
            NonNull::new(start).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self {
            start,
            len,
            is_private,
            copying: Mutex::new(()),
        })
    }

    /// Where the bytes begin. They stay there while this value lives; who uses the pointer keeps to
    /// the rules above.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr().cast()
    }

    /// How many bytes there are; never 0.
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty mapping cannot be made"
    )]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes of a private mapping. A shared one has none to show: others may be writing them.
    pub fn as_slice(&self) -> &[u8] {
        debug_assert!(self.is_private, "a shared mapping is read by copying");
        if !self.is_private {
            return &[];
        }
        // SAFETY: the range is mapped and readable until `drop`, and this process writes to it only
        // through an exclusive reference or a pointer whose user keeps to the rules above.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    /// The bytes, to be changed.
    ///
    /// # Safety
    /// For a shared mapping, the caller promises that nobody in any process reads or writes the file
    /// while the slice lives. For a private one there is nothing to promise.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the range is mapped and writable until `drop`, no other reference of this process
        // exists, and the caller answers for the others.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.len) }
    }

    /// Copies bytes into a shared mapping. `EINVAL`: they do not fit, or the mapping is private.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let to = self.range_at(offset, bytes.len())?;
        let _copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the range was checked; `bytes` cannot overlap it, since a shared mapping gives no
        // slices without a promise; no other thread copies, because of the lock.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies bytes out of a shared mapping. `EINVAL`: there are not so many, or the mapping is
    /// private.
    pub fn read_at(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()> {
        let from = self.range_at(offset, bytes.len())?;
        let _copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as in `write_at`, the other way round.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Whether these bytes lie there, in a shared mapping. `EINVAL`: as for `read_at`.
    pub fn is_equal_at(&self, offset: usize, bytes: &[u8]) -> io::Result<bool> {
        let there = self.range_at(offset, bytes.len())?;
        // SAFETY: both ranges can be read for so many bytes during the call. Whoever writes to the
        // pages meanwhile changes the answer alone: the call takes addresses, no reference is made.
        let order = unsafe { libc::memcmp(there.cast(), bytes.as_ptr().cast(), bytes.len()) };
        Ok(order == 0)
    }

    /// The start of a range of a shared mapping that lies inside of it.
    fn range_at(&self, offset: usize, len: usize) -> io::Result<*mut u8> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.len);
        if self.is_private || !fits {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(self.as_ptr().wrapping_add(offset))
    }

    /// Gives the bytes up for atomics, eight bytes each; a rest of fewer is left out.
    pub fn into_words(self) -> Words {
        Words(self)
    }

    /// Gives the bytes up for atomics of four bytes each, as futexes are; a rest of fewer is left out.
    pub fn into_half_words(self) -> HalfWords {
        HalfWords(self)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and whoever borrowed it is gone. The call cannot
        // fail for a whole mapping.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

/// A mapping that is used as atomics and nothing else.
#[derive(Debug)]
pub struct Words(Mapping);

impl AsRef<[AtomicU64]> for Words {
    fn as_ref(&self) -> &[AtomicU64] {
        let count = self.0.len / size_of::<AtomicU64>();
        // SAFETY: pages are aligned for every atomic, the range is mapped and writable while `self`
        // lives, and nothing in this process uses it otherwise, since the mapping was given up.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr().cast::<AtomicU64>(), count) }
    }
}

/// A mapping that is used as atomics of half that size and nothing else.
#[derive(Debug)]
pub struct HalfWords(Mapping);

impl AsRef<[AtomicU32]> for HalfWords {
    fn as_ref(&self) -> &[AtomicU32] {
        let count = self.0.len / size_of::<AtomicU32>();
        // SAFETY: as for `Words`.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr().cast::<AtomicU32>(), count) }
    }
}
