//! A mistyped command gets a tip with the command that was probably meant, under the name by which the program was called.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::{os::unix::fs::symlink, process::Command};

use rstest::rstest;

#[rstest]
#[case::a_file(
    "upgrade-gate",
    "check cluster.yaml",
    "tip: to read a file or folder, use 'upgrade-gate check --from cluster.yaml'"
)]
#[case::an_option("upgrade-gate", "check -f cluster.yaml", "tip: to read files, use 'upgrade-gate check --from PATH'")]
#[case::a_version("upgrade-gate", "check 4.21.2", "tip: to check one update, use 'upgrade-gate check --to 4.21.2'")]
#[case::a_version_for_the_plugin(
    "kubectl-upgrade_gate",
    "4.21.2",
    "tip: to check one update, use 'kubectl upgrade-gate --to 4.21.2'"
)]
#[case::a_command("upgrade-gate", "histroy", "tip: a similar subcommand exists: 'history'")]
#[case::a_command_of_the_plugin("oc-upgrade_gate", "histroy", "tip: a similar subcommand exists: 'history'")]
#[case::what_the_plugin_does_without(
    "oc-upgrade_gate",
    "histroy",
    "tip: to check one update, use 'oc upgrade-gate --to VERSION'; to read files, 'oc upgrade-gate --from PATH'"
)]
fn what_was_probably_meant_is_named(#[case] program: &str, #[case] arguments: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(program);
    symlink(env!("CARGO_BIN_EXE_upgrade-gate"), &path).unwrap();
    let output = Command::new(path).args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.lines().any(|line| line.trim() == expected), "{said}");
}

#[test]
fn the_help_explains_help() {
    let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate")).args(["help", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: upgrade-gate <COMMAND>"));
}
