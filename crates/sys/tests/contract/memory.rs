//! Memory files: fixed lengths, shared and private pages.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use loky_sys::errno;
use loky_sys::force::{Switch, is_forced};
use loky_sys::memory::{self, Mapping};
use rustix::fs::ftruncate;

const LEN: usize = 3 * 4096;

fn file() -> OwnedFd {
    memory::memfd(c"test", LEN as u64).unwrap()
}

fn has_seals() -> bool {
    !is_forced(Switch::NoSeals) && !is_forced(Switch::NoMemfd)
}

fn bytes_of(mapping: &Mapping, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    mapping.read_at(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_new_file_has_its_length_and_is_zero() {
    let file = file();
    assert_eq!(memory::file_len(&file).unwrap(), LEN as u64);
    assert_eq!(
        memory::read_file(&file, usize::MAX >> 1).unwrap(),
        vec![0; LEN]
    );
}

#[test]
fn a_file_has_no_name_anywhere() {
    let file = file();
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let link = link.to_str().unwrap();
    assert!(link.ends_with(" (deleted)"), "{link}");
    assert_eq!(
        link.starts_with("/memfd:test"),
        !is_forced(Switch::NoMemfd),
        "{link}"
    );
}

#[test]
fn seals_refuse_another_length_where_there_are_any() {
    for file in [file(), memory::memfd_of(c"test", &[1; LEN]).unwrap()] {
        assert_eq!(memory::is_sealed(&file).unwrap(), has_seals());
        for len in [0, 1 << 20] {
            let changed = ftruncate(&file, len);
            assert_eq!(changed.is_err(), has_seals(), "{changed:?}");
        }
    }
}

#[test]
fn a_growing_file_grows_and_its_readers_do_not_move_it() {
    let file = memory::growing_memfd(c"test", 0).unwrap();
    assert!(!memory::is_sealed(&file).unwrap());
    let mut writer = std::fs::File::from(file.try_clone().unwrap());
    writer.write_all(b"one ").unwrap();
    assert_eq!(memory::read_file(&file, 100).unwrap(), b"one ");
    writer.write_all(b"two").unwrap();
    assert_eq!(memory::read_file(&file, 100).unwrap(), b"one two");
    assert_eq!(memory::read_file(&file, 5).unwrap(), b"one t");
    assert_eq!(memory::read_file(&file, 0).unwrap(), b"");
}

#[test]
fn a_file_of_bytes_holds_them() {
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = memory::memfd_of(c"test", &bytes).unwrap();
    assert_eq!(memory::read_file(&file, usize::MAX >> 1).unwrap(), bytes);
    assert_eq!(
        memory::file_len(memory::memfd_of(c"test", b"").unwrap()).unwrap(),
        0
    );
}

#[test]
fn shared_pages_are_the_same_in_every_mapping() {
    let file = file();
    let (one, other) = (
        Mapping::shared(&file, LEN).unwrap(),
        Mapping::shared(&file, LEN).unwrap(),
    );
    drop(file);
    one.write_at(LEN - 3, b"end").unwrap();
    assert_eq!(bytes_of(&other, LEN - 3, 3), b"end");
    assert_eq!(one.len(), LEN);
}

#[test]
fn bytes_are_compared_where_they_lie() {
    let mapping = Mapping::shared(file(), LEN).unwrap();
    mapping.write_at(LEN - 3, b"end").unwrap();
    assert!(mapping.is_equal_at(LEN - 3, b"end").unwrap());
    assert!(!mapping.is_equal_at(LEN - 3, b"eng").unwrap());
    assert!(mapping.is_equal_at(LEN - 4, b"\0end").unwrap());
    assert!(mapping.is_equal_at(LEN, b"").unwrap());
    for (offset, len) in [(LEN, 1), (usize::MAX, 2)] {
        let error = mapping.is_equal_at(offset, &vec![0; len]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno::EINVAL));
    }
    let private = Mapping::private(file(), LEN).unwrap();
    assert!(private.is_equal_at(0, b"\0").is_err());
}

#[test]
fn copies_outside_of_a_mapping_are_refused() {
    let mapping = Mapping::shared(file(), LEN).unwrap();
    for (offset, len) in [(LEN, 1), (LEN - 1, 2), (usize::MAX, 2), (0, LEN + 1)] {
        let written = mapping.write_at(offset, &vec![1; len]).unwrap_err();
        let read = mapping.read_at(offset, &mut vec![1; len]).unwrap_err();
        assert_eq!(
            (written.raw_os_error(), read.raw_os_error()),
            (Some(errno::EINVAL), Some(errno::EINVAL))
        );
    }
    assert_eq!(bytes_of(&mapping, 0, LEN), vec![0; LEN]);
    mapping.write_at(LEN, b"").unwrap();
}

#[test]
fn what_is_written_into_a_private_mapping_stays_there() {
    let file = file();
    let shared = Mapping::shared(&file, LEN).unwrap();
    shared.write_at(0, b"original").unwrap();
    let mut one = Mapping::private(&file, LEN).unwrap();
    let other = Mapping::private(&file, LEN).unwrap();
    assert_eq!(&one.as_slice()[..8], b"original");
    // SAFETY: it is private.
    let bytes = unsafe { one.as_mut_slice() };
    bytes[..8].copy_from_slice(b"modified");
    assert_eq!(&one.as_slice()[..8], b"modified");
    assert_eq!(&other.as_slice()[..8], b"original");
    assert_eq!(bytes_of(&shared, 0, 8), b"original");
    // A page that was copied by the write no longer follows the file.
    shared.write_at(0, b"reworked").unwrap();
    assert_eq!(&one.as_slice()[..8], b"modified");
    drop(one);
    assert_eq!(memory::read_file(&file, 8).unwrap(), b"reworked");
}

#[test]
fn a_private_mapping_is_not_copied_into() {
    let mapping = Mapping::private(file(), LEN).unwrap();
    assert_eq!(
        mapping.write_at(0, b"x").unwrap_err().raw_os_error(),
        Some(errno::EINVAL)
    );
    assert_eq!(mapping.as_slice(), vec![0; LEN]);
}

#[test]
fn a_file_that_is_too_short_is_refused_before_it_can_be_a_bus_error() {
    let file = file();
    for refused in [
        Mapping::private(&file, LEN + 1),
        Mapping::shared(&file, LEN + 1),
    ] {
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(errno::ENXIO));
    }
    assert!(Mapping::private(&file, LEN - 1).is_ok());
}

#[test]
fn an_empty_mapping_is_refused() {
    assert_eq!(
        Mapping::shared(file(), 0).unwrap_err().raw_os_error(),
        Some(errno::EINVAL)
    );
}

#[test]
fn words_are_seen_by_other_mappings_and_have_no_rest() {
    let file = file();
    let words = Mapping::shared(&file, 20).unwrap().into_words();
    let other = Mapping::shared(&file, LEN).unwrap();
    assert_eq!(words.as_ref().len(), 2);
    words.as_ref()[1].store(u64::MAX, Ordering::Release);
    assert_eq!(
        bytes_of(&other, 4, 14),
        [0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0]
    );
}

#[test]
fn threads_may_copy_into_one_mapping_at_once() {
    let mapping = Mapping::shared(file(), LEN).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4_u8 {
            let mapping = &mapping;
            scope.spawn(move || {
                for _ in 0..100 {
                    mapping.write_at(0, &[number; LEN]).unwrap();
                    let seen = bytes_of(mapping, 0, LEN);
                    assert!(seen.iter().all(|byte| *byte == seen[0]), "a copy was torn");
                }
            });
        }
    });
}
