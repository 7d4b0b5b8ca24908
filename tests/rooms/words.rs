//! Words that code and texts do not use, because Kubernetes engineers have other terms for what they mean.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A word that is not used, and what to write instead. `_` in a name counts as a space.
const WORDS: [(&str, &str); 24] = [
    ("anew", "again"),
    ("mend", "fix, restore"),
    ("mends", "fixes, restores"),
    ("mended", "fixed, restored"),
    ("wish", "action, request"),
    ("wishes", "actions, requests"),
    ("whoever", "any user, another writer"),
    ("tells", "reports, names, shows"),
    ("told", "reported, named, distinguished"),
    ("hears", "receives, handles"),
    ("heard", "received, handled"),
    ("heeds", "applies, enforces"),
    ("fought", "contended"),
    ("laws", "invariants"),
    ("silences", "lost answers"),
    ("in vain", "unused, failed"),
    ("at rest", "idle"),
    ("the door", "the admission policy"),
    ("for so long", "for this time"),
    ("taken back", "reverted, released"),
    ("takes back", "reverts, releases"),
    ("held against", "compared with"),
    ("stands against", "blocks"),
    ("speaks against", "blocks"),
];

/// The files that people write and read. Inputs of the fuzzer and build results are not.
const ROOTS: [&str; 13] = [
    "src",
    "tests",
    "benches",
    "fuzz/src",
    "fuzz/fuzz_targets",
    "hack",
    "docs",
    "deploy",
    "crds",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "Makefile",
];

#[test]
fn code_and_texts_use_the_terms_of_kubernetes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for name in ROOTS {
        collect(&root.join(name), &mut files);
    }
    let this_file = root.join(file!());
    let mut found = Vec::new();
    for path in files.iter().filter(|path| **path != this_file) {
        let Ok(text) = fs::read_to_string(path) else { continue }; // an archive
        let name = path.strip_prefix(root).unwrap().display();
        for (index, line) in text.lines().enumerate() {
            for (word, instead) in words_in(line) {
                found.push(format!("{name}:{}: `{word}`; write: {instead}", index + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn words_are_found_in_sentences_and_in_names() {
    let found = |line: &str| words_in(line).map(|(word, _)| word).collect::<Vec<_>>();
    assert_eq!(found("fn open_the_door() // Told once."), ["told", "the door"]);
    assert_eq!(found("the doors, recommend, wishlist, toldest"), Vec::<&str>::new());
}

fn words_in(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_letter = |character: char| character.is_ascii_alphanumeric();
    let words = line
        .to_lowercase()
        .split(|character| !is_letter(character))
        .filter(|word| !word.is_empty())
        .fold(" ".to_owned(), |words, word| words + word + " ");
    WORDS.into_iter().filter(move |(word, _)| words.contains(&format!(" {word} ")))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files);
        }
    }
}
