//! The attributes: `#[ipc(...)]`, and what `#[repr(...)]` says.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitInt, LitStr, Path, Token, parenthesized, parse_quote};

pub(crate) mod channel;

use crate::errors::Errors;
use channel::Channel;

/// The attributes of a message type.
pub(crate) struct Attrs {
    /// `name`: the type's name in the schema.
    pub(crate) name: Option<LitStr>,
    /// `crate`: where `slipring` is.
    pub(crate) krate: Path,
    /// The channel, if one is declared.
    pub(crate) channel: Option<Channel>,
    /// What `#[repr(...)]` says.
    pub(crate) repr: Repr,
}

/// What `#[repr(...)]` says.
#[derive(Default)]
pub(crate) struct Repr {
    /// `C`
    pub(crate) c: bool,
    /// An integer type, of any kind.
    pub(crate) int: Option<Ident>,
    /// `packed`
    pub(crate) packed: Option<Path>,
    /// `transparent`
    pub(crate) transparent: Option<Path>,
    /// `align(N)`
    pub(crate) align: Option<LitInt>,
    /// Something else, which the compiler refuses by itself.
    pub(crate) unknown: bool,
}

/// The parts of `#[ipc(...)]` as they are met.
#[derive(Default)]
struct Parts {
    name: Option<LitStr>,
    krate: Option<Path>,
    channel: channel::Parts,
}

impl Attrs {
    /// Reads the attributes of a type. What is malformed is reported, and left out.
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut parts = Parts::default();
        let mut repr = Repr::default();
        for attr in attrs {
            let read = if attr.path().is_ident("ipc") {
                attr.parse_nested_meta(|meta| parts.read(&meta))
            } else if attr.path().is_ident("repr") {
                attr.parse_nested_meta(|meta| repr.read(&meta)).or_else(|_| {
                    repr.unknown = true;
                    Ok(())
                })
            } else {
                Ok(())
            };
            if let Err(error) = read {
                errors.add(error);
            }
        }
        parts.finish(repr, errors)
    }
}

impl Parts {
    /// Reads one item of `#[ipc(...)]`.
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
        match key.as_str() {
            "name" => once(meta, &mut self.name, meta.value()?.parse()?),
            "crate" => {
                let text: LitStr = meta.value()?.parse()?;
                once(meta, &mut self.krate, text.parse_with(Path::parse_mod_style)?)
            }
            _ if self.channel.read(&key, meta)? => Ok(()),
            "domain" => Err(meta.error(
                "a domain is chosen by those who run the program, with SLIPRING_DOMAIN, or in the program: \
                 `channel().domain(\"...\")`",
            )),
            "pipe" => Err(meta.error(
                "a pipe carries messages of two types, so neither declares it: open it with `Pipe::<A, B>::new(\"name\")`",
            )),
            _ => Err(meta.error(unknown(&key))),
        }
    }

    /// Puts the parts together.
    fn finish(self, repr: Repr, errors: &mut Errors) -> Attrs {
        let Self { name, krate, channel } = self;
        let channel = channel.finish(errors);
        Attrs { name, krate: krate.unwrap_or_else(|| parse_quote!(::slipring)), channel, repr }
    }
}

impl Repr {
    /// Reads one item of `#[repr(...)]`.
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let path = meta.path.clone();
        let key = path.get_ident().map(Ident::to_string).unwrap_or_default();
        match key.as_str() {
            "C" => self.c = true,
            "packed" => {
                self.packed = Some(path);
                skip_argument(meta)?;
            }
            "transparent" => self.transparent = Some(path),
            "align" => {
                let argument;
                parenthesized!(argument in meta.input);
                self.align = Some(argument.parse()?);
            }
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => {
                self.int = path.get_ident().cloned();
            }
            // The compiler takes these, and they fix no layout.
            "Rust" | "simd" => {}
            _ => {
                self.unknown = true;
                skip_argument(meta)?;
            }
        }
        Ok(())
    }
}

/// What to say of an attribute that does not exist.
fn unknown(key: &str) -> String {
    let names = ["name", "crate"].into_iter().chain(channel::names());
    let (distance, nearest) = names.map(|name| (distance(key, name), name)).min().unwrap_or_default();
    if distance <= 2 {
        return format!("there is no such attribute: did you mean `{nearest}`?");
    }
    format!(
        "there is no such attribute: `ipc` knows `name`, `crate`, a channel (`queue`, `broadcast`, `latest` or `service`) \
         and its options ({})",
        channel::option_names()
    )
}

/// How many characters have to be inserted, removed or replaced to make one word the other (Levenshtein distance).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Sets a part that may be given once.
fn once<T>(meta: &ParseNestedMeta<'_>, part: &mut Option<T>, value: T) -> syn::Result<()> {
    match part.replace(value) {
        None => Ok(()),
        Some(_) => Err(syn::Error::new_spanned(&meta.path, "this attribute is given twice: remove one of them")),
    }
}

/// Passes over the `(...)` behind an item, if there is one.
fn skip_argument(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(syn::token::Paren) {
        let argument;
        parenthesized!(argument in meta.input);
        argument.parse::<proc_macro2::TokenStream>()?;
    } else if !meta.input.is_empty() && !meta.input.peek(Token![,]) {
        return Err(meta.error("expected `,`"));
    }
    Ok(())
}
