//! Buffers: beside the stream or in it, both ways, and given back.

use loky::{Buffer, Bytes};

use crate::Test;
use crate::stage::{Setting, descriptors, value};
use crate::tasks::{echo, exits, made, total};

pub const TESTS: &[Test] = &[
    ("bytes_of_every_size_travel_both_ways", every_size),
    ("numbers_travel_inside_other_values", inside),
    ("a_worker_makes_numbers", from_a_worker),
    ("segments_are_recycled", recycled),
    ("a_result_outlives_its_pool", outlives),
    ("a_buffer_is_any_sequence_elsewhere", elsewhere),
];

fn every_size(setting: Setting) {
    let pool = setting.pool(2);
    for len in [0, 1, 32 * 1024 - 1, 32 * 1024, 100_001, 8 << 20] {
        let bytes: Bytes = (0..len)
            .map(|at: usize| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
            .collect();
        assert!(
            value(&pool.submit(echo::call(bytes.clone())).unwrap()) == bytes,
            "{len}"
        );
    }
    pool.shutdown().unwrap();
}

fn inside(setting: Setting) {
    let pool = setting.pool(1);
    let parts = vec![
        Buffer::from(vec![1.0; 3]),
        Buffer::from(vec![0.5; 100_000]),
        Buffer::default(),
        Buffer::from(vec![0.25; 200_000]),
    ];
    let found = value(&pool.submit(total::call(parts, 2.0)).unwrap());
    assert!((found - 200_006.0).abs() < f64::EPSILON);
    pool.shutdown().unwrap();
}

fn from_a_worker(setting: Setting) {
    let pool = setting.pool(1);
    for len in [10, 1_000_000] {
        let (text, numbers) = value(&pool.submit(made::call(len)).unwrap());
        assert_eq!(text, format!("{len} numbers"));
        assert!(numbers.iter().copied().eq(0..u32::try_from(len).unwrap()));
    }
    pool.shutdown().unwrap();
}

fn recycled(setting: Setting) {
    let pool = setting.pool(1);
    let bytes = Bytes::from(vec![7; 200_000]);
    let mut open = 0;
    for round in 0..60 {
        value(&pool.submit(echo::call(bytes.clone())).unwrap());
        if round == 10 {
            open = descriptors();
        }
    }
    assert!(descriptors() <= open + 2, "{} after {open}", descriptors());
    pool.shutdown().unwrap();
}

fn outlives(setting: Setting) {
    let pool = setting.pool(1);
    let bytes = value(&pool.submit(echo::call(vec![9; 500_000].into())).unwrap());
    let killed = pool.submit(exits::call(1)).unwrap();
    assert!(killed.wait().is_err());
    pool.shutdown_now().unwrap();
    assert!(bytes.iter().all(|byte| *byte == 9));
}

fn elsewhere(_: Setting) {
    let numbers = Buffer::from(vec![1_u16, 2, 300]);
    let written = postcard::to_stdvec(&numbers).unwrap();
    assert_eq!(written, postcard::to_stdvec(&vec![1_u16, 2, 300]).unwrap());
    let read: Buffer<u16> = postcard::from_bytes(&written).unwrap();
    assert_eq!(read, numbers);
}
