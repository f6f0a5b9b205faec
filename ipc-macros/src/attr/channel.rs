//! The channel that a message type declares: its kind, its name, and its options.

use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{Expr, ExprLit, Lit, LitBool, LitInt, LitStr, Path, Token, Type};

use super::once;
use crate::errors::Errors;

/// The kinds of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Queue,
    Broadcast,
    Latest,
    Service,
}

impl Kind {
    /// In the order in which errors list them.
    pub(crate) const ALL: [Self; 4] = [Self::Queue, Self::Broadcast, Self::Latest, Self::Service];

    /// The attribute that declares it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Broadcast => "broadcast",
            Self::Latest => "latest",
            Self::Service => "service",
        }
    }
}

/// A channel.
pub(crate) struct Channel {
    pub(crate) kind: Kind,
    pub(crate) name: LitStr,
    /// In the order of [`OPTIONS`].
    pub(crate) options: Vec<Given>,
}

impl Channel {
    /// The option of this name, if it is given.
    pub(crate) fn option(&self, name: &str) -> Option<&Given> {
        self.options.iter().find(|given| given.option.name == name)
    }

    /// What a service replies with.
    pub(crate) fn reply(&self) -> Option<&Type> {
        match &self.option("reply")?.value {
            Value::Type(reply) => Some(reply),
            _ => None,
        }
    }
}

/// An option that is given.
pub(crate) struct Given {
    /// Where it stands.
    pub(crate) path: Path,
    pub(crate) option: &'static ChannelOption,
    pub(crate) value: Value,
}

/// The value of an option.
pub(crate) enum Value {
    /// It is given, and that is all.
    Flag,
    Int(LitInt),
    /// A number that the compiler is to work out.
    Number(Box<Expr>),
    Bool(LitBool),
    Text(LitStr),
    Type(Box<Type>),
}

/// An option that a channel may have.
pub(crate) struct ChannelOption {
    pub(crate) name: &'static str,
    form: Form,
    /// The kinds that have it.
    pub(crate) kinds: &'static [Kind],
}

/// What stands behind an option's name.
enum Form {
    /// Nothing: it is chosen by being there.
    Flag,
    /// Nothing, or which of the two.
    Switch,
    /// Which of the two. By default neither is chosen, or what the name says is.
    Bool,
    Int,
    Text,
    Type,
}

/// Every option.
const OPTIONS: &[ChannelOption] = &[
    ChannelOption { name: "reply", form: Form::Type, kinds: &[Kind::Service] },
    ChannelOption { name: "capacity", form: Form::Int, kinds: &[Kind::Queue, Kind::Broadcast, Kind::Service] },
    ChannelOption { name: "max_request", form: Form::Int, kinds: &[Kind::Service] },
    ChannelOption { name: "max_reply", form: Form::Int, kinds: &[Kind::Service] },
    ChannelOption { name: "spsc", form: Form::Flag, kinds: &[Kind::Queue] },
    ChannelOption { name: "redeliver", form: Form::Bool, kinds: &[Kind::Queue] },
    ChannelOption { name: "lossless", form: Form::Flag, kinds: &[Kind::Broadcast] },
    ChannelOption { name: "lossy", form: Form::Flag, kinds: &[Kind::Broadcast] },
    ChannelOption { name: "history", form: Form::Int, kinds: &[Kind::Broadcast] },
    ChannelOption { name: "evict_after", form: Form::Text, kinds: &[Kind::Broadcast] },
    ChannelOption { name: "lifetime", form: Form::Text, kinds: &Kind::ALL },
    ChannelOption { name: "prefault", form: Form::Bool, kinds: &Kind::ALL },
    ChannelOption { name: "huge_pages", form: Form::Switch, kinds: &Kind::ALL },
    ChannelOption { name: "timestamps", form: Form::Switch, kinds: &Kind::ALL },
    ChannelOption { name: "mode", form: Form::Int, kinds: &Kind::ALL },
    ChannelOption { name: "group", form: Form::Text, kinds: &Kind::ALL },
    ChannelOption { name: "hardened", form: Form::Switch, kinds: &Kind::ALL },
];

/// The parts of a channel as they are met.
#[derive(Default)]
pub(super) struct Parts {
    /// The kind, where it stands, and the name.
    kind: Option<(Kind, Path, LitStr)>,
    options: Vec<Given>,
}

impl Parts {
    /// Reads an item if it belongs to a channel. `false` if it does not.
    pub(super) fn read(&mut self, key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<bool> {
        let path = meta.path.clone();
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == key) {
            if let Some((other, ..)) = self.kind.as_ref().filter(|(other, ..)| *other != kind) {
                let other = other.key();
                return Err(
                    meta.error(format!("a message travels on one channel, and `{other}` declares it: remove one"))
                );
            }
            if !meta.input.peek(Token![=]) {
                return Err(meta.error(format!("give the channel a name: `{key} = \"name\"`")));
            }
            let name = read_text(key, meta)?;
            once(meta, &mut self.kind, (kind, path, name))?;
            return Ok(true);
        }
        let Some(option) = OPTIONS.iter().find(|option| option.name == key) else {
            return Ok(false);
        };
        let mut given = self.options.iter().any(|given| given.option.name == key).then_some(());
        once(meta, &mut given, ())?;
        let value = match option.form {
            Form::Flag => Value::Flag,
            Form::Switch if !meta.input.peek(Token![=]) => Value::Bool(LitBool::new(true, path.span())),
            Form::Switch | Form::Bool => Value::Bool(read_switch(option.name, meta)?),
            Form::Int => read_number(meta)?,
            Form::Text => Value::Text(read_text(option.name, meta)?),
            Form::Type => Value::Type(Box::new(meta.value()?.parse()?)),
        };
        self.options.push(Given { path, option, value });
        Ok(true)
    }

    /// Puts the parts together. What describes no channel is reported.
    pub(super) fn finish(self, errors: &mut Errors) -> Option<Channel> {
        let mut options = self.options;
        let Some((kind, _, name)) = self.kind else {
            if let Some(orphan) = options.first().filter(|_| errors.is_empty()) {
                let keys = orphan.option.kinds.iter().map(|kind| format!("`{} = \"name\"`", kind.key()));
                let keys = keys.collect::<Vec<_>>().join(" or ");
                errors.at(&orphan.path, format!("this describes a channel, and none is declared: add {keys}"));
            }
            return None;
        };
        options.sort_by_key(|given| OPTIONS.iter().position(|option| option.name == given.option.name));
        Some(Channel { kind, name, options })
    }
}

/// The names of all kinds and options.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().map(Kind::key).chain(OPTIONS.iter().map(|option| option.name))
}

/// Every option's name, for errors.
pub(super) fn option_names() -> String {
    OPTIONS.iter().map(|option| format!("`{}`", option.name)).collect::<Vec<_>>().join(", ")
}

/// Reads `= 4096`, or an expression for a number.
fn read_number(meta: &ParseNestedMeta<'_>) -> syn::Result<Value> {
    Ok(match meta.value()?.parse()? {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Value::Int(number),
        Expr::Lit(other) => return Err(syn::Error::new_spanned(other, "this is a number, without quotes")),
        number => Value::Number(Box::new(number)),
    })
}

/// Reads `= "text"`.
fn read_text(name: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    if !meta.input.peek(Token![=]) {
        return Err(syn::Error::new_spanned(&meta.path, format!("say which: `{name} = \"...\"`")));
    }
    let value = meta.value()?;
    value.parse().map_err(|error| syn::Error::new(error.span(), format!("this is a string: `{name} = \"...\"`")))
}

/// Reads `= true` or `= false`.
fn read_switch(name: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<LitBool> {
    if !meta.input.peek(Token![=]) {
        let which = format!("say which: `{name} = true` or `{name} = false`");
        return Err(syn::Error::new_spanned(&meta.path, which));
    }
    meta.value()?.parse().map_err(|error| syn::Error::new(error.span(), "this is `true` or `false`"))
}
