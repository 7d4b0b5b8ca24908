//! The manual: docs/rules has a page for each risk and precondition, written from the doc comment of its source file,
//! and docs/SUMMARY.md, the table of contents of the mdBook, lists every page.
//!
//! `UPDATE=1 cargo test --test docs` rewrites docs/rules.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "UPDATE=1 is for the developer who runs the tests")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The kinds of rule: the folder of their sources, the title of their part, and the headings that each page has.
const KINDS: [(&str, &str, [&str; 3]); 2] = [
    ("risks", "Risks", ["# Why this is a risk", "# What to do", "# Example"]),
    ("preconditions", "Preconditions", ["# Why it is checked", "# What to do", "# Example"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source files of a kind of rule, sorted by name.
fn sources(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("src/gate").join(kind)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("mod.rs"));
    paths.sort();
    paths
}

/// The `//!` comment of a source file, without its marks.
fn doc_comment(path: &Path) -> Vec<String> {
    let source = fs::read_to_string(path).unwrap();
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()).collect()
}

/// The page: the rule's name as its title, its summary, and its sections one level lower.
fn page(comment: &[String]) -> (String, String) {
    let summary: Vec<&str> = comment.iter().map_while(|line| (!line.is_empty()).then_some(line.as_str())).collect();
    let length = summary.len();
    let summary = summary.join("\n");
    let (name, summary) = summary.strip_prefix('`').and_then(|rest| rest.split_once("`: ")).unwrap();
    let mut chars = summary.chars();
    let summary = chars.next().unwrap().to_uppercase().collect::<String>() + chars.as_str();
    let mut in_code = false;
    let sections = comment[length..].iter().map(|line| {
        in_code ^= line.starts_with("```");
        if line.starts_with("# ") && !in_code { format!("#{line}\n") } else { format!("{line}\n") }
    });
    (name.to_owned(), format!("# `{name}`\n\n{summary}\n{}", sections.collect::<String>()))
}

/// Everything below docs/rules, by file name.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let mut index = String::from(
        "# Rules\n\nThese pages list what upgrade-gate checks before an update. The page of a rule says why it is checked, \
         and what to do\nif it blocks an update. A risk blocks minor and major updates. A precondition checks one target, \
         and may block it or only\nwarn.\n",
    );
    for (kind, title, headings) in KINDS {
        let _ = write!(index, "\n## {title}\n\n");
        for source in sources(kind) {
            let comment = doc_comment(&source);
            for heading in headings {
                assert!(comment.iter().any(|line| line == heading), "{}: no `{heading}`", source.display());
            }
            let stem = source.file_stem().unwrap().to_str().unwrap().replace('_', "-");
            let (name, text) = page(&comment);
            let _ = writeln!(index, "- [`{name}`]({stem}.md)");
            pages.push((format!("{stem}.md"), text));
        }
    }
    pages.push(("README.md".to_owned(), index));
    pages.sort();
    pages
}

#[test]
fn the_page_of_each_rule_is_its_doc_comment() {
    let folder = root().join("docs/rules");
    let expected = pages();
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in &expected {
            fs::write(folder.join(file), text).unwrap();
        }
    }
    let mut found: Vec<(String, String)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    found.sort();
    assert_eq!(found, expected, "UPDATE=1 cargo test --test docs rewrites docs/rules");
}

/// Every Markdown file below a folder, by its path from docs.
fn markdown_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(markdown_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path.strip_prefix(root().join("docs")).unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn the_table_of_contents_lists_every_page_once() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<String> = summary
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap().to_owned())
        .chain(["SUMMARY.md".to_owned()])
        .collect();
    let mut pages = markdown_below(&root().join("docs"));
    listed.sort();
    pages.sort();
    assert_eq!(listed, pages);
}
