//! The texts that are printed. Nothing here decides anything.

use std::time::Duration;

use crate::{
    api::{Condition, UpdateRecord},
    cli::{
        check::{
            commands::{Caller, quote},
            render::paragraph,
        },
        update::{
            args::Args,
            operator::Operator,
            policy::PolicyState,
            rights::Right,
            steps::{Goal, Step, Wait},
        },
    },
    escape::escape,
    gate::message,
    plan::role::CvoLease,
};

/// What is going to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a write of its own")]
pub struct Plan {
    /// The request.
    pub asks: bool,
    /// The CVO may refuse it for overrides alone.
    pub may_force: bool,
    /// The force of an earlier run is there.
    pub is_forced: bool,
    /// The operator of upgrade-gate.
    pub operator: Operator,
    /// UpdateRecords are served.
    pub records: bool,
    /// The policy has to be created.
    pub installs_policy: bool,
    /// The policy was created by this command.
    pub removes_policy: bool,
    /// `--without-policy`, and none is installed.
    pub is_unguarded: bool,
}

impl Plan {
    /// Whether anything is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.asks && !self.may_force && !self.is_forced && !self.removes_policy
    }

    /// Whether a person has seen that this step may be written.
    #[must_use]
    pub fn covers(&self, step: &Step) -> bool {
        // What an operator was going to do, this command was not.
        let forces = self.may_force && !self.operator.acts();
        match step {
            Step::InstallPolicy => forces && self.installs_policy,
            Step::Force(_) => forces,
            Step::Record(_) | Step::Close => !self.is_empty(),
            Step::Unforce(_) => (forces || self.is_forced) && self.operator != Operator::Forces,
            // Asking compares what is shown by itself, and a policy that is not needed any more is removed.
            Step::Ask | Step::Look | Step::Show(_) | Step::RemovePolicy | Step::Wait(_) | Step::End(_) => true,
        }
    }
}

/// An operator that takes the place of a CVO, beside a CVO.
pub const BOTH: &str = "the operator of upgrade-gate is running with --mode=replace, and a cluster-version operator is running as \
     well, so two programs answer each request: run the operator with --mode=auto";

/// No CVO runs.
#[must_use]
pub fn no_cvo(cvo: CvoLease, commands: &Commands) -> String {
    let why = match cvo {
        CvoLease::Absent => "does not exist",
        CvoLease::Stale | CvoLease::Fresh => "is not renewed",
        CvoLease::Unknown => "cannot be read",
    };
    format!(
        "no cluster-version operator is running: its Lease openshift-cluster-version/version {why}. `{}` shows its Pod; \
         start it first",
        commands.pods
    )
}

/// What a force without the policy risks.
pub const UNGUARDED: &str = "Without the policy, nothing denies another target while the force is set: whatever a merge patch \
     requests then, a minor update too, is applied without any check, its signature included.";

/// The list of writes, under a line that names the server.
#[must_use]
pub fn plan(plan: &Plan, goal: &Goal, server: &str, width: usize) -> String {
    let mut text = String::new();
    let mut line = |indent: &str, what: &str| paragraph(&mut text, indent, &format!("* {what}"), width);
    let mut item = |what: &str| line("  ", what);
    if plan.asks {
        item(&format!("spec.desiredUpdate of ClusterVersion version, the whole of it: `{}`", goal.request.value));
    }
    let sets_force = match plan.operator {
        Operator::Forces => {
            item(
                "Nothing else: the operator of upgrade-gate is running. It sets the force if the cluster-version operator \
                 refuses the request for overrides alone, and removes it.",
            );
            false
        }
        Operator::Decides => {
            item(
                "Nothing else: the operator of upgrade-gate is running in the place of a cluster-version operator, and \
                 answers the request itself.",
            );
            false
        }
        Operator::Absent | Operator::Observes => plan.may_force,
    };
    if sets_force {
        if plan.operator == Operator::Observes {
            item(
                "The operator of upgrade-gate is running with --mode=observe and writes nothing, so this command does what \
                 follows.",
            );
        }
        item("Only if the cluster-version operator refuses the request for overrides alone:");
        let mut item = |what: &str| line("    ", what);
        if plan.installs_policy {
            item(
                "ValidatingAdmissionPolicy upgrade-gate and its binding, which deny any other target while the force is set.",
            );
        }
        if plan.is_unguarded {
            item(UNGUARDED);
        }
        if plan.records {
            item("An UpdateRecord: what is accepted, and by whom.");
        } else {
            item("No UpdateRecord, as its CRD is not installed: the record is printed once the update has completed.");
        }
        item(
            "spec.desiredUpdate.force: true, for this release, by its digest, which the cluster-version operator has just \
             verified. A force skips the preconditions, and the signature as well.",
        );
    }
    if plan.is_forced || sets_force {
        let policy = if plan.installs_policy || plan.removes_policy { ", then the policy" } else { "" };
        line("  ", &format!("Once the update has completed, spec.desiredUpdate.force is removed again{policy}."));
    } else if plan.removes_policy {
        line(
            "  ",
            "ValidatingAdmissionPolicy upgrade-gate and its binding, which an earlier run created, are removed.",
        );
    }
    if plan.records && !plan.operator.acts() && !plan.may_force && !plan.is_empty() {
        line("  ", "An UpdateRecord of the risks that the update accepts, if any, and of its outcome.");
    }
    format!("\nTo be written to {}\n{text}", escape(server))
}

/// The question.
pub const QUESTION: &str = "Write this? [y/N] ";

/// The commands to run next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// The same command again, which continues.
    pub again: String,
    /// Withdraws a request whose update has not begun.
    pub clear: String,
    /// Removes what is left.
    pub cleanup: String,
    /// Shows the Pod of the CVO.
    pub pods: String,
    /// Shows the log of the operator.
    pub log: String,
    /// Shows the request as it is.
    pub shown: String,
    /// Shows what the cluster does.
    pub status: String,
    /// Shows who has written an object, whose name follows.
    pub writers: String,
}

impl Commands {
    /// For this program, and the cluster that it was run for.
    #[must_use]
    pub fn new(args: &Args) -> Self {
        let caller = Caller::new(&args.program, Some(&args.cluster));
        let mut again = "update".to_owned();
        for (flag, value) in [("--to", &args.to), ("--to-image", &args.to_image)] {
            if let Some(value) = value {
                again.extend([" ", flag, " ", &quote(value)]);
            }
        }
        for (flag, is_set) in [
            ("--allow-explicit-upgrade", args.allow_explicit_upgrade),
            ("--allow-not-recommended", args.allow_not_recommended),
            ("--allow-upgrade-with-warnings", args.allow_upgrade_with_warnings),
            ("--without-policy", args.without_policy),
        ] {
            if is_set {
                again.extend([" ", flag]);
            }
        }
        Self {
            again: caller.upgrade_gate(&again),
            clear: caller.oc("adm upgrade --clear"),
            cleanup: caller.upgrade_gate("cleanup --yes"),
            pods: caller.oc("-n openshift-cluster-version get pods"),
            log: caller.oc("-n openshift-upgrade-gate logs deployment/upgrade-gate"),
            status: caller.oc("adm upgrade"),
            writers: caller.oc("get -o yaml --show-managed-fields"),
            shown: caller.oc("get clusterversion version -o jsonpath={.spec.desiredUpdate}"),
        }
    }
}

/// Not waited for.
#[must_use]
pub fn left_running(name: &str, forced: bool, operator: Operator, commands: &Commands) -> String {
    let Commands { again, cleanup, status, .. } = commands;
    match (forced, operator) {
        (true, Operator::Forces) => format!(
            "{name} is forced. The operator of upgrade-gate removes the force once the update has completed. `{status}` shows \
             how far it is."
        ),
        (true, Operator::Absent | Operator::Observes | Operator::Decides) => format!(
            "{name} is forced. Once the update has completed, remove the force with `{again} --wait`, or with `{cleanup}`. \
             `{status}` shows how far it is."
        ),
        (false, _) => format!("{name} is accepted. `{status}` shows how far it is."),
    }
}

/// What is waited for, in a line.
#[must_use]
pub fn wait(wait: &Wait, name: &str) -> String {
    match wait {
        Wait::Answer => format!("Waiting for the cluster-version operator's answer to {name}"),
        Wait::Policy => "Waiting for the API server to enforce the admission policy".to_owned(),
        Wait::Record => "Waiting for the UpdateRecord, which cannot be written or read: at most a minute".to_owned(),
        Wait::Cvo => "Waiting for a cluster-version operator that renews its Lease".to_owned(),
        Wait::Operator => format!("Waiting for the upgrade-gate operator to act on {name}"),
        Wait::Begin => format!("Waiting for the update to {name} to begin"),
        Wait::Complete => format!("Updating to {name}"),
        Wait::Unforce(reason) => format!("{name} has completed; its force stays for now. {}", reason.message()),
    }
}

/// A condition as `oc adm upgrade` shows it.
#[must_use]
pub fn condition(found: &Condition, width: usize) -> String {
    let mut text = format!("{}={}\n\n", escape(&found.kind), found.status.as_str());
    paragraph(&mut text, "  ", &format!("Reason: {}", escape(&found.reason)), width);
    paragraph(&mut text, "  ", &format!("Message: {}", found.message), width);
    text
}

/// Rights that are missing.
#[must_use]
pub fn missing_rights(rights: &[Right], policy_only: bool, left: &str) -> String {
    let list = rights.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = format!(
        "you lack these rights: {list}. Run this as a user who has them, such as a cluster administrator; {left}"
    );
    if policy_only {
        format!("{text}. To go on without the admission policy, add --without-policy. {UNGUARDED}")
    } else {
        text
    }
}

/// A policy that was not created by this command, and that does not guard the force.
#[must_use]
pub fn no_policy(state: &PolicyState, left: &str) -> String {
    let why = match state {
        PolicyState::Unreadable(problem) => {
            format!("the ValidatingAdmissionPolicy upgrade-gate cannot be read: {}", message::sanitize(problem))
        }
        PolicyState::Foreign
        | PolicyState::Settling { .. }
        | PolicyState::InForce { .. }
        | PolicyState::Missing { .. } => "a ValidatingAdmissionPolicy upgrade-gate, or a binding of that name, is \
             installed that does not deny every such request: install it again with `oc apply -k deploy/base/policy`"
            .to_owned(),
    };
    format!("{why}; {left}. To go on without it, add --without-policy. {UNGUARDED}")
}

/// The UpdateRecord, printed because UpdateRecords are not served, or cannot be written.
#[must_use]
pub fn record(yaml: &str, record: &UpdateRecord, is_served: bool) -> String {
    let why = if is_served { "This UpdateRecord cannot be written." } else { "UpdateRecords are not served here." };
    format!("# {why}\n# Keep this record of what was accepted for {}:\n{yaml}", escape(&record.spec.to))
}

/// A duration as text, such as `3 minutes`.
#[must_use]
pub fn span(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::plan::bridge::unforce::ForceRemoval;

    /// For 4.21.2, on the cluster of the context `prod`.
    pub fn commands() -> Commands {
        Commands::new(&args(&["--to", "4.21.2", "--context", "prod"]))
    }

    fn args(words: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("update"));
        let words = [&["update"], words].concat();
        Args::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn the_command_that_goes_on_is_the_one_that_was_typed() {
        let typed = [
            "--to",
            "4.21.2",
            "--to-image",
            "r/a;reboot@sha256:22",
            "--allow-explicit-upgrade",
            "--yes",
            "--wait",
            "--context",
            "prod cluster",
            "--kubeconfig",
            "k",
        ];
        let commands = Commands::new(&Args { program: "oc upgrade-gate".to_owned(), ..args(&typed) });
        let expected = "oc upgrade-gate update --to 4.21.2 --to-image 'r/a;reboot@sha256:22' --allow-explicit-upgrade \
             --kubeconfig k --context 'prod cluster'";
        assert_eq!(commands.again, expected);
        assert_eq!(commands.clear, "oc adm upgrade --clear --kubeconfig k --context 'prod cluster'");
        assert_eq!(commands.cleanup, "oc upgrade-gate cleanup --yes --kubeconfig k --context 'prod cluster'");
    }

    const ALL: Plan = Plan {
        asks: true,
        may_force: true,
        is_forced: true,
        operator: Operator::Absent,
        records: true,
        installs_policy: true,
        removes_policy: true,
        is_unguarded: false,
    };

    fn unforce() -> Step {
        Step::Unforce(ForceRemoval {
            request: json!({}),
            resource_version: "7".to_owned().into(),
            removes_image: false,
        })
    }

    #[rstest]
    #[case::only_asks(Plan { asks: true, ..Plan::default() }, [false, true, false])]
    #[case::forces(Plan { may_force: true, ..Plan::default() }, [false, true, true])]
    #[case::forces_and_guards(Plan { may_force: true, installs_policy: true, ..Plan::default() }, [true, true, true])]
    #[case::goes_on(Plan { is_forced: true, ..Plan::default() }, [false, true, true])]
    #[case::leaves_it_to_the_operator(Plan { operator: Operator::Forces, ..ALL }, [false, true, false])]
    #[case::leaves_the_decision_to_the_operator(Plan { operator: Operator::Decides, ..ALL }, [false, true, true])]
    #[case::beside_an_operator_that_writes_nothing(Plan { operator: Operator::Observes, ..ALL }, [true, true, true])]
    #[case::watches(Plan::default(), [false, false, false])]
    fn only_what_was_shown_is_written(#[case] plan: Plan, #[case] expected: [bool; 3]) {
        assert_eq!([Step::InstallPolicy, Step::Close, unforce()].map(|step| plan.covers(&step)), expected);
    }

    #[test]
    fn wait_is_a_switch_with_a_value() {
        assert_eq!(args(&["--to", "1.2.3"]).wait, None);
        assert_eq!(args(&["--to", "1.2.3", "--wait"]).wait, Some(true));
        assert_eq!(args(&["--to", "1.2.3", "--wait=false"]).wait, Some(false));
        assert_eq!(args(&["--wait", "--to", "1.2.3"]).to.as_deref(), Some("1.2.3"));
    }
}
