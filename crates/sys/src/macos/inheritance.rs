//! Keeping the user's descriptors out of an executed process: the kernel closes all that the list of
//! actions does not name.

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;

use crate::unix::spawn::FileActions;

/// Further flags for `posix_spawn`.
pub(crate) const FLAGS: c_int = libc::POSIX_SPAWN_CLOEXEC_DEFAULT;

unsafe extern "C" {
    fn posix_spawn_file_actions_addinherit_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        number: c_int,
    ) -> c_int;
}

/// Has the child keep the standard streams as well, those that are open and no target.
pub(crate) fn close_all_but(actions: &mut FileActions, targets: &[RawFd]) -> io::Result<()> {
    for number in (0..3).filter(|number| !targets.contains(number)) {
        // SAFETY: the call asks for flags and touches no memory.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
            continue;
        }
        // SAFETY: the list was initialised; the number is only noted.
        let code = unsafe { posix_spawn_file_actions_addinherit_np(actions.raw(), number) };
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
    }
    Ok(())
}
