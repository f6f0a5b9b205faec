//! Numbers of 8 bytes that one processor aligns to 8 and another one to 4.
//!
//! C aligns a `u64`, an `i64` and an `f64` to 4 bytes on 32-bit x86, and to 8 wherever else this library runs. So one
//! declaration can have two layouts, and "build both programs from the same declaration" is no help.

use super::Schema;
use core::fmt;

/// Which side's processor aligns such numbers to 4.
#[derive(Clone, Copy)]
pub(super) enum Narrow {
    /// The one of this program.
    Ours,
    /// The one of whoever created the segment.
    Theirs,
}

impl Narrow {
    /// Judges by the offsets of one such number on both sides, or by the alignments of what it is in.
    pub(super) fn of(ours: u64, theirs: u64) -> Option<Self> {
        match (ours % 8, theirs % 8) {
            (0, 4) => Some(Narrow::Theirs),
            (4, 0) => Some(Narrow::Ours),
            _ => None,
        }
    }
}

impl fmt::Display for Narrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (narrow, wide) = match self {
            Narrow::Ours => ("here", "in the segment"),
            Narrow::Theirs => ("in the segment", "here"),
        };
        write!(
            f,
            "numbers of 8 bytes are aligned to 4 {narrow} (as on 32-bit x86) and to 8 {wide}: in both programs, declare what \
             they are in `#[repr(C, align(8))]` and have them at multiples of 8; those in an `Opt`, a `List` or an enum, in a \
             struct of their own"
        )
    }
}

/// Whether a type is a number of 8 bytes, or several of them.
pub(super) fn is_wide(schema: &Schema) -> bool {
    match schema {
        Schema::Prim(prim) => prim.size_bytes() == 8,
        Schema::Array { item, .. } | Schema::Slice { item } => is_wide(item),
        _ => false,
    }
}
