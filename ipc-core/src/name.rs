//! Names of channels and domains, and the files they lead to.

use crate::error::OpenError;
use crate::layout::{DOMAIN_BYTES, NAME_BYTES};
use crate::os;
use std::env;
use std::path::{Path, PathBuf};

/// The environment variable that chooses the domain.
pub const DOMAIN_VARIABLE: &str = "SLIPRING_DOMAIN";

/// The domain of programs that choose none.
pub const DEFAULT_DOMAIN: &str = "default";

const RULE: &str =
    "use 1 to 128 ASCII letters, digits, '_', '-' and '.', without a '.' at the start and without \"..\"";
const DOMAIN_RULE: &str = "use 1 to 64 ASCII letters, digits, '_' and '-'";

/// A domain and a channel name that are fit to be a file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName {
    domain: String,
    channel: String,
}

impl SegmentName {
    /// Checks `channel`, and `domain` or, without one, what the environment says.
    pub(crate) fn new(domain: Option<&str>, channel: &str) -> Result<Self, OpenError> {
        if !is_channel_name(channel) {
            return Err(OpenError::Name { what: "channel name", name: channel.into(), rule: RULE });
        }
        let (domain, what) = match domain {
            Some(domain) => (domain.to_owned(), "domain"),
            None => match env::var_os(DOMAIN_VARIABLE) {
                Some(domain) => (domain.to_string_lossy().into_owned(), "domain in the variable SLIPRING_DOMAIN"),
                None => (DEFAULT_DOMAIN.to_owned(), "domain"),
            },
        };
        if !is_domain(&domain) {
            return Err(OpenError::Name { what, name: domain, rule: DOMAIN_RULE });
        }
        Ok(SegmentName { domain, channel: channel.to_owned() })
    }

    /// The name of the segment that a file in the directory of segments is, if it is named like one.
    pub(crate) fn from_path(path: &Path) -> Option<Self> {
        let (domain, channel) = path.file_name()?.to_str()?.strip_prefix("slipring.")?.split_once('.')?;
        Self::new(Some(domain), channel).ok()
    }

    /// The domain.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// The channel's name within the domain.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// The segment's file. A domain has no dots, so the two names can be told apart again.
    pub(crate) fn path(&self) -> PathBuf {
        os::segment_directory().join(format!("slipring.{}.{}", self.domain, self.channel))
    }
}

fn is_channel_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !name.starts_with('.')
        && !name.contains("..")
}

fn is_domain(domain: &str) -> bool {
    (1..=DOMAIN_BYTES).contains(&domain.len())
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_files() {
        let name = SegmentName::new(Some("lab-2"), "desk.b_1").unwrap();
        assert_eq!(name.path(), os::segment_directory().join("slipring.lab-2.desk.b_1"));
    }

    #[test]
    fn files_lead_back_to_names() {
        let name = SegmentName::new(Some("lab-2"), "desk.b_1").unwrap();
        assert_eq!(SegmentName::from_path(&name.path()), Some(name));
        for other in [
            "slipring",
            "slipring.",
            "slipring.lab",
            "slipring.lab.",
            "slipring..desk",
            "sem.lab.desk",
            "slipring.lab..x",
        ] {
            assert_eq!(SegmentName::from_path(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn names_that_are_no_file_names_are_refused() {
        let long = "x".repeat(NAME_BYTES + 1);
        for bad in ["", &long, "a/b", "..", ".hidden", "a..b", "a\0b", "größe", "a b", "a\nb", "/"] {
            let error = SegmentName::new(Some("default"), bad).unwrap_err().to_string();
            assert!(error.contains("channel name") && error.contains("use 1 to 128"), "{bad:?}: {error}");
            assert!(error.len() < 300 && (bad.len() <= 64 || error.contains("x\"... (129 bytes)")), "{error}");
        }
        assert!(SegmentName::new(Some("default"), &"x".repeat(NAME_BYTES)).is_ok());
    }

    #[test]
    fn domains_that_are_ambiguous_are_refused() {
        for bad in ["", "a.b", "../x", "ä", &"d".repeat(DOMAIN_BYTES + 1)] {
            let error = SegmentName::new(Some(bad), "ok").unwrap_err().to_string();
            assert!(error.contains("domain"), "{bad:?}: {error}");
        }
    }
}
