//! What a task is, and the list of all tasks of a program.
//!
//! The list is made by the linker from every `#[loky::task]` in the program: nothing runs before
//! `main`, and a worker, being the same program, has the same list in the same order. A task travels
//! as its place in it.

use std::marker::PhantomData;

use linkme::distributed_slice;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, Encoded, Sent};
use crate::error::EncodeError;
use crate::failure::Failure;
use crate::panics;

/// Every task of this program.
#[distributed_slice]
pub static TASKS: [Entry];

/// A task in the list.
pub struct Entry {
    name: &'static str,
    run: fn(&mut Received<'_>) -> Ran,
}

impl Entry {
    /// A task of this name, run by `run`.
    pub const fn new(name: &'static str, run: fn(&mut Received<'_>) -> Ran) -> Self {
        Self { name, run }
    }

    /// Its place in the list; `None` where the linker left it out.
    fn index(&'static self) -> Option<u32> {
        let offset = std::ptr::from_ref(self)
            .addr()
            .checked_sub(TASKS.as_ptr().addr())?;
        let index = offset.checked_div(size_of::<Self>())?;
        TASKS
            .get(index)
            .filter(|found| std::ptr::eq(*found, self))
            .and_then(|_| u32::try_from(index).ok())
    }
}

/// A number that differs between programs with different tasks. Places in the list mean nothing in
/// another program, such as one that a build has put in the place of this one.
pub(crate) fn fingerprint() -> u64 {
    // FNV-1a, over names that end in a byte which no name has.
    let bytes = TASKS
        .iter()
        .flat_map(|entry| entry.name.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A call of a task, with its arguments, to be handed to a pool: what `name::call(..)` gives.
///
/// The arguments have been written down: they are what they were then. A clone is the same call.
#[derive(Clone)]
#[must_use = "a call does nothing until a pool has it"]
pub struct Call<R> {
    task: &'static str,
    encoded: Result<Encoded, EncodeError>,
    result: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    /// The function that is called, with its module.
    pub fn task(&self) -> &'static str {
        self.task
    }
}

impl<R> std::fmt::Debug for Call<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Call({})", self.task)
    }
}

/// A call of a task as it travels: its place in the list, then its arguments.
pub fn call<A: Serialize, R>(entry: &'static Entry, args: &A) -> Call<R> {
    let index = entry
        .index()
        .ok_or(EncodeError::Unlisted { task: entry.name });
    Call {
        task: entry.name,
        encoded: index.and_then(|index| codec::encode(&index.to_le_bytes(), args)),
        result: PhantomData,
    }
}

/// What a pool can be handed: a [`Call`], and nothing else.
///
/// # What cannot run elsewhere
///
/// A closure that captures something has nothing to refer to in another process. It is refused when
/// the program is compiled:
///
/// ```compile_fail,E0277
/// let factor = 3;
/// let pool = loky::ProcessPoolExecutor::new(2)?;
/// pool.submit(|| 5 * factor)?; // `factor` is not in the worker
/// # Ok::<(), loky::Error>(())
/// ```
///
/// Make what it captures an argument:
///
/// ```
/// #[loky::task]
/// fn scaled(x: u32, factor: u32) -> u32 {
///     x * factor
/// }
/// # fn example(pool: &loky::ProcessPoolExecutor) -> Result<(), loky::Error> {
/// let factor = 3;
/// let scaled = pool.submit(scaled::call(5, factor))?.wait()?;
/// # Ok(())
/// # }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no call of a task: it cannot run in another process",
    label = "not made by `name::call(..)` of a `#[loky::task]`",
    note = "write a function `#[loky::task] fn name(..) -> ..` and hand over `name::call(..)`",
    note = "what a closure captures does not travel with it: make it an argument of that function"
)]
pub trait TaskCall: sealed::Sealed {
    /// The result of the task.
    type Output: DeserializeOwned;
}

impl<R: DeserializeOwned> TaskCall for Call<R> {
    type Output = R;
}

pub(crate) mod sealed {
    use super::{Call, EncodeError, Encoded};

    /// What the pool needs of a call, and nobody else.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is no call of a task: it cannot run in another process",
        label = "not made by `name::call(..)` of a `#[loky::task]`",
        note = "write a function `#[loky::task] fn name(..) -> ..` and hand over `name::call(..)`",
        note = "what a closure captures does not travel with it: make it an argument of that function"
    )]
    pub trait Sealed {
        fn into_parts(self) -> (&'static str, Result<Parts, EncodeError>);
    }

    /// A call as it travels, opaque outside.
    pub struct Parts(pub(crate) Encoded);

    impl<R> Sealed for Call<R> {
        fn into_parts(self) -> (&'static str, Result<Parts, EncodeError>) {
            (self.task, self.encoded.map(Parts))
        }
    }
}

/// In the place of a call's task: an attempt that panics wants to be followed by another. Lists of
/// tasks are shorter than that.
const REPEATS_AFTER_PANIC: u32 = 1 << 31;

/// Has another attempt follow one that panics.
pub(crate) fn repeat_after_panic(call: &mut Encoded) {
    if let Some(head) = call.stream.first_chunk_mut() {
        *head = (u32::from_le_bytes(*head) | REPEATS_AFTER_PANIC).to_le_bytes();
    }
}

/// Whether a call wants that.
pub(crate) fn repeats_after_panic(stream: &[u8]) -> bool {
    let head = stream.first_chunk().map(|head| u32::from_le_bytes(*head));
    head.is_some_and(|head| head & REPEATS_AFTER_PANIC != 0)
}

/// Runs a call that has been sent to this process.
pub(crate) fn run_call(sent: Sent<'_>) -> Ran {
    let found = sent.stream.split_first_chunk().and_then(|(index, rest)| {
        let index = u32::from_le_bytes(*index) & !REPEATS_AFTER_PANIC;
        let index = usize::try_from(index).ok()?;
        Some((TASKS.get(index)?, rest))
    });
    let Some((entry, stream)) = found else {
        return Ran(Err(Failure::Unknown));
    };
    let mut call = Received {
        sent: Some(Sent { stream, ..sent }),
    };
    panics::catch(|| (entry.run)(&mut call)).unwrap_or_else(|panic| Ran(Err(panic.into())))
}

/// A call of a task in the worker.
pub struct Received<'a> {
    sent: Option<Sent<'a>>,
}

impl Received<'_> {
    /// Reads the arguments, calls the function and writes what it returns.
    pub fn run<A: DeserializeOwned, R: Serialize>(&mut self, function: impl FnOnce(A) -> R) -> Ran {
        let Some(sent) = self.sent.take() else {
            return Ran(Err(Failure::Unknown));
        };
        Ran(match codec::decode(sent) {
            Ok(args) => codec::encode(&[], &function(args))
                .map_err(|error| Failure::Encode(error.to_string())),
            Err(error) => Err(Failure::Decode(error.to_string())),
        })
    }
}

/// What a call came to: the result as it travels, or why there is none.
pub struct Ran(pub(crate) Result<Encoded, Failure>);
