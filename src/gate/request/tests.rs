//! Which condition is about the request, and what the gate makes of it.

use rstest::rstest;
use serde_json::{Value, json};

use crate::gate::{
    Authority, Decision, Source, TargetVerdict, evaluate,
    request::{Standing::*, *},
    testing,
};

const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const MIRROR: &str = "mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const THREE: &str = "r.example/ocp@sha256:3333333333333333333333333333333333333333333333333333333333333333";
const OVERRIDES: &str =
    "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text";
const ROLLBACK: &str = "Precondition \"ClusterVersionRollback\" failed because of \"LowDesiredVersion\": text";

fn accepted(status: &str, reason: &str, message: &str) -> Value {
    json!({"type": "ReleaseAccepted", "status": status, "reason": reason, "message": message})
}

fn invalid(message: &str) -> Value {
    json!({"type": "Invalid", "status": "True", "reason": "InvalidClusterVersion", "message": message})
}

fn named(head: &str, version: &str, image: &str, rest: &str) -> String {
    format!("{head} version=\"{version}\" image=\"{image}\"{rest}")
}

fn retrieve(version: &str, image: &str) -> Value {
    let message = named("Retrieving payload failed", version, image, " failure=no signature");
    accepted("False", "RetrievePayload", &message)
}

fn refused(version: &str, image: &str, item: &str) -> Value {
    let message = named("Preconditions failed for payload loaded", version, image, &format!(": {item}"));
    accepted("False", "PreconditionChecks", &message)
}

fn cluster(request: &Value, conditions: &[Value], observed: i64) -> ClusterVersion {
    testing::cluster_version_from(json!({
        "metadata": {"generation": 4},
        "spec": {
            "channel": "stable-4.21",
            "desiredUpdate": request,
            "overrides": [{"kind": "A", "name": "a", "unmanaged": true}],
        },
        "status": {
            "observedGeneration": observed,
            "desired": {"version": "4.21.1", "image": "one"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one"}],
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditions": conditions,
        },
    }))
}

fn version() -> Value {
    json!({"version": "4.21.2", "image": "", "force": false})
}

#[rstest]
#[case::retrieve(version(), retrieve("4.21.2", TWO), 4, Some(Refused(Step::RetrievePayload)))]
#[case::while_refused_the_generation_is_not_observed(
    version(),
    retrieve("4.21.2", TWO),
    3,
    Some(Refused(Step::RetrievePayload))
)]
#[case::of_another_version(version(), retrieve("4.21.3", THREE), 4, None)]
#[case::of_another_image(json!({"version": "4.21.2", "image": TWO}), retrieve("4.21.2", THREE), 4, None)]
#[case::of_another_image_alone(json!({"image": TWO}), retrieve("", THREE), 4, None)]
#[case::by_digest(json!({"image": MIRROR}), retrieve("", TWO), 3, Some(Refused(Step::RetrievePayload)))]
#[case::names_nothing(version(), accepted("False", "RetrievePayload", "no"), 4, Some(Refused(Step::RetrievePayload)))]
#[case::names_nothing_and_is_old(version(), accepted("False", "RetrievePayload", "no"), 3, None)]
#[case::names_nothing_and_nothing_says_when(
    version(),
    accepted("False", "RetrievePayload", ""),
    0,
    Some(Refused(Step::RetrievePayload))
)]
#[case::names_only_what_is_not_asked(json!({"image": TWO}), accepted("False", "X", "version=\"4.21.3\""), 3, None)]
#[case::another_version(
    version(), accepted("False", "VerifyPayloadVersion", &named("Verifying payload failed", "4.21.2", TWO, " failure=4.21.3")), 3,
    Some(Refused(Step::VerifyPayloadVersion)))]
#[case::overrides(version(), refused("4.21.2", TWO, OVERRIDES), 3, Some(RefusedForOverrides))]
#[case::a_rollback(version(), refused("4.21.2", TWO, ROLLBACK), 3, Some(Refused(Step::PreconditionChecks)))]
#[case::unreadable(version(), refused("4.21.2", TWO, "no item"), 3, Some(Refused(Step::PreconditionChecks)))]
#[case::a_step_of_later(version(), accepted("False", "LoadPayload", &named("x", "4.21.2", TWO, "")), 3, Some(Refused(Step::NotAccepted)))]
#[case::pending(version(), accepted("Unknown", "RetrievePayload", &named("Retrieving", "4.21.2", TWO, "")), 3, Some(Undecided))]
#[case::accepted(version(), accepted("True", "PayloadLoaded", &named("Payload loaded", "4.21.2", TWO, "")), 4, Some(Accepted))]
#[case::the_current_one_is_accepted(version(), accepted("True", "PayloadLoaded", &named("Payload loaded", "4.21.1", "one", "")), 4, None)]
#[case::another_architecture(
    json!({"version": "4.21.1", "architecture": "Multi"}),
    accepted("True", "PayloadLoaded", &named("Payload loaded", "4.21.1", "one", "")), 4, None)]
#[case::nothing_asked(json!(null), retrieve("4.21.2", TWO), 4, None)]
#[case::cleared(json!({"version": "", "image": ""}), retrieve("4.21.2", TWO), 4, None)]
fn release_accepted_counts_where_it_is_about_the_request(
    #[case] request: Value,
    #[case] condition: Value,
    #[case] observed: i64,
    #[case] expected: Option<Standing>,
) {
    assert_eq!(word(&cluster(&request, &[condition], observed)).map(standing), expected);
}

#[rstest]
#[case::version(version(), "spec.desiredUpdate.version: Invalid value: \"4.21.2\": no", 3, true)]
#[case::another_version(version(), "spec.desiredUpdate.version: Invalid value: \"4.21.9\": no", 4, false)]
#[case::image(json!({"image": "a b"}), "spec.desiredUpdate.image: Invalid value: \"a b\": no", 3, true)]
#[case::another_image(json!({"image": TWO}), "spec.desiredUpdate.image: Invalid value: \"a b\": no", 4, false)]
#[case::the_whole_request(version(), "spec.desiredUpdate: Required value: no", 4, true)]
#[case::the_whole_of_an_earlier_one(version(), "spec.desiredUpdate: Required value: no", 3, false)]
#[case::the_image_has_come_since(
    json!({"version": "4.21.2", "image": TWO}), "spec.desiredUpdate.version: Invalid value: \"4.21.2\": no", 3, false)]
#[case::another_field(version(), "The cluster version is invalid: spec.upstream: Invalid value: \"x\"", 4, false)]
#[case::two_fields(
    version(),
    "The cluster version is invalid:\n* spec.upstream: Invalid value: \"x\"\n* spec.desiredUpdate.version: Invalid value: \"4.21.2\": no",
    4,
    true
)]
#[case::names_nothing(version(), "", 4, true)]
#[case::names_nothing_and_is_old(version(), "", 3, false)]
fn invalid_counts_where_it_is_about_the_request(
    #[case] request: Value,
    #[case] message: &str,
    #[case] observed: i64,
    #[case] expected: bool,
) {
    let cluster_version = cluster(&request, &[invalid(message)], observed);
    let expected = expected.then_some(Refused(Step::Invalid));
    assert_eq!(word(&cluster_version).map(standing), expected);
}

fn judge(cluster_version: &ClusterVersion, target: Target) -> TargetVerdict {
    let mut snapshot = testing::snapshot(cluster_version.clone());
    snapshot.targets = vec![target];
    evaluate(&snapshot).targets.remove(0)
}

fn failures(target_verdict: &TargetVerdict) -> Vec<(&str, &str)> {
    target_verdict.failures.iter().map(|failure| (failure.name, failure.reason.as_str())).collect()
}

#[rstest]
#[case::invalid(invalid("spec.desiredUpdate.version: Invalid value: \"4.21.2\": no"), &[("Invalid", "InvalidClusterVersion")])]
#[case::retrieve(retrieve("4.21.2", TWO), &[("RetrievePayload", "RetrievePayload")])]
#[case::a_rollback(refused("4.21.2", TWO, ROLLBACK), &[("PreconditionChecks", "PreconditionChecks")])]
#[case::later(accepted("False", "LoadPayload", ""), &[("ReleaseAccepted", "LoadPayload")])]
#[case::overrides(refused("4.21.2", TWO, OVERRIDES), &[])]
#[case::of_another(retrieve("4.21.3", THREE), &[])]
fn what_the_cluster_refuses_is_blocked(#[case] condition: Value, #[case] expected: &[(&str, &str)]) {
    let cluster_version = cluster(&version(), &[condition], 4);
    assert_eq!(failures(&judge(&cluster_version, Target::requested(&cluster_version).unwrap())), expected);
}

#[test]
fn our_own_word_does_not_block() {
    let mut cluster_version = cluster(&version(), &[retrieve("4.21.2", TWO)], 4);
    let owner = json!([{"manager": "upgrade-gate",
        "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"ReleaseAccepted\"}": {"f:status": {}}}}}}]);
    cluster_version.metadata.managed_fields = serde_json::from_value(owner).unwrap();
    let request = Target::requested(&cluster_version).unwrap();
    assert_eq!(judge(&cluster_version, request.clone()).decision(), Decision::Allowed);
    let snapshot = crate::gate::Snapshot {
        authority: Authority::Sole,
        targets: vec![request],
        ..testing::snapshot(cluster(&version(), &[retrieve("4.21.2", TWO)], 4))
    };
    assert_eq!(evaluate(&snapshot).targets[0].decision(), Decision::Allowed);
}

#[rstest]
#[case::its_version("4.21.2", "RetrievePayload", &[("RetrievePayload", "RetrievePayload")])]
#[case::its_image(MIRROR, "RetrievePayload", &[("RetrievePayload", "RetrievePayload")])]
#[case::another_version("4.21.3", "RetrievePayload", &[])]
#[case::only_asked_otherwise("4.21.2", "LoadPayload", &[])]
fn what_is_named_is_blocked_where_its_image_is_refused(
    #[case] argument: &str,
    #[case] reason: &str,
    #[case] expected: &[(&str, &str)],
) {
    let condition = accepted("False", reason, &named("x", "4.21.2", TWO, ""));
    assert_eq!(failures(&judge(&cluster(&version(), &[condition], 4), Target::named(argument))), expected);
}

#[rstest]
#[case::a_patch("4.21.2", THREE, THREE, "4.21.2 patch Allowed")]
#[case::a_mirrors_name("4.21.2", TWO, MIRROR, "4.21.2 patch Allowed")]
#[case::a_minor("4.22.0", THREE, THREE, "4.22.0 minor Blocked")]
#[case::another_digest("4.21.3", THREE, &THREE.replace(":3", ":4"), " unknown Blocked")]
#[case::the_lists_say_otherwise("4.21.3", TWO, TWO, "4.21.2 patch Blocked")]
fn an_image_has_the_version_that_the_cvo_has_read(
    #[case] version: &str,
    #[case] loaded: &str,
    #[case] asked: &str,
    #[case] expected: &str,
) {
    let request = json!({"image": asked, "version": ""});
    let cluster_version = cluster(&request, &[refused(version, loaded, OVERRIDES)], 3);
    for target in [Target::requested(&cluster_version).unwrap(), Target::named(asked)] {
        let target_verdict = judge(&cluster_version, target);
        let seen = format!(
            "{} {} {:?}",
            target_verdict.release.version,
            target_verdict.update_type.as_str(),
            target_verdict.decision()
        );
        assert_eq!(seen, expected);
    }
}

#[test]
fn only_a_verified_digest_gives_a_version() {
    let tag = "r.example/ocp:latest";
    let unverified = named("Retrieving payload failed", "4.21.2", THREE, " failure=x");
    let rows = [
        (tag, refused("4.21.2", tag, OVERRIDES)),
        (THREE, accepted("False", "RetrievePayload", &unverified)),
        (
            THREE,
            accepted("True", "PreconditionChecks", refused("4.21.2", THREE, OVERRIDES)["message"].as_str().unwrap()),
        ),
    ];
    for (asked, condition) in rows {
        let cluster_version = cluster(&json!({"image": asked}), &[condition], 3);
        let target_verdict = judge(&cluster_version, Target::requested(&cluster_version).unwrap());
        assert_eq!(target_verdict.release.version, "", "{asked}");
        assert_eq!(target_verdict.decision(), Decision::Blocked);
    }
}

#[test]
fn what_the_cluster_runs_is_no_update() {
    let runs = |request: &Value, state: &str| {
        let mut cluster_version = cluster(request, &[], 4);
        let entry = json!([{"state": state, "version": "4.21.1", "image": "one"}]);
        cluster_version.status.as_mut().unwrap().history = serde_json::from_value(entry).unwrap();
        let target_verdict = judge(&cluster_version, Target::requested(&cluster_version).unwrap());
        (target_verdict.is_current, target_verdict.update_type.as_str(), target_verdict.accepted_risks.len())
    };
    assert_eq!(runs(&json!({"version": "4.21.1", "image": "one"}), "Completed"), (true, "same", 0));
    assert_eq!(runs(&json!({"version": "4.21.1"}), "Completed"), (true, "same", 0));
    assert_eq!(runs(&json!({"image": "one", "force": true}), "Completed"), (true, "same", 0));
    // The update to it is still running, under the risks that were accepted for it.
    assert_eq!(runs(&json!({"version": "4.21.1", "image": "one"}), "Partial"), (true, "same", 2));
    assert_eq!(runs(&json!({"version": "4.21.1", "image": THREE}), "Completed"), (false, "same", 2));
    assert_eq!(runs(&json!({"version": "4.21.1", "architecture": "Multi"}), "Completed"), (false, "same", 2));
}

#[rstest]
#[case::nowhere("4.21.9", Authority::Shared, &[("Invalid", "InvalidClusterVersion")])]
#[case::conditional("4.21.5", Authority::Shared, &[("Invalid", "InvalidClusterVersion")])]
#[case::several("4.21.4", Authority::Shared, &[("Invalid", "InvalidClusterVersion")])]
#[case::history("4.21.0", Authority::Shared, &[("RetrievePayload", "RetrievePayload")])]
#[case::available("4.21.2", Authority::Shared, &[])]
#[case::our_gate_alone("4.21.5", Authority::Sole, &[("RetrievePayload", "RetrievePayload")])]
fn a_request_for_a_version_alone(
    #[case] version: &str,
    #[case] authority: Authority,
    #[case] expected: &[(&str, &str)],
) {
    let release = |version: &str, image: &str| json!({"version": version, "image": image});
    let cluster_version = testing::cluster_version_from(json!({
        "spec": {"channel": "c", "desiredUpdate": {"version": version}},
        "status": {
            "desired": {"version": "4.21.1", "image": "one"},
            "availableUpdates": [release("4.21.2", TWO), release("4.21.4", TWO), release("4.21.4", TWO)],
            "conditionalUpdates": [{"release": release("4.21.5", TWO)}],
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one"},
                        {"state": "Completed", "version": "4.21.0", "image": TWO}],
        },
    }));
    let requested = Target::requested(&cluster_version).unwrap();
    let mut snapshot = testing::snapshot(cluster_version);
    snapshot.authority = authority;
    snapshot.cluster_operators = Source::NotServed;
    snapshot.targets = vec![requested, Target::named(version)];
    let verdict = evaluate(&snapshot);
    assert_eq!(failures(&verdict.targets[0]), expected);
    if authority == Authority::Shared {
        assert_eq!(verdict.targets[1].decision(), Decision::Allowed, "--to is judged as if its image were named");
    }
}
