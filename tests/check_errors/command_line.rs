//! The command line itself: help, version, completions, standard input, colours, and a reader that stops reading.

use super::{CLUSTER, error, gate};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

#[test]
fn no_command_shows_the_help_as_an_error() {
    let output = gate(Path::new("."), &[]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage: upgrade-gate"));
}

#[test]
fn the_version_names_the_commit() {
    let output = gate(Path::new("."), &["--version"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let commit = text.trim().strip_prefix(concat!("upgrade-gate ", env!("CARGO_PKG_VERSION"), " (")).unwrap();
    assert!(commit.ends_with(')') && commit.len() > 1, "{text}");
}

#[test]
fn completion_scripts_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = gate(Path::new("."), &["completion", shell]);
        assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("kubeconfig"));
    }
}

/// A pipe whose reader has gone, as of `check | head -1`, changes neither the answer nor the exit code.
#[test]
fn a_closed_stdout_is_not_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .args(["check", "--from", "cluster.yaml", "--to", "nonsense"])
        .current_dir(folder.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b""[..]));
}

#[test]
fn standard_input_is_read_if_the_file_is_a_dash() {
    let run = |input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
            .args(["check", "--from", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    assert!(String::from_utf8(run(CLUSTER).stdout).unwrap().contains("4.21.1"));
    assert!(error(&run("text")).starts_with("standard input:1: found the string \"text\""));
}

#[test]
fn colours_are_used_on_terminals_or_if_requested() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
        command.args(["check", "--from", "cluster.yaml"]).current_dir(folder.path()).env_clear();
        command.envs(variables.iter().copied()).output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("NO_COLOR", "1")]));
}
