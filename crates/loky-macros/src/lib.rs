//! The attribute that makes a function a task.
//!
//! Owner: the text that `#[loky::task]` writes beside a function. It decides nothing: what a task is
//! and how it is found stands in the crate `loky`, which exports this attribute.
#![forbid(unsafe_code)]

mod function;
mod refusals;

use proc_macro::TokenStream;

/// Marks a plain function as a task: something that a worker process can run.
///
/// The function stays what it is. Beside it there is `name::call`, which takes the same arguments and
/// gives a call that a pool can be handed. Arguments and result are owned values that serde can write
/// and read.
///
/// A task may not be generic, async, unsafe or a method, and it may not take references.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(attribute.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
