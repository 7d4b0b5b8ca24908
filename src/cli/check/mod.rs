//! `upgrade-gate check`: the gate's verdict on a dump or a live cluster, for a person or a script.
//!
//! ```text
//! inputs, live   what was seen: the only I/O
//! clusters       the same for several clusters at once
//! evaluate       the same as in the operator
//! gate           who gates a live cluster, and what the bridge would do
//! report         the shape of the answer
//! render         its text
//! ```

mod args;
mod clusters;
pub(crate) mod commands;
mod force;
mod gate;
pub(crate) mod live;
pub(crate) mod now;
pub(crate) mod render;
mod report;
mod targets;

pub use crate::cli::error::{Error, Location};
pub use crate::cli::input::{Inputs, Past, read as read_files};
pub use args::{Args, InputArgs, Output};
use commands::Caller;
use gate::Surroundings;
pub use gate::{BridgeReport, GateReport};
pub use report::Report;

use crate::{
    api::ClusterVersion,
    cli::now,
    client::ClusterArgs,
    gate::{Authority, Snapshot, Target, evaluate, suggest},
    plan::role::Role,
};

/// The result of `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To be printed; may be coloured where the format is [`Output::Table`].
    pub text: String,
    /// The outcome for the exit code.
    pub outcome: Outcome,
}

/// The outcome for the exit code, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing that was asked for is blocked.
    Allowed,
    /// Something that was asked for is blocked.
    Blocked,
    /// One of several clusters gave no answer.
    NoAnswer,
}

/// Reads the input that the arguments name, evaluates it, and renders the verdict.
///
/// # Errors
/// The input doesn't allow an answer, or the kubeconfig of several clusters can't be read.
pub fn run(args: &Args) -> Result<Answer, Error> {
    let width = terminal_width();
    if args.all_contexts || args.context.len() > 1 {
        let answers = clusters::check(args)?;
        let kubeconfig = ClusterArgs { kubeconfig: args.input.kubeconfig.clone(), context: None };
        let hint = Caller::new(&args.program, Some(&kubeconfig)).upgrade_gate("check --context NAME");
        let text = match args.output {
            Output::Table => render::clusters_table(&answers, &hint, width),
            Output::Json => render::json(&clusters::entries(&answers))?,
            Output::Yaml => render::yaml(&clusters::entries(&answers))?,
            Output::Markdown => render::clusters_markdown(&answers, &hint),
        };
        return Ok(Answer { text, outcome: clusters::worst(&answers) });
    }
    let (report, outcome) = if args.input.from.is_empty() {
        let cluster = ClusterArgs::of(args.input.kubeconfig.as_ref(), args.context.first());
        judge_cluster(&cluster, &args.program, &args.to)?
    } else {
        let caller = Caller::new(&args.program, None);
        judge(crate::cli::input::read(&args.input.from)?, None, &caller, &args.to, now())
    };
    let report = if args.all { report } else { report.shortened() };
    let text = match args.output {
        Output::Table => render::table(&report, width),
        Output::Json => render::json(&report)?,
        Output::Yaml => render::yaml(&report)?,
        Output::Markdown => render::markdown(&report),
    };
    Ok(Answer { text, outcome })
}

/// Reads a cluster, and evaluates it.
fn judge_cluster(cluster: &ClusterArgs, program: &str, to: &[String]) -> Result<(Report, Outcome), Error> {
    let now = now();
    let (inputs, surroundings) = live::read(cluster, now)?;
    let caller = Caller::new(program, Some(cluster));
    Ok(judge(inputs, Some(&surroundings), &caller, to, now))
}

/// The report on the inputs, and the outcome for the requested updates.
fn judge(
    inputs: Inputs,
    surroundings: Option<&Surroundings>,
    caller: &Caller,
    to: &[String],
    now: jiff::Timestamp,
) -> (Report, Outcome) {
    let not_evaluated = inputs.not_evaluated();
    let targets = if to.is_empty() {
        targets::targets(&inputs.cluster_version)
    } else {
        to.iter().map(|argument| named(&inputs.cluster_version, argument)).collect()
    };
    let snapshot = Snapshot {
        now,
        cluster_version: inputs.cluster_version,
        cluster_operators: inputs.cluster_operators,
        admin_gates: inputs.admin_gates,
        admin_acks: inputs.admin_acks,
        // What the cluster reports is part of the answer, in every mode.
        authority: Authority::Shared,
        targets,
    };
    let verdict = evaluate(&snapshot);
    let gate = surroundings.map(|surroundings| GateReport::new(&snapshot, surroundings));
    let has_a_cvo = gate.as_ref().is_none_or(|gate| gate.mode != Role::Replace.as_str());
    let mut report = Report::new(&snapshot, &verdict, not_evaluated, gate, caller);
    if has_a_cvo {
        let bridge = report.gate.as_ref().and_then(|gate| gate.bridge.as_ref());
        report.now = now::now(&snapshot, &verdict, bridge);
    } else {
        report.upgradeable.behind = None;
    }
    let outcome = if report::blocks_a_request(&verdict) { Outcome::Blocked } else { Outcome::Allowed };
    (report, outcome)
}

/// Reads the UpdateRecords and the history.
///
/// # Errors
/// The input does not allow an answer.
pub fn read_past(args: &InputArgs, context: Option<&String>) -> Result<Past, Error> {
    if args.from.is_empty() {
        live::read_past(&ClusterArgs::of(args.kubeconfig.as_ref(), context))
    } else {
        crate::cli::input::read_past(&args.from)
    }
}

/// What an argument of `--to` names.
fn named(cluster_version: &ClusterVersion, argument: &str) -> Target {
    suggest::pair(cluster_version, argument).unwrap_or_else(|| Target::named(argument))
}

/// The width of the terminal; 80 columns if it is not known, as in a file.
pub(crate) fn terminal_width() -> usize {
    let width = terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
    width.clamp(40, 120)
}
