//! Error numbers by name. It never maps one to a meaning.

pub use libc::{
    EACCES, EAGAIN, EBADF, EBUSY, ECHILD, EINTR, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC,
    ENOSYS, ENXIO, EPERM, EPIPE, ESRCH,
};

/// The name of an error number that this project meets, such as `EMFILE`.
pub const fn errno_name(errno: i32) -> Option<&'static str> {
    Some(match errno {
        EACCES => "EACCES",
        EAGAIN => "EAGAIN",
        EBADF => "EBADF",
        EBUSY => "EBUSY",
        ECHILD => "ECHILD",
        EINTR => "EINTR",
        EINVAL => "EINVAL",
        EMFILE => "EMFILE",
        ENFILE => "ENFILE",
        ENOENT => "ENOENT",
        ENOMEM => "ENOMEM",
        ENOSPC => "ENOSPC",
        ENOSYS => "ENOSYS",
        ENXIO => "ENXIO",
        EPERM => "EPERM",
        EPIPE => "EPIPE",
        ESRCH => "ESRCH",
        _ => return None,
    })
}
