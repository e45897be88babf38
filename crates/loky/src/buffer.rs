//! Plain numbers in a row, which travel as the bytes that they are.
//!
//! Owned by whoever holds it, and shared by its clones. Never changed once it is made: what came
//! from another process stays in the pages in which it came.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec;
use crate::number::{Number, from_bytes, to_bytes};

/// Bytes that travel as they are: see [`Buffer`].
pub type Bytes = Buffer<u8>;

/// Bytes of some owner.
pub(crate) trait Storage: Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl<T: Number> Storage for Vec<T> {
    fn bytes(&self) -> &[u8] {
        to_bytes(self)
    }
}

impl Storage for loky_engine::answer::AnswerView {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Storage for loky_worker::View {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Bytes that several hold.
#[derive(Clone)]
pub(crate) struct Shared(Arc<dyn Storage>);

impl Shared {
    pub(crate) fn new(storage: impl Storage + 'static) -> Self {
        Self(Arc::new(storage))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl loky_engine::front::Buffer for Shared {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Numbers in a row that travel between processes without being written one by one.
///
/// In the arguments or the result of a task, anywhere inside, a buffer of 32 KiB or more goes beside
/// the rest, in shared memory: it is copied once on its way to a worker, and once on its way back; who
/// receives it reads the pages in which it came. A smaller one goes with the rest, at the price of a
/// copy of its bytes. A clone is the same numbers.
///
/// In any other format of serde it is a sequence of numbers.
///
/// ```
/// use loky::Buffer;
///
/// #[loky::task]
/// fn sum(numbers: Buffer<f64>) -> f64 {
///     numbers.iter().sum()
/// }
/// # fn main() {
/// let numbers = Buffer::from(vec![0.5; 1_000_000]);
/// assert_eq!(sum(numbers), 500_000.0);
/// # }
/// ```
pub struct Buffer<T> {
    shared: Shared,
    numbers: PhantomData<T>,
}

impl<T: Number> Buffer<T> {
    /// The numbers of bytes that hold whole numbers at an address that is right for them.
    fn over(shared: Shared) -> Option<Self> {
        from_bytes::<T>(shared.bytes())?;
        Some(Self {
            shared,
            numbers: PhantomData,
        })
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[T] {
        // Whether the bytes are numbers was found out when the buffer was made.
        from_bytes(self.shared.bytes()).unwrap_or_default()
    }
}

impl<T: Number> From<Vec<T>> for Buffer<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self {
            shared: Shared::new(numbers),
            numbers: PhantomData,
        }
    }
}

impl<T: Number> From<&[T]> for Buffer<T> {
    fn from(numbers: &[T]) -> Self {
        numbers.to_vec().into()
    }
}

impl<T: Number> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        numbers.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T: Number> Default for Buffer<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            numbers: PhantomData,
        }
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Number> AsRef<[T]> for Buffer<T> {
    fn as_ref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Number + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Number + Eq> Eq for Buffer<T> {}

impl<T: Number> fmt::Debug for Buffer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Buffer({} numbers)", self.as_slice().len())
    }
}

/// Its bytes are in the stream.
const INSIDE: u8 = 0;
/// Its bytes are beside the stream.
const BESIDE: u8 = 1;

/// Bytes that serde is told to be bytes.
struct Plain<'a>(&'a [u8]);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<T: Number + Serialize> Serialize for Buffer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !codec::is_encoding() {
            return self.as_slice().serialize(serializer);
        }
        let bytes = self.shared.bytes();
        let mut tuple = serializer.serialize_tuple(2)?;
        let is_large =
            u64::try_from(bytes.len()).is_ok_and(|len| len >= loky_engine::BUFFER_MIN_BYTES);
        if is_large {
            let place = codec::put_beside(self.shared.clone())
                .ok_or_else(|| S::Error::custom("there are too many buffers"))?;
            tuple.serialize_element(&BESIDE)?;
            tuple.serialize_element(&place)?;
        } else {
            tuple.serialize_element(&INSIDE)?;
            tuple.serialize_element(&Plain(bytes))?;
        }
        tuple.end()
    }
}

impl<'de, T: Number + Deserialize<'de>> Deserialize<'de> for Buffer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if codec::is_decoding() {
            deserializer.deserialize_tuple(2, Parts(PhantomData))
        } else {
            Ok(Vec::deserialize(deserializer)?.into())
        }
    }
}

struct Parts<T>(PhantomData<T>);

impl<'de, T: Number> Visitor<'de> for Parts<T> {
    type Value = Buffer<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a buffer as loky sends it")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Buffer<T>, A::Error> {
        let missing = || A::Error::custom("a part of a buffer is missing");
        match parts.next_element::<u8>()?.ok_or_else(missing)? {
            INSIDE => {
                let numbers: Copied<T> = parts.next_element()?.ok_or_else(missing)?;
                Ok(numbers.0.into())
            }
            BESIDE => {
                let place = parts.next_element::<u32>()?.ok_or_else(missing)?;
                codec::take_beside(place)
                    .and_then(Buffer::over)
                    .ok_or_else(|| A::Error::custom("a buffer is not beside the value"))
            }
            _ => Err(A::Error::custom("this is no buffer")),
        }
    }
}

/// Numbers out of bytes in a stream, which may lie anywhere.
struct Copied<T>(Vec<T>);

impl<'de, T: Number> Deserialize<'de> for Copied<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Raw<T>(PhantomData<T>);
        impl<T: Number> Visitor<'_> for Raw<T> {
            type Value = Copied<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the bytes of numbers")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Copied<T>, E> {
                crate::number::copied(bytes)
                    .map(Copied)
                    .ok_or_else(|| E::custom("the bytes are no whole numbers"))
            }
        }
        deserializer.deserialize_bytes(Raw(PhantomData))
    }
}
