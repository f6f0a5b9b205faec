//! The functions that a declared channel gives its message type.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};
use syn::{Path, Visibility};

use crate::ast::Message;
use crate::attr::channel::{Channel, Given, Kind, Value};
use crate::duration;

/// The functions, in an implementation of the type.
pub(super) fn implementation(message: &Message<'_>, channel: &Channel) -> TokenStream {
    let Message { ident, vis, generics, attrs, .. } = message;
    let krate = &attrs.krate;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let name = &channel.name;
    let builder = format_ident!("{}", names(channel.kind).builder);
    let options = channel.options.iter().filter_map(|given| option(given, krate));
    let builder = quote!(#krate::#builder::new(#name) #(#options)*);
    let functions = functions(channel, vis, krate, &quote!(Self), Some(&builder));
    quote! {
        #[automatically_derived]
        impl #impl_generics #ident #ty_generics #where_clause {
            #functions
        }
    }
}

/// The functions for messages of the type `message`, around an expression for the builder. Without one, they only
/// type-check, whatever the messages are.
pub(crate) fn functions(
    channel: &Channel,
    vis: &Visibility,
    krate: &Path,
    message: &TokenStream,
    builder: Option<&TokenStream>,
) -> TokenStream {
    let never_run = quote!(::core::unreachable!());
    let value = builder.unwrap_or(&never_run);
    let Names { noun, builder: builder_type, ends } = names(channel.kind);
    let builder_type = format_ident!("{builder_type}");
    let parameters = match (channel.kind, channel.reply()) {
        (Kind::Service, Some(reply)) => quote!(<#message, #reply>),
        // Refused by `valid`, and so that it gives no further errors.
        (Kind::Service, None) => quote!(<#message, #message>),
        _ => quote!(<#message>),
    };
    let doc =
        format!(" The {noun} that this type declares, as a builder: change its name or options, and keep the rest.");
    let ends = ends.iter().map(|end| {
        let (function, ty): (Ident, Ident) = (format_ident!("{}", end.to_lowercase()), format_ident!("{end}"));
        let body = if builder.is_some() { quote!(Self::channel().#function()) } else { never_run.clone() };
        let article = if *end == "Server" || *end == "Client" { "a" } else { "the" };
        let doc = format!(
            " Joins the {noun} that this type declares as {article} {function}, and creates it if it does not exist."
        );
        quote! {
            #[doc = #doc]
            ///
            /// # Errors
            ///
            /// `OpenError` says why the channel cannot be created or joined, and what to do.
            #[allow(dead_code)]
            #vis fn #function() -> ::core::result::Result<#krate::#ty #parameters, #krate::OpenError> {
                #body
            }
        }
    });
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #vis fn channel() -> #krate::#builder_type #parameters {
            #value
        }

        #(#ends)*
    }
}

/// How a kind's things are called.
struct Names {
    noun: &'static str,
    builder: &'static str,
    /// The types of its ends; in lower case, the functions that open them.
    ends: [&'static str; 2],
}

fn names(kind: Kind) -> Names {
    match kind {
        Kind::Queue => Names { noun: "queue", builder: "Queue", ends: ["Sender", "Receiver"] },
        Kind::Broadcast => Names { noun: "broadcast", builder: "Broadcast", ends: ["Publisher", "Subscriber"] },
        Kind::Latest => Names { noun: "latest value", builder: "Latest", ends: ["Writer", "Reader"] },
        Kind::Service => Names { noun: "service", builder: "Service", ends: ["Client", "Server"] },
    }
}

/// The builder's call for an option. `None` for one that is no call, or whose value `valid` has refused.
fn option(given: &Given, krate: &Path) -> Option<TokenStream> {
    let name = format_ident!("{}", given.option.name);
    let argument = match (&given.value, given.option.name) {
        (Value::Type(_), _) => return None,
        (Value::Flag, _) => TokenStream::new(),
        (Value::Int(number), _) => {
            let number = Literal::u64_unsuffixed(number.base10_parse().ok()?);
            quote!(#number)
        }
        (Value::Number(number), _) => quote!(#number),
        (Value::Bool(value), _) => quote!(#value),
        (Value::Text(text), "lifetime") => {
            let variant = format_ident!(
                "{}",
                match text.value().as_str() {
                    "attached" => "Attached",
                    "persistent" => "Persistent",
                    _ => "Drained",
                }
            );
            quote!(#krate::Lifetime::#variant)
        }
        (Value::Text(text), "group") => quote!(#text),
        (Value::Text(text), _) => {
            let ns = Literal::u64_unsuffixed(duration::parse(&text.value())?);
            quote!(::core::time::Duration::from_nanos(#ns))
        }
    };
    Some(quote!(.#name(#argument)))
}
