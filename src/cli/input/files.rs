//! From paths to texts: walks folders, unpacks archives, and refuses early what isn't text.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::cli::{
    error::{Error, Location, show_path},
    input::{
        archive,
        origin::{Origin, STANDARD_INPUT, is_read},
    },
};

/// More than any cluster's state. Reading more would only fill the memory.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes that are checked before the rest is read: they are enough to recognise a device or an archive.
const SAMPLE: usize = 64 << 10;
const REPACK: &str = "unpack it first, or pack it as .tar.gz";

/// The files of a path: itself, or the files in a folder, sorted by name.
pub fn expand(path: &Path) -> Result<Vec<(PathBuf, Origin)>, Error> {
    let unreadable = |path: &Path, source| Error::Unreadable { path: show_path(path), source };
    if path == Path::new("-") {
        return Ok(vec![(path.to_owned(), Origin { name: STANDARD_INPUT.to_owned(), by_name: true })]);
    }
    if !fs::metadata(path).map_err(|error| unreadable(path, error))?.is_dir() {
        return Ok(vec![(path.to_owned(), Origin { name: show_path(path), by_name: true })]);
    }
    let mut files = BTreeSet::new();
    // Links may form a cycle.
    let mut seen = BTreeSet::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        if !seen.insert(fs::canonicalize(&folder).map_err(|error| unreadable(&folder, error))?) {
            continue;
        }
        // Archives deeper in a must-gather were collected at another time: Insights keeps some.
        let is_top = folder == path;
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let entry = entry.map_err(|error| unreadable(&folder, error))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // A broken link, or a file that was just deleted, is skipped.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() && (is_read(&path) || (is_top && archive::is_archive(&path))) {
                files.insert(path);
            }
        }
    }
    if files.is_empty() {
        return Err(Error::EmptyFolder { path: show_path(path) });
    }
    Ok(files.into_iter().map(|path| (path.clone(), Origin { name: show_path(&path), by_name: false })).collect())
}

/// Passes on the texts of a file: its bytes, or the files that are packed in it. Of a file that does not begin like
/// text, only the beginning is read.
pub fn read(
    path: &Path,
    origin: &Origin,
    take: &mut impl FnMut(&[u8], &Origin) -> Result<(), Error>,
) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable { path: origin.name.clone(), source };
    let (reader, size): (Box<dyn Read>, u64) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        (Box::new(BufReader::with_capacity(SAMPLE, file)), size)
    };
    let (start, reader) = archive::peek(reader).map_err(unreadable)?;
    let is_archive = archive::is_archive(path);
    match archive::format(&start, path) {
        Some(format) if origin.by_name || is_archive => {
            archive::read(reader, format, (path, origin), archive::LIMITS, take)
        }
        None if is_archive => Err(archive::no_archive(origin)),
        _ => take(&read_all(reader, size, MAX_BYTES).map_err(unreadable)?, origin),
    }
}

fn read_all(mut reader: impl Read, size: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
    reader.by_ref().take(SAMPLE as u64).read_to_end(&mut bytes)?;
    if !bytes.contains(&0) {
        reader.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

/// The text of a file, without a byte order mark.
pub fn decode<'a>(bytes: &'a [u8], origin: &Origin) -> Result<&'a str, Error> {
    let not_text = |found, advice, line| Error::NotText { place: Location::new(&origin.name, line), found, advice };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(not_text("UTF-16 text", "save it as UTF-8", 1)),
        [0x1f, 0x8b, ..] => return Err(not_text("gzip data within gzip data", "unpack it first", 1)),
        [b'P', b'K', 3, 4, ..] => return Err(not_text("a zip archive", REPACK, 1)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(not_text("xz data", REPACK, 1)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(not_text("zstd data", REPACK, 1)),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(not_text("bzip2 data", REPACK, 1)),
        _ => {}
    }
    let line_at = |end: usize| 1 + memchr::memchr_iter(b'\n', &bytes[..end]).count();
    if let Some(at) = memchr::memchr(0, bytes) {
        // Without a byte order mark, UTF-16 is recognised by a NUL beside each ASCII letter.
        let (pairs, _) = bytes[..bytes.len().min(64)].as_chunks::<2>();
        let utf_16 =
            !pairs.is_empty() && pairs.iter().filter(|pair| (pair[0] == 0) != (pair[1] == 0)).count() * 2 > pairs.len();
        return Err(if utf_16 {
            not_text("UTF-16 text", "save it as UTF-8", 1)
        } else {
            not_text("binary data", "give the text of the objects, as `oc get -o yaml` prints it", line_at(at))
        });
    }
    std::str::from_utf8(bytes)
        .map_err(|error| not_text("bytes that are not UTF-8", "save it as UTF-8", line_at(error.valid_up_to())))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn origin() -> Origin {
        Origin { name: "a.yaml".to_owned(), by_name: true }
    }

    #[rstest]
    #[case::utf_16_with_a_mark(b"\xff\xfea\0:\0", "a.yaml:1: found UTF-16 text")]
    #[case::utf_16_big_endian(b"\xfe\xff\0a\0:", "a.yaml:1: found UTF-16 text")]
    #[case::utf_16_without_a_mark(b"a\0:\0 \0b\0", "a.yaml:1: found UTF-16 text")]
    #[case::gzip_twice(b"\x1f\x8b\x08", "a.yaml:1: found gzip data within gzip data")]
    #[case::zip(b"PK\x03\x04", "a.yaml:1: found a zip archive")]
    #[case::xz(b"\xfd7zXZ\x00", "a.yaml:1: found xz data")]
    #[case::zstd(b"\x28\xb5\x2f\xfd", "a.yaml:1: found zstd data")]
    #[case::bzip2(b"BZh91AY", "a.yaml:1: found bzip2 data")]
    #[case::nul(b"a: b\nc: \0 and more text", "a.yaml:2: found binary data")]
    #[case::latin_1(b"a: b\n\nc: \xe9t\xe9\n", "a.yaml:3: found bytes that are not UTF-8")]
    fn what_is_not_text_is_named(#[case] bytes: &[u8], #[case] expected: &str) {
        let message = decode(bytes, &origin()).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_walked_once_through_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        for name in ["b.yaml", "a.JSON", "c.log", "d.yaml.gz", ".hidden.yaml", "e"] {
            fs::write(inside.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), inside.join("circle")).unwrap();
        std::os::unix::fs::symlink("nowhere", inside.join("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink("b.yaml", inside.join("link.yml")).unwrap();
        let files = expand(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.JSON", "b.yaml", "link.yml"]);
        assert!(files.iter().all(|(_, origin)| !origin.by_name));
    }

    #[test]
    fn a_byte_order_mark_is_left_out() {
        assert_eq!(decode(b"\xef\xbb\xbfa: b", &origin()).unwrap(), "a: b");
    }

    #[test]
    fn an_endless_input_is_refused_before_it_fills_the_memory() {
        let error = read_all(io::repeat(b'a'), 0, 1 << 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(read_all(io::repeat(0), 0, 1 << 20).unwrap().len() <= SAMPLE);
    }
}
