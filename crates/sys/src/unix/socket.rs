//! Stream sockets that carry descriptors.
//!
//! It never retries and never splits: what one call did is what the caller is told. What a system
//! asks for besides stands in its `socket`.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SocketType, recvmsg, sendmsg, socketpair,
};

use super::descriptor::above_streams;
pub use super::descriptor::set_nonblocking;
pub use crate::contract::DESCRIPTORS_MAX;
use crate::platform::socket as system;

/// What is asked of the kernel for each direction; it gives what the system's limit allows.
const BUFFER_BYTES: usize = 1 << 20;

/// Room for as many descriptors as one message can hold, so that the control data is only ever cut
/// off because the table of this process is full.
const CONTROL_BYTES: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Two connected ends, closed on exec, blocking.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        system::PAIR_FLAGS,
        None,
    )?;
    for end in [&one, &other] {
        system::prepare(end)?;
        // Larger buffers save wake-ups; without them everything still works.
        let _ = set_socket_send_buffer_size(end, BUFFER_BYTES);
        let _ = set_socket_recv_buffer_size(end, BUFFER_BYTES);
    }
    Ok((above_streams(one)?, above_streams(other)?))
}

/// Writes once; answers how many bytes were taken. The descriptors travel with the first of them, so
/// they have been sent as soon as the answer is not an error. No SIGPIPE. At most
/// [`DESCRIPTORS_MAX`] descriptors, else `EINVAL`; with descriptors there must be a byte to carry
/// them.
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
    Ok(sendmsg(socket, bytes, &mut control, system::SEND_FLAGS)?)
}

/// Reads once; answers how many bytes came, 0 for the end of the stream. Descriptors are appended in
/// the order in which they were sent, closed on exec.
///
/// The kernel installs the descriptors of one message in order and stops at the first that finds no
/// place in the table of this process; it does not tell how many were left. So one `None` stands for
/// that one **and all that followed in the same message**. A reader that knows how many belong to a
/// frame takes that many, or up to and including the first `None`.
pub fn recv<Fd: AsFd>(
    socket: Fd,
    bytes: &mut [u8],
    descriptors: &mut VecDeque<Option<OwnedFd>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); CONTROL_BYTES];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(bytes)];
    let received = recvmsg(socket, &mut slices, &mut control, system::RECEIVE_FLAGS)?;
    let mut cut_off = received.flags.contains(ReturnFlags::CTRUNC);
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for descriptor in rights {
                let Ok(descriptor) = system::receive(descriptor).and_then(above_streams) else {
                    cut_off = true;
                    break;
                };
                descriptors.push_back(Some(descriptor));
            }
        }
    }
    if cut_off {
        descriptors.push_back(None);
    }
    Ok(received.bytes)
}
