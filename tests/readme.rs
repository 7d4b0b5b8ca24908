//! The README's tables of flags, metrics, events and exit codes are those of the program.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use std::{fs, path::Path, process::Command};

use clap::CommandFactory as _;
use upgrade_gate::controller::config::RunArgs;

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The README's part under this heading, up to the next one of the same level.
fn section(heading: &str) -> String {
    let readme = source("README.md");
    let (_, part) = readme.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    part.split("\n## ").next().unwrap().to_owned()
}

/// The cells of each row of a table whose first cell starts with this, in backticks there.
fn rows(section: &str, start: &str) -> Vec<Vec<String>> {
    let rows = section.lines().filter(|line| line.starts_with(&format!("| `{start}")));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn every_flag_of_run_is_documented_with_its_default() {
    #[derive(clap::Parser)]
    struct Run {
        #[command(flatten)]
        _args: RunArgs,
    }
    let command = Run::command();
    let flags: Vec<[String; 2]> = command
        .get_arguments()
        .filter(|flag| flag.get_id() != "help")
        .map(|flag| {
            let name = flag.get_long().unwrap();
            let variable = format!("UPGRADE_GATE_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(flag.get_env().unwrap(), variable.as_str());
            let default = flag.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
            [format!("--{name}"), default.unwrap_or_default()]
        })
        .collect();
    let documented: Vec<[String; 2]> = rows(&section("Flags of `upgrade-gate run`"), "--")
        .into_iter()
        .map(|row| [row[0].clone(), row[1].clone()])
        .collect();
    assert_eq!(documented, flags);
}

#[test]
fn every_metric_is_documented() {
    let source = source("src/controller/metrics.rs");
    // A family shows nothing before it has a series, so /metrics itself does not list them all.
    // Each is registered with `all, "NAME", …`.
    let arguments = source.split("all,").skip(1).map(str::trim_start);
    let mut registered: Vec<&str> = arguments.filter_map(|rest| rest.strip_prefix('"')?.split('"').next()).collect();
    registered.sort_unstable();
    let mut documented: Vec<String> = rows(&section("What it shows"), "upgrade_gate_")
        .into_iter()
        .map(|row| row[0].split('{').next().unwrap().trim_start_matches("upgrade_gate_").to_owned())
        .map(|name| name.trim_end_matches("_total").to_owned())
        .collect();
    documented.sort_unstable();
    assert!(registered.len() >= 14, "{registered:?}");
    assert_eq!(documented, registered);
}

#[test]
fn every_event_is_documented() {
    // A reason is its variant's name.
    let source = source("src/plan/events.rs");
    let (_, reasons) = source.split_once("pub enum Reason {").unwrap();
    let (reasons, _) = reasons.split_once("\n}").unwrap();
    let mut registered: Vec<&str> = reasons.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
    registered.sort_unstable();
    let shown = section("What it shows");
    let (_, events) = shown.split_once("**Events**").unwrap();
    let mut documented: Vec<String> = rows(events, "").into_iter().map(|row| row[0].clone()).collect();
    documented.sort_unstable();
    assert!(registered.len() >= 7, "{registered:?}");
    assert_eq!(documented, registered);
}

#[test]
fn bad_arguments_exit_with_2() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_upgrade-gate")).args(arguments).env_clear().output().unwrap().status.code()
    };
    assert_eq!(run(&["run", "--mode=none"]), Some(2));
    assert_eq!(run(&["run", "--lease-duration=4s"]), Some(2));
    assert_eq!(run(&["run", "--kubeconfig=/nowhere"]), Some(2));
}
