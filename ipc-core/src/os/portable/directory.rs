//! The directory of segments, and the names of the files in it.

use crate::layout::Geometry;
use crate::os::fork::{self, Local};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// More than the longest header.
const HEADER_LIMIT_BYTES: u64 = 1 << 16;

/// Digits of an instance number in names, which have no upper and lower case everywhere.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many of them it takes for 128 bits.
const ID_DIGITS: usize = 26;

/// Where entries and locks live. On Linux that is where the other backend has its segments, so that the two find each
/// other's and say so; elsewhere it is a directory of this user's own.
pub(crate) fn segment_directory() -> &'static Path {
    static DIRECTORY: Local<OnceLock<PathBuf>> = Local::new();
    DIRECTORY.get().get_or_init(place)
}

#[cfg(target_os = "linux")]
fn place() -> PathBuf {
    PathBuf::from("/dev/shm")
}

#[cfg(all(unix, not(target_os = "linux")))]
fn place() -> PathBuf {
    // Not what the environment says, since all programs of a user have to meet there, nor /tmp, which some systems empty.
    PathBuf::from(format!("/var/tmp/slipring-{}", crate::os::effective_user()))
}

#[cfg(windows)]
fn place() -> PathBuf {
    // Where `shared_memory` has its mappings as well.
    std::env::temp_dir().join("slipring")
}

/// Makes the directory of segments if there is none.
pub(super) fn prepare() -> io::Result<()> {
    match create_private(segment_directory()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => check_owner(segment_directory()),
        Ok(()) => Ok(()),
    }
}

/// Refuses a directory that somebody else has made where this user's own is to be.
#[cfg(all(unix, not(target_os = "linux")))]
fn check_owner(directory: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(directory)?;
    let is_ours = metadata.is_dir() && owner(&metadata) == crate::os::effective_user();
    if is_ours { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// On Linux the directory is everybody's, and on Windows below one of this user's.
#[cfg(not(all(unix, not(target_os = "linux"))))]
fn check_owner(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn create_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn create_private(directory: &Path) -> io::Result<()> {
    // The user's directory for temporary files is closed to others.
    fs::create_dir(directory)
}

/// An instance number as names have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id(String);

impl Id {
    /// That of a segment whose instance number is `instance`.
    pub(super) fn new(instance: &[u8; 16]) -> Self {
        let number = u128::from_le_bytes(*instance);
        let digit = |at| char::from(DIGITS[(number >> (5 * at)) as usize % DIGITS.len()]);
        Id((0..ID_DIGITS).rev().map(digit).collect())
    }

    /// That of which `text` begins.
    fn at_start_of(text: &str) -> Option<Self> {
        let id = text.get(..ID_DIGITS)?;
        id.bytes().all(|byte| DIGITS.contains(&byte)).then(|| Id(id.into()))
    }

    /// The name of the mapping: 30 bytes with the slash, which some systems want.
    pub(super) fn mapping(&self) -> String {
        format!("/sr-{}", self.0)
    }

    /// The file of lock `lock`.
    pub(super) fn lock(&self, lock: u64) -> PathBuf {
        segment_directory().join(format!(".sr-{}.{lock}", self.0))
    }

    /// Where an entry is written before it gets its name.
    pub(super) fn draft(&self) -> PathBuf {
        segment_directory().join(format!(".sr-{}.new", self.0))
    }

    /// Whose lock the file `path` is, if it is one.
    pub(super) fn of_lock(path: &Path) -> Option<Self> {
        let (id, lock) = path.file_name()?.to_str()?.strip_prefix(".sr-")?.split_once('.')?;
        let is_number = lock.parse::<u64>().is_ok_and(|number| number.to_string() == lock);
        Id::at_start_of(id).filter(|found| is_number && found.0 == id)
    }

    /// Whose first lock the file `path` is, if it is one.
    pub(super) fn of_first_lock(path: &Path) -> Option<Self> {
        Id::of_lock(path).filter(|id| id.lock(0).file_name() == path.file_name())
    }
}

/// What has the name of a segment, as far as it has been read.
pub(super) struct Entry {
    pub(super) is_regular: bool,
    pub(super) owner: u32,
    pub(super) bytes: u64,
    /// The first of its bytes: the header, if it is an entry.
    pub(super) header: Vec<u8>,
}

impl Entry {
    /// Reads what has the name `path`. Symbolic links are refused, and a FIFO in its place cannot make this block.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let _inside = fork::enter();
        let file = open(path)?;
        let metadata = file.metadata()?;
        let mut header = Vec::new();
        if metadata.is_file() {
            file.take(HEADER_LIMIT_BYTES).read_to_end(&mut header)?;
        }
        Ok(Entry { is_regular: metadata.is_file(), owner: owner(&metadata), bytes: metadata.len(), header })
    }

    /// The geometry, if it is the entry of a segment of this backend. All of it is to be doubted.
    pub(super) fn geometry(&self) -> Option<Geometry> {
        geometry(&self.header)
    }
}

/// Makes a file of this user's with these contents, where there is none.
pub(super) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let _inside = fork::enter();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).and_then(|mut file| file.write_all(contents))
}

/// The files in the directory of segments.
pub(super) fn list() -> io::Result<Vec<PathBuf>> {
    let _inside = fork::enter();
    fs::read_dir(segment_directory())?.map(|file| file.map(|file| file.path())).collect()
}

/// The geometry at the start of a header, if it is one of this backend.
pub(super) fn geometry(header: &[u8]) -> Option<Geometry> {
    let geometry = Geometry::from_bytes(header.first_chunk()?);
    (geometry.magic == crate::layout::MAGIC && geometry.backend == super::BACKEND).then_some(geometry)
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(unix)]
fn owner(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

#[cfg(not(unix))]
fn owner(_metadata: &fs::Metadata) -> u32 {
    // The directory is one of this user's own.
    crate::os::effective_user()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_mappings_are_short_and_differ() {
        let (mut one, mut other) = ([0; 16], [0xFF; 16]);
        assert_eq!(Id::new(&one).mapping(), "/sr-00000000000000000000000000");
        assert_eq!(Id::new(&other).mapping(), "/sr-7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(Id::new(&one).mapping().len(), 30);
        for at in 0..128 {
            (one, other) = ([0; 16], [0; 16]);
            one[at / 8] = 1 << (at % 8);
            assert_ne!(Id::new(&one), Id::new(&other), "bit {at} counts");
        }
    }

    #[test]
    fn locks_lead_back_to_their_segments() {
        let id = Id::new(&[0x5A; 16]);
        assert_eq!(Id::of_first_lock(&id.lock(0)), Some(id.clone()));
        assert_eq!(Id::of_lock(&id.lock(0)), Some(id.clone()));
        assert_eq!((Id::of_lock(&id.lock(10)), Id::of_first_lock(&id.lock(10))), (Some(id.clone()), None));
        let stem = id.lock(0).with_extension("").into_os_string().into_string().unwrap();
        for other in [".00", ".+1", ".0.0", ".new", ".", ""].map(|suffix| format!("{stem}{suffix}")) {
            assert_eq!(Id::of_lock(Path::new(&other)), None, "{other:?}");
        }
        for other in [".sr-0.0", "slipring.a.b.0", &id.mapping()] {
            assert_eq!(Id::of_lock(Path::new(other)), None, "{other:?}");
        }
    }
}
