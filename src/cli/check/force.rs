//! `spec.desiredUpdate.force: true`: what follows from it while it is set, and what removes it.

use serde::Serialize;
use serde_json::json;

use crate::{
    api::{ClusterVersion, ConditionStatus, DesiredUpdate, names::condition, owners_of_request},
    cli::check::{
        commands::{Caller, risk::one_word},
        gate::GateReport,
    },
    gate::{message::sanitize_name, release},
    plan::role::{Mode, Role, owns_force},
};

/// A force that is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForceReport {
    /// The field managers that set it; empty if managedFields do not show them.
    pub set_by: Vec<String>,
    /// What follows, and when it goes.
    pub message: String,
    /// What removes it; null as long as that isn't safe, and where the operator does it.
    pub command: Option<String>,
}

const ANY_TARGET: &str =
    "A merge patch that changes version or image is forced as well, whatever it asks for; `oc adm upgrade` is not.";
const NOTHING_RUNS: &str = "The cluster does not carry out this request.";
const CLEAR: &str = "This command cancels the request, and removes the force:";
const RESTARTS: &str =
    "Each restart of the cluster-version operator starts the update again: Progressing=True for one pass.";

/// `None` where no force is set. `is_refused` says that the request is not carried out in spite of it, so that no update is
/// running that its removal could harm.
#[must_use]
pub fn force(
    cluster_version: &ClusterVersion,
    is_refused: bool,
    gate: Option<&GateReport>,
    caller: &Caller,
) -> Option<ForceReport> {
    let request = cluster_version.spec.desired_update.as_ref().filter(|request| request.force)?;
    let set_by: Vec<String> =
        owners_of_request(&cluster_version.metadata.managed_fields, "force").map(ToOwned::to_owned).collect();
    let by = if set_by.is_empty() {
        String::new()
    } else {
        format!(", set by {}", set_by.iter().map(|manager| sanitize_name(manager)).collect::<Vec<_>>().join(", "))
    };
    let requests_nothing = request.version.is_empty() && request.image.is_empty();
    if (is_refused || requests_nothing) && !owns_force(cluster_version) {
        let message = format!("spec.desiredUpdate.force is true{by}. {NOTHING_RUNS} {ANY_TARGET} {CLEAR}");
        return Some(ForceReport { set_by, message, command: Some(caller.oc("adm upgrade --clear")) });
    }
    let has_no_cvo = gate.is_some_and(|gate| gate.mode == Role::Replace.as_str());
    let mode = gate.and_then(|gate| gate.operator_mode);
    let (ending, command) = match (owns_force(cluster_version), is_done(cluster_version, request)) {
        (true, _) => match mode {
            Some(Mode::Auto | Mode::Bridge) => {
                ("upgrade-gate removes it once the update is complete and the cluster is healthy.", None)
            }
            Some(Mode::Replace) => {
                let ending =
                    "upgrade-gate set it, and does not remove it in mode replace: run the operator with --mode=auto.";
                (ending, None)
            }
            Some(Mode::Observe) | None => {
                let ending = "upgrade-gate set it. This command removes it once the update is complete and the cluster is \
                              healthy, and else says what it waits for:";
                (ending, Some(caller.upgrade_gate("cleanup --yes")))
            }
        },
        (false, true) => (
            "The update is complete, so the force is not needed any more. This command removes it:",
            Some(remove(caller, request)),
        ),
        (false, false) => {
            let ending = "Leave it until the update is complete: removed earlier, a cluster-version operator that restarts \
                          falls back to the old release.";
            (ending, None)
        }
    };
    let restarts = if has_no_cvo { String::new() } else { format!(" {RESTARTS}") };
    let message = format!("spec.desiredUpdate.force is true{by}.{restarts} {ANY_TARGET} {ending}");
    Some(ForceReport { set_by, message, command })
}

/// Whether the cluster runs what the request asks for, and is through with it.
fn is_done(cluster_version: &ClusterVersion, request: &DesiredUpdate) -> bool {
    let desired = cluster_version.desired();
    let is_current = release::same_release(desired.id(), request.id());
    let progressing = cluster_version.condition(condition::PROGRESSING);
    let newest = cluster_version.history().first();
    is_current
        && newest.is_some_and(|entry| release::same_release(entry.id(), desired.id()))
        && !release::is_unfinished(cluster_version)
        && progressing.is_some_and(|found| found.status == ConditionStatus::False)
}

/// The whole request is tested: a force of another request may have begun.
fn remove(caller: &Caller, request: &DesiredUpdate) -> String {
    let patch = json!([
        {"op": "test", "path": "/spec/desiredUpdate", "value": request.raw},
        {"op": "remove", "path": "/spec/desiredUpdate/force"},
    ]);
    caller.oc(&format!("patch clusterversion version --type json -p {}", one_word(&patch)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn cluster(managers: &[&str], state: &str, progressing: &str) -> ClusterVersion {
        let fields = json!({"f:spec": {"f:desiredUpdate": {"f:force": {}}}});
        let managers: Vec<Value> =
            managers.iter().map(|manager| json!({"manager": manager, "fieldsV1": fields})).collect();
        ClusterVersion::from_value(json!({
            "metadata": {"managedFields": managers},
            "spec": {"desiredUpdate": {"version": "4.21.2", "image": TWO, "force": true}},
            "status": {
                "desired": {"version": "4.21.2", "image": TWO},
                "history": [{"state": state, "version": "4.21.2", "image": TWO}],
                "conditions": [{"type": "Progressing", "status": progressing}],
            },
        }))
        .unwrap()
    }

    fn of(cluster_version: &ClusterVersion, gate: Option<&GateReport>) -> ForceReport {
        force(cluster_version, false, gate, &Caller::new("upgrade-gate", None)).unwrap()
    }

    fn gate(mode: &'static str, operator_mode: Option<Mode>) -> GateReport {
        GateReport {
            mode,
            why: "",
            policy_installed: None,
            operator_installed: None,
            operator_running: Some(operator_mode.is_some()),
            operator_mode,
            bridge: None,
        }
    }

    #[test]
    fn without_a_force_there_is_nothing_to_say() {
        let mut cluster_version = cluster(&[], "Completed", "False");
        cluster_version.spec.desired_update.as_mut().unwrap().force = false;
        assert_eq!(force(&cluster_version, false, None, &Caller::new("upgrade-gate", None)), None);
    }

    #[test]
    fn the_force_of_a_person_is_removed_once_its_update_is_complete() {
        let found = of(&cluster(&["kubectl-patch"], "Completed", "False"), None);
        assert_eq!(found.set_by, ["kubectl-patch"]);
        assert!(
            found.message.starts_with("spec.desiredUpdate.force is true, set by kubectl-patch. Each restart of"),
            "{found:?}"
        );
        let command = format!(
            r#"oc patch clusterversion version --type json -p '[{{"op":"test","path":"/spec/desiredUpdate","value":{{"force":true,"image":"{TWO}","version":"4.21.2"}}}},{{"op":"remove","path":"/spec/desiredUpdate/force"}}]'"#
        );
        assert_eq!(found.command, Some(command));
    }

    #[rstest]
    #[case::in_progress("Partial", "True")]
    #[case::reconciling("Completed", "True")]
    #[case::left_behind("Partial", "False")]
    fn until_then_it_has_to_stay(#[case] state: &str, #[case] progressing: &str) {
        let found = of(&cluster(&[], state, progressing), None);
        assert_eq!((found.set_by.len(), found.command), (0, None));
        assert!(found.message.contains("Leave it until the update is complete"), "{}", found.message);
    }

    #[test]
    fn a_force_for_another_release_than_the_current_one_has_to_stay() {
        let mut cluster_version = cluster(&[], "Completed", "False");
        cluster_version.spec.desired_update.as_mut().unwrap().version = "4.21.3".to_owned();
        cluster_version.spec.desired_update.as_mut().unwrap().image = String::new();
        assert_eq!(of(&cluster_version, None).command, None);
    }

    #[test]
    fn a_force_of_a_request_that_is_not_carried_out_may_go_at_once() {
        let refused = cluster(&["kubectl-patch"], "Completed", "False");
        let mut nothing = refused.clone();
        let request = nothing.spec.desired_update.as_mut().unwrap();
        (request.version, request.image) = (String::new(), String::new());
        for (cluster_version, is_refused) in [(refused, true), (nothing, false)] {
            let found = force(&cluster_version, is_refused, None, &Caller::new("upgrade-gate", None)).unwrap();
            assert_eq!(
                found.message,
                "spec.desiredUpdate.force is true, set by kubectl-patch. The cluster does not carry out this request. A \
                 merge patch that changes version or image is forced as well, whatever it asks for; `oc adm upgrade` is \
                 not. This command cancels the request, and removes the force:"
            );
            assert_eq!(found.command.as_deref(), Some("oc adm upgrade --clear"));
        }
    }

    #[test]
    fn our_own_force_is_ours_to_remove() {
        let cluster_version = cluster(&["upgrade-gate"], "Completed", "False");
        let found = of(&cluster_version, Some(&gate("bridge", Some(Mode::Auto))));
        assert_eq!(found.command, None);
        assert!(
            found.message.ends_with("upgrade-gate removes it once the update is complete and the cluster is healthy.")
        );
        for gate in [None, Some(gate("bridge", None)), Some(gate("bridge", Some(Mode::Observe)))] {
            assert_eq!(of(&cluster_version, gate.as_ref()).command.as_deref(), Some("upgrade-gate cleanup --yes"));
        }
        let found = of(&cluster_version, Some(&gate("bridge", Some(Mode::Replace))));
        assert_eq!(found.command, None);
        assert!(found.message.ends_with("does not remove it in mode replace: run the operator with --mode=auto."));
    }

    #[test]
    fn without_a_cvo_none_restarts() {
        let found = of(&cluster(&[], "Completed", "False"), Some(&gate("replace", None)));
        assert!(!found.message.contains("restart of the"), "{}", found.message);
    }
}
