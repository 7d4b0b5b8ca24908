//! The layout of src/, as src/lib.rs describes it: which room may use which, no circle of imports, and no client, clock,
//! runtime or command line in what decides. Code under `#[cfg(test)]` is exempt.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod source;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use source::{SourceFile, files};

/// Which rooms each room may use, other than itself.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("escape", &[]),
    ("api", &["escape"]),
    ("gate", &["escape", "api"]),
    ("plan", &["escape", "api", "gate"]),
    ("client", &["escape", "api"]),
    ("controller", &["escape", "api", "gate", "plan", "client"]),
    ("cli", &["escape", "api", "gate", "plan", "client", "controller"]),
];

/// Rooms that decide, as functions of values.
const PURE: [&str; 4] = ["escape", "api", "gate", "plan"];

/// What a room that decides must not name: the start of a path, or a part of one.
const IMPURE: [&[&str]; 16] = [
    &["tokio"],
    &["futures"],
    &["clap"],
    &["hyper"],
    &["tower"],
    &["tracing"],
    &["kube", "Client"],
    &["kube", "Api"],
    &["kube", "api"],
    &["kube", "client"],
    &["kube", "runtime"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["SystemTime"],
    &["Instant"],
];

#[test]
fn each_room_uses_only_those_below_it() {
    let rooms: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut broken = BTreeSet::new();
    for file in files() {
        let Some(room) = file.module.first().filter(|room| *room != "main") else { continue };
        let allowed = rooms.get(room.as_str()).unwrap_or_else(|| panic!("src/{room} is not in the list of rooms"));
        for used in file.paths().iter().filter(|path| path[0] == "crate").filter_map(|path| path.get(1)) {
            if used != room && rooms.contains_key(used.as_str()) && !allowed.contains(&used.as_str()) {
                broken.insert(format!("{} uses {used}", file.path));
            }
        }
    }
    assert_eq!(broken, BTreeSet::new());
}

#[test]
fn pure_modules_use_no_client_clock_runtime_or_command_line() {
    let mut broken = BTreeSet::new();
    for file in files().iter().filter(|file| file.module.first().is_some_and(|room| PURE.contains(&room.as_str()))) {
        for path in file.paths() {
            let is_impure = IMPURE.iter().any(|impure| match impure {
                [name] => {
                    path[0] == *name || (name.starts_with(char::is_uppercase) && path.iter().any(|part| part == name))
                }
                names => path.starts_with(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()),
            });
            let reads_the_clock = path.ends_with(&["Timestamp".to_owned(), "now".to_owned()]);
            if is_impure || reads_the_clock {
                broken.insert(format!("{} names {}", file.path, path.join("::")));
            }
        }
    }
    assert_eq!(broken, BTreeSet::new());
}

/// At each level: the rooms, and the modules within a folder. A folder's own mod.rs is their parent, which uses all.
#[test]
fn no_import_cycles() {
    let files = files();
    let modules: BTreeSet<&[String]> = files.iter().map(|file| file.module.as_slice()).collect();
    let mut uses: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for file in &files {
        for path in file.paths().iter().filter(|path| path[0] == "crate") {
            let shared = file.module.iter().zip(&path[1..]).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (file.module.get(shared), path.get(shared + 1)) else { continue };
            let target: Vec<String> = path[1..=shared + 1].to_vec();
            if modules.iter().any(|module| module.starts_with(&target)) {
                let level = uses.entry(file.module[..shared].to_vec()).or_default();
                level.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    let circles: Vec<String> = uses
        .iter()
        .filter_map(|(level, graph)| Some(format!("{}: {}", level.join("::"), circle(graph)?.join(" -> "))))
        .collect();
    assert_eq!(circles, Vec::<String>::new());
}

/// A circle in a graph, if there is one.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        node: &str,
        graph: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|known| known == node) {
            return Some(way[start..].iter().cloned().chain([node.to_owned()]).collect());
        }
        if !done.insert(node.to_owned()) {
            return None;
        }
        way.push(node.to_owned());
        let found = graph.get(node).into_iter().flatten().find_map(|next| visit(next, graph, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|node| visit(node, graph, &mut Vec::new(), &mut done))
}

#[test]
fn the_parser_finds_paths_and_cycles() {
    let file = |text: &str| SourceFile::new("src/plan/a.rs", text);
    let paths = |text: &str| file(text).paths().into_iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(
        paths("use crate::{api::Condition, gate::{self, release::{is_pinned as pinned, *}}};"),
        ["crate::api::Condition", "crate::gate", "crate::gate::release::is_pinned", "crate::gate::release"]
    );
    assert_eq!(
        paths("fn f() { crate::cli::show(); super::b::g(self::h::I); }"),
        ["crate::cli::show", "crate::plan::b::g", "crate::plan::a::h::I"]
    );
    assert_eq!(
        paths("// crate::a::b\n/* crate::c::d */ fn f() -> &'static str { \"crate::e::f\" }"),
        Vec::<String>::new()
    );
    assert_eq!(paths("#[cfg(test)]\nmod tests { use tokio::time; }\nuse std::env;"), ["std::env"]);
    assert_eq!(
        paths("pub(in crate::plan) fn f(a: Vec<std::time::Instant>, b: char) { g('\"', r#\"a::\"b\"#) }"),
        ["crate::plan", "std::time::Instant"]
    );
    let circle = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        circle(&graph).map(|found| found.join(" "))
    };
    assert_eq!(circle(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
    assert_eq!(circle(&[("a", "b"), ("b", "c"), ("c", "b")]).as_deref(), Some("b c b"));
}
