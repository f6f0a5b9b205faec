//! What no channel can be.

use syn::{LitInt, LitStr, Type};

use super::types;
use crate::ast::{self, Message};
use crate::attr::channel::{Channel, Given, Kind, Value};
use crate::duration;
use crate::errors::Errors;

/// The most messages that a channel holds.
const MAX_CAPACITY: u64 = 1 << 31;

/// The most messages that a channel holds whose ends are several.
const MAX_SHARED_CAPACITY: u64 = 1 << 29;

/// The most calls that a service has room for.
const MAX_CALLS: u64 = 1 << 15;

/// The most characters in a channel's name.
const MAX_CHANNEL_NAME: usize = 128;

/// Reports everything that keeps a declaration from being a channel.
pub(super) fn check(message: &Message<'_>, channel: &Channel, errors: &mut Errors) {
    check_name(&channel.name, errors);
    check_length(message, channel, errors);
    for given in &channel.options {
        if !given.option.kinds.contains(&channel.kind) {
            let kinds: Vec<_> = given.option.kinds.iter().map(|kind| format!("`{}`", kind.key())).collect();
            let (name, kind, kinds) = (given.option.name, channel.kind.key(), kinds.join(" or "));
            errors.at(&given.path, format!("`{kind}` has no `{name}`, which is for {kinds}: remove it"));
        } else {
            check_value(given, errors);
            if let ("capacity", Value::Int(capacity)) = (given.option.name, &given.value) {
                check_capacity(message, channel, capacity, errors);
            }
        }
    }
    if channel.kind == Kind::Service && channel.option("reply").is_none() {
        errors.at(&channel.name, "a service replies: add `reply = R` with the type of its replies");
    }
    for (one, other, why) in [
        ("lossy", "lossless", "a broadcast is either of them"),
        ("lossy", "evict_after", "a lossy broadcast waits for nobody, so it evicts nobody"),
        ("spsc", "redeliver", "an exclusive queue always delivers again what its receiver died with"),
    ] {
        if let (Some(_), Some(other)) = (channel.option(one), channel.option(other)) {
            errors.at(&other.path, format!("{why}: remove this, or `{one}`"));
        }
    }
}

fn check_value(given: &Given, errors: &mut Errors) {
    match (given.option.name, &given.value) {
        ("reply", Value::Type(reply)) => check_reply(reply, errors),
        ("history", Value::Int(history)) if !is_within(history, 0, MAX_CAPACITY) => {
            errors.at(history, "a broadcast keeps 0 to 2,147,483,648 messages for late subscribers");
        }
        ("mode", Value::Int(mode)) if !is_mode(mode) => {
            errors.at(
                mode,
                "a mode says who may read and write, its owner among them: 0o600, 0o660, 0o640 or 0o666, say",
            );
        }
        ("group", Value::Text(text)) if text.value().is_empty() => {
            errors.at(text, "a group has a name, or a number");
        }
        ("lifetime", Value::Text(text)) if !matches!(&*text.value(), "drained" | "attached" | "persistent") => {
            errors.at(text, "a channel's lifetime is \"drained\", \"attached\" or \"persistent\"");
        }
        ("evict_after", Value::Text(text)) if duration::parse(&text.value()).is_none() => {
            errors.at(text, "a time is a positive whole number and a unit: \"2s\", \"500ms\", \"10us\" or \"1min\"");
        }
        _ => {}
    }
}

/// A latest value is written over the one before it.
fn check_length(message: &Message<'_>, channel: &Channel, errors: &mut Errors) {
    if let (Kind::Latest, Some(tail)) = (channel.kind, message.shape.tail()) {
        let inline = if matches!(tail.ty, Type::Slice(_)) { "an array or `List<T, N>`" } else { "`Str<N>`" };
        errors.at(
            tail.ty,
            format!("a latest value has one length: use {inline}, or another channel: `queue` or `broadcast`"),
        );
    }
}

/// A reply is a message: it may be of any length, and cannot hold what others cannot, either.
fn check_reply(reply: &Type, errors: &mut Errors) {
    if ast::is_tail(reply) { types::check_tail(reply, errors) } else { types::check(reply, errors) }
}

/// Refuses a capacity that opening the channel would refuse, as far as it can be seen what is counted.
fn check_capacity(message: &Message<'_>, channel: &Channel, capacity: &LitInt, errors: &mut Errors) {
    let (most, rule) = match channel.kind {
        Kind::Service => (MAX_CALLS, "a service has room for 1 to 32,768 calls"),
        _ if message.shape.tail().is_some() => {
            (u64::MAX, "these messages vary in length, so the capacity is in bytes: at least 1")
        }
        // The last field may turn out to be one of any length.
        _ if channel.option("spsc").is_some() || message.last_named().is_some() => {
            (MAX_CAPACITY, "a channel holds 1 to 2,147,483,648 messages")
        }
        _ => (
            MAX_SHARED_CAPACITY,
            "a channel holds 1 to 536,870,912 messages, or up to 2,147,483,648 if it is a `queue` with `spsc`",
        ),
    };
    if !is_within(capacity, 1, most) {
        errors.at(capacity, rule);
    }
}

/// Whether nothing but bits for reading and writing are set, and those of the owner are.
fn is_mode(mode: &LitInt) -> bool {
    mode.base10_parse::<u32>().is_ok_and(|mode| mode & !0o666 == 0 && mode & 0o600 == 0o600)
}

fn is_within(number: &LitInt, least: u64, most: u64) -> bool {
    number.base10_parse::<u64>().is_ok_and(|number| (least..=most).contains(&number))
}

fn check_name(name: &LitStr, errors: &mut Errors) {
    let text = name.value();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if text.is_empty() || text.len() > MAX_CHANNEL_NAME {
        errors.at(name, format!("a channel's name has 1 to {MAX_CHANNEL_NAME} characters"));
    } else if !text.bytes().all(is_allowed) {
        errors.at(name, "a channel's name consists of ASCII letters, digits, `_`, `.` and `-`");
    } else if text.starts_with('.') || text.contains("..") {
        errors.at(name, "a channel's name neither starts with `.` nor contains `..`");
    }
}
