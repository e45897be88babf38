//! What macOS asks for in [`crate::socket`].
//!
//! Descriptors become close-on-exec a moment after they were made: an exec of another thread in
//! between keeps them, unless it is this crate's `spawn`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::set_socket_nosigpipe;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

pub(crate) const PAIR_FLAGS: SocketFlags = SocketFlags::empty();
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();
pub(crate) const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

pub(crate) fn prepare(end: &OwnedFd) -> io::Result<()> {
    fcntl_setfd(end, FdFlags::CLOEXEC)?;
    Ok(set_socket_nosigpipe(end, true)?)
}

pub(crate) fn receive(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}
