//! `#[derive(IpcMessage)]` for [slipring](https://docs.rs/slipring).
//!
//! The derive is a pipeline: `attr` reads the attributes, `ast` the declaration, `valid` refuses what cannot be
//! placed in shared memory, and `expand` writes the implementation. Where something was refused, `fallback` writes
//! one that only type-checks, so that one mistake gives one error.

mod ast;
mod attr;
mod duration;
mod errors;
mod expand;
mod fallback;
#[cfg(test)]
mod tests;
mod valid;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct or enum a message: a type whose values can be placed in shared memory and read by another program.
///
/// ```
/// use ipc_core::message::{IpcMessage as _, List, Opt, Str};
/// use ipc_macros::IpcMessage;
///
/// #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
/// #[ipc(crate = "ipc_core")]
/// #[repr(C)]
/// struct Order {
///     id: u64,
///     symbol: Str<8>,
///     limit: Opt<f64>,
///     legs: List<Leg, 4>,
/// }
///
/// #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
/// #[ipc(crate = "ipc_core")]
/// #[repr(C, u8)]
/// enum Leg {
///     Buy { quantity: u32 },
///     Sell(u32),
///     Hold,
/// }
///
/// assert_eq!(Order::NAME, "Order");
/// assert_ne!(Order::FINGERPRINT, Leg::FINGERPRINT);
/// ```
///
/// # Shapes
///
/// | declaration | representation |
/// |---|---|
/// | struct, tuple struct | `#[repr(C)]`, with `align(N)` up to 128 if wanted |
/// | enum without fields | `#[repr(u8)]`, or another integer of 8 to 64 bits |
/// | enum with fields | `#[repr(C, u8)]`, or another integer of 8 to 64 bits |
///
/// Type parameters have to be bounded by `IpcMessage`. Fields are integers, floats, `bool`, `char`, arrays, `Opt<T>`,
/// `Str<N>`, `List<T, N>`, and other messages. The last field of a struct may also be `[T]` or `str`, of any length: such
/// messages are sent with `Sender::loan_len` or `Publisher::loan_len`, and do not stand in others.
///
/// # Attributes
///
/// | `#[ipc(...)]` | meaning |
/// |---|---|
/// | `name = "Order"` | the type's name in its schema, if it is not to be the one in the source |
/// | `crate = "slipring"` | the path to `slipring`, where it is not `::slipring` |
/// | `queue = "orders"` | generates `channel()`, `sender()` and `receiver()` for the queue of this name |
/// | `broadcast = "ticks"` | generates `channel()`, `publisher()` and `subscriber()` |
/// | `latest = "pose"` | generates `channel()`, `writer()` and `reader()` |
/// | `service = "resize", reply = Thumb` | generates `channel()`, `client()` and `server()`, which replies with a `Thumb` |
///
/// and for the channel, where its kind has it (a number may be any constant expression, and an option without a value may be
/// switched off, as by `hardened = false`):
///
/// | `#[ipc(...)]` | of | meaning |
/// |---|---|---|
/// | `capacity = 4096` | all but `latest` | how many messages the channel holds; of messages of any length, how many bytes |
/// | `lifetime = "drained"` | all | when the segment goes: `"drained"`, `"attached"` or `"persistent"` |
/// | `prefault = false`, `huge_pages` | all | see the builder's functions of these names |
/// | `mode = 0o660`, `group = "robots"`, `hardened` | all | who may open the channel, and whether its ends trust each other |
/// | `max_request = 4096`, `max_reply = 4096` | `service` | the most bytes of a request, or a reply, of any length |
/// | `spsc` | `queue` | one sender and one receiver, and the fastest path |
/// | `redeliver = false` | `queue` | what a receiver died with is dropped and counted, not delivered again |
/// | `lossless`, `lossy` | `broadcast` | whether the publisher waits for the slowest subscriber; without either, it does |
/// | `timestamps` | all | how long messages take is measured |
/// | `history = 16` | `broadcast` | a late subscriber first gets the last 16 messages |
/// | `evict_after = "2s"` | `broadcast` | a subscriber that holds the publisher up for so long is told so and left behind |
#[proc_macro_derive(IpcMessage, attributes(ipc))]
pub fn derive_ipc_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).into()
}

/// The implementation, or the errors and a stand-in for it.
fn derive(input: &DeriveInput) -> proc_macro2::TokenStream {
    let mut errors = errors::Errors::default();
    let attrs = attr::Attrs::read(&input.attrs, &mut errors);
    let message = ast::Message::read(input, &attrs, &mut errors);
    if let Some(message) = &message {
        valid::check(message, &mut errors);
    }
    match (message, errors.into_tokens()) {
        (Some(message), None) => expand::message(&message),
        (_, errors) => fallback::message(input, &attrs, errors),
    }
}
