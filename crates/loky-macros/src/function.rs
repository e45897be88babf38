//! A function as a task: the type beside it that makes calls, and its place in the list of tasks.
//!
//! The function itself is left as it is. Functions and types have names of their own kind, so the type
//! has the same name: `name(..)` calls the function, `name::call(..)` is a call for a pool.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Error, Ident, ItemFn, Pat, PatType, ReturnType, Type};

use crate::refusals;

/// What stands in place of the function.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(
            attribute,
            "`#[loky::task]` takes no arguments",
        ));
    }
    let function: ItemFn = syn::parse2(item)?;
    refusals::check(&function)?;
    let beside = beside(&function)?;
    Ok(quote! {
        #function
        #beside
    })
}

/// The type that makes calls, and the entry in the list.
fn beside(function: &ItemFn) -> Result<TokenStream, Error> {
    let arguments = function
        .sig
        .inputs
        .iter()
        .map(refusals::argument)
        .collect::<Result<Vec<&PatType>, Error>>()?;
    let types: Vec<&Type> = arguments.iter().map(|typed| typed.ty.as_ref()).collect();
    let names: Vec<Ident> = arguments.iter().enumerate().map(argument_name).collect();
    let output = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let name = &function.sig.ident;
    let visibility = &function.vis;
    let conditions: Vec<&Attribute> = conditions(&function.attrs).collect();
    let about_type = format!("Makes calls of the task [`{name}`](fn@{name}).");
    Ok(quote! {
        #(#conditions)*
        #[doc = #about_type]
        #[allow(non_camel_case_types, dead_code, reason = "it has the name of a function")]
        #visibility struct #name {}

        #(#conditions)*
        const _: () = {
            #[allow(
                dead_code,
                clippy::needless_pass_by_value,
                clippy::too_many_arguments,
                reason = "its arguments are those of the task"
            )]
            impl #name {
                /// A call of the task with these arguments, which are written down at once.
                #visibility fn call(#(#names: #types),*) -> ::loky::Call<#output> {
                    ::loky::__private::call(&ENTRY, &(#(#names,)*))
                }
            }

            fn run(call: &mut ::loky::__private::Received<'_>) -> ::loky::__private::Ran {
                call.run(|(#(#names,)*): (#(#types,)*)| -> #output { #name(#(#names),*) })
            }

            #[::loky::__private::linkme::distributed_slice(::loky::__private::TASKS)]
            #[linkme(crate = ::loky::__private::linkme)]
            static ENTRY: ::loky::__private::Entry = ::loky::__private::Entry::new(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                run,
            );
        };
    })
}

/// The name that an argument has, where it has one.
fn argument_name((place, argument): (usize, &&PatType)) -> Ident {
    match argument.pat.as_ref() {
        Pat::Ident(named) if named.subpat.is_none() => named.ident.clone(),
        _ => format_ident!("argument_{place}"),
    }
}

/// Whether the function is there at all is true of what stands beside it.
fn conditions(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
}
