//! What Linux asks for in [`crate::socket`]: flags that do all at once.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, SocketFlags};

pub(crate) const PAIR_FLAGS: SocketFlags = SocketFlags::CLOEXEC;
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
pub(crate) const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

#[expect(
    clippy::unnecessary_wraps,
    reason = "another system has something to do here"
)]
pub(crate) fn prepare(_end: &OwnedFd) -> io::Result<()> {
    Ok(())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "another system has something to do here"
)]
pub(crate) fn receive(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    Ok(descriptor)
}
