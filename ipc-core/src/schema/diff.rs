//! Where two layouts differ.

mod narrow;
mod pairs;

use core::fmt;

use self::narrow::{Narrow, is_wide};
use self::pairs::{Named, Pair, pairs};
use super::tree::{Field, Schema, UnitVariant, Variant};
use super::{Prim, decode};

/// The most differences that are listed; two schemas that have nothing in common need no more.
const MAX_DIFFERENCES: usize = 64;

/// One difference between two schemas; it shows as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    path: String,
    text: String,
}

impl Difference {
    /// The field that differs: `a.b[].c`, where `[]` stands for the items of an array, list or tail. Empty if it is the
    /// message as a whole.
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

/// Lists where two encoded schemas differ: ours, "here", and theirs, "in the segment". It is empty if and only if they
/// are the same.
///
/// Fields and variants are matched by name; one that has another name but is otherwise the same counts as renamed.
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
        (Ok(ours), Ok(theirs)) => {
            found.compare("", ours.type_text(), theirs.type_text());
            found.inside(&ours, &theirs);
        }
        (Err(error), _) => found.add(format!("the schema here cannot be read: {error}")),
        (_, Err(error)) => found.add(format!("the schema in the segment cannot be read: {error}")),
    }
    found.finish()
}

/// The differences found so far, and where the search is.
#[derive(Default)]
struct Found {
    path: String,
    differences: Vec<Difference>,
    omitted: usize,
    /// The first number of 8 bytes that only one side aligns to 8.
    narrow: Option<Difference>,
}

impl Found {
    fn add(&mut self, text: String) {
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference { path: self.path.clone(), text });
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a difference unless the two are the same.
    fn compare<T: PartialEq + fmt::Display>(&mut self, what: &str, ours: T, theirs: T) {
        if ours != theirs {
            self.add(format!("{what}{ours} here, {what}{theirs} in the segment"));
        }
    }

    /// The differences, of which there is at least one.
    fn finish(mut self) -> Vec<Difference> {
        let last = match (self.differences.is_empty(), self.omitted) {
            (true, _) => Some("the schemas differ in a way that this program cannot name".to_owned()),
            (false, 0) => None,
            (false, omitted) => Some(format!("{omitted} more differences")),
        };
        self.differences.extend(last.map(|text| Difference { path: String::new(), text }));
        self.differences.extend(self.narrow);
        self.differences
    }

    /// Looks whether a number of 8 bytes, which lies at these offsets, is one that only one side aligns to 8.
    fn note_narrow(&mut self, ours: u64, theirs: u64) {
        if let Some(narrow) = Narrow::of(ours, theirs).filter(|_| self.narrow.is_none()) {
            self.narrow = Some(Difference { path: self.path.clone(), text: narrow.to_string() });
        }
    }

    /// Runs a part of the search with the path extended by `step`.
    fn at(&mut self, step: &str, search: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        if !self.path.is_empty() && step != "[]" {
            self.path.push('.');
        }
        self.path.push_str(step);
        search(self);
        self.path.truncate(len);
    }

    /// Looks inside two types. That they are declared differently, `u8` and `u16` for example, is what whoever uses
    /// them has found already.
    fn inside(&mut self, ours: &Schema, theirs: &Schema) {
        use Schema::{Array, Enum, List, Opt, Slice, Struct, Union};
        match (ours, theirs) {
            (Array { item: ours, .. }, Array { item: theirs, .. }) | (Slice { item: ours }, Slice { item: theirs }) => {
                self.at("[]", |found| found.inside(ours, theirs));
            }
            (Opt { item, offset }, Opt { item: their_item, offset: their_offset }) => {
                self.compare("value of the `Opt` at its byte ", offset, their_offset);
                if is_wide(item) && is_wide(their_item) {
                    self.note_narrow(*offset, *their_offset);
                }
                self.inside(item, their_item);
            }
            (List { item, offset, .. }, List { item: their_item, offset: their_offset, .. }) => {
                self.compare("items of the `List` from its byte ", offset, their_offset);
                if is_wide(item) && is_wide(their_item) {
                    self.note_narrow(*offset, *their_offset);
                }
                self.at("[]", |found| found.inside(item, their_item));
            }
            (Struct { fields, .. }, Struct { fields: their_fields, .. }) => {
                self.fields(fields, their_fields);
                self.extent(ours, theirs);
                let has_wide = |fields: &[Field]| fields.iter().any(|field| is_wide(&field.ty));
                if has_wide(fields) && has_wide(their_fields) {
                    self.note_narrow(align(ours), align(theirs));
                }
            }
            (Enum { tag, values, .. }, Enum { tag: their_tag, values: their_values, .. }) => {
                self.compare("tag ", tag.name(), their_tag.name());
                self.values(*tag, values, *their_tag, their_values);
            }
            (Union { tag, variants, .. }, Union { tag: their_tag, variants: their_variants, .. }) => {
                self.compare("tag ", tag.name(), their_tag.name());
                self.variants(*tag, variants, *their_tag, their_variants);
                self.extent(ours, theirs);
            }
            _ if ours.type_text() == theirs.type_text() => self.compare("", kind(ours), kind(theirs)),
            _ => {}
        }
    }

    /// Compares the size and alignment of two structs, or of two enums with fields.
    fn extent(&mut self, ours: &Schema, theirs: &Schema) {
        let size = |schema: &Schema| format!("{} bytes", schema.size_bytes());
        self.compare("", size(ours), size(theirs));
        self.compare("alignment ", align(ours), align(theirs));
    }

    fn fields(&mut self, ours: &[Field], theirs: &[Field]) {
        let text = |field: &Field| format!("{} at byte {}", field.ty.type_text(), field.offset);
        for pair in pairs(ours, theirs, |our, their| our.offset == their.offset && our.ty == their.ty) {
            let (Pair::Both(named, _) | Pair::Renamed(named, _) | Pair::Ours(named) | Pair::Theirs(named)) = pair;
            self.at(&named.name, |found| match pair {
                Pair::Both(our, their) => {
                    found.compare("", text(our), text(their));
                    if is_wide(&our.ty) && is_wide(&their.ty) {
                        found.note_narrow(our.offset, their.offset);
                    }
                    found.inside(&our.ty, &their.ty);
                }
                Pair::Renamed(our, their) => {
                    found.add(format!("{} has this name here, and is `{}` in the segment", text(our), their.name));
                }
                Pair::Ours(our) => found.add(format!("{} here, missing in the segment", text(our))),
                Pair::Theirs(their) => found.add(format!("missing here, {} in the segment", text(their))),
            });
        }
    }

    fn values(&mut self, tag: Prim, ours: &[UnitVariant], their_tag: Prim, theirs: &[UnitVariant]) {
        let number = |value: &UnitVariant| tag.tag_value(value.bits);
        let their_number = |value: &UnitVariant| their_tag.tag_value(value.bits);
        for pair in pairs(ours, theirs, |our, their| number(our) == their_number(their)) {
            match pair {
                Pair::Both(our, their) => {
                    self.compare(&format!("variant `{}` = ", our.name), number(our), their_number(their));
                }
                Pair::Renamed(our, their) => self.renamed(number(our), &our.name, &their.name),
                Pair::Ours(our) => {
                    self.add(format!("variant `{}` = {} here, missing in the segment", our.name, number(our)))
                }
                Pair::Theirs(their) => {
                    self.add(format!("variant `{}` missing here, = {} in the segment", their.name, their_number(their)))
                }
            }
        }
    }

    fn variants(&mut self, tag: Prim, ours: &[Variant], their_tag: Prim, theirs: &[Variant]) {
        let number = |variant: &Variant| tag.tag_value(variant.bits);
        let their_number = |variant: &Variant| their_tag.tag_value(variant.bits);
        let alike = |our: &Variant, their: &Variant| number(our) == their_number(their) && our.fields == their.fields;
        for pair in pairs(ours, theirs, alike) {
            match pair {
                Pair::Both(our, their) => {
                    self.compare(&format!("variant `{}` = ", our.name), number(our), their_number(their));
                    self.at(&our.name, |found| found.fields(&our.fields, &their.fields));
                }
                Pair::Renamed(our, their) => self.renamed(number(our), &our.name, &their.name),
                Pair::Ours(our) => {
                    self.add(format!("variant `{}` = {} here, missing in the segment", our.name, number(our)))
                }
                Pair::Theirs(their) => {
                    self.add(format!("variant `{}` missing here, = {} in the segment", their.name, their_number(their)))
                }
            }
        }
    }

    fn renamed(&mut self, number: i128, ours: &str, theirs: &str) {
        self.add(format!("variant {number} is `{ours}` here, `{theirs}` in the segment"));
    }
}

impl Named for Field {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for UnitVariant {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Variant {
    fn name(&self) -> &str {
        &self.name
    }
}

/// The alignment of a struct, or of an enum with fields.
fn align(schema: &Schema) -> u64 {
    match schema {
        Schema::Struct { align, .. } | Schema::Union { align, .. } => *align,
        _ => 1,
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
        Schema::Slice { .. } => "a tail of items",
        Schema::Text => "a tail of text",
    }
}
