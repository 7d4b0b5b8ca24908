//! An archive given to `--from`: the answer is that of the folder that was packed, and an error names the archive, the
//! file in it and the line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};

const CLUSTER: &str = "apiVersion: config.openshift.io/v1\nkind: ClusterVersion\nmetadata:\n  name: version\nstatus:\n  \
                       desired:\n    version: 4.21.1\n";
fn gate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gate")).args(arguments).current_dir(folder).output().unwrap()
}

fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = gate(folder, arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn check_of_an_archive_equals_check_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/input-must-gather");
    let expected = fs::read_to_string(case.join("expected.json")).unwrap();
    let packed = fs::read(case.with_file_name("input-archive").join("must-gather.tar.gz")).unwrap();
    fs::write(folder.path().join("upload"), &packed).unwrap();
    for command in ["check", "history"] {
        let of_folder = gate(&case, &[command, "--from", ".", "-o", "json"]);
        let of_archive = gate(folder.path(), &[command, "--from", "upload", "-o", "json"]);
        assert_eq!(of_archive.stdout, of_folder.stdout, "{}", String::from_utf8_lossy(&of_archive.stderr));
        assert_eq!(of_archive.status.code(), Some(0));
    }
    let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
    let process = process.args(["check", "--from", "-", "-o", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = process.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&packed).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "from standard input");
}

#[test]
fn an_error_names_the_archive_the_file_in_it_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let odd = format!("{CLUSTER}spec:\n  overrides: none\n");
    fs::write(folder.path().join("a.tar.gz"), archive(&[("mg/version.yaml", &odd)])).unwrap();
    let message = error(folder.path(), &["check", "--from", "a.tar.gz"]);
    let expected = "error: a.tar.gz: mg/version.yaml:9: ClusterVersion: spec.overrides: found the string \"none\", expected \
                    a list; compare it with `kubectl explain clusterversion`\n";
    assert_eq!(message, expected);
    let other = CLUSTER.replace("4.21.1", "4.21.2");
    fs::write(folder.path().join("b.tgz"), archive(&[("version.yaml", &other)])).unwrap();
    fs::remove_file(folder.path().join("a.tar.gz")).unwrap();
    fs::write(folder.path().join("a.tar.gz"), archive(&[("mg/version.yaml", CLUSTER)])).unwrap();
    let message = error(folder.path(), &["check", "--from", "."]);
    let expected = "error: ./b.tgz: version.yaml:1: found another ClusterVersion, which differs from the one at \
                    ./a.tar.gz: mg/version.yaml:1; expected the files of one cluster at one time\n";
    assert_eq!(message, expected);
}

/// A must-gather holds archives of its own, such as those of Insights, of another time.
#[test]
fn nested_archives_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("mg/namespaces/openshift-insights/insights-data");
    fs::create_dir_all(&inside).unwrap();
    fs::write(inside.join("insights.tar.gz"), "cut off").unwrap();
    fs::write(folder.path().join("mg/version.yaml"), CLUSTER).unwrap();
    fs::write(folder.path().join("mg/d.yaml.gz"), "not read in a folder").unwrap();
    for path in [".", "mg"] {
        assert_eq!(gate(folder.path(), &["check", "--from", path]).status.code(), Some(0), "{path}");
    }
    // At its top, it is an input.
    fs::write(folder.path().join("mg/cluster.tar.gz"), "").unwrap();
    let message = error(folder.path(), &["check", "--from", "mg"]);
    assert!(message.starts_with("error: mg/cluster.tar.gz: found no archive in it, expected"), "{message}");
    assert!(message.ends_with("; copy or download it again\n"), "{message}");
}

/// A kilobyte that unpacks to more than memory should hold.
#[test]
fn a_decompression_bomb_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("version.yaml").unwrap();
    header.set_size(300 << 20);
    header.set_cksum();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(header.as_bytes()).unwrap();
    encoder.write_all(&[b'a'; 4096]).unwrap();
    fs::write(folder.path().join("a.tar.gz"), encoder.finish().unwrap()).unwrap();
    let message = error(folder.path(), &["check", "--from", "a.tar.gz"]);
    let expected = "error: a.tar.gz: version.yaml: found a file of more than 256 MiB, expected a must-gather as .tar.gz or \
                    .tar, or a file in it; unpack it, and give --from the files that hold the cluster's state\n";
    assert_eq!(message, expected);
}

#[test]
fn other_archive_formats_are_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.tar.xz"), b"\xfd7zXZ\x00\x00").unwrap();
    let message = error(folder.path(), &["check", "--from", "a.tar.xz"]);
    assert!(message.contains("found xz data") && message.contains("pack it as .tar.gz"), "{message}");
}
