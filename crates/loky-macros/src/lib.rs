//! The attribute that makes a function a task.
//!
//! Owner: the text that `#[loky::task]` writes in place of a function. It decides nothing: what a
//! task is and how it is found stands in the crate `loky`, which exports this attribute.
#![forbid(unsafe_code)]

mod function;
mod refusals;

use proc_macro::TokenStream;

/// Marks a plain function as a task: something that a worker process can run.
///
/// The function keeps its name, and can still be called by it. Its arguments and its result are
/// owned values that serde can write and read.
///
/// Its name is a value, as that of a constant is: where the task is in scope, a variable cannot have
/// the same name.
///
/// It may not be generic, async, unsafe or a method, and it may not take references.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(attribute.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
