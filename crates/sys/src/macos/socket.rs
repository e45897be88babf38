//! Stream sockets that carry descriptors.
//!
//! Descriptors become close-on-exec a moment after they were made: an exec of another thread in
//! between keeps them, unless it is this crate's `spawn`.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::{
    set_socket_nosigpipe, set_socket_recv_buffer_size, set_socket_send_buffer_size,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

pub use crate::contract::DESCRIPTORS_MAX;
use crate::unix::descriptor::above_streams;
pub use crate::unix::descriptor::set_nonblocking;

const BUFFER_BYTES: usize = 1 << 20;
const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Two connected ends, closed on exec, blocking.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::empty(),
        None,
    )?;
    for end in [&one, &other] {
        fcntl_setfd(end, FdFlags::CLOEXEC)?;
        set_socket_nosigpipe(end, true)?;
        // Larger buffers save wake-ups; without them everything still works.
        let _ = set_socket_send_buffer_size(end, BUFFER_BYTES);
        let _ = set_socket_recv_buffer_size(end, BUFFER_BYTES);
    }
    Ok((above_streams(one)?, above_streams(other)?))
}

/// As on Linux. No SIGPIPE, for sockets made by [`pair`].
pub fn send<Fd: AsFd>(
    socket: Fd,
    bytes: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(sendmsg(socket, bytes, &mut control, SendFlags::empty())?)
}

/// As on Linux: one `None` stands for a descriptor that found no place and all that followed it in
/// the same message.
pub fn recv<Fd: AsFd>(
    socket: Fd,
    bytes: &mut [u8],
    descriptors: &mut VecDeque<Option<OwnedFd>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(bytes)];
    let received = recvmsg(socket, &mut slices, &mut control, RecvFlags::empty())?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for descriptor in rights {
                fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
                descriptors.push_back(Some(above_streams(descriptor)?));
            }
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        descriptors.push_back(None);
    }
    Ok(received.bytes)
}
