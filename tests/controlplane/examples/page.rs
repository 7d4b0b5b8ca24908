//! docs/examples.md: its blocks of terminal output are what the commands print. `UPDATE=1` rewrites them.
//!
//! A block begins with the command, as it is typed. What differs from run to run is replaced: times, and the address of
//! the API server.

#![allow(clippy::disallowed_methods, reason = "UPDATE=1 is for the developer who runs the tests")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;

use super::terminal::{self, Screen};
use crate::support::{Cluster, repository};

/// Columns of the terminal on the page.
const COLUMNS: u16 = 80;

fn path() -> PathBuf {
    repository("docs/examples.md")
}

/// One section of the page, whose blocks are compared one after the other.
pub struct Section {
    title: &'static str,
    /// The commands and what they printed, as blocks.
    seen: Vec<String>,
    bin: tempfile::TempDir,
}

impl Section {
    /// The section of that title.
    pub fn of(title: &'static str) -> Self {
        Self { title, seen: Vec::new(), bin: tempfile::tempdir().unwrap() }
    }

    /// Types a command: the next block is what it prints. Returns its exit code.
    pub async fn shows(&mut self, cluster: &Cluster, command: &str) -> Option<i32> {
        let screen = self.type_in(cluster, command).await;
        self.seen.push(format!("$ {command}\n{}", normalised(&screen.text)));
        screen.code
    }

    /// The same, while something else happens.
    pub async fn shows_while(
        &mut self,
        cluster: &Cluster,
        command: &str,
        meanwhile: impl Future<Output = ()>,
    ) -> Option<i32> {
        tokio::join!(self.shows(cluster, command), meanwhile).0
    }

    /// A shell at a terminal that has `upgrade-gate` and `oc` on its path. kubectl answers for `oc`.
    async fn type_in(&self, cluster: &Cluster, command: &str) -> Screen {
        let kubectl = cluster.control_plane.kubectl_command().get_program().to_owned();
        for (name, program) in [("oc", kubectl), ("upgrade-gate", env!("CARGO_BIN_EXE_upgrade-gate").into())] {
            let link = self.bin.path().join(name);
            if !link.exists() {
                std::os::unix::fs::symlink(program, link).unwrap();
            }
        }
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env_clear();
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.bin.path().display()));
        shell.env("KUBECONFIG", cluster.control_plane.kubeconfig()).env("HOME", self.bin.path()).env("TERM", "xterm");
        tokio::task::spawn_blocking(move || terminal::run(shell, COLUMNS)).await.unwrap()
    }

    /// Compares the blocks of the page with what was printed, or rewrites them.
    pub fn ends(self) {
        let page = fs::read_to_string(path()).unwrap();
        let heading = format!("## {}\n", self.title);
        let start = page.find(&heading).unwrap_or_else(|| panic!("docs/examples.md has no section {:?}", self.title));
        let rest = &page[start + heading.len()..];
        let end = start + heading.len() + rest.find("\n## ").map_or(rest.len(), |end| end + 1);
        let section = &page[start..end];

        let blocks = Regex::new("(?ms)^```console\n(.*?)^```$").unwrap();
        let found: Vec<&str> = blocks.captures_iter(section).map(|block| block.get(1).unwrap().as_str()).collect();
        assert_eq!(found.len(), self.seen.len(), "blocks of the section {:?}", self.title);
        if std::env::var_os("UPDATE").is_some() {
            let mut seen = self.seen.iter();
            let rewritten =
                blocks.replace_all(section, |_: &regex::Captures| format!("```console\n{}```", seen.next().unwrap()));
            fs::write(path(), format!("{}{rewritten}{}", &page[..start], &page[end..])).unwrap();
            return;
        }
        for (found, seen) in found.iter().zip(&self.seen) {
            assert!(found == seen, "docs/examples.md has\n{found}\nand it prints\n{seen}");
        }
    }
}

/// Without what differs from run to run.
fn normalised(text: &str) -> String {
    let text: String = text.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    let text =
        Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap().replace_all(&text, "2026-01-01T00:00:00Z");
    let text = Regex::new(r"https://127\.0\.0\.1:\d+").unwrap().replace_all(&text, "https://api.example.com:6443");
    text.trim_end().to_owned() + "\n"
}
