//! Whether a program and a segment mean the same by a message, and how they differ.

use super::{Segment, Spec, not_a_segment};
use crate::error::{Mismatch, OpenError};
use crate::layout::{self, GEOMETRY_BYTES};
use crate::schema;
use std::io;

impl Segment {
    /// The encoded schema of the messages. It comes from whoever created the segment, and has not been checked.
    pub(crate) fn schema(&self) -> Result<Vec<u8>, OpenError> {
        self.read_schema(GEOMETRY_BYTES as u64, self.geometry.schema_bytes)
    }

    /// The same of the replies, which a service has.
    pub(crate) fn reply_schema(&self) -> Result<Vec<u8>, OpenError> {
        let at = GEOMETRY_BYTES as u64 + u64::from(self.geometry.schema_bytes);
        self.read_schema(at, self.geometry.reply_schema_bytes)
    }

    fn read_schema(&self, at: u64, bytes: u32) -> Result<Vec<u8>, OpenError> {
        let mut schema = vec![0; bytes as usize];
        let read = self.memory.read_at(&mut schema, at);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => not_a_segment(&self.path, "its header is damaged: it ends too soon".into()),
            _ => self.os_error("read the schema of", error),
        })?;
        Ok(schema)
    }

    /// Compares what the segment carries with what the program expects.
    pub(crate) fn check_message(&self, spec: &Spec) -> Result<(), OpenError> {
        let geometry = &self.geometry;
        if geometry.kind != spec.kind {
            let name = |kind| layout::kind_name(kind).unwrap_or("a channel of a kind that this version does not know");
            return Err(OpenError::Kind {
                channel: spec.name.channel().into(),
                found: name(geometry.kind),
                expected: name(spec.kind),
                creator: self.creator(),
            });
        }
        let roles = [geometry.first_role, geometry.participants - geometry.first_role];
        if roles != spec.roles {
            let reason = format!("it has places for {roles:?} participants where {:?} belong", spec.roles);
            return Err(not_a_segment(&self.path, reason));
        }
        self.check_count(spec)?;
        let same_size = geometry.message_bytes == spec.message_bytes as u64
            && geometry.message_align as usize == spec.message_align;
        let same_shape = (geometry.flags ^ spec.flags) & layout::FLAG_VARIABLE == 0;
        let same_digest = geometry.fingerprint == spec.fingerprint.to_le_bytes();
        let is_same = same_size && same_shape && same_digest;
        let ours = Expected { message: &spec.message, schema: &spec.schema, is_reply: false };
        self.check_schema(spec, &ours, &self.schema()?, is_same)?;
        let Some(reply) = &spec.reply else { return Ok(()) };
        let same_size = geometry.reply_bytes == reply.bytes as u64 && geometry.reply_align as usize == reply.align;
        let same_shape = (geometry.flags ^ spec.flags) & layout::FLAG_VARIABLE_REPLY == 0;
        let is_same = same_size && same_shape && geometry.reply_fingerprint == reply.fingerprint.to_le_bytes();
        let ours = Expected { message: &reply.message, schema: &reply.schema, is_reply: true };
        self.check_schema(spec, &ours, &self.reply_schema()?, is_same)
    }

    /// Compares the number that the segment was created with, if all have to have the same.
    fn check_count(&self, spec: &Spec) -> Result<(), OpenError> {
        let (Some(unit), Some(expected)) = (spec.agreed, spec.capacity) else { return Ok(()) };
        let (found, expected) = (self.geometry.capacity as u32, expected as u32);
        if found == expected {
            return Ok(());
        }
        let name = spec.name.channel().into();
        Err(OpenError::OtherCount { name, unit, found, expected, creator: self.creator() })
    }

    /// Compares a schema of the segment with the program's own for the message. `is_same` says whether what the header
    /// tells of the message agrees.
    fn check_schema(&self, spec: &Spec, ours: &Expected<'_>, theirs: &[u8], is_same: bool) -> Result<(), OpenError> {
        if theirs == ours.schema && is_same {
            return Ok(());
        }
        if theirs == ours.schema {
            let reason = "its header contradicts the schema beside it: it is damaged, or a number by itself is aligned \
                          differently on the processor of whoever made it (then send it in a struct that is \
                          `#[repr(C, align(8))]`)";
            return Err(not_a_segment(&self.path, reason.into()));
        }
        Err(OpenError::Mismatch(Box::new(Mismatch {
            channel: spec.name.channel().into(),
            message: shown(ours.schema, ours.message),
            found: shown(theirs, ours.message),
            is_reply: ours.is_reply,
            creator: self.creator(),
            differences: schema::diff(ours.schema, theirs),
        })))
    }
}

/// What a program expects of the messages of a channel, or of the replies of a service.
struct Expected<'a> {
    message: &'a str,
    schema: &'a [u8],
    is_reply: bool,
}

/// The type that an encoded schema describes, or `otherwise` if it cannot be read.
fn shown(schema: &[u8], otherwise: &str) -> String {
    schema::decode(schema).map_or_else(|_| otherwise.to_owned(), |schema| schema.type_text())
}
