//! The reported mode, and the reported action of the bridge.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::ClusterVersion,
    gate::{Authority, Source},
};

const DIGEST: &str = "r@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn snapshot(request: &Value, accepted: &Value, managers: &Value) -> Snapshot {
    let cluster_version = ClusterVersion::from_value(json!({
        "metadata": {"managedFields": managers},
        "spec": {"desiredUpdate": request, "overrides": [{"kind": "A", "name": "a", "unmanaged": true}]},
        "status": {
            "desired": {"version": "4.21.1", "image": "one"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one"}],
            "availableUpdates": [{"version": "4.21.2", "image": DIGEST}],
            "conditions": [accepted],
        },
    }));
    Snapshot {
        now: jiff::Timestamp::UNIX_EPOCH,
        cluster_version: cluster_version.unwrap(),
        cluster_operators: Source::Read(Vec::new()),
        admin_gates: Source::Read(Some([].into())),
        admin_acks: Source::Read(Some([].into())),
        authority: Authority::Shared,
        targets: Vec::new(),
    }
}

fn cvo() -> Value {
    json!([{"manager": "cluster-version-operator",
            "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"ReleaseAccepted\"}": {"f:status": {}}}}}}])
}

fn refused(version: &str) -> Value {
    // Only the patch is one that the cluster knows.
    let image = if version == "4.21.2" { DIGEST.to_owned() } else { DIGEST.replace(":0", ":1") };
    let message = format!(
        "Preconditions failed for payload loaded version=\"{version}\" image=\"{image}\": Precondition \
         \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text"
    );
    json!({"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks", "message": message})
}

fn fine() -> Value {
    json!({"type": "ReleaseAccepted", "status": "True", "reason": "PayloadLoaded", "message": ""})
}

fn seen(cvo: CvoLease, policy: Option<bool>) -> Surroundings {
    Surroundings { cvo, running: Some(true), mode: Some(Mode::Auto), installed: Some(true), policy }
}

#[rstest]
#[case::nobody(json!([]), CvoLease::Absent, "replace")]
#[case::a_running_cvo(json!([]), CvoLease::Fresh, "bridge")]
#[case::a_cvo_that_writes(cvo(), CvoLease::Absent, "bridge")]
#[case::no_right_to_read_and_no_other_sign(json!([]), CvoLease::Unknown, "undecided")]
#[case::no_right_to_read_and_no_need(cvo(), CvoLease::Unknown, "bridge")]
fn the_mode_is_what_auto_would_begin_with(#[case] managers: Value, #[case] lease: CvoLease, #[case] mode: &str) {
    let report = GateReport::new(&snapshot(&json!(null), &fine(), &managers), &seen(lease, Some(true)));
    assert_eq!(report.mode, mode);
    assert_eq!(report.bridge.is_some(), mode == "bridge");
}

#[rstest]
#[case::through(json!({"version": "4.21.2"}), refused("4.21.2"), Some(true), "letsThrough", None,
    "The cluster-version operator blocks 4.21.2; the bridge would let it through.")]
#[case::no_policy(json!({"version": "4.21.2"}), refused("4.21.2"), Some(false), "leavesBlocked", Some("NoPolicy"),
    "The cluster-version operator blocks 4.21.2; the bridge would leave it so: The ValidatingAdmissionPolicy upgrade-gate,")]
#[case::policy_not_known(json!({"version": "4.21.2"}), refused("4.21.2"), None, "unknown", Some("NoPolicy"),
    "The cluster-version operator blocks 4.21.2; the bridge would let it through if the policy is installed.")]
#[case::a_minor(json!({"version": "4.22.0"}), refused("4.22.0"), Some(true), "leavesBlocked", Some("NotPatch"),
    "The cluster-version operator blocks 4.22.0; the bridge would leave it so: This is a minor update, and overrides prevent those")]
#[case::by_image(json!({"image": DIGEST}), refused("4.21.2"), Some(true), "letsThrough", None,
    "The cluster-version operator blocks 4.21.2;")]
#[case::another(json!({"version": "4.21.3"}), refused("4.21.2"), Some(true), "leavesBlocked", Some("MessageOfAnother"),
    "It would not let 4.21.3 through: The message of ReleaseAccepted doesn't name")]
#[case::accepted(json!({"version": "4.21.2"}), fine(), Some(true), "nothingToDo", Some("NotRefused"),
    "It would leave 4.21.2 alone: The cluster-version operator does not refuse")]
#[case::nothing(json!(null), fine(), Some(true), "nothingToDo", Some("NoRequest"),
    "No update is requested. It would let through what is blocked for overrides alone")]
#[case::nothing_and_no_policy(json!(null), fine(), Some(false), "nothingToDo", Some("NoRequest"),
    "No update is requested. It would let none through: The ValidatingAdmissionPolicy")]
fn the_bridge_says_what_it_would_do(
    #[case] request: Value,
    #[case] accepted: Value,
    #[case] policy: Option<bool>,
    #[case] decision: &str,
    #[case] reason: Option<&str>,
    #[case] message: &str,
) {
    let report = GateReport::new(&snapshot(&request, &accepted, &cvo()), &seen(CvoLease::Fresh, policy));
    let bridge = report.bridge.unwrap();
    assert_eq!((bridge.decision, bridge.reason), (decision, reason));
    assert!(bridge.message.starts_with(message), "{}", bridge.message);
}

#[rstest]
#[case::through(json!({"version": "4.21.2"}), refused("4.21.2"), Some(false), "onceDeployed", None,
    "The cluster-version operator blocks 4.21.2; it would be let through once upgrade-gate is deployed, or by `upgrade-gate update`.")]
#[case::no_right_to_read_the_policy(json!({"version": "4.21.2"}), refused("4.21.2"), None, "onceDeployed", None,
    "The cluster-version operator blocks 4.21.2; it would be let through once upgrade-gate is deployed, or by `upgrade-gate update`.")]
#[case::a_minor(json!({"version": "4.22.0"}), refused("4.22.0"), Some(false), "leavesBlocked", Some("NotPatch"),
    "The cluster-version operator blocks 4.22.0; the bridge would leave it so: ")]
#[case::nothing(json!(null), fine(), Some(false), "nothingToDo", Some("NoRequest"),
    "No update is requested. Once upgrade-gate is deployed, it lets through what is blocked for overrides alone")]
fn before_anything_is_deployed_nothing_is_missing(
    #[case] request: Value,
    #[case] accepted: Value,
    #[case] policy: Option<bool>,
    #[case] decision: &str,
    #[case] reason: Option<&str>,
    #[case] message: &str,
) {
    let seen = Surroundings { cvo: CvoLease::Fresh, running: Some(false), mode: None, installed: Some(false), policy };
    let bridge = GateReport::new(&snapshot(&request, &accepted, &cvo()), &seen).bridge.unwrap();
    assert_eq!((bridge.decision, bridge.reason), (decision, reason));
    assert!(bridge.message.starts_with(message), "{}", bridge.message);
}

#[rstest]
#[case::gone(
    CvoLease::Stale,
    "leavesBlocked",
    "The cluster-version operator blocks 4.21.2; the bridge would leave it so: No"
)]
#[case::no_lease(
    CvoLease::Absent,
    "leavesBlocked",
    "The cluster-version operator blocks 4.21.2; the bridge would leave it so: No"
)]
#[case::not_known(
    CvoLease::Unknown,
    "unknown",
    "The cluster-version operator blocks 4.21.2; the bridge would let it through if a cluster-version operator runs."
)]
fn without_a_cvo_that_runs_nothing_is_let_through(
    #[case] lease: CvoLease,
    #[case] decision: &str,
    #[case] message: &str,
) {
    let snapshot = snapshot(&json!({"version": "4.21.2"}), &refused("4.21.2"), &cvo());
    let bridge = GateReport::new(&snapshot, &seen(lease, Some(true))).bridge.unwrap();
    assert_eq!((bridge.decision, bridge.reason), (decision, Some("NoCvo")));
    assert!(bridge.message.starts_with(message), "{}", bridge.message);
}

#[rstest]
#[case(Some(true), None, "running")]
#[case(Some(false), Some(true), "installed, but not running")]
#[case(Some(false), Some(false), "not installed")]
#[case(None, Some(true), "installed; whether it runs cannot be read")]
#[case(None, None, "cannot be read")]
#[case(Some(false), None, "not running; whether")]
fn what_is_installed_is_reported(
    #[case] running: Option<bool>,
    #[case] installed: Option<bool>,
    #[case] expected: &str,
) {
    let seen = Surroundings { cvo: CvoLease::Absent, running, mode: None, installed, policy: None };
    let lines = GateReport::new(&snapshot(&json!(null), &fine(), &json!([])), &seen).lines();
    assert!(lines[2].1.starts_with(expected), "{lines:?}");
    assert!(lines[1].1.starts_with("cannot be read"), "{lines:?}");
}

#[rstest]
#[case::observes(Mode::Observe, json!({"version": "4.21.2"}), refused("4.21.2"), "notInThisMode", None,
    "The cluster-version operator blocks 4.21.2; the operator only observes, and leaves it so. `upgrade-gate update` lets it through.")]
#[case::observes_a_minor(Mode::Observe, json!({"version": "4.22.0"}), refused("4.22.0"), "leavesBlocked", Some("NotPatch"),
    "The cluster-version operator blocks 4.22.0; the bridge would leave it so: ")]
#[case::observes_nothing(Mode::Observe, json!(null), fine(), "nothingToDo", Some("NoRequest"),
    "No update is requested. The operator only observes, and would let none through; `upgrade-gate update` lets")]
#[case::replaces(Mode::Replace, json!({"version": "4.21.2"}), refused("4.21.2"), "notInThisMode", None,
    "The cluster-version operator blocks 4.21.2; the operator forces nothing in mode replace, and leaves it so. Run it with --mode=auto.")]
#[case::replaces_nothing(Mode::Replace, json!(null), fine(), "nothingToDo", Some("NoRequest"),
    "No update is requested. The operator forces nothing in mode replace, and would let none through. Run it with")]
fn in_another_mode_the_operator_is_no_bridge(
    #[case] mode: Mode,
    #[case] request: Value,
    #[case] accepted: Value,
    #[case] decision: &str,
    #[case] reason: Option<&str>,
    #[case] message: &str,
    #[values(Some(true), Some(false), None)] policy: Option<bool>,
) {
    let seen = Surroundings { mode: Some(mode), ..seen(CvoLease::Fresh, policy) };
    let bridge = GateReport::new(&snapshot(&request, &accepted, &cvo()), &seen).bridge.unwrap();
    assert_eq!((bridge.decision, bridge.reason), (decision, reason));
    assert!(bridge.message.starts_with(message), "{}", bridge.message);
}

#[rstest]
#[case(Mode::Auto, "auto", "running")]
#[case(
    Mode::Bridge,
    "bridge",
    "running in mode bridge: it decides about no request, and forces what is blocked for overrides alone"
)]
#[case(Mode::Replace, "replace", "running in mode replace: it decides about requests itself, and forces nothing")]
#[case(Mode::Observe, "observe", "running in mode observe: it writes only events, so it blocks and forces nothing")]
fn the_mode_of_the_operator_is_reported(#[case] mode: Mode, #[case] key: &str, #[case] line: &str) {
    let seen = Surroundings { mode: Some(mode), ..seen(CvoLease::Fresh, Some(true)) };
    let report = GateReport::new(&snapshot(&json!(null), &fine(), &cvo()), &seen);
    assert_eq!(report.mode, "bridge");
    assert_eq!(serde_json::to_value(&report).unwrap()["operatorMode"], key);
    assert_eq!(report.lines()[2].1, line);
}
