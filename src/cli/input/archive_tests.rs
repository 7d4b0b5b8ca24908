//! Archives as tools write them, and such that mean harm.

use std::{io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use rstest::rstest;
use tar::{Builder, EntryType, Header};

use crate::cli::{
    error::Error,
    input::{
        archive::{Limits, format, peek, read},
        origin::Origin,
    },
};

const LIMITS: Limits = Limits { entry: 4 << 10, total: 64 << 10 };

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// An archive of these files.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, text) in files {
        builder.append_data(&mut header(EntryType::Regular, text.len()), name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// One entry, whose header gets that name as it is.
fn with_name(kind: EntryType, name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut header = header(kind, content.len());
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    builder.append(&header, content).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The texts in a file of that name, each with where it is from.
fn texts(name: &str, bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let origin = Origin { name: name.to_owned(), by_name: true };
    let (start, reader) = peek(bytes).unwrap();
    let format = format(&start, Path::new(name)).unwrap();
    let mut texts = Vec::new();
    read(reader, format, (Path::new(name), &origin), LIMITS, &mut |bytes, origin| {
        texts.push((origin.name.clone(), String::from_utf8_lossy(bytes).into_owned()));
        Ok(())
    })?;
    Ok(texts)
}

fn error(name: &str, bytes: &[u8]) -> String {
    texts(name, bytes).unwrap_err().to_string()
}

#[rstest]
#[case::tar("a.tar", tar(&[("mg/b.yaml", "b"), ("mg/a.JSON", "a")]))]
#[case::gzip("a.tar.gz", gzip(&tar(&[("mg/b.yaml", "b"), ("mg/a.JSON", "a")])))]
#[case::in_two_members("a.tgz", {
    let bytes = tar(&[("mg/b.yaml", "b"), ("mg/a.JSON", "a")]);
    [gzip(&bytes[..700]), gzip(&bytes[700..])].concat()
})]
#[case::by_any_name("upload", gzip(&tar(&[("mg/b.yaml", "b"), ("mg/a.JSON", "a")])))]
#[case::with_a_dot_in_front("a.tar", tar(&[("./mg/b.yaml", "b"), ("./mg/a.JSON", "a")]))]
#[case::among_others("a.tar", tar(&[
    ("mg/a.log", "x"), ("mg/b.yaml", "b"), ("mg/.hidden/c.yaml", "x"), ("mg/._b.yaml", "x"), ("mg/c.tar.gz", "x"),
    ("mg/a.JSON", "a")]))]
fn the_texts_of_an_archive_are_read_under_their_paths(#[case] name: &str, #[case] bytes: Vec<u8>) {
    let expected = [("mg/b.yaml", "b"), ("mg/a.JSON", "a")];
    let expected = expected.map(|(path, text)| (format!("{name}: {path}"), text.to_owned()));
    assert_eq!(texts(name, &bytes).unwrap(), expected);
}

#[test]
fn long_names_are_read_in_both_forms() {
    let long = format!("{}/version.yaml", "folder/".repeat(30).trim_end_matches('/'));
    let gnu = tar(&[(&long, "a")]);
    assert_eq!(texts("a.tar", &gnu).unwrap(), [(format!("a.tar: {long}"), "a".to_owned())]);
    let mut builder = Builder::new(Vec::new());
    builder.append_pax_extensions([("mtime", b"1.5".as_slice()), ("path", long.as_bytes())]).unwrap();
    builder.append_data(&mut header(EntryType::Regular, 1), "short", &b"a"[..]).unwrap();
    assert_eq!(texts("a.tar", &builder.into_inner().unwrap()).unwrap(), [(format!("a.tar: {long}"), "a".to_owned())]);
}

/// Nothing is unpacked, so a link could only lead to another entry, which is read under its own name.
#[test]
fn links_and_devices_are_passed_over() {
    let mut builder = Builder::new(Vec::new());
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::Directory] {
        let mut header = header(kind, 0);
        header.set_link_name("/etc/hostname").unwrap();
        builder.append_data(&mut header, "version.yaml", &b""[..]).unwrap();
    }
    builder.append_data(&mut header(EntryType::Regular, 1), "a.yaml", &b"a"[..]).unwrap();
    let found = texts("a.tar", &builder.into_inner().unwrap()).unwrap();
    assert_eq!(found, [("a.tar: a.yaml".to_owned(), "a".to_owned())]);
}

#[test]
fn a_text_that_is_packed_alone_is_read_as_it_would_be_unpacked() {
    assert_eq!(texts("a.yaml.gz", &gzip(b"a")).unwrap(), [("a.yaml.gz".to_owned(), "a".to_owned())]);
}

/// Wherever it ends, and however it is packed: what is missing might be what blocks.
#[test]
fn an_archive_that_is_cut_off_is_an_error_wherever_it_ends() {
    let bytes = tar(&[("a.yaml", "a"), ("b.yaml", &"b".repeat(700)), ("c.log", "c")]);
    let complete = gzip(&bytes);
    assert_eq!(texts("a.tar.gz", &complete).unwrap().len(), 2);
    for end in 20..complete.len() {
        let message = error("a.tar.gz", &complete[..end]);
        assert!(message.starts_with("a.tar.gz: ") || message.starts_with("a.tar.gz: b.yaml: "), "{end}: {message}");
        assert!(message.contains("found an archive that is cut off"), "{end}: {message}");
    }
    let records = bytes.len() - 1024;
    for end in 512..records + 512 {
        let message = error("a.tar", &bytes[..end]);
        assert!(message.contains("found an archive that is cut off"), "{end}: {message}");
    }
    assert_eq!(texts("a.tar", &bytes[..records + 512]).unwrap().len(), 2, "one empty record is an end as well");
}

#[test]
fn a_changed_bit_is_an_error_or_changes_nothing() {
    let complete = gzip(&tar(&[("a.yaml", &"some text, ".repeat(20))]));
    let expected = texts("a.tar.gz", &complete).unwrap();
    // Behind the header of gzip; the same text can be packed in several ways.
    let refused = (10..complete.len()).filter(|at| {
        let mut changed = complete.clone();
        changed[*at] ^= 4;
        let found = texts("a.tar.gz", &changed);
        assert!(found.is_err() || found.is_ok_and(|found| found == expected), "{at}");
        texts("a.tar.gz", &changed).is_err()
    });
    assert!(refused.count() > complete.len() / 2);
}

#[rstest]
#[case::an_entry("a.tar.gz", gzip(&tar(&[("a.yaml", &"a".repeat(5000))])), "a.tar.gz: a.yaml: found a file of more than 4096 bytes")]
#[case::a_text("a.yaml.gz", gzip("a".repeat(5000).as_bytes()), "a.yaml.gz: found a file of more than 4096 bytes")]
#[case::a_log("a.tar.gz", gzip(&tar(&[("a.log", &"a".repeat(70_000)), ("a.yaml", "a")])), "a.tar.gz: found an archive of more than 65536 bytes")]
#[case::entries_without_end("a.tar.gz", gzip(&tar(&vec![("a.yaml", ""); 200])), "a.tar.gz: found an archive of more than 65536 bytes")]
#[case::behind_the_end("a.tar.gz", gzip(&[tar(&[("a.yaml", "")]), vec![0; 70_000]].concat()), "a.tar.gz: found an archive of more than 65536 bytes")]
#[case::a_size_beyond_the_end("a.tar", with_size(u64::MAX >> 1), "a.tar: a.yaml: found a file of more than 4096 bytes")]
#[case::a_long_name("a.tar", with_name(EntryType::GNULongName, b"x", &vec![b'a'; 80 << 10]), "a.tar: found an entry with a name of more than 64 KiB")]
#[case::a_long_header("a.tar", with_name(EntryType::XHeader, b"x", &vec![b'a'; 80 << 10]), "a.tar: found an entry with a name of more than 64 KiB")]
#[case::a_size_in_a_header(
    "a.tar",
    with_name(EntryType::XHeader, b"x", b"19 size=9000000000\n"),
    "a.tar: found an entry of more than 8 GiB"
)]
#[case::outside(
    "a.tar",
    with_name(EntryType::Regular, b"mg/../../etc/a.yaml", b"a"),
    "a.tar: mg/../../etc/a.yaml: found an entry outside of the archive's folder"
)]
#[case::what_acts_on_a_terminal(
    "a.tar",
    with_name(EntryType::Regular, b"../\x1b[31m\n", b"a"),
    "a.tar: ../\\u{1b}[31m\\n: found an entry outside"
)]
#[case::sparse("a.tar", with_name(EntryType::GNUSparse, b"a.yaml", b"a"), "a.tar: a.yaml: found a sparse file")]
#[case::nothing("a.tar", tar(&[]), "a.tar: found no .yaml, .yml or .json file")]
#[case::nothing_to_read("a.tgz", gzip(&tar(&[("a.log", "a")])), "a.tgz: found no .yaml, .yml or .json file")]
#[case::gzip_without_an_archive("a.tar.gz", gzip(b"a: b"), "a.tar.gz: found gzip data without a tar archive in it")]
#[case::text("a.tar", "text ".repeat(200).into_bytes(), "a.tar: found a damaged archive")]
#[case::a_header_that_is_none(
    "a.tar",
    with_name(EntryType::XHeader, b"x", b"no header"),
    "a.tar: found a damaged archive"
)]
fn what_means_harm_is_refused_within_limits(#[case] name: &str, #[case] bytes: Vec<u8>, #[case] expected: &str) {
    let message = error(name, &bytes);
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("; ") && message.contains("expected"), "{message}");
}

/// A header that promises that much.
fn with_size(size: u64) -> Vec<u8> {
    let mut header = header(EntryType::Regular, 0);
    header.set_path("a.yaml").unwrap();
    header.set_size(size);
    header.set_cksum();
    [header.as_bytes().as_slice(), &[b'a'; 512]].concat()
}
