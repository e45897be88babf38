//! What cannot be a task, each with what to do instead.
//!
//! Called before anything is written. It refuses only what the compiler would refuse later with a
//! worse message, or what could not work in another process.

use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Pat, PatType, ReturnType, Safety, Type};

/// Refuses a function that cannot be a task.
pub(crate) fn check(function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    let refuse = |span: &dyn Spanned, text: &str| Err(Error::new(span.span(), text));
    if let Some(asyncness) = &signature.asyncness {
        return refuse(
            asyncness,
            "a task cannot be async: run the future to its end inside a plain function",
        );
    }
    if matches!(signature.safety, Safety::Unsafe(_)) {
        return refuse(
            &signature.safety,
            "a task has no promises to keep: make them in a plain function that it calls",
        );
    }
    if let Some(abi) = &signature.abi {
        return refuse(
            abi,
            "a task has Rust's own calling convention: call the foreign function inside",
        );
    }
    if !signature.generics.params.is_empty() {
        return refuse(
            &signature.generics,
            "a task cannot be generic: the worker must find one function by its name; \
             write a task for each type and call the generic function in it",
        );
    }
    if let ReturnType::Type(_, ty) = &signature.output {
        match ty.as_ref() {
            Type::Never(_) => {
                return refuse(
                    ty,
                    "a task has a result type: write `-> ()` or leave it out",
                );
            }
            Type::ImplTrait(_) => {
                return refuse(ty, "the result of a task is sent as a value: name its type");
            }
            ty => refuse_reference(ty)?,
        }
    }
    Ok(())
}

/// The argument as a pattern and an owned type.
pub(crate) fn argument(argument: &FnArg) -> Result<&PatType, Error> {
    match argument {
        FnArg::Receiver(receiver) => Err(Error::new_spanned(
            receiver,
            "a task is a free function: make the value an ordinary argument",
        )),
        FnArg::Typed(typed) => {
            if matches!(*typed.ty, Type::ImplTrait(_)) {
                return Err(Error::new_spanned(
                    &typed.ty,
                    "a task cannot be generic: name the type of the argument",
                ));
            }
            if let Pat::Rest(rest) = typed.pat.as_ref() {
                return Err(Error::new_spanned(
                    rest,
                    "a task has a fixed number of arguments",
                ));
            }
            refuse_reference(&typed.ty)?;
            Ok(typed)
        }
    }
}

fn refuse_reference(ty: &Type) -> Result<(), Error> {
    let Type::Reference(reference) = ty else {
        return Ok(());
    };
    Err(Error::new_spanned(
        reference,
        "what a reference points to is not in the other process: \
         use an owned type, such as `String` for `&str` or `Vec<T>` for `&[T]`",
    ))
}
