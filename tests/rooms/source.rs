//! The paths that a source file names: comments, literals and test code left out.

use std::{fs, path::Path};

/// A file of src/.
pub struct SourceFile {
    /// From the root of the repository.
    pub path: String,
    /// Its module, without `crate`.
    pub module: Vec<String>,
    tokens: Vec<String>,
}

/// All files of src/ that aren't test code.
pub fn files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    collect(root, &root.join("src"), &mut files);
    let test_modules: Vec<Vec<String>> = files.iter().flat_map(SourceFile::test_modules).collect();
    files.retain(|file| !test_modules.iter().any(|module| file.module.starts_with(module)));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.push(SourceFile::new(name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> Self {
        let module = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').map(str::to_owned);
        let mut module: Vec<String> = module.collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        Self { path: path.to_owned(), module, tokens: tokens(text) }
    }

    /// Every path of two segments or more, and every one from the crate's root, absolute.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if let Some(end) = self.test_item(at) {
                at = end;
            } else if is_name(&self.tokens[at]) && (at == 0 || self.tokens[at - 1] != "::") {
                at = self.path_tree(at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths.into_iter().filter_map(|path| self.absolute(path)).collect()
    }

    /// The modules that are declared under `#[cfg(test)]`.
    fn test_modules(&self) -> Vec<Vec<String>> {
        let declares = |at: usize| {
            let end = self.test_item(at)?;
            let item = &self.tokens[at..end];
            let name = item.iter().position(|token| token == "mod")? + 1;
            Some(self.module.iter().chain([&item[name]]).cloned().collect())
        };
        (0..self.tokens.len()).filter_map(declares).collect()
    }

    /// Where the item ends that `#[cfg(test)]` at this token is on.
    fn test_item(&self, start: usize) -> Option<usize> {
        if !self.tokens[start..].iter().take(7).eq(["#", "[", "cfg", "(", "test", ")", "]"]) {
            return None;
        }
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(start + 7) {
            match token.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => return Some(at + 1),
                "}" => depth -= 1,
                ";" if depth == 0 => return Some(at + 1),
                _ => {}
            }
        }
        Some(self.tokens.len())
    }

    /// Reads a path, or a tree of a `use`, and returns where it ends.
    fn path_tree(&self, mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        let mut path = before.to_vec();
        let token = |at: usize| self.tokens.get(at).map_or("", String::as_str);
        loop {
            if is_name(token(at)) {
                if token(at) != "self" || path.is_empty() {
                    path.push(token(at).to_owned());
                }
                at += 1;
            } else if token(at) == "{" && !path.is_empty() {
                at += 1;
                while token(at) != "}" && at < self.tokens.len() {
                    at = self.path_tree(at, &path, paths);
                    if token(at) == "as" {
                        at += 2;
                    }
                    if token(at) == "," {
                        at += 1;
                    }
                }
                return at + 1;
            } else {
                // `*`, or generic arguments.
                paths.push(path);
                return at + 1;
            }
            if token(at) != "::" {
                paths.push(path);
                return at;
            }
            at += 1;
        }
    }

    fn absolute(&self, mut path: Vec<String>) -> Option<Vec<String>> {
        let is_relative = path[0] == "self" || path[0] == "super";
        if is_relative {
            let mut base: Vec<String> = ["crate".to_owned()].into_iter().chain(self.module.iter().cloned()).collect();
            while path.first().is_some_and(|first| first == "super") {
                base.pop();
                path.remove(0);
            }
            if path.first().is_some_and(|first| first == "self") {
                path.remove(0);
            }
            base.extend(path);
            path = base;
        }
        (path.len() > 1).then_some(path)
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_') && token != "as" && token != "use"
}

/// Names, `::`, and single characters.
fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let starts =
        |at: usize, prefix: &str| prefix.chars().enumerate().all(|(index, c)| characters.get(at + index) == Some(&c));
    while at < characters.len() {
        let character = characters[at];
        if starts(at, "//") {
            while at < characters.len() && characters[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < characters.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if character == 'r' && (starts(at, "r\"") || starts(at, "r#")) {
            let hashes = characters[at + 1..].iter().take_while(|c| **c == '#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            at += hashes + 2;
            while at < characters.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if character == '"' {
            at += 1;
            while at < characters.len() && characters[at] != '"' {
                at += if characters[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if character == '\'' {
            // A character, or a lifetime.
            let is_escaped = characters.get(at + 1) == Some(&'\\');
            if is_escaped {
                at += 3;
                while at < characters.len() && characters[at] != '\'' {
                    at += 1;
                }
                at += 1;
            } else if characters.get(at + 2) == Some(&'\'') {
                at += 3;
            } else {
                at += 1;
                while characters.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                    at += 1;
                }
            }
        } else if character.is_alphabetic() || character == '_' {
            let start = at;
            while characters.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                at += 1;
            }
            tokens.push(characters[start..at].iter().collect());
        } else if starts(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !character.is_whitespace() {
                tokens.push(character.to_string());
            }
            at += 1;
        }
    }
    tokens
}
