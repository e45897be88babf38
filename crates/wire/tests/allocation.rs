//! Memory follows the bytes that have come, never the lengths that are claimed.

use allocation_counter::measure;
use loky_wire::{
    Decoder, Header, Kind, PayloadRef, Role, SpawnBody, WireError, encode,
    limits::{BODY_MAX, BUFFERS_MAX, EXTRA_MAX, HEADER_LEN},
};

/// Far above what a frame of a few bytes needs, far below what the claims would.
const SMALL: u64 = 512;

fn claim(len: u32) -> Vec<u8> {
    Header {
        len,
        ..Header::bare(Kind::Preload, 0)
    }
    .to_bytes()
    .to_vec()
}

#[test]
fn a_claimed_body_takes_no_memory_before_it_comes() {
    for len in [
        1,
        1 << 16,
        u32::try_from(BODY_MAX).unwrap(),
        1 << 21,
        u32::MAX,
    ] {
        let bytes = claim(len);
        let info = measure(|| {
            let mut decoder = Decoder::new(Role::ParentToZygote);
            decoder.push(&bytes);
            assert_eq!(decoder.next().is_err(), len as usize > BODY_MAX);
        });
        assert!(
            info.bytes_max <= SMALL,
            "{len} claimed, {} taken",
            info.bytes_max
        );
    }
}

#[test]
fn claimed_buffers_and_targets_take_no_memory_before_they_come() {
    for count in [1_000, u32::try_from(BUFFERS_MAX).unwrap(), u32::MAX] {
        let mut bytes = vec![1, 0, 0, 0];
        bytes.extend(count.to_le_bytes());
        bytes.extend([0; 32]);
        let info = measure(|| assert!(PayloadRef::decode(&bytes).is_err()));
        assert_eq!(info.count_total, 0, "{count} buffers claimed");
    }
    for count in [u32::from(EXTRA_MAX), u32::MAX] {
        let mut bytes = vec![0; 4];
        bytes.extend(count.to_le_bytes());
        let info = measure(|| assert!(SpawnBody::decode(&bytes).is_err()));
        assert!(
            info.bytes_max <= SMALL,
            "{count} targets claimed, {} taken",
            info.bytes_max
        );
    }
}

#[test]
fn a_flood_is_let_go_of_at_once() {
    let chunk = vec![0; BODY_MAX];
    let mut decoder = Decoder::new(Role::ParentToZygote);
    let info = measure(|| {
        for _ in 0..100 {
            decoder.push(&chunk);
        }
    });
    assert!(
        info.bytes_max <= 5 * BODY_MAX as u64,
        "{} taken",
        info.bytes_max
    );
    assert_eq!(info.bytes_current, 0, "nothing is kept");
    assert!(matches!(decoder.next(), Err(WireError::Flooded { .. })));
}

#[test]
fn many_small_frames_cost_an_allocation_each_and_the_buffer_stays_small() {
    let mut frames = Vec::new();
    for _ in 0..1000 {
        encode(&Header::bare(Kind::Preload, 0), &[b"numpy"], &mut frames).unwrap();
    }
    let mut decoder = Decoder::new(Role::ParentToZygote);
    let mut count = 0;
    let info = measure(|| {
        for chunk in frames.chunks(1000) {
            decoder.push(chunk);
            while let Some(frame) = decoder.next().unwrap() {
                count += 1;
                assert_eq!(frame.body.len(), 5);
            }
        }
    });
    assert_eq!(count, 1000);
    assert!(
        info.count_total <= 1000 + 8,
        "{} allocations",
        info.count_total
    );
    assert!(info.bytes_max <= 8 * 1000, "{} taken", info.bytes_max);
}

#[test]
fn a_long_frame_does_not_hold_its_memory_for_ever() {
    let mut long = Vec::new();
    encode(
        &Header::bare(Kind::Preload, 0),
        &[&vec![0; BODY_MAX]],
        &mut long,
    )
    .unwrap();
    let mut decoder = Decoder::new(Role::ParentToZygote);
    let info = measure(|| {
        decoder.push(&long);
        assert_eq!(decoder.next().unwrap().unwrap().body.len(), BODY_MAX);
        decoder.push(&claim(0));
        assert!(decoder.next().unwrap().is_some());
    });
    let left = u64::try_from(info.bytes_current).unwrap();
    assert!(left < BODY_MAX as u64 / 4, "{left} bytes stay");
    assert!(left >= HEADER_LEN as u64, "the buffer itself stays");
}
