//! `upgrade-gate history`: lists the updates that went ahead with an accepted risk.
//!
//! ```text
//! check::read_past   UpdateRecords and status.history, from files or a cluster: the only I/O
//! merge              one entry for each update, newest first
//! render             table and Markdown
//! ```

mod merge;
mod render;

pub use merge::{History, Update, merge};

use crate::cli::check::{self, Error, InputArgs, Output};

/// Lists the updates that went ahead with an accepted risk, newest first; changes nothing.
///
/// Reads UpdateRecords and status.history of the ClusterVersion. Exit code 0: the updates are printed, also if there are
/// none. 2: no answer, because of the input, the arguments or the connection.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to look.
    #[command(flatten)]
    pub input: InputArgs,
    /// Context of the kubeconfig, instead of `UPGRADE_GATE_CONTEXT` or its current one
    #[arg(long, value_name = "NAME", conflicts_with = "from",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub context: Option<String>,
    /// Format of the output
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Table)]
    pub output: Output,
}

/// Reads the input that the arguments name, and renders the result.
///
/// # Errors
/// The input does not allow an answer.
pub fn run(args: &Args) -> Result<String, Error> {
    let history = merge(&check::read_past(&args.input, args.context.as_ref())?);
    Ok(match args.output {
        Output::Table => render::table(&history, check::terminal_width()),
        Output::Json => check::render::json(&history)?,
        Output::Yaml => check::render::yaml(&history)?,
        Output::Markdown => render::markdown(&history),
    })
}
