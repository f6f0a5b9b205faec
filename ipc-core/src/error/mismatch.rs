//! How two programs differ in what they mean by a message.

use super::Peer;
use crate::schema::Difference;
use core::fmt;

/// Two programs declare different message types for the same channel.
#[derive(Debug)]
pub struct Mismatch {
    /// The channel's name.
    pub channel: String,
    /// The message's name in this program.
    pub message: String,
    /// The message's type in the segment, as its schema shows it.
    pub found: String,
    /// Whether it is what a service replies with. Otherwise it is what a channel carries, or the request.
    pub is_reply: bool,
    /// Who created the segment, and so decided what it carries.
    pub creator: Peer,
    /// Every difference, field by field.
    pub differences: Vec<Difference>,
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { channel, message, found, creator, .. } = self;
        match (self.is_reply, found == message) {
            (false, true) => write!(f, "channel \"{channel}\" carries another `{message}` (created by {creator}):"),
            (false, false) => write!(
                f,
                "channel \"{channel}\" carries `{found}` (created by {creator}), and this program opens it for `{message}`:"
            ),
            (true, true) => {
                write!(f, "service \"{channel}\" replies with another `{message}` (created by {creator}):")
            }
            (true, false) => write!(
                f,
                "service \"{channel}\" replies with `{found}` (created by {creator}), and this program expects `{message}`:"
            ),
        }?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        write!(
            f,
            "\nbuild both programs from the same declaration, use another channel name, or remove the channel (`remove` of its builder) if nobody uses it"
        )
    }
}
