//! Keeping the user's descriptors out of an executed process.
//!
//! Close-on-exec is not enough: the user's program may have descriptors without it, and a pipe end
//! that lives on in a helper process never shows its end of file.

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::sync::OnceLock;

use rustix::io::{FdFlags, fcntl_getfd};

use crate::force::{Switch, is_forced};
use crate::unix::spawn::FileActions;

/// Further flags for `posix_spawn`.
pub(crate) const FLAGS: c_int = 0;

type AddCloseFrom = unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, c_int) -> c_int;

/// Has the child close every number above 2 that is no target.
pub(crate) fn close_all_but(actions: &mut FileActions, targets: &[RawFd]) -> io::Result<()> {
    let above = targets.iter().copied().max().unwrap_or(2).max(2) + 1;
    for number in (3..above).filter(|number| !targets.contains(number)) {
        actions.add_close(number)?;
    }
    if let Some(add_close_from) = add_close_from() {
        // SAFETY: the list was initialised, and the function has this type in every C library that
        // exports the name.
        let code = unsafe { add_close_from(actions.raw(), above) };
        return if code == 0 {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(code))
        };
    }
    for number in inheritable_from(above) {
        // A number over the limit of open files is refused here. It was opened before the limit was
        // lowered; the executed process closes it with `close_from`.
        let _ = actions.add_close(number);
    }
    Ok(())
}

/// The call of glibc 2.34 and later. It is looked up at run time, for the same binary has to load
/// where it does not exist.
fn add_close_from() -> Option<AddCloseFrom> {
    static FOUND: OnceLock<Option<AddCloseFrom>> = OnceLock::new();
    if is_forced(Switch::NoCloseRange) {
        return None;
    }
    *FOUND.get_or_init(|| {
        let name = c"posix_spawn_file_actions_addclosefrom_np";
        // SAFETY: the name is a literal that ends with a null.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        // SAFETY: an address under this name is a function of this type; null is `None`.
        unsafe { std::mem::transmute::<*mut libc::c_void, Option<AddCloseFrom>>(address) }
    })
}

/// What is open and would be inherited now. Another thread may open more before the spawn: where
/// the C library cannot close a whole range, that is as near as one gets.
fn inheritable_from(lowest: RawFd) -> Vec<RawFd> {
    let open = super::process::open_descriptors().unwrap_or_default();
    open.into_iter()
        .filter(|number| *number >= lowest && is_inheritable(*number))
        .collect()
}

fn is_inheritable(number: RawFd) -> bool {
    // SAFETY: the borrow lasts for one call, which asks for flags and fails on a number that another
    // thread has closed.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    fcntl_getfd(borrowed).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
}
