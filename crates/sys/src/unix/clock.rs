//! The two clocks. It never sleeps.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds on a clock that never goes back and is the same in all processes of one system
/// (except in another time namespace).
pub fn monotonic_ns() -> u64 {
    since_zero_ns(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since 1970 by the clock that people set.
pub fn wall_ns() -> u64 {
    since_zero_ns(clock_gettime(ClockId::Realtime))
}

/// A time before the clock's zero is told as zero.
fn since_zero_ns(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}
