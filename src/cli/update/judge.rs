//! What is shown before the first write: the verdict of `check` on the target, and what the command is going to write.

use std::io::IsTerminal as _;

use kube::Client;

use crate::{
    api::ResourceVersion,
    cli::{
        check::{
            Report,
            commands::Caller,
            now::{is_refused_for_overrides, refuses_patches},
            render, terminal_width,
        },
        update::{
            Ended,
            args::Args,
            ending::Run,
            operator::Operator,
            policy::{self, PolicyState},
            request::{self, Allowed, Named, Refusal},
            rights,
            steps::{self, Evidence, Goal, Memory, Step},
            text::{self, Plan},
        },
    },
    gate::{Decision, Snapshot, Source, TargetVerdict, UpdateType, Verdict, evaluate, message},
    plan::role::{CvoLease, owns_force},
};

/// What was evaluated and shown.
pub struct Judged {
    /// What is to be done.
    pub goal: Goal,
    /// The `resourceVersion` of the ClusterVersion that was evaluated.
    pub resource_version: ResourceVersion,
    /// Verdict and writes, as shown.
    pub text: String,
    /// The writes.
    pub plan: Plan,
    /// What is updated to, for messages.
    pub name: String,
}

/// Nothing more is written.
pub struct Stop {
    /// What is shown before the reason.
    pub text: String,
    /// Why.
    pub ended: Ended,
}

impl Stop {
    fn new(refusal: Refusal, run: &Run<'_>) -> Self {
        let ended = match refusal {
            Refusal::Usage(text) => Ended::unknown(text),
            Refusal::Cluster(text) => Ended::no(format!("{text}; {}", run.left)),
        };
        Self { text: String::new(), ended }
    }
}

/// Evaluates the release that the arguments name, on the cluster as it was read.
pub fn judge(args: &Args, named: &Named, evidence: &Evidence, run: &Run<'_>) -> Result<Judged, Stop> {
    let stop = |refusal| Stop::new(refusal, run);
    let cluster_version = &evidence.snapshot.cluster_version;
    let allowed = Allowed::from(args);
    let request = request::request(cluster_version, named, allowed).map_err(stop)?;
    let is_going_on =
        request.is_current(cluster_version) || (request.is_asked(cluster_version) && owns_force(cluster_version));
    let busy = if is_going_on { Vec::new() } else { request::warnings(cluster_version, allowed).map_err(stop)? };
    let snapshot = Snapshot { targets: vec![request.target()], ..evidence.snapshot.clone() };
    let mut verdict = evaluate(&snapshot);
    let mut text = report(args, &snapshot, &verdict);
    let target_verdict = verdict.targets.swap_remove(0);
    let name = name(&target_verdict);
    if target_verdict.decision() == Decision::Blocked {
        let ended =
            Ended::no(format!("{name} is blocked, for the reasons above{}; {}", hint(&target_verdict), run.left));
        return Err(Stop { text: text.trim_end().to_owned(), ended });
    }
    let of_flags = request.warnings.iter().map(|warning| format!("\nWarning: {warning}."));
    let of_busy = busy.iter().map(|warning| format!("\nWarning: --allow-upgrade-with-warnings: {warning}"));
    for warning in of_flags.chain(of_busy) {
        render::paragraph(&mut text, "", &warning, terminal_width());
    }
    let wait = args.wait.unwrap_or_else(|| std::io::stdout().is_terminal());
    let goal = Goal { request, wait, without_policy: args.without_policy };
    let plan = plan(args, &goal, &target_verdict, evidence);
    if !plan.is_empty() {
        text += &text::plan(&plan, &goal, run.server, terminal_width());
    }
    let resource_version = cluster_version.metadata.resource_version.clone();
    Ok(Judged { goal, resource_version, text: text.trim_end().to_owned(), plan, name })
}

fn name(target_verdict: &TargetVerdict) -> String {
    let release = &target_verdict.release;
    message::sanitize_name(if release.version.is_empty() { &release.image } else { &release.version })
}

fn hint(target_verdict: &TargetVerdict) -> &'static str {
    match target_verdict.update_type {
        UpdateType::Unknown if target_verdict.release.version.is_empty() => {
            "; nothing on this cluster knows which version that image is: name it with --to VERSION as well"
        }
        UpdateType::Patch
        | UpdateType::Minor
        | UpdateType::Major
        | UpdateType::Rollback
        | UpdateType::Downgrade
        | UpdateType::Same
        | UpdateType::Unknown => "",
    }
}

/// The verdict, as `check` shows it, without the commands that the person who runs this one does not need.
fn report(args: &Args, snapshot: &Snapshot, verdict: &Verdict) -> String {
    let caller = Caller::new(&args.program, Some(&args.cluster));
    let mut report = Report::new(snapshot, verdict, Vec::new(), None, &caller);
    for target in &mut report.targets {
        target.command = None;
        if target.failures.is_empty() {
            report.upgradeable.risks.iter_mut().for_each(|risk| risk.commands.clear());
        }
    }
    render::table(&report, terminal_width())
}

fn plan(args: &Args, goal: &Goal, target_verdict: &TargetVerdict, evidence: &Evidence) -> Plan {
    let request = &goal.request;
    let cluster_version = &evidence.snapshot.cluster_version;
    let is_begun = request.is_in_front(cluster_version) && request.is_current(cluster_version);
    let is_asked = request.is_asked(cluster_version);
    let has_force = cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force);
    let stays_within = matches!(target_verdict.update_type, UpdateType::Patch | UpdateType::Rollback);
    let may_be_refused = refuses_patches(cluster_version) || is_refused_for_overrides(&evidence.snapshot);
    let is_begun_or_forced = is_begun || (is_asked && has_force);
    let is_overridden = cluster_version.unmanaged_overrides().next().is_some();
    let may_force = !is_begun_or_forced && stays_within && is_overridden && may_be_refused;
    let forces = may_force && !evidence.operator.acts();
    let is_missing = matches!(evidence.policy, PolicyState::Missing { .. });
    let is_in_force = matches!(evidence.policy, PolicyState::InForce { .. });
    Plan {
        asks: steps::next(goal, &Memory::default(), cluster_version, None) == Step::Ask,
        may_force,
        is_forced: is_asked && owns_force(cluster_version),
        operator: evidence.operator,
        records: evidence.records != Source::NotServed,
        installs_policy: forces && is_missing && !args.without_policy,
        removes_policy: evidence.policy.is_created_here(),
        is_unguarded: forces && !is_in_force && args.without_policy,
    }
}

/// Checks rights, CVO and policy before anything is written, or anything else.
///
/// # Errors
/// What is missing, and what to do.
pub async fn obstacle(
    args: &Args,
    plan: &Plan,
    evidence: &Evidence,
    client: &Client,
    run: &Run<'_>,
) -> Result<(), Ended> {
    let forces = plan.may_force && !plan.operator.acts();
    if plan.asks || forces {
        gatekeeper(evidence, run)?;
    }
    let mut needed = Vec::new();
    if plan.asks || forces || plan.is_forced {
        needed.extend(rights::ASK);
    }
    if forces || plan.is_forced {
        needed.extend(rights::FORCE);
        if plan.records {
            needed.extend(rights::RECORD);
        }
    }
    if plan.removes_policy {
        needed.extend(rights::REMOVE_POLICY);
    }
    let missing = rights::missing(client, &needed).await;
    if !missing.is_empty() {
        return Err(Ended::unknown(text::missing_rights(&missing, false, &run.left)));
    }
    if !forces || args.without_policy {
        return Ok(());
    }
    if plan.installs_policy || matches!(evidence.policy, PolicyState::Unreadable(_)) {
        let needed = [rights::REMOVE_POLICY.as_slice(), &rights::INSTALL_POLICY].concat();
        let missing = rights::missing(client, &needed).await;
        if !missing.is_empty() {
            return Err(Ended::unknown(text::missing_rights(&missing, true, &run.left)));
        }
    }
    let policy = match &evidence.policy {
        PolicyState::Settling { created_here: false } => {
            policy::settled(client, &evidence.snapshot.cluster_version).await
        }
        policy => policy.clone(),
    };
    match policy {
        PolicyState::Foreign | PolicyState::Unreadable(_) => Err(Ended::unknown(text::no_policy(&policy, &run.left))),
        PolicyState::InForce { .. } | PolicyState::Settling { .. } | PolicyState::Missing { .. } => Ok(()),
    }
}

/// Checks that exactly one program answers requests.
fn gatekeeper(evidence: &Evidence, run: &Run<'_>) -> Result<(), Ended> {
    match (evidence.operator, evidence.cvo) {
        (Operator::Decides, CvoLease::Fresh) => Err(Ended::unknown(format!("{}; {}", text::BOTH, run.left))),
        (Operator::Decides, CvoLease::Stale | CvoLease::Absent | CvoLease::Unknown)
        | (Operator::Absent | Operator::Observes | Operator::Forces, CvoLease::Fresh) => Ok(()),
        (Operator::Absent | Operator::Observes | Operator::Forces, cvo) => {
            Err(Ended::unknown(format!("{}; {}", text::no_cvo(cvo, run.commands), run.left)))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::ClusterVersion,
        cli::update::{left::Reached, text::Commands},
        gate::testing::{cluster_version_from, snapshot},
    };

    const ONE: &str = "r.example/ocp@sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn plan_for_two(cluster_version: ClusterVersion) -> Plan {
        let command = Args::augment_args(clap::Command::new("update"));
        let matches = command.try_get_matches_from(["update", "--to", "4.21.2"]).unwrap();
        let args = Args::from_arg_matches(&matches).unwrap();
        let evidence = Evidence {
            snapshot: snapshot(cluster_version),
            records: Source::NotServed,
            endings: Vec::new(),
            policy: PolicyState::InForce { created_here: false },
            cvo: CvoLease::Fresh,
            operator: Operator::Absent,
        };
        let named = request::named(Some("4.21.2"), None).unwrap();
        let commands = Commands::new(&args);
        let run = Run {
            name: "4.21.2",
            server: "https://api:6443/",
            operator: Operator::Absent,
            reached: Reached::Nothing,
            commands: &commands,
            left: String::new(),
        };
        judge(&args, &named, &evidence, &run).ok().unwrap().plan
    }

    /// Being updated to 4.21.2.
    fn running(request: &Value) -> ClusterVersion {
        cluster_version_from(json!({
            "spec": {"desiredUpdate": request},
            "status": {
                "desired": {"version": "4.21.2", "image": TWO},
                "history": [{"state": "Partial", "version": "4.21.2", "image": TWO},
                            {"state": "Completed", "version": "4.21.1", "image": ONE}],
            },
        }))
    }

    #[rstest]
    #[case::for_it(json!({"version": "4.21.2", "image": TWO}), false)]
    #[case::for_its_version(json!({"version": "4.21.2"}), false)]
    #[case::withdrawn(json!(null), false)]
    #[case::for_another(json!({"version": "4.21.3"}), true)]
    fn a_request_that_is_replaced_while_the_update_runs_is_said_and_asked_about(
        #[case] request: Value,
        #[case] asks: bool,
    ) {
        assert_eq!(plan_for_two(running(&request)).asks, asks);
    }
}
