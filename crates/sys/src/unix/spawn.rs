//! Executing a new process, with exactly the descriptors that it is meant to have.
//!
//! Built on `posix_spawn`, which shares the memory of this process until the exec: its price does
//! not grow with the size of the user's program, and no fork handlers run. It never searches for a
//! program and never waits for it.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use super::descriptor::outside;
pub use crate::contract::Spawn;

/// Executes a program; answers its process number.
///
/// It inherits the standard streams and what `keep` names, under the numbers given there, and
/// nothing else. Its signal mask is empty and SIGPIPE has its default effect; other signals that
/// this process ignores stay ignored.
pub fn spawn(order: &Spawn<'_>) -> io::Result<i32> {
    let program = CString::new(order.program.as_os_str().as_bytes())?;
    let words = std::iter::once(order.program.as_os_str())
        .chain(order.args.iter().map(OsString::as_os_str));
    let arguments = Strings::new(words.map(|word| CString::new(word.as_bytes())))?;
    let environment = match order.env {
        Some(pairs) => Strings::new(pairs.iter().map(|(name, value)| variable(name, value)))?,
        None => Strings::new(std::env::vars_os().map(|(name, value)| variable(&name, &value)))?,
    };
    let mut attributes = Attributes::new()?;
    attributes.set_signals()?;
    let (mut actions, _copies) = inheritance(order)?;
    let mut pid = 0;
    // SAFETY: all pointers lead to initialised values that live until the end of this function; the
    // lists end with a null pointer.
    let code = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            actions.raw(),
            attributes.raw(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    check(code)?;
    Ok(pid)
}

/// Gives a variable of an environment this value, whether it was there or not.
pub fn set_variable(environment: &mut Vec<(OsString, OsString)>, name: &str, value: OsString) {
    environment.retain(|(other, _)| other != name);
    environment.push((name.into(), value));
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, std::ffi::NulError> {
    let mut text = name.to_os_string();
    text.push("=");
    text.push(value);
    CString::new(text.into_vec())
}

/// What the child does between its making and the exec, and the copies that must live until then.
fn inheritance(order: &Spawn<'_>) -> io::Result<(FileActions, Vec<OwnedFd>)> {
    let mut targets: Vec<RawFd> = order.keep.iter().map(|(_, target)| *target).collect();
    if order.null_stdin {
        targets.push(0);
    }
    let mut actions = FileActions::new()?;
    let mut copies = Vec::new();
    for (source, target) in order.keep {
        // A source whose number is also a target could be overwritten before it is used; one that is
        // its own target would keep its close-on-exec flag. A copy elsewhere is neither.
        let source = if targets.contains(&source.as_raw_fd()) {
            let copy = outside(source, &targets)?;
            let number = copy.as_raw_fd();
            copies.push(copy);
            number
        } else {
            source.as_raw_fd()
        };
        actions.add_duplicate(source, *target)?;
    }
    if order.null_stdin {
        actions.add_open_null(0)?;
    }
    crate::platform::inheritance::close_all_but(&mut actions, &targets)?;
    Ok((actions, copies))
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}

/// Strings as the kernel takes them: a list of pointers that ends with a null.
struct Strings {
    pointers: Vec<*mut libc::c_char>,
    /// What the pointers lead to.
    _owned: Vec<CString>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = Result<CString, std::ffi::NulError>>) -> io::Result<Self> {
        let owned = strings.collect::<Result<Vec<CString>, _>>()?;
        let pointers = owned
            .iter()
            .map(|string| string.as_ptr().cast_mut())
            .chain(std::iter::once(ptr::null_mut()))
            .collect();
        Ok(Self {
            pointers,
            _owned: owned,
        })
    }
}

/// The list of what happens to descriptors in the child. Boxed: the C library may keep its address.
pub(crate) struct FileActions(Box<MaybeUninit<libc::posix_spawn_file_actions_t>>);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = Box::new(MaybeUninit::uninit());
        // SAFETY: the call initialises the place, which is its own.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        Ok(Self(actions))
    }

    pub(crate) fn raw(&mut self) -> *mut libc::posix_spawn_file_actions_t {
        self.0.as_mut_ptr()
    }

    fn add_duplicate(&mut self, source: RawFd, target: RawFd) -> io::Result<()> {
        // SAFETY: the list was initialised; the numbers are only noted.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(self.raw(), source, target) })
    }

    fn add_open_null(&mut self, target: RawFd) -> io::Result<()> {
        // SAFETY: the list was initialised and the path is a literal that lives for ever.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(
                self.raw(),
                target,
                c"/dev/null".as_ptr(),
                libc::O_RDONLY,
                0,
            )
        })
    }

    /// A number that is not open in the child is no error.
    #[cfg(target_os = "linux")]
    pub(crate) fn add_close(&mut self, number: RawFd) -> io::Result<()> {
        // SAFETY: the list was initialised; the number is only noted.
        check(unsafe { libc::posix_spawn_file_actions_addclose(self.raw(), number) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the list was initialised and is not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(self.raw()) };
    }
}

struct Attributes(Box<MaybeUninit<libc::posix_spawnattr_t>>);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = Box::new(MaybeUninit::uninit());
        // SAFETY: the call initialises the place, which is its own.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        Ok(Self(attributes))
    }

    fn raw(&mut self) -> *mut libc::posix_spawnattr_t {
        self.0.as_mut_ptr()
    }

    /// A mask of SIGINT alone, since the spawning thread may block everything, and since Ctrl-C must
    /// not meet the new program before it has taken a stand on interrupts; and SIGPIPE, which Python and
    /// Rust ignore, as a new program expects it.
    fn set_signals(&mut self) -> io::Result<()> {
        let flags = libc::POSIX_SPAWN_SETSIGMASK
            | libc::POSIX_SPAWN_SETSIGDEF
            | crate::platform::inheritance::FLAGS;
        let flags = libc::c_short::try_from(flags)
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: the sets are initialised before they are read, the attributes were initialised, and
        // all live for the calls.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            check(libc::posix_spawnattr_setsigmask(self.raw(), &raw const set))?;
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGPIPE);
            check(libc::posix_spawnattr_setsigdefault(
                self.raw(),
                &raw const set,
            ))?;
            check(libc::posix_spawnattr_setflags(self.raw(), flags))
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the attributes were initialised and are not used again.
        unsafe { libc::posix_spawnattr_destroy(self.raw()) };
    }
}
