//! Where two layouts differ.

use core::fmt;

use super::tree::{Field, Schema};
use super::{Prim, decode};

/// One difference between two schemas; it shows as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    path: String,
    text: String,
}

impl Difference {
    /// The field that differs: `a.b[].c`, where `[]` stands for the items of an array or list. Empty if it is the message
    /// as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "message: {}", self.text)
        } else {
            write!(f, "field `{}`: {}", self.path, self.text)
        }
    }
}

/// Lists where two encoded schemas differ: ours, "here", and theirs, "in the segment". It is empty if they are the same.
///
/// ```
/// use ipc_core::message::IpcMessage;
/// use ipc_core::schema::diff;
///
/// let differences = diff(<[u32; 4]>::SCHEMA, <[u32; 8]>::SCHEMA);
/// assert_eq!(differences[0].to_string(), "message: [u32; 4] here, [u32; 8] in the segment");
/// ```
pub fn diff(ours: &[u8], theirs: &[u8]) -> Vec<Difference> {
    if ours == theirs {
        return Vec::new();
    }
    let mut found = Found::default();
    match (decode(ours), decode(theirs)) {
        (Ok(ours), Ok(theirs)) => found.message(&ours, &theirs),
        (Err(error), _) => found.add(format!("the schema here cannot be read: {error}")),
        (_, Err(error)) => found.add(format!("the schema in the segment cannot be read: {error}")),
    }
    if found.differences.is_empty() {
        found.add("the schemas differ in a way that this program cannot name".to_owned());
    }
    found.differences
}

/// The differences found so far, and where the search is.
#[derive(Default)]
struct Found {
    path: String,
    differences: Vec<Difference>,
}

impl Found {
    fn add(&mut self, text: String) {
        self.differences.push(Difference {
            path: self.path.clone(),
            text,
        });
    }

    /// Adds a difference unless the two are the same.
    fn compare<T: PartialEq + fmt::Display>(&mut self, ours: T, theirs: T, what: &str) {
        if ours != theirs {
            self.add(format!("{what}{ours} here, {what}{theirs} in the segment"));
        }
    }

    /// Runs a part of the search with the path extended by `step`.
    fn at(&mut self, step: &str, search: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        search(self);
        self.path.truncate(len);
    }

    fn message(&mut self, ours: &Schema, theirs: &Schema) {
        self.compare(ours.type_text(), theirs.type_text(), "");
        self.inside(ours, theirs);
    }

    /// Looks inside two types; that their names differ was found where they are used.
    fn inside(&mut self, ours: &Schema, theirs: &Schema) {
        match (ours, theirs) {
            (Schema::Array { item: ours, .. }, Schema::Array { item: theirs, .. }) => {
                self.at("[]", |found| found.inside(ours, theirs));
            }
            (
                Schema::Opt {
                    item: ours,
                    offset: our_offset,
                },
                Schema::Opt {
                    item: theirs,
                    offset: their_offset,
                },
            ) => {
                self.compare(our_offset, their_offset, "the value of the `Opt` at its byte ");
                self.inside(ours, theirs);
            }
            (
                Schema::List {
                    item: ours,
                    offset: our_offset,
                    ..
                },
                Schema::List {
                    item: theirs,
                    offset: their_offset,
                    ..
                },
            ) => {
                self.compare(our_offset, their_offset, "the items of the `List` from its byte ");
                self.at("[]", |found| found.inside(ours, theirs));
            }
            (
                Schema::Struct {
                    size, align, fields, ..
                },
                Schema::Struct {
                    size: their_size,
                    align: their_align,
                    fields: their_fields,
                    ..
                },
            ) => {
                self.fields(fields, their_fields);
                self.size(*size, *their_size);
                self.compare(align, their_align, "alignment ");
            }
            (
                Schema::Enum { tag, values, .. },
                Schema::Enum {
                    tag: their_tag,
                    values: their_values,
                    ..
                },
            ) => {
                self.compare(tag.name(), their_tag.name(), "tag ");
                let ours = values.iter().map(|value| Named::new(&value.name, *tag, value.bits));
                let theirs = their_values
                    .iter()
                    .map(|value| Named::new(&value.name, *their_tag, value.bits));
                self.variants(&ours.collect::<Vec<_>>(), &theirs.collect::<Vec<_>>());
            }
            (
                Schema::Union {
                    size,
                    align,
                    tag,
                    variants,
                    ..
                },
                Schema::Union {
                    size: their_size,
                    align: their_align,
                    tag: their_tag,
                    variants: their_variants,
                    ..
                },
            ) => {
                self.compare(tag.name(), their_tag.name(), "tag ");
                let ours = variants
                    .iter()
                    .map(|variant| Named::new(&variant.name, *tag, variant.bits));
                let theirs = their_variants
                    .iter()
                    .map(|variant| Named::new(&variant.name, *their_tag, variant.bits));
                self.variants(&ours.collect::<Vec<_>>(), &theirs.collect::<Vec<_>>());
                for ours in variants {
                    if let Some(theirs) = their_variants.iter().find(|theirs| theirs.name == ours.name) {
                        self.at(&ours.name, |found| found.fields(&ours.fields, &theirs.fields));
                    }
                }
                self.size(*size, *their_size);
                self.compare(align, their_align, "alignment ");
            }
            (ours, theirs) => {
                if kind(ours) != kind(theirs) && ours.type_text() == theirs.type_text() {
                    self.add(format!("{} here, {} in the segment", kind(ours), kind(theirs)));
                }
            }
        }
    }

    fn size(&mut self, ours: u64, theirs: u64) {
        if ours != theirs {
            self.add(format!("{ours} bytes here, {theirs} bytes in the segment"));
        }
    }

    /// Compares fields by name, and explains those without a partner of the same name.
    fn fields(&mut self, ours: &[Field], theirs: &[Field]) {
        let lacks = |fields: &[Field], name: &str| fields.iter().all(|field| field.name != name);
        let text = |field: &Field| format!("{} at byte {}", field.ty.type_text(), field.offset);
        for our in ours {
            let same_name = theirs.iter().find(|their| their.name == our.name);
            let renamed = || {
                let mut candidates = theirs.iter().filter(|their| their.offset == our.offset);
                candidates.find(|their| lacks(ours, &their.name) && text(their) == text(our))
            };
            self.at(&our.name, |found| {
                if let Some(their) = same_name {
                    found.compare(text(our), text(their), "");
                    found.inside(&our.ty, &their.ty);
                } else if let Some(their) = renamed() {
                    found.add(format!(
                        "called so here, `{}` in the segment ({})",
                        their.name,
                        text(our)
                    ));
                    found.inside(&our.ty, &their.ty);
                } else {
                    found.add(format!("{} here, missing in the segment", text(our)));
                }
            });
        }
        for their in theirs {
            let was_renamed = ours
                .iter()
                .any(|our| lacks(theirs, &our.name) && text(their) == text(our));
            if lacks(ours, &their.name) && !was_renamed {
                self.at(&their.name, |found| {
                    found.add(format!("missing here, {} in the segment", text(their)))
                });
            }
        }
    }

    /// Compares variants by name, and explains those without a partner of the same name.
    fn variants(&mut self, ours: &[Named<'_>], theirs: &[Named<'_>]) {
        let lacks = |variants: &[Named], name: &str| variants.iter().all(|variant| variant.name != name);
        for our in ours {
            let same_name = theirs.iter().find(|their| their.name == our.name);
            let renamed = theirs
                .iter()
                .find(|their| their.value == our.value && lacks(ours, their.name));
            if let Some(their) = same_name {
                self.compare(our.value, their.value, &format!("variant `{}` = ", our.name));
            } else if let Some(their) = renamed {
                self.add(format!(
                    "variant {} is `{}` here, `{}` in the segment",
                    our.value, our.name, their.name
                ));
            } else {
                self.add(format!(
                    "variant `{}` = {} here, missing in the segment",
                    our.name, our.value
                ));
            }
        }
        for their in theirs {
            let was_renamed = ours
                .iter()
                .any(|our| our.value == their.value && lacks(theirs, our.name));
            if lacks(ours, their.name) && !was_renamed {
                self.add(format!(
                    "variant `{}` missing here, = {} in the segment",
                    their.name, their.value
                ));
            }
        }
    }
}

/// A variant's name and the number that it stands for.
struct Named<'a> {
    name: &'a str,
    value: i128,
}

impl<'a> Named<'a> {
    fn new(name: &'a str, tag: Prim, bits: u64) -> Self {
        Self {
            name,
            value: tag.tag_value(bits),
        }
    }
}

/// What a type is, for two that have the same name and are something else.
fn kind(schema: &Schema) -> &'static str {
    match schema {
        Schema::Prim(_) => "a primitive",
        Schema::Array { .. } => "an array",
        Schema::Struct { .. } => "a struct",
        Schema::Enum { .. } => "an enum without fields",
        Schema::Union { .. } => "an enum with fields",
        Schema::Opt { .. } => "an `Opt`",
        Schema::Str { .. } => "a `Str`",
        Schema::List { .. } => "a `List`",
    }
}
