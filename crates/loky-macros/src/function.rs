//! A function as a task: the type that stands for it, and its place in the list of tasks.
//!
//! The function itself is left as it is, inside a block without a name. Outside, its name belongs to
//! a unit type that dereferences to the function, so that the name can be called, and handed over.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Error, ItemFn, ReturnType, Type, Visibility};

use crate::refusals;

/// What stands in place of the function.
pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if !attribute.is_empty() {
        return Err(Error::new_spanned(
            attribute,
            "`#[loky::task]` takes no arguments",
        ));
    }
    let mut function: ItemFn = syn::parse2(item)?;
    refusals::check(&function)?;
    let types = function
        .sig
        .inputs
        .iter()
        .map(|argument| Ok(refusals::argument(argument)?.ty.as_ref()))
        .collect::<Result<Vec<&Type>, Error>>()?;
    let output = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => quote!(#ty),
    };
    let (arguments, pattern, passed) = shape(&types);
    let name = function.sig.ident.clone();
    let pointer = quote!(fn(#(#types),*) -> #output);
    let visibility = std::mem::replace(&mut function.vis, Visibility::Inherited);
    let outside: Vec<Attribute> = outside(&function.attrs).cloned().collect();
    function
        .attrs
        .retain(|attribute| !attribute.path().is_ident("doc"));
    Ok(quote! {
        #(#outside)*
        #[allow(non_camel_case_types, reason = "the name of a function")]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #visibility struct #name;

        const _: () = {
            #function

            impl ::core::ops::Deref for #name {
                type Target = #pointer;
                fn deref(&self) -> &Self::Target {
                    const FUNCTION: #pointer = #name;
                    &FUNCTION
                }
            }

            impl ::loky::Task for #name {
                type Args = #arguments;
                type Output = #output;
            }

            impl ::loky::__private::Listed for #name {
                fn entry() -> &'static ::loky::__private::Entry {
                    &ENTRY
                }
            }

            fn run(call: &mut ::loky::__private::Call<'_>) -> ::loky::__private::Ran {
                call.run(|#pattern: #arguments| -> #output { #name(#(#passed),*) })
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

/// The type of all arguments together, a pattern for it, and its parts: nothing, the argument
/// itself, or a tuple.
fn shape(types: &[&Type]) -> (TokenStream, TokenStream, Vec<TokenStream>) {
    let names: Vec<TokenStream> = (0..types.len())
        .map(|place| {
            let name = format_ident!("argument_{place}");
            quote!(#name)
        })
        .collect();
    match types {
        [] => (quote!(()), quote!(()), names),
        [ty] => (quote!(#ty), quote!(#(#names)*), names),
        _ => (quote!((#(#types),*)), quote!((#(#names),*)), names),
    }
}

/// The attributes that belong to the name that others see: its documentation, and whether it is there.
fn outside(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| {
        ["doc", "cfg", "deprecated"]
            .iter()
            .any(|name| attribute.path().is_ident(name))
    })
}
