//! Which numbers are the bytes that they are, and the way from one to the other.
//!
//! The only place that knows bytemuck.

/// A number that is nothing but its bytes, and for which any bytes are a number: what a
/// [`Buffer`](crate::Buffer) may hold. Implemented for all integers and floating point numbers of
/// fixed size, and for nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plain number: a `Buffer` cannot hold it",
    note = "send a `Vec` of it as an ordinary argument, or its numbers as a `Buffer`"
)]
pub trait Number: sealed::Sealed {}

mod sealed {
    pub trait Sealed: bytemuck::Pod + Send + Sync {}
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(
            impl sealed::Sealed for $number {}
            impl Number for $number {}
        )*
    };
}

numbers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);

/// The bytes of numbers.
pub(crate) fn to_bytes<T: Number>(numbers: &[T]) -> &[u8] {
    bytemuck::cast_slice(numbers)
}

/// The numbers that bytes are, where they are whole ones at a right address.
pub(crate) fn from_bytes<T: Number>(bytes: &[u8]) -> Option<&[T]> {
    bytemuck::try_cast_slice(bytes).ok()
}

/// The numbers that bytes are, wherever they lie, where they are whole ones.
pub(crate) fn copied<T: Number>(bytes: &[u8]) -> Option<Vec<T>> {
    bytes
        .len()
        .is_multiple_of(size_of::<T>())
        .then(|| bytemuck::pod_collect_to_vec(bytes))
}
