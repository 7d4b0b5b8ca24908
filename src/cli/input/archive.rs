//! Archives: a must-gather as `.tar.gz`, `.tgz` or `.tar` is read as it is, one entry after the other and within
//! limits. Nothing is written to disk, no link is followed, and an archive that is cut off is an error.

use std::{
    borrow::Cow,
    io::{self, Chain, Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use tar::{EntryType, PaxExtensions};

use crate::{
    cli::{
        error::Error,
        input::origin::{Origin, is_read},
    },
    escape::escape,
};

/// One record of a tar archive.
const BLOCK: usize = 512;
/// Offset of the format's mark in the first record.
const MAGIC: (usize, &[u8]) = (257, b"ustar");
/// A long name has an entry of its own; the longest path of Linux has 4 KiB.
const MAX_NAME: u64 = 64 << 10;
/// In folders, the files that are read as archives.
const EXTENSIONS: [&str; 3] = [".tar.gz", ".tgz", ".tar"];

const COPY_AGAIN: &str = "copy or download it again";
const UNPACK: &str = "unpack it, and give --from the files that hold the cluster's state";
const PACK_AGAIN: &str = "unpack it, and give --from the folder";

/// What an archive may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of an entry that is read into memory.
    pub entry: u64,
    /// Bytes of the whole archive, most of which are skipped.
    pub total: u64,
}

/// A must-gather with audit logs has a few gigabytes.
pub const LIMITS: Limits = Limits { entry: 256 << 20, total: 16 << 30 };

/// How a file is packed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// gzip, around an archive or a single text.
    Gzip,
    /// tar.
    Tar,
}

/// Whether a file has the name of an archive.
pub fn is_archive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// The format of a file that starts with these bytes.
pub fn format(start: &[u8], path: &Path) -> Option<Format> {
    let (at, magic) = MAGIC;
    match start {
        [0x1f, 0x8b, ..] => Some(Format::Gzip),
        _ if start.get(at..at + magic.len()) == Some(magic) => Some(Format::Tar),
        // The oldest format has no mark, and an empty archive is all zeros.
        _ if is_archive(path) && start.len() == BLOCK => Some(Format::Tar),
        _ => None,
    }
}

/// A reader, preceded by the bytes that were already read from it.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// The first record of a stream, and a reader of the whole stream.
pub fn peek<R: Read>(mut reader: R) -> io::Result<(Vec<u8>, Whole<R>)> {
    let mut start = Vec::with_capacity(BLOCK);
    reader.by_ref().take(BLOCK as u64).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(reader)))
}

/// Passes on each text in it, with its origin.
pub fn read(
    reader: impl Read,
    format: Format,
    (path, origin): (&Path, &Origin),
    limits: Limits,
    take: &mut impl FnMut(&[u8], &Origin) -> Result<(), Error>,
) -> Result<(), Error> {
    if format == Format::Tar {
        return read_tar(reader, origin, limits, take);
    }
    let (start, unpacked) = peek(MultiGzDecoder::new(reader)).map_err(|error| broken(&error, origin))?;
    if self::format(&start, path) == Some(Format::Tar) {
        return read_tar(unpacked, origin, limits, take);
    }
    if is_archive(path) {
        return Err(archive(origin, "gzip data without a tar archive in it", PACK_AGAIN));
    }
    take(&read_at_most(unpacked, limits.entry, origin)?, origin)
}

fn read_tar(
    reader: impl Read,
    origin: &Origin,
    limits: Limits,
    take: &mut impl FnMut(&[u8], &Origin) -> Result<(), Error>,
) -> Result<(), Error> {
    let io = |error: io::Error| broken(&error, origin);
    let mut tar = tar::Archive::new(Bounded { reader, left: limits.total, limit: limits.total, zeros: 0 });
    let mut any = false;
    let mut long_name: Option<Vec<u8>> = None;
    // Raw, since the library would read a name of any length into memory.
    for entry in tar.entries().map_err(io)?.raw(true) {
        let mut entry = entry.map_err(io)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            if entry.size() > MAX_NAME {
                return Err(archive(origin, "an entry with a name of more than 64 KiB", PACK_AGAIN));
            }
            let bytes = read_whole(&mut entry, origin)?;
            long_name = if kind.is_gnu_longname() {
                Some(bytes.strip_suffix(b"\0").unwrap_or(&bytes).to_vec())
            } else {
                pax_path(&bytes, origin)?.or(long_name)
            };
            continue;
        }
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
            continue;
        }
        let name = long_name.take().map_or_else(|| entry.path_bytes(), Cow::Owned);
        let name = String::from_utf8_lossy(&name).into_owned();
        let inside = name.trim_start_matches("./");
        let origin = Origin { name: format!("{}: {}", origin.name, escape(inside)), by_name: false };
        let mut parts = inside.split('/');
        if parts.clone().any(|part| part == "..") {
            return Err(archive(&origin, "an entry outside of the archive's folder", PACK_AGAIN));
        }
        // A link has no content: its target is an entry of its own, or is not in the archive.
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        if !is_file || !is_read(Path::new(inside)) || parts.any(|part| part.starts_with('.')) {
            continue;
        }
        if kind == EntryType::GNUSparse {
            return Err(archive(&origin, "a sparse file", PACK_AGAIN));
        }
        if entry.size() > limits.entry {
            return Err(too_large(&origin, limits.entry));
        }
        any = true;
        take(&read_whole(&mut entry, &origin)?, &origin)?;
    }
    let mut rest = tar.into_inner();
    // Without the empty record at the end, entries may be missing.
    if rest.zeros < BLOCK as u64 {
        return Err(archive(origin, "an archive that is cut off", COPY_AGAIN));
    }
    // The checksum of gzip is at its end.
    io::copy(&mut rest, &mut io::sink()).map_err(io)?;
    if any || !origin.by_name { Ok(()) } else { Err(Error::EmptyFolder { path: origin.name.clone() }) }
}

/// The path that a pax header gives to the next entry.
fn pax_path(bytes: &[u8], origin: &Origin) -> Result<Option<Vec<u8>>, Error> {
    let mut path = None;
    for record in PaxExtensions::new(bytes) {
        let record = record.map_err(|error| broken(&error, origin))?;
        match record.key_bytes() {
            b"path" => path = Some(record.value_bytes().to_vec()),
            // The size is here only if it is too large for the entry's own header.
            b"size" => return Err(archive(origin, "an entry of more than 8 GiB", UNPACK)),
            _ => {}
        }
    }
    Ok(path)
}

/// All bytes of an entry, as many as in its header.
fn read_whole(entry: &mut tar::Entry<'_, impl Read>, origin: &Origin) -> Result<Vec<u8>, Error> {
    let size = entry.size();
    let bytes = read_at_most(entry, size, origin)?;
    if (bytes.len() as u64) < size {
        return Err(archive(origin, "an archive that is cut off", COPY_AGAIN));
    }
    Ok(bytes)
}

fn read_at_most(reader: impl Read, limit: u64, origin: &Origin) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|error| broken(&error, origin))?;
    if bytes.len() as u64 > limit { Err(too_large(origin, limit)) } else { Ok(bytes) }
}

fn archive(origin: &Origin, found: &str, advice: &'static str) -> Error {
    Error::Archive { path: origin.name.clone(), found: found.to_owned(), advice }
}

/// The error for a file that has the name of an archive and is not one.
pub fn no_archive(origin: &Origin) -> Error {
    archive(origin, "no archive in it", COPY_AGAIN)
}

fn too_large(origin: &Origin, limit: u64) -> Error {
    archive(origin, &format!("a file of more than {}", size(limit)), UNPACK)
}

fn broken(error: &io::Error, origin: &Origin) -> Error {
    // The tar library has no kind of error for an archive that ends within an entry or a header.
    let text = error.to_string();
    let is_cut_off = error.kind() == io::ErrorKind::UnexpectedEof
        || text.starts_with("unexpected EOF")
        || text == "failed to read entire block";
    match error.kind() {
        _ if is_cut_off => archive(origin, "an archive that is cut off", COPY_AGAIN),
        io::ErrorKind::FileTooLarge => archive(origin, &error.to_string(), UNPACK),
        _ => archive(origin, &format!("a damaged archive ({})", escape(&error.to_string())), COPY_AGAIN),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{bytes} bytes"),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// Reads up to a limit, and counts the zeros at the end of what it read.
struct Bounded<R> {
    reader: R,
    left: u64,
    limit: u64,
    zeros: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            let found = format!("an archive of more than {}", size(self.limit));
            io::Error::new(io::ErrorKind::FileTooLarge, found)
        })?;
        let zeros = buffer[..length].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == length { self.zeros + zeros as u64 } else { zeros as u64 };
        Ok(length)
    }
}
