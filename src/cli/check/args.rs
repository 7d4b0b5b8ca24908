//! The arguments of `check`, and those that `history` shares with it.

use std::path::PathBuf;

/// Shows for each update whether it would go ahead, and why; changes nothing.
///
/// Exit code 0: no requested update (--to, else spec.desiredUpdate) is blocked. 1: one is blocked. 2: no answer,
/// because of the input, the arguments or the connection. With several clusters, the highest of their codes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to evaluate.
    #[command(flatten)]
    pub input: InputArgs,
    /// Context of the kubeconfig, instead of `UPGRADE_GATE_CONTEXT` or its current one. May be repeated, to print a row
    /// for each cluster
    #[arg(long, value_name = "NAME", conflicts_with = "from",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub context: Vec<String>,
    /// Check every cluster of the kubeconfig, and print a row for each
    #[arg(long, conflicts_with_all = ["from", "context"])]
    pub all_contexts: bool,
    /// Version or image to evaluate, instead of the requested and available updates; VERSION@sha256:… names both. May
    /// be repeated
    #[arg(long, value_name = "VERSION|IMAGE", value_parser = target)]
    pub to: Vec<String>,
    /// Show every update, not only the newest of each minor; JSON and YAML always contain all
    #[arg(long)]
    pub all: bool,
    /// Format of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Table)]
    pub output: Output,
    /// How this program was called, such as `oc upgrade-gate`.
    #[arg(skip = "upgrade-gate")]
    pub program: String,
}

/// Where the answer comes from: files, or a live cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct InputArgs {
    /// File or folder to read instead of the live cluster: a must-gather, also as .tar.gz, or objects as YAML or JSON.
    /// `-` is standard input. May be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "kubeconfig")]
    pub from: Vec<PathBuf>,
    /// Kubeconfig of the cluster, instead of `UPGRADE_GATE_KUBECONFIG`, `KUBECONFIG`, `~/.kube/config` or the Pod's own
    /// account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// The formats of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people, at a terminal
    Table,
    /// For programs
    Json,
    /// For programs, the same as JSON
    Yaml,
    /// For people, in a ticket
    Markdown,
}

/// Any text is accepted: a malformed version is blocked in the answer, with the version that was probably meant.
fn target(argument: &str) -> Result<String, String> {
    let expected = "expected a version, such as 4.21.2, or an image, such as quay.io/org/release@sha256:…";
    if argument.trim().is_empty() {
        return Err(expected.to_owned());
    }
    if argument.contains(|character: char| character.is_control() && !character.is_whitespace()) {
        return Err(format!("found a control character in it, {expected}"));
    }
    Ok(argument.to_owned())
}
