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

/// Every page that users read, with its text outside of code blocks.
fn manual() -> Vec<(String, String)> {
    let mut paths =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "deploy/README.md"].map(str::to_owned).to_vec();
    paths.extend(markdown_below(&root().join("docs")).into_iter().map(|path| format!("docs/{path}")));
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text.split("```").step_by(2).collect())
    };
    paths.into_iter().map(read).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook write them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let is_kept = |character: &char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
    headings
        .map(|heading| heading.to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut dead = Vec::new();
    let mut links = 0;
    for (page, text) in manual() {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = root().join(&page);
            let target = if path.is_empty() { target } else { target.parent().unwrap().join(path) };
            let is_dead = if anchor.is_empty() {
                !target.exists()
            } else {
                fs::read_to_string(&target).map_or(true, |text| !anchors(&text).iter().any(|found| found == anchor))
            };
            if is_dead {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(links > 100, "{links}");
    assert_eq!(dead, Vec::<String>::new());
}

/// Every `.rs` file below a folder.
fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { sources_below(&path) } else { vec![path] };
    entries.flat_map(below).filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The names of tests in a code span: `module::name`, or the filter of a `cargo test`.
fn named_tests(code: &str) -> Vec<&str> {
    let is_name =
        |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':'));
    match code.split_once("cargo test") {
        Some((_, arguments)) => {
            let words: Vec<&str> = arguments.split_whitespace().collect();
            let is_filter = |at: &usize| is_name(words[*at]) && (*at == 0 || !words[at - 1].ends_with("--test"));
            (0..words.len()).filter(is_filter).map(|at| words[at]).collect()
        }
        None if is_name(code) && code.contains("::") => vec![code],
        None => Vec::new(),
    }
}

#[test]
fn every_test_that_the_manual_names_exists() {
    let mut functions = Vec::new();
    let mut modules = Vec::new();
    for path in ["src", "tests"].into_iter().flat_map(|folder| sources_below(&root().join(folder))) {
        let source = fs::read_to_string(&path).unwrap();
        let words = |before: &str| -> Vec<String> {
            let names = source.split(before).skip(1);
            names
                .map(|rest| rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).next().unwrap().to_owned())
                .collect()
        };
        functions.extend(words("fn "));
        modules.extend(words("mod "));
        modules.extend(
            path.components().map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()),
        );
    }
    let mut missing = Vec::new();
    let mut found = 0;
    for (page, text) in manual() {
        for name in text.split('`').skip(1).step_by(2).flat_map(named_tests) {
            let is_module = |name: &str| modules.iter().any(|module| module == name);
            let last = name.rsplit("::").find(|part| !part.is_empty()).unwrap_or_default();
            let is_known = is_module(last) || functions.iter().any(|function| function.contains(last));
            if is_known && !last.is_empty() {
                found += 1;
            } else {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    assert!(found > 60, "{found}");
    assert_eq!(missing, Vec::<String>::new());
}

/// The lines of the first block of this page that begins with this command.
fn block<'a>(page: &'a str, command: &str) -> &'a str {
    let begin = format!("```console\n$ {command}\n");
    let start = page.find(&begin).unwrap() + begin.len();
    page[start..].split("```").next().unwrap()
}

/// docs/examples.md is compared with what the commands print. A line `…` stands for lines that are left out.
#[test]
fn the_output_on_the_page_of_update_is_cut_from_the_examples() {
    let page = |name: &str| fs::read_to_string(root().join("docs").join(name)).unwrap();
    let (update, examples) = (page("update.md"), page("examples.md"));
    let command = "upgrade-gate update --to 4.21.2";
    let mut rest = block(&examples, command);
    for part in block(&update, command).split("…\n") {
        let found = rest.find(part).unwrap_or_else(|| panic!("docs/examples.md does not have, in this order:\n{part}"));
        rest = &rest[found + part.len()..];
    }
    assert_eq!(rest, "", "docs/update.md leaves out the end");
}
