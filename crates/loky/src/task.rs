//! What a task is, and the list of all tasks of a program.
//!
//! The list is made by the linker from every `#[loky::task]` in the program: nothing runs before
//! `main`, and a worker, being the same program, has the same list in the same order. A task travels
//! as its place in it.

use linkme::distributed_slice;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, Encoded, Sent};
use crate::failure::Failure;
use crate::panics;

/// A function that can run in a worker process: what [`#[loky::task]`](macro@crate::task) makes of it.
///
/// The name of the function is a value of a type of its own, which implements this trait and
/// dereferences to the function. So it is handed to [`submit`](crate::ProcessPoolExecutor::submit),
/// and it is called as before.
///
/// # What cannot be one
///
/// A closure that captures something has nothing to refer to in another process. It is refused when
/// the program is compiled:
///
/// ```compile_fail,E0277
/// let factor = 3;
/// let pool = loky::ProcessPoolExecutor::new(2)?;
/// pool.submit(|x: u32| x * factor, 5)?; // `factor` is not in the worker
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
/// let scaled = pool.submit(scaled, (5, factor))?.wait()?;
/// # Ok(())
/// # }
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task: it cannot run in another process",
    label = "not a function that is marked `#[loky::task]`",
    note = "write a function `#[loky::task] fn name(..) -> ..` and hand over its name",
    note = "what a closure captures does not travel with it: make it an argument of that function"
)]
pub trait Task: Listed + Copy + Send + 'static {
    /// The arguments: `()` for none, the argument itself for one, a tuple for more.
    type Args: Serialize + DeserializeOwned;
    /// The result.
    type Output: Serialize + DeserializeOwned;
}

/// What is in the list of tasks. Implemented by the attribute alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task: it cannot run in another process",
    label = "not a function that is marked `#[loky::task]`",
    note = "write a function `#[loky::task] fn name(..) -> ..` and hand over its name",
    note = "what a closure captures does not travel with it: make it an argument of that function"
)]
pub trait Listed {
    /// Its place in the list.
    fn entry() -> &'static Entry;
}

/// Every task of this program.
#[distributed_slice]
pub static TASKS: [Entry];

/// A task in the list.
pub struct Entry {
    name: &'static str,
    run: fn(&mut Call<'_>) -> Ran,
}

impl Entry {
    /// A task of this name, run by `run`.
    pub const fn new(name: &'static str, run: fn(&mut Call<'_>) -> Ran) -> Self {
        Self { name, run }
    }

    /// Where its function stands, such as `program::module::function`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
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

/// A call of a task as it travels: its place in the list, then its arguments.
pub(crate) fn encode_call<T: Task>(args: &T::Args) -> Result<Encoded, codec::EncodeError> {
    let entry = T::entry();
    let index = entry
        .index()
        .ok_or(codec::EncodeError::Unlisted { task: entry.name })?;
    codec::encode(&index.to_le_bytes(), args)
}

/// Runs a call that has been sent to this process.
pub(crate) fn run_call(sent: Sent<'_>) -> Ran {
    let found = sent.stream.split_first_chunk().and_then(|(index, rest)| {
        let index = usize::try_from(u32::from_le_bytes(*index)).ok()?;
        Some((TASKS.get(index)?, rest))
    });
    let Some((entry, stream)) = found else {
        return Ran(Err(Failure::Unknown));
    };
    let mut call = Call {
        sent: Some(Sent { stream, ..sent }),
    };
    panics::catch(|| (entry.run)(&mut call)).unwrap_or_else(|panic| Ran(Err(panic.into())))
}

/// A call of a task in the worker.
pub struct Call<'a> {
    sent: Option<Sent<'a>>,
}

impl Call<'_> {
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
