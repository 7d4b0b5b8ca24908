//! Golden cases: each folder below `tests/cases` is an input as a user has it, and what `check` prints for it; below
//! `tests/history_cases`, what `history` prints. `tests/cases/common` holds the input that most cases share.
//!
//! `UPDATE=1 cargo test --test cases` rewrites the expectations; read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "UPDATE=1 is for the developer who runs the tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The folders of cases, each with the command that it is about.
fn cases() -> Vec<(&'static str, PathBuf)> {
    let mut cases = Vec::new();
    for (command, folder) in [("check", "tests/cases"), ("history", "tests/history_cases")] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let paths = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        let paths = paths.filter(|path| path.is_dir() && !path.ends_with("common"));
        cases.extend(paths.map(|path| (command, path)));
    }
    cases.sort();
    cases
}

/// The files that a case of `check` reads in addition to its folder, unless it has a file of the same name.
const COMMON: [&str; 2] = ["clusteroperators.yaml", "configmaps.yaml"];

/// The arguments of a case, as a person would type them in its folder.
fn arguments(command: &str, case: &Path, format: &str) -> Vec<String> {
    let own = fs::read_to_string(case.join("args")).unwrap_or_default();
    let mut arguments = vec![command.to_owned()];
    if !own.contains("--from") {
        arguments.extend(["--from".to_owned(), ".".to_owned()]);
        for file in COMMON.iter().filter(|file| command == "check" && !case.join(file).exists()) {
            arguments.extend(["--from".to_owned(), format!("../common/{file}")]);
        }
    }
    arguments.extend(own.split_whitespace().map(str::to_owned));
    arguments.extend(["-o".to_owned(), format.to_owned()]);
    arguments
}

fn run(command: &str, case: &Path, format: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .args(arguments(command, case, format))
        .current_dir(case)
        .env_clear()
        .output()
        .unwrap()
}

/// Compares a file with what was seen, or rewrites it.
fn compare(path: &Path, seen: &str, differences: &mut Vec<String>) {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == seen {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, seen).unwrap();
    } else {
        differences.push(format!("{}:\n--- expected\n{expected}\n--- seen\n{seen}", path.display()));
    }
}

#[test]
fn every_case_prints_its_expected_output() {
    let mut differences = Vec::new();
    let cases = cases();
    assert!(cases.len() > 60, "{} cases", cases.len());
    for (command, case) in cases {
        for (format, file) in [
            ("table", "expected.txt"),
            ("json", "expected.json"),
            ("yaml", "expected.yaml"),
            ("markdown", "expected.md"),
        ] {
            let output = run(command, &case, format);
            let before = differences.len();
            let seen = String::from_utf8(output.stdout).unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            compare(&case.join("exit"), &format!("{}\n", output.status.code().unwrap()), &mut differences);
            if output.status.code() == Some(2) {
                assert_eq!(seen, "", "{} as {format}", case.display());
                compare(&case.join("expected.err"), &errors, &mut differences);
            } else {
                assert_eq!(errors, "", "{} as {format}", case.display());
                // YAML and Markdown hold the same; a few cases show how.
                if matches!(format, "table" | "json") || case.join(file).exists() {
                    compare(&case.join(file), &seen, &mut differences);
                }
            }
            if differences.len() > before {
                let arguments = arguments(command, &case, format).join(" ");
                differences.push(format!("by hand: cd {} && upgrade-gate {arguments}\n", case.display()));
            }
        }
    }
    assert!(differences.is_empty(), "{}\nUPDATE=1 takes over what was seen.", differences.join("\n"));
}

#[test]
fn yaml_has_the_same_content_as_json() {
    for (command, case) in cases() {
        let output = run(command, &case, "json");
        if output.status.code() == Some(2) {
            continue;
        }
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let yaml: serde_json::Value = serde_saphyr::from_slice(&run(command, &case, "yaml").stdout).unwrap();
        assert_eq!(json, yaml, "{}", case.display());
    }
}

#[test]
fn tables_have_no_control_characters_and_fit_80_columns_except_for_unbreakable_text() {
    // A line may be wider because of its last word, or of a command, which must stay on one line to be copied.
    let last_word = |line: &str| {
        let command = line.find('`').filter(|_| line.ends_with('`'));
        line[..command.unwrap_or(line.len())].trim_end_matches(|c: char| c != ' ').trim_end().len()
    };
    for (command, case) in cases() {
        for format in ["table", "json", "markdown"] {
            let text = String::from_utf8(run(command, &case, format).stdout).unwrap();
            for line in text.lines() {
                let hidden = |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
                assert!(!line.contains(hidden), "{} as {format}: {line:?}", case.display());
                let fits = format != "table"
                    || unicode_width::UnicodeWidthStr::width(line) <= 80
                    || last_word(line) <= 13
                    || ["oc ", "upgrade-gate "].iter().any(|command| line.trim_start().starts_with(command));
                assert!(fits, "{}: {line}", case.display());
            }
        }
    }
}

/// The keys of an answer, at any depth.
fn keys(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn the_manuals_name_every_key_of_the_json() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (page, command, least) in [("docs/check.md", "check", 25), ("docs/history.md", "history", 15)] {
        let manual = fs::read_to_string(root.join(page)).unwrap();
        // Not in its examples, where they stand anyway.
        let prose: String = manual.split("```").step_by(2).collect();
        let code = prose.split('`').skip(1).step_by(2).flat_map(|code| code.split(|c: char| !c.is_alphanumeric()));
        let named: std::collections::BTreeSet<&str> = code.collect();
        let mut found = std::collections::BTreeSet::new();
        for (_, case) in cases().iter().filter(|case| case.0 == command) {
            let answer = fs::read_to_string(case.join("expected.json")).unwrap_or_default();
            if let Ok(answer) = serde_json::from_str(&answer) {
                keys(&answer, &mut found);
            }
        }
        assert!(found.len() >= least, "{page}: {found:?}");
        let unnamed: Vec<&String> = found.iter().filter(|key| !named.contains(key.as_str())).collect();
        assert!(unnamed.is_empty(), "{page} does not name {unnamed:?}");
    }
}

/// Every `$ upgrade-gate …` of the manuals is followed by what it prints.
#[test]
fn the_manuals_show_the_printed_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut differences = Vec::new();
    for (file, examples) in [("docs/check.md", 3), ("docs/history.md", 1)] {
        let manual = fs::read_to_string(root.join(file)).unwrap();
        let mut parts = manual.split("```console\n");
        let mut current = parts.next().unwrap().to_owned();
        let mut blocks = 0;
        for part in parts {
            let (block, rest) = part.split_once("```\n").unwrap();
            let command = block.lines().next().unwrap();
            let arguments = command.strip_prefix("$ upgrade-gate ").unwrap().split_whitespace();
            let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
                .args(arguments)
                .current_dir(root)
                .env_clear()
                .output()
                .unwrap();
            let seen = String::from_utf8(output.stdout).unwrap();
            current += &["```console\n", command, "\n", &seen, "```\n", rest].concat();
            blocks += 1;
        }
        compare(&root.join(file), &current, &mut differences);
        assert!(blocks >= examples, "{file}: {blocks}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
