//! Any bytes as a file that `check` and `history` are given: an answer or an error, in bounded time and memory, and
//! nothing in it that acts on a terminal. The first byte selects the output format, and whether the file was named.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use upgrade_gate::{
    cli::{
        check::{self, InputArgs, Output},
        history,
    },
};
use upgrade_gate_fuzz::assert_shown;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|data: &[u8]| {
    let Some((choice, content)) = data.split_first() else { return };
    let folder = FOLDER.path();
    let path: PathBuf = folder.join(if choice & 4 == 0 { "input.yaml" } else { "input.json" });
    fs::write(&path, content).expect("a file");
    let output = [Output::Table, Output::Json, Output::Yaml, Output::Markdown][usize::from(choice & 3)];
    let from = vec![if choice & 8 == 0 { path.clone() } else { folder.to_owned() }];
    let input = InputArgs { from, kubeconfig: None };
    let to = if choice & 16 == 0 { Vec::new() } else { vec!["4.21.2".to_owned(), "r@sha256:a".to_owned()] };

    let checked = check::run(&check::Args {
        input: input.clone(),
        context: Vec::new(),
        all_contexts: false,
        to,
        all: choice & 32 != 0,
        output,
        program: "upgrade-gate".to_owned(),
    });
    let remembered = history::run(&history::Args { input, context: None, output });
    fs::remove_file(path).expect("no file");
    for text in [checked.map(|answer| answer.text), remembered] {
        match text {
            Err(error) => assert_shown(&error.to_string()),
            Ok(text) => {
                assert_shown(&anstream::adapter::strip_str(&text).to_string());
                // Its own colours apart, which every other format is without.
                assert!(output == Output::Table || !text.contains('\u{1b}'));
                if output == Output::Json {
                    serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
                }
            }
        }
    }
});
