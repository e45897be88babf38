//! Sockets: bytes and descriptors in order, also when some are lost.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use loky_sys::socket::{self, DESCRIPTORS_MAX};
use loky_sys::{errno, limits, memory};
use rustix::io::{FdFlags, fcntl_getfd};

pub(crate) fn role(role: &str, _args: &[String]) -> bool {
    match role {
        "full_table" => lose_descriptors(),
        _ => return false,
    }
    true
}

type Received = VecDeque<Option<OwnedFd>>;

fn file_with(text: &str) -> OwnedFd {
    memory::memfd_of(c"test", text.as_bytes()).unwrap()
}

fn send_all(to: &OwnedFd, text: &str, descriptors: &[BorrowedFd<'_>]) {
    assert_eq!(
        socket::send(to, &[IoSlice::new(text.as_bytes())], descriptors).unwrap(),
        text.len()
    );
}

fn receive(from: &OwnedFd, descriptors: &mut Received) -> String {
    let mut bytes = [0; 64];
    let count = socket::recv(from, &mut bytes, descriptors).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

fn texts_of(received: &mut Received) -> Vec<Option<String>> {
    let text = |file: OwnedFd| String::from_utf8(memory::read_file(&file, 10).unwrap()).unwrap();
    received.drain(..).map(|file| file.map(text)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn descriptors_arrive_in_order_and_close_on_exec() {
    let (one, other) = socket::pair().unwrap();
    let (a, b) = (file_with("a"), file_with("b"));
    send_all(&one, "first", &[a.as_fd(), b.as_fd()]);
    send_all(&one, "plain", &[]);
    send_all(&one, "second", &[b.as_fd()]);
    let mut received = Received::new();
    assert_eq!(receive(&other, &mut received), "first");
    for file in received.iter().flatten() {
        assert!(fcntl_getfd(file).unwrap().contains(FdFlags::CLOEXEC));
    }
    assert_eq!(texts_of(&mut received), some(&["a", "b"]));
    // Plain bytes may come together with the bytes of the next message, never with those after it.
    let mut text = String::new();
    while !text.ends_with("second") {
        text += &receive(&other, &mut received);
    }
    assert_eq!(text, "plainsecond");
    assert_eq!(texts_of(&mut received), some(&["b"]));
}

#[test]
fn descriptors_of_a_message_that_is_read_in_parts_come_with_its_first_byte() {
    let (one, other) = socket::pair().unwrap();
    send_all(&one, "ab", &[file_with("x").as_fd()]);
    let mut received = Received::new();
    let mut byte = [0];
    assert_eq!(socket::recv(&other, &mut byte, &mut received).unwrap(), 1);
    assert_eq!(texts_of(&mut received), some(&["x"]));
    assert_eq!(socket::recv(&other, &mut byte, &mut received).unwrap(), 1);
    assert!(received.is_empty());
}

#[test]
fn as_many_as_a_message_can_hold_arrive_and_more_are_refused() {
    let (one, other) = socket::pair().unwrap();
    let file = file_with("x");
    let many = vec![file.as_fd(); DESCRIPTORS_MAX];
    send_all(&one, "many", &many);
    let mut received = Received::new();
    assert_eq!(receive(&other, &mut received), "many");
    assert_eq!(received.iter().flatten().count(), DESCRIPTORS_MAX);
    let too_many = vec![file.as_fd(); DESCRIPTORS_MAX + 1];
    let refused = socket::send(&one, &[IoSlice::new(b"x")], &too_many).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(errno::EINVAL));
}

#[test]
fn a_closed_end_is_the_end_of_the_stream_and_a_broken_pipe_without_a_signal() {
    let (one, other) = socket::pair().unwrap();
    send_all(&one, "last", &[]);
    drop(one);
    let mut received = Received::new();
    assert_eq!(receive(&other, &mut received), "last");
    assert_eq!(receive(&other, &mut received), "");
    let refused = socket::send(&other, &[IoSlice::new(b"x")], &[]).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(errno::EPIPE));
}

#[test]
fn a_socket_that_does_not_wait_says_so_when_empty_and_when_full() {
    let (one, other) = socket::pair().unwrap();
    socket::set_nonblocking(&one).unwrap();
    let mut received = Received::new();
    let empty = socket::recv(&one, &mut [0; 8], &mut received).unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::WouldBlock);
    let chunk = vec![7; 1 << 16];
    let (mut sent, full) = (
        0,
        loop_until_error(|| socket::send(&one, &[IoSlice::new(&chunk)], &[])),
    );
    assert_eq!(full.1.kind(), ErrorKind::WouldBlock);
    let mut bytes = vec![0; 1 << 16];
    while sent < full.0 {
        sent += socket::recv(&other, &mut bytes, &mut received).unwrap();
    }
    assert_eq!(sent, full.0, "a write that fails takes nothing");
}

fn loop_until_error(mut write: impl FnMut() -> std::io::Result<usize>) -> (usize, std::io::Error) {
    let mut sum = 0;
    loop {
        match write() {
            Ok(count) => sum += count,
            Err(error) => return (sum, error),
        }
    }
}

#[test]
fn several_slices_are_one_message() {
    let (one, other) = socket::pair().unwrap();
    let slices = [
        IoSlice::new(b"head"),
        IoSlice::new(b""),
        IoSlice::new(b"body"),
    ];
    assert_eq!(socket::send(&one, &slices, &[]).unwrap(), 8);
    assert_eq!(receive(&other, &mut Received::new()), "headbody");
}

#[test]
fn a_full_table_loses_descriptors_but_not_the_order() {
    crate::child::succeed("full_table");
}

/// In a role, since the limit holds for the whole process.
fn lose_descriptors() {
    let (one, other) = socket::pair().unwrap();
    let files = ["a", "b", "c", "d", "e"].map(file_with);
    let [alone, first, second, third, last] = files.each_ref().map(AsFd::as_fd);
    send_all(&one, "lost", &[alone]);
    send_all(&one, "part", &[first, second, third]);
    send_all(&one, "kept", &[last]);
    let before = limits::open_files().0.unwrap();
    let highest = files.iter().map(AsRawFd::as_raw_fd).max().unwrap();
    let first_free = u64::try_from(highest).unwrap() + 1;

    limits::set_open_files(first_free).unwrap();
    assert!(
        std::fs::File::open("/dev/null").is_err(),
        "the table has to be full for this to prove anything"
    );
    let mut received = Received::new();
    assert_eq!(receive(&other, &mut received), "lost");
    assert_eq!(texts_of(&mut received), [None]);

    limits::set_open_files(first_free + 1).unwrap();
    assert_eq!(receive(&other, &mut received), "part");
    assert_eq!(texts_of(&mut received), [Some("b".to_owned()), None]);

    limits::set_open_files(before).unwrap();
    assert_eq!(receive(&other, &mut received), "kept");
    assert_eq!(texts_of(&mut received), some(&["e"]));
}
