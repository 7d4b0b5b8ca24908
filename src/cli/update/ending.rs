//! How a run ends: what is printed, the exit code, and what to do next. Pure.

use std::time::Duration;

use crate::{
    api::ClusterVersion,
    cli::update::{
        Ended,
        cluster::Failure,
        left::Reached,
        operator::Operator,
        steps::{self, Ending, Step},
        text::{self, Commands},
    },
    gate::message,
    plan::role::owns_force,
};

/// What is known of the run.
pub struct Run<'a> {
    /// What is updated to.
    pub name: &'a str,
    /// The cluster's address.
    pub server: &'a str,
    /// The operator of upgrade-gate.
    pub operator: Operator,
    /// The last step that was done.
    pub reached: Reached,
    /// The commands to run next.
    pub commands: &'a Commands,
    /// In what state the cluster is left, and what goes on or undoes it.
    pub left: String,
}

const UNVERIFIED: &str = "Warning: the signature of the release could not be verified when it was applied \
     (status.history[0].verified is false).\n";

impl Run<'_> {
    /// What is printed, and how it ends.
    #[must_use]
    pub fn end(&self, ending: Ending, cluster_version: &ClusterVersion, width: usize) -> (String, Ended) {
        let (name, clear) = (self.name, &self.commands.clear);
        let no = |why: String| (String::new(), Ended::no(why));
        let stays = if owns_force(cluster_version) {
            let cleanup = &self.commands.cleanup;
            format!(
                "The request and its force stay; `{clear}` withdraws both, and then `{cleanup}` removes what is left"
            )
        } else {
            format!("The request stays; `{clear}` withdraws it")
        };
        match ending {
            Ending::Completed => {
                let is_verified = cluster_version.history().first().is_none_or(|front| front.verified);
                let warning = if is_verified || self.reached < Reached::Forced { "" } else { UNVERIFIED };
                (format!("{warning}Done: the cluster runs {name}."), Ended::done())
            }
            Ending::Kept(reason) => no(format!(
                "the update to {name} has completed, but spec.desiredUpdate.force stays. {}",
                reason.message()
            )),
            Ending::Left { forced } => (text::left_running(name, forced, self.operator, self.commands), Ended::done()),
            Ending::Refused(found) => (
                format!("\n{}", text::condition(&found, width).trim_end()),
                Ended::no(format!("the cluster-version operator refuses {name}, for the reason above. {stays}")),
            ),
            Ending::NotForced(reason) => no(format!(
                "the cluster-version operator refuses {name}, and it is not forced: {} {stays}",
                reason.message()
            )),
            Ending::OperatorIdle => {
                let what = if owns_force(cluster_version) {
                    format!("removed spec.desiredUpdate.force, although the update to {name} has completed,")
                } else {
                    format!("let {name} through")
                };
                let why = format!(
                    "the operator of upgrade-gate is running, and has not {what} within {}. `{}` has the reason; {}",
                    text::span(steps::OPERATOR),
                    self.commands.log,
                    self.left
                );
                (String::new(), Ended::unknown(why))
            }
            Ending::NoCvo(cvo) => {
                let why = format!("{}; {}", text::no_cvo(cvo, self.commands), self.left);
                (String::new(), Ended::unknown(why))
            }
            Ending::Overtaken => no(format!(
                "spec.desiredUpdate was changed meanwhile and no longer asks for {name}. `{}` shows what the \
                 cluster does",
                self.commands.status
            )),
            Ending::Failing(why) => no(format!(
                "the update to {name} has been failing for {}: {}. Fix that; {}",
                text::span(steps::FAILING),
                message::sanitize(&why),
                self.left
            )),
        }
    }

    /// A write that another writer reverts each time.
    #[must_use]
    pub fn reverted(&self, step: &Step) -> Ended {
        let object = match step {
            Step::InstallPolicy | Step::RemovePolicy => {
                "validatingadmissionpolicy/upgrade-gate validatingadmissionpolicybinding/upgrade-gate"
            }
            Step::Record(_) | Step::Close | Step::Show(_) => "updaterecords",
            Step::Ask | Step::Force(_) | Step::Unforce(_) | Step::Look | Step::Wait(_) | Step::End(_) => {
                "clusterversion/version"
            }
        };
        Ended::unknown(format!(
            "{}: {} was done three times, and another writer reverted it each time. Stop that writer, such as a GitOps \
             controller; `{} {object}` shows under managedFields who has written last; {}",
            self.server,
            what(step),
            self.commands.writers,
            self.left
        ))
    }

    /// A write that the API server refuses.
    #[must_use]
    pub fn failed(&self, step: &Step, problem: &str) -> Ended {
        let what = what(step);
        let is_denied = ["ValidatingAdmissionPolicy '", "admission webhook"].iter().any(|by| problem.contains(by));
        let error = format!("{}: {what}: {}; {}", self.server, message::sanitize(problem), self.left);
        if is_denied { Ended::no(error) } else { Ended::unknown(error) }
    }
}

fn what(step: &Step) -> &'static str {
    match step {
        Step::Ask => "asking for the update",
        Step::InstallPolicy => "creating the ValidatingAdmissionPolicy upgrade-gate",
        Step::Record(_) | Step::Close | Step::Show(_) => "writing the UpdateRecord",
        Step::Force(_) => "setting the force",
        Step::Unforce(_) => "removing the force",
        Step::RemovePolicy => "removing the ValidatingAdmissionPolicy upgrade-gate",
        Step::Look | Step::Wait(_) | Step::End(_) => "reading the cluster",
    }
}

/// A read or a write has failed for longer than it is tried again.
#[must_use]
pub fn gave_up(server: &str, failure: &Failure, lost_for: Duration, left: &str) -> Ended {
    let span = text::span(lost_for);
    Ended::unknown(match failure {
        Failure::Lost(problem) | Failure::Conflict(problem) => {
            format!("{server}: no answer for {span}: {}; {left}", message::sanitize(problem))
        }
        Failure::Refused { code, problem } => {
            let advice = match code {
                401 => "log in to it again",
                403 => "run this as a user who may do that, such as a cluster administrator",
                404 => "make sure that no proxy answers for the API server",
                _ => "try again",
            };
            format!("{server} has refused a request for {span}: {}; {advice}; {left}", message::sanitize(problem))
        }
    })
}

/// The cluster can't be read at the start.
#[must_use]
pub fn no_answer(server: &str, failure: Failure) -> Ended {
    const NOTHING: &str = "nothing was written";
    let sanitize = |problem: &str| message::sanitize(problem);
    Ended::unknown(match failure {
        Failure::Lost(problem) => {
            format!(
                "{server} cannot be reached: {}; check the network and the kubeconfig; {NOTHING}",
                sanitize(&problem)
            )
        }
        Failure::Conflict(problem) | Failure::Refused { code: 0, problem } => {
            format!("{server}: {}; {NOTHING}", sanitize(&problem))
        }
        Failure::Refused { code: 401, problem } => {
            format!("{server}: {}; log in to it again; {NOTHING}", sanitize(&problem))
        }
        Failure::Refused { code: 404, problem } => format!(
            "{server} has no ClusterVersion: {}; name the context of an OpenShift cluster with --context; {NOTHING}",
            sanitize(&problem)
        ),
        Failure::Refused { problem, .. } => format!(
            "{server} refuses to get clusterversions.config.openshift.io \"version\": {}; run this as a user who may get and \
             patch it; {NOTHING}",
            sanitize(&problem)
        ),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{
        api::Condition,
        cli::update::text::tests::commands,
        gate::testing::cluster_version_from,
        plan::{
            bridge::{skip_reason::SkipReason, unforce::KeepReason},
            role::CvoLease,
        },
    };

    fn ended(reached: Reached, ending: Ending) -> (String, Ended) {
        let history = json!([{"state": "Completed", "version": "4.21.2", "image": "i", "verified": false}]);
        let cluster_version = cluster_version_from(json!({"status": {"history": history}}));
        let commands = commands();
        let run = Run {
            name: "4.21.2",
            server: "https://api:6443/",
            operator: Operator::Absent,
            reached,
            commands: &commands,
            left: String::new(),
        };
        run.end(ending, &cluster_version, 80)
    }

    #[rstest]
    #[case::completed(Ending::Completed, 0)]
    #[case::accepted(Ending::Left { forced: false }, 0)]
    #[case::forced(Ending::Left { forced: true }, 0)]
    #[case::kept(Ending::Kept(KeepReason::RequestChanged), 1)]
    #[case::refused(Ending::Refused(Condition::default()), 1)]
    #[case::not_forced(Ending::NotForced(SkipReason::Unfinished), 1)]
    #[case::overtaken(Ending::Overtaken, 1)]
    #[case::failing(Ending::Failing("etcd is down".to_owned()), 1)]
    #[case::idle(Ending::OperatorIdle, 2)]
    #[case::no_cvo(Ending::NoCvo(CvoLease::Stale), 2)]
    fn exit_codes(#[case] ending: Ending, #[case] code: u8) {
        assert_eq!(ended(Reached::Asked, ending).1.code, code);
    }

    #[test]
    fn an_unverified_signature_is_reported_where_the_update_was_forced() {
        assert!(ended(Reached::Forced, Ending::Completed).0.starts_with("Warning: the signature"));
        assert_eq!(ended(Reached::Asked, Ending::Completed).0, "Done: the cluster runs 4.21.2.");
    }

    #[rstest]
    #[case::refused(Ending::Refused(Condition::default()))]
    #[case::not_forced(Ending::NotForced(SkipReason::Forced))]
    fn a_force_that_stays_without_an_update_is_reported_with_what_removes_it(#[case] ending: Ending) {
        let owner = json!({"manager": "upgrade-gate", "operation": "Update",
            "fieldsV1": {"f:spec": {"f:desiredUpdate": {"f:force": {}}}}});
        let cluster_version = cluster_version_from(json!({
            "metadata": {"managedFields": [owner]},
            "spec": {"desiredUpdate": {"version": "4.21.2", "image": "i", "force": true}},
        }));
        let commands = commands();
        let run = Run {
            name: "4.21.2",
            server: "https://api:6443/",
            operator: Operator::Absent,
            reached: Reached::Forced,
            commands: &commands,
            left: String::new(),
        };
        let error = run.end(ending, &cluster_version, 80).1.error.unwrap();
        let stays = "The request and its force stay; `oc adm upgrade --clear --context prod` withdraws both, and then \
                     `upgrade-gate cleanup --yes --context prod` removes what is left";
        assert!(error.ends_with(stays), "{error}");
    }

    #[test]
    fn a_denial_is_an_answer_and_any_other_refusal_is_none() {
        let commands = commands();
        let run = Run {
            name: "4.21.2",
            server: "https://api:6443/",
            operator: Operator::Absent,
            reached: Reached::Asked,
            commands: &commands,
            left: String::new(),
        };
        let denied =
            run.failed(&Step::Ask, "ValidatingAdmissionPolicy 'upgrade-gate' with binding 'x' denied request: no");
        assert_eq!(denied.code, 1);
        assert_eq!(run.failed(&Step::InstallPolicy, "forbidden: no RBAC policy matched").code, 2);
    }
}
