//! The bridge: whether a patch update, or a rollback to the previous version, that a stock CVO refuses for overrides
//! alone is forced past it. Beside the removal of that force it is the only write to `spec`, so each condition that
//! speaks against it has a name.

pub mod skip_reason;
pub mod unforce;

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation, TestOperation};
use serde_json::{Value, json};

use crate::{
    api::{
        ConditionStatus, HistoryState,
        names::{condition, reason},
    },
    gate::{
        Decision, Origin, Snapshot, Target, TargetVerdict, UpdateType, cvo_message, evaluate,
        release::{is_pinned, same_image},
        update::same_minor,
    },
    plan::{bridge::skip_reason::SkipReason, patch::pointer},
};

/// A request that may be forced, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ForcePatch {
    /// Our own verdict on the release that the CVO has loaded.
    pub target_verdict: TargetVerdict,
    /// JSON patch on the spec: `force`, and `image` pinned to the digest.
    pub patch: Patch,
}

/// Decides whether the pending request is forced past the CVO. `policy` says whether the admission policy and a
/// binding that denies are installed.
///
/// # Errors
/// The first condition that doesn't hold.
pub fn decide(snapshot: &Snapshot, policy: bool) -> Result<ForcePatch, SkipReason> {
    let cluster_version = &snapshot.cluster_version;
    let Some(request) = &cluster_version.spec.desired_update else { return Err(SkipReason::NoRequest) };
    if request.version.is_empty() && request.image.is_empty() {
        return Err(SkipReason::NoRequest);
    }
    if request.force {
        return Err(SkipReason::Forced);
    }
    if !request.architecture.is_empty() {
        return Err(SkipReason::Architecture);
    }
    if !request.mode.is_empty() || has_unknown_fields(&request.raw) {
        return Err(SkipReason::UnknownFields);
    }
    if cluster_version.condition(condition::INVALID).is_some_and(|invalid| invalid.status == ConditionStatus::True) {
        return Err(SkipReason::Invalid);
    }
    let refused = cluster_version
        .condition(condition::RELEASE_ACCEPTED)
        .filter(|found| found.status == ConditionStatus::False && found.reason == reason::PRECONDITION_CHECKS)
        .ok_or(SkipReason::NotRefused)?;
    let told = cvo_message::parse(&refused.message).ok_or(SkipReason::MessageUnreadable)?;
    let same_version = request.version.is_empty() || request.version == told.version;
    let same_image = request.image.is_empty() || (is_pinned(&request.image) && same_image(&request.image, told.image));
    if !same_version || !same_image || !is_pinned(told.image) {
        return Err(SkipReason::MessageOfAnother);
    }
    // Before the items: those of a minor name our own ClusterOperator among the reasons.
    let target_verdict = judge(snapshot, told.version, told.image);
    if let Some(why) = is_no_patch(target_verdict.update_type) {
        return Err(SkipReason::NotPatch(why));
    }
    if !told.blocks_for_overrides_alone() {
        return Err(SkipReason::OtherPrecondition);
    }
    if cluster_version.unmanaged_overrides().next().is_none() {
        return Err(SkipReason::NoOverrides);
    }
    if target_verdict.decision() == Decision::Blocked {
        return Err(SkipReason::Blocked);
    }
    if !is_finished(snapshot) {
        return Err(SkipReason::Unfinished);
    }
    if !policy {
        return Err(SkipReason::NoPolicy);
    }
    let image = if request.image.is_empty() { told.image } else { &request.image };
    let patch = force(&cluster_version.metadata.resource_version, &request.raw, image);
    Ok(ForcePatch { target_verdict, patch })
}

/// Why an update of that type isn't forced; `None` for those that stay within the minor and that a gate without this
/// special case for overrides would let through.
fn is_no_patch(update_type: UpdateType) -> Option<&'static str> {
    match update_type {
        UpdateType::Patch | UpdateType::Rollback => None,
        UpdateType::Minor => {
            Some("This is a minor update, and overrides prevent those: remove them, or set unmanaged: false.")
        }
        UpdateType::Major => {
            Some("This is a major update, and overrides prevent those: remove them, or set unmanaged: false.")
        }
        UpdateType::Downgrade => Some(
            "The release is older than the current one. Only a rollback to the previous version of the same minor is let \
             through.",
        ),
        UpdateType::Same => Some(
            "The release has the version that the cluster runs already. Only patch updates, and a rollback to the previous \
             version, are let through.",
        ),
        UpdateType::Unknown => Some(
            "The current or the requested version isn't a semantic version, so it is not known whether this is a patch \
             update.",
        ),
    }
}

/// Our own verdict on the very release that the CVO has loaded: known lists may contradict its version.
fn judge(snapshot: &Snapshot, version: &str, image: &str) -> TargetVerdict {
    let target = Target {
        version: version.to_owned(),
        image: image.to_owned(),
        architecture: String::new(),
        force: false,
        origin: Origin::Requested,
    };
    let mut verdict = evaluate(&Snapshot { targets: vec![target], ..snapshot.clone() });
    verdict.targets.swap_remove(0)
}

/// Every field but the known ones is empty. `acceptRisks` speaks of recommendations, which never block.
pub(super) fn has_unknown_fields(request: &Value) -> bool {
    const KNOWN: [&str; 6] = ["version", "image", "force", "acceptRisks", "architecture", "mode"];
    let Value::Object(fields) = request else { return true };
    fields.iter().any(|(name, value)| {
        let empty = match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        };
        !KNOWN.contains(&name.as_str()) && !empty
    })
}

/// The newest completed update is of the minor that the cluster is at.
fn is_finished(snapshot: &Snapshot) -> bool {
    let cluster_version = &snapshot.cluster_version;
    let completed = cluster_version.history().iter().find(|entry| entry.state == HistoryState::Completed);
    let parse = |version: &str| semver::Version::parse(version).ok();
    completed
        .and_then(|entry| parse(&entry.version))
        .zip(parse(&cluster_version.desired().version))
        .is_some_and(|(completed, current)| same_minor(&completed, &current))
}

/// The whole request is tested, which holds version, image and force, absent ones included.
fn force(resource_version: &str, request: &Value, image: &str) -> Patch {
    Patch(vec![
        PatchOperation::Test(TestOperation { path: pointer("/spec/desiredUpdate"), value: request.clone() }),
        PatchOperation::Replace(ReplaceOperation {
            path: pointer("/metadata/resourceVersion"),
            value: json!(resource_version),
        }),
        PatchOperation::Add(AddOperation { path: pointer("/spec/desiredUpdate/image"), value: json!(image) }),
        PatchOperation::Add(AddOperation { path: pointer("/spec/desiredUpdate/force"), value: json!(true) }),
    ])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        api::ClusterVersion,
        gate::{Authority, Source},
    };

    const TWO: &str = "r.example.com/release@sha256:2222222222222222222222222222222222222222222222222222222222222222";
    const MIRROR: &str = "mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
    const THREE: &str = "r.example.com/release@sha256:3333333333333333333333333333333333333333333333333333333333333333";
    const OVERRIDES: &str =
        "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text";

    fn message(version: &str, image: &str, items: &[&str]) -> String {
        let head = format!("Preconditions failed for payload loaded version=\"{version}\" image=\"{image}\": ");
        match items {
            [one] => format!("{head}{one}"),
            several => format!("{head}Multiple precondition checks failed:\n* {}", several.join("\n* ")),
        }
    }

    /// A cluster on which a stock CVO of 4.21 refuses 4.21.2 for overrides alone.
    fn refused() -> Value {
        json!({
            "metadata": {"resourceVersion": "7", "uid": "u", "generation": 3},
            "spec": {
                "channel": "stable-4.21",
                "desiredUpdate": {"version": "4.21.2", "image": TWO, "force": false, "architecture": ""},
                "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}],
            },
            "status": {
                "desired": {"version": "4.21.1", "image": "one"},
                "history": [{"state": "Completed", "version": "4.21.1", "image": "one"}],
                "availableUpdates": [{"version": "4.21.2", "image": TWO}],
                "conditions": [
                    {"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverridesSet"},
                    {"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks",
                     "message": message("4.21.2", TWO, &[OVERRIDES])},
                ],
            },
        })
    }

    fn snapshot(object: &Value) -> Snapshot {
        let cluster_version = ClusterVersion::from_value(object.clone()).unwrap();
        Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            targets: Target::requested(&cluster_version).into_iter().collect(),
            cluster_version,
            cluster_operators: Source::Read(Vec::new()),
            admin_gates: Source::Read(Some([].into())),
            admin_acks: Source::Read(Some([].into())),
            authority: Authority::Shared,
        }
    }

    /// What is decided after `changes`, each a JSON pointer and a value; `None` when it is forced.
    fn skip_reason(changes: &[(&str, Value)]) -> Option<SkipReason> {
        let mut object = refused();
        for (path, value) in changes {
            let patch = Patch(vec![PatchOperation::Add(AddOperation { path: pointer(path), value: value.clone() })]);
            json_patch::patch(&mut object, &patch).unwrap();
        }
        decide(&snapshot(&object), true).err()
    }

    const REQUEST: &str = "/spec/desiredUpdate";
    const ACCEPTED: &str = "/status/conditions/1";

    fn told(version: &str, image: &str, items: &[&str]) -> (&'static str, Value) {
        ("/status/conditions/1/message", json!(message(version, image, items)))
    }

    /// The cluster was at 4.21.0 before.
    fn before() -> (&'static str, Value) {
        let entry = |version: &str, image: &str| json!({"state": "Completed", "version": version, "image": image});
        ("/status/history", json!([entry("4.21.1", "one"), entry("4.21.0", THREE), entry("4.20.9", "nine")]))
    }

    /// The same, and the update from there hasn't completed.
    fn unfinished() -> (&'static str, Value) {
        let (path, mut history) = before();
        history[0]["state"] = json!("Partial");
        (path, history)
    }

    fn item(name: &str, reason: &str) -> String {
        format!("Precondition \"{name}\" failed because of \"{reason}\": text")
    }

    #[rstest]
    #[case::version_and_image(&[])]
    #[case::version_only(&[(REQUEST, json!({"version": "4.21.2"}))])]
    #[case::image_only(&[(REQUEST, json!({"image": TWO}))])]
    #[case::image_only_without_an_update_graph(&[(REQUEST, json!({"image": TWO})), ("/status/availableUpdates", json!(null))])]
    #[case::a_mirrors_name(&[(REQUEST, json!({"image": MIRROR})), told("4.21.2", MIRROR, &[OVERRIDES])])]
    #[case::another_name_of_the_digest(&[(REQUEST, json!({"image": MIRROR}))])]
    #[case::not_recommended_as_well(&[told("4.21.2", TWO, &[OVERRIDES, &item("ClusterVersionRecommendedUpdate", "SomeIssue")])])]
    #[case::accepted_risks(&[(REQUEST, json!({"version": "4.21.2", "acceptRisks": [{"name": "A"}]}))])]
    #[case::a_prerelease(&[(REQUEST, json!({"version": "4.21.2-rc.1"})), told("4.21.2-rc.1", THREE, &[OVERRIDES])])]
    #[case::a_rollback_to_the_previous_version(&[before(), (REQUEST, json!({"version": "4.21.0"})), told("4.21.0", THREE, &[OVERRIDES])])]
    #[case::a_rollback_by_image(&[before(), (REQUEST, json!({"image": THREE})), told("4.21.0", THREE, &[OVERRIDES])])]
    #[case::a_rollback_of_an_update_that_did_not_complete(&[unfinished(), (REQUEST, json!({"version": "4.21.0"})), told("4.21.0", THREE, &[OVERRIDES])])]
    #[case::nulls(&[(REQUEST, json!({"version": "4.21.2", "image": null, "force": null, "new": null, "newer": ""}))])]
    fn a_patch_refused_for_overrides_alone_is_forced(#[case] changes: &[(&str, Value)]) {
        assert_eq!(skip_reason(changes), None);
    }

    #[rstest]
    #[case::nothing_asked(&[(REQUEST, json!(null))], SkipReason::NoRequest)]
    #[case::empty(&[(REQUEST, json!({"version": "", "image": ""}))], SkipReason::NoRequest)]
    #[case::forced_by_somebody(&[("/spec/desiredUpdate/force", json!(true))], SkipReason::Forced)]
    #[case::architecture(&[(REQUEST, json!({"version": "4.21.2", "architecture": "Multi"}))], SkipReason::Architecture)]
    #[case::preflight(&[("/spec/desiredUpdate/mode", json!("Preflight"))], SkipReason::UnknownFields)]
    #[case::unknown_field(&[("/spec/desiredUpdate/later", json!(true))], SkipReason::UnknownFields)]
    #[case::invalid(&[("/status/conditions/0", json!({"type": "Invalid", "status": "True"}))], SkipReason::Invalid)]
    #[case::accepted(&[(ACCEPTED, json!({"type": "ReleaseAccepted", "status": "True", "reason": "PayloadLoaded"}))], SkipReason::NotRefused)]
    #[case::undecided(&[("/status/conditions/1/status", json!("Unknown"))], SkipReason::NotRefused)]
    #[case::unverifiable(&[("/status/conditions/1/reason", json!("RetrievePayload"))], SkipReason::NotRefused)]
    #[case::no_condition(&[("/status/conditions", json!([]))], SkipReason::NotRefused)]
    #[case::unreadable(&[("/status/conditions/1/message", json!("no"))], SkipReason::MessageUnreadable)]
    #[case::previous_version(&[told("4.21.3", TWO, &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::previous_image(&[told("4.21.2", THREE, &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::a_tag_in_the_message(&[(REQUEST, json!({"version": "4.21.2"})), told("4.21.2", "r:tag", &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::a_tag_in_both(&[(REQUEST, json!({"image": "r:tag"})), told("4.21.2", "r:tag", &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::upper_case(&[(REQUEST, json!({"image": TWO.replace("sha256:2", "sha256:A")})), told("4.21.2", &TWO.replace("sha256:2", "sha256:A"), &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::short_digest(&[(REQUEST, json!({"version": "4.21.2"})), told("4.21.2", "r@sha256:22", &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::no_name_before_the_digest(&[(REQUEST, json!({"version": "4.21.2"})), told("4.21.2", &TWO[TWO.find('@').unwrap()..], &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::no_reference(&[(REQUEST, json!({"version": "4.21.2"})), told("4.21.2", &format!(": of `a` {TWO}"), &[OVERRIDES])], SkipReason::MessageOfAnother)]
    #[case::another_blocks_too(&[told("4.21.2", TWO, &[OVERRIDES, &item("ClusterVersionRollback", "LowDesiredVersion")])], SkipReason::OtherPrecondition)]
    #[case::another_reason(&[told("4.21.2", TWO, &[&item("ClusterVersionUpgradeable", "MultipleReasons")])], SkipReason::OtherPrecondition)]
    #[case::recommendation_alone(&[told("4.21.2", TWO, &[&item("ClusterVersionRecommendedUpdate", "SomeIssue")])], SkipReason::OtherPrecondition)]
    #[case::overrides_gone(&[("/spec/overrides", json!([]))], SkipReason::NoOverrides)]
    #[case::known_as_another_patch(&[("/status/availableUpdates", json!([{"version": "4.21.9", "image": MIRROR}]))], SkipReason::Blocked)]
    #[case::unfinished_minor(&[("/status/history", json!([{"state": "Partial", "version": "4.21.1"}, {"state": "Completed", "version": "4.20.9"}]))], SkipReason::Unfinished)]
    #[case::never_finished(&[("/status/history", json!([{"state": "Partial", "version": "4.21.1"}]))], SkipReason::Unfinished)]
    fn each_condition_holds_the_force_back(#[case] changes: &[(&str, Value)], #[case] expected: SkipReason) {
        assert_eq!(skip_reason(changes), Some(expected));
    }

    #[rstest]
    #[case::minor_for_several_reasons(&[(REQUEST, json!({"version": "4.22.0"})), told("4.22.0", THREE, &[&item("ClusterVersionUpgradeable", "MultipleReasons")])], "This is a minor update, and")]
    #[case::minor(&[(REQUEST, json!({"version": "4.22.0"})), told("4.22.0", THREE, &[OVERRIDES])], "This is a minor update, and")]
    #[case::minor_by_image(&[(REQUEST, json!({"image": THREE})), told("4.22.0", THREE, &[OVERRIDES])], "This is a minor update, and")]
    #[case::major(&[(REQUEST, json!({"version": "5.0.0"})), told("5.0.0", THREE, &[OVERRIDES])], "This is a major update, and")]
    #[case::older(&[(REQUEST, json!({"version": "4.21.0"})), told("4.21.0", THREE, &[OVERRIDES])], "The release is older than the current one.")]
    #[case::same(&[(REQUEST, json!({"version": "4.21.1"})), told("4.21.1", THREE, &[OVERRIDES])], "The release has the version that the cluster runs already.")]
    #[case::not_semver(&[(REQUEST, json!({"version": "4.2"})), told("4.2", THREE, &[OVERRIDES])], "The current or the requested version isn't a semantic version,")]
    #[case::current_not_semver(&[("/status/desired/version", json!("latest"))], "The current or the requested version isn't a semantic version,")]
    #[case::known_as_a_minor(&[("/status/availableUpdates", json!([{"version": "4.22.0", "image": MIRROR}]))], "This is a minor update, and")]
    #[case::not_the_previous_version(&[before(), ("/status/availableUpdates", json!(null)), (REQUEST, json!({"version": "4.20.9"})), told("4.20.9", TWO, &[OVERRIDES])], "The release is older than the current one.")]
    #[case::the_version_before_the_previous_one(&[before(), ("/status/availableUpdates", json!(null)), (REQUEST, json!({"version": "4.21.0-rc.1"})), told("4.21.0-rc.1", TWO, &[OVERRIDES])], "The release is older than the current one.")]
    fn what_is_neither_patch_nor_rollback_is_called_what_it_is(
        #[case] changes: &[(&str, Value)],
        #[case] expected: &str,
    ) {
        let Some(skip_reason @ SkipReason::NotPatch(why)) = skip_reason(changes) else { panic!("{changes:?}") };
        assert!(why.starts_with(expected), "{why}");
        assert_eq!((skip_reason.as_str(), skip_reason.message()), ("NotPatch", why));
    }

    #[test]
    fn a_rollback_is_judged_and_recorded_as_one() {
        let mut object = refused();
        object["status"]["history"] = before().1;
        object["spec"]["desiredUpdate"] = json!({"version": "4.21.0"});
        object["status"]["conditions"][1]["message"] = json!(message("4.21.0", THREE, &[OVERRIDES]));
        assert_eq!(decide(&snapshot(&object), true).unwrap().target_verdict.update_type, UpdateType::Rollback);
    }

    #[test]
    fn without_the_policy_nothing_is_forced() {
        assert_eq!(decide(&snapshot(&refused()), false).err(), Some(SkipReason::NoPolicy));
    }

    #[test]
    fn the_patch_sets_force_and_pins_the_image_of_the_request_as_it_was_read() {
        let mut object = refused();
        object["spec"]["desiredUpdate"] = json!({"version": "4.21.2"});
        let patch = decide(&snapshot(&object), true).unwrap().patch;
        let mut patched = object.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched["spec"]["desiredUpdate"], json!({"version": "4.21.2", "image": TWO, "force": true}));
        for (field, value) in [("version", json!("4.22.0")), ("image", json!(THREE)), ("force", json!(true))] {
            let mut changed = object.clone();
            changed["spec"]["desiredUpdate"][field] = value;
            assert!(json_patch::patch(&mut changed, &patch).is_err(), "a changed {field} fails the patch");
        }
    }
}
