//! Showing a schema to people.

use core::fmt;

use super::tree::{Field, Schema};

impl Schema {
    /// The type as a field's declaration names it: `Opt<i16>`, `[f64; 3]`, `Status`.
    pub fn type_text(&self) -> String {
        match self {
            Self::Prim(prim) => prim.name().to_owned(),
            Self::Array { item, len } => format!("[{}; {len}]", item.type_text()),
            Self::Struct { name, .. } | Self::Enum { name, .. } | Self::Union { name, .. } => name.clone(),
            Self::Opt { item, .. } => format!("Opt<{}>", item.type_text()),
            Self::Str { capacity } => format!("Str<{capacity}>"),
            Self::List { item, capacity, .. } => format!("List<{}, {capacity}>", item.type_text()),
            Self::Slice { item } => format!("[{}]", item.type_text()),
            Self::Text => "str".to_owned(),
        }
    }

    /// Appends every struct and enum in this type that is not there yet, outermost first.
    fn collect_named<'a>(&'a self, named: &mut Vec<&'a Self>) {
        match self {
            Self::Prim(_) | Self::Str { .. } | Self::Text => {}
            Self::Array { item, .. } | Self::Opt { item, .. } | Self::List { item, .. } | Self::Slice { item } => {
                item.collect_named(named);
            }
            _ if named.contains(&self) => {}
            Self::Enum { .. } => named.push(self),
            Self::Struct { fields, .. } => {
                named.push(self);
                fields.iter().for_each(|field| field.ty.collect_named(named));
            }
            Self::Union { variants, .. } => {
                named.push(self);
                variants.iter().flat_map(|variant| &variant.fields).for_each(|field| field.ty.collect_named(named));
            }
        }
    }

    /// Writes the declaration of a struct or enum.
    fn declare(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Struct { name, size, align, fields } => {
                let extent = if self.tail().is_some() { "bytes and more" } else { "bytes" };
                writeln!(f, "struct {name} {{ // {size} {extent}, aligned to {align}")?;
                for Field { name, offset, ty } in fields {
                    writeln!(f, "    {name}: {}, // at byte {offset}", ty.type_text())?;
                }
            }
            Self::Enum { name, tag, values } => {
                writeln!(f, "enum {name} {{ // {}", tag.name())?;
                for value in values {
                    writeln!(f, "    {} = {},", value.name, tag.tag_value(value.bits))?;
                }
            }
            Self::Union { name, size, align, tag, variants } => {
                writeln!(f, "enum {name} {{ // {} and fields, {size} bytes, aligned to {align}", tag.name())?;
                for variant in variants {
                    write!(f, "    {}", variant.name)?;
                    if variant.fields.is_empty() {
                        writeln!(f, " = {},", tag.tag_value(variant.bits))?;
                        continue;
                    }
                    writeln!(f, " {{")?;
                    for Field { name, offset, ty } in &variant.fields {
                        writeln!(f, "        {name}: {}, // at byte {offset}", ty.type_text())?;
                    }
                    writeln!(f, "    }} = {},", tag.tag_value(variant.bits))?;
                }
            }
            _ => {}
        }
        write!(f, "}}")
    }
}

/// The declarations of all structs and enums that occur, in the manner of Rust, with offsets; a message that is neither
/// shows as its type.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = Vec::new();
        self.collect_named(&mut named);
        if !matches!(self, Self::Struct { .. } | Self::Enum { .. } | Self::Union { .. }) {
            f.write_str(&self.type_text())?;
            if !named.is_empty() {
                f.write_str("\n\n")?;
            }
        }
        for (at, schema) in named.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            schema.declare(f)?;
        }
        Ok(())
    }
}
