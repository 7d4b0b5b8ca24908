//! What the cluster itself says of `spec.desiredUpdate`: the conditions `Invalid` and `ReleaseAccepted`, as far as they
//! are about the request as it is now.
//!
//! A condition stays until the cluster-version operator writes it again, so one that names another version or digest
//! is about an earlier request. `observedGeneration` decides only where the message names neither: it doesn't move
//! while a request is refused.

use std::borrow::Cow;

use super::{
    Step, Target,
    cvo_message::{self, PreconditionMessage},
    release::{is_pinned, same_image},
};
use crate::api::{
    ClusterVersion, Condition, ConditionStatus,
    names::{condition, reason},
};

/// What follows from the condition that [`word`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The release is accepted.
    Accepted,
    /// The release is being retrieved or verified.
    Undecided,
    /// The CVO's own rule on overrides refuses it, and no other.
    RefusedForOverrides,
    /// It is refused at this step.
    Refused(Step),
}

/// The condition that is about the request as it is now; `None` where nothing is asked for, or where no condition is.
#[must_use]
pub fn word(cluster_version: &ClusterVersion) -> Option<&Condition> {
    let request = Target::requested(cluster_version)?;
    let invalid = cluster_version
        .condition(condition::INVALID)
        .filter(|found| found.status == ConditionStatus::True && is_invalid_now(cluster_version, &request, found));
    invalid.or_else(|| {
        let found = cluster_version.condition(condition::RELEASE_ACCEPTED)?;
        is_about(cluster_version, &request, found).then_some(found)
    })
}

/// What follows from that condition.
#[must_use]
pub fn standing(word: &Condition) -> Standing {
    if word.kind == condition::INVALID {
        return Standing::Refused(Step::Invalid);
    }
    match word.status {
        ConditionStatus::True => Standing::Accepted,
        ConditionStatus::Unknown => Standing::Undecided,
        ConditionStatus::False => match word.reason.as_str() {
            reason::RETRIEVE_PAYLOAD => Standing::Refused(Step::RetrievePayload),
            reason::VERIFY_PAYLOAD_VERSION => Standing::Refused(Step::VerifyPayloadVersion),
            reason::PRECONDITION_CHECKS => {
                let message = cvo_message::parse(&word.message);
                if message.is_some_and(|message| message.blocks_for_overrides_alone()) {
                    Standing::RefusedForOverrides
                } else {
                    Standing::Refused(Step::PreconditionChecks)
                }
            }
            _ => Standing::Refused(Step::NotAccepted),
        },
    }
}

/// The message by which a CVO refuses a release that it has loaded, if that is what `ReleaseAccepted` says.
#[must_use]
pub fn loaded(cluster_version: &ClusterVersion) -> Option<PreconditionMessage<'_>> {
    let found = cluster_version.condition(condition::RELEASE_ACCEPTED)?;
    let is_refusal = found.status == ConditionStatus::False && found.reason == reason::PRECONDITION_CHECKS;
    cvo_message::parse(&found.message).filter(|_| is_refusal)
}

/// A target that is an image alone, with the version that the CVO has read from that very digest. The message names a
/// digest only after its signature was verified, so it is as good as a list.
#[must_use]
pub fn with_loaded_version<'a>(cluster_version: &ClusterVersion, target: &'a Target) -> Cow<'a, Target> {
    if target.version.is_empty()
        && is_pinned(&target.image)
        && let Some(message) = loaded(cluster_version)
        && is_pinned(message.image)
        && same_image(message.image, &target.image)
    {
        return Cow::Owned(Target { version: message.version.to_owned(), ..target.clone() });
    }
    Cow::Borrowed(target)
}

/// Whether the condition names that very image.
#[must_use]
pub fn names_image(word: &Condition, image: &str) -> bool {
    !image.is_empty() && cvo_message::names(&word.message).1.is_some_and(|named| same_image(named, image))
}

fn is_about(cluster_version: &ClusterVersion, request: &Target, found: &Condition) -> bool {
    let (version, image) = cvo_message::names(&found.message);
    let versions = version.filter(|_| !request.version.is_empty()).map(|version| version == request.version);
    let images = image.filter(|_| !request.image.is_empty()).map(|image| same_image(image, &request.image));
    match (versions, images) {
        (None, None) => is_observed(cluster_version),
        (versions, images) => {
            // The release of another architecture has the same version.
            let is_of_another_architecture = found.status == ConditionStatus::True
                && !request.architecture.is_empty()
                && request.architecture != cluster_version.desired().architecture;
            versions != Some(false) && images != Some(false) && !is_of_another_architecture
        }
    }
}

/// Errors read `spec.desiredUpdate.version: Invalid value: "4.21.9": …`. Other fields than the request's may be invalid.
fn is_invalid_now(cluster_version: &ClusterVersion, request: &Target, found: &Condition) -> bool {
    const REQUEST: &str = "spec.desiredUpdate";
    let message = &found.message;
    if !message.contains(REQUEST) {
        let is_about_another_field = ["spec.", "metadata."].iter().any(|field| message.contains(field));
        return !is_about_another_field && is_observed(cluster_version);
    }
    let value = |field: &str| cvo_message::value_after(message, &format!("{REQUEST}.{field}: Invalid value: "));
    let (version, image, architecture) = (value("version"), value("image"), value("architecture"));
    if version.is_none() && image.is_none() && architecture.is_none() {
        return is_observed(cluster_version);
    }
    let agrees = |value: Option<&str>, asked: &str| value.is_none_or(|value| value == asked);
    let agree = agrees(version, &request.version)
        && agrees(image, &request.image)
        && agrees(architecture, &request.architecture);
    // A version that no image came with may have got one since.
    let may_have_changed = version.is_some() && image.is_none() && !request.image.is_empty();
    agree && (!may_have_changed || is_observed(cluster_version))
}

/// Whether the status is of the spec as it is now, or nothing says that it isn't.
fn is_observed(cluster_version: &ClusterVersion) -> bool {
    let generation = cluster_version.metadata.generation;
    let observed = cluster_version.status.as_ref().map_or(0, |status| status.observed_generation);
    generation == 0 || observed == 0 || observed >= generation
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::{Standing::*, *};
    use crate::gate::{Authority, Decision, Judgement, Source, evaluate, testing};

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
    #[case::names_nothing(
        version(),
        accepted("False", "RetrievePayload", "no"),
        4,
        Some(Refused(Step::RetrievePayload))
    )]
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

    fn judge(cluster_version: &ClusterVersion, target: Target) -> Judgement {
        let mut snapshot = testing::snapshot(cluster_version.clone());
        snapshot.targets = vec![target];
        evaluate(&snapshot).targets.remove(0)
    }

    fn failures(judgement: &Judgement) -> Vec<(&str, &str)> {
        judgement.failures.iter().map(|failure| (failure.name, failure.reason.as_str())).collect()
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
            let judgement = judge(&cluster_version, target);
            let seen =
                format!("{} {} {:?}", judgement.release.version, judgement.update_type.as_str(), judgement.decision());
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn only_a_verified_digest_tells_a_version() {
        let tag = "r.example/ocp:latest";
        let unverified = named("Retrieving payload failed", "4.21.2", THREE, " failure=x");
        let rows = [
            (tag, refused("4.21.2", tag, OVERRIDES)),
            (THREE, accepted("False", "RetrievePayload", &unverified)),
            (
                THREE,
                accepted(
                    "True",
                    "PreconditionChecks",
                    refused("4.21.2", THREE, OVERRIDES)["message"].as_str().unwrap(),
                ),
            ),
        ];
        for (asked, condition) in rows {
            let cluster_version = cluster(&json!({"image": asked}), &[condition], 3);
            let judgement = judge(&cluster_version, Target::requested(&cluster_version).unwrap());
            assert_eq!(judgement.release.version, "", "{asked}");
            assert_eq!(judgement.decision(), Decision::Blocked);
        }
    }

    #[test]
    fn what_the_cluster_runs_is_no_update() {
        let runs = |request: &Value, state: &str| {
            let mut cluster_version = cluster(request, &[], 4);
            let entry = json!([{"state": state, "version": "4.21.1", "image": "one"}]);
            cluster_version.status.as_mut().unwrap().history = serde_json::from_value(entry).unwrap();
            let judgement = judge(&cluster_version, Target::requested(&cluster_version).unwrap());
            (judgement.is_current, judgement.update_type.as_str(), judgement.accepted_risks.len())
        };
        assert_eq!(runs(&json!({"version": "4.21.1", "image": "one"}), "Completed"), (true, "same", 0));
        assert_eq!(runs(&json!({"version": "4.21.1"}), "Completed"), (true, "same", 0));
        assert_eq!(runs(&json!({"image": "one", "force": true}), "Completed"), (true, "same", 0));
        // The update to it is still running, under the risks that were accepted for it.
        assert_eq!(runs(&json!({"version": "4.21.1", "image": "one"}), "Partial"), (true, "same", 2));
        assert_eq!(runs(&json!({"version": "4.21.1", "image": "other"}), "Completed"), (false, "same", 2));
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
                "availableUpdates": [release("4.21.2", TWO), release("4.21.4", "a"), release("4.21.4", "b")],
                "conditionalUpdates": [{"release": release("4.21.5", "five")}],
                "history": [{"state": "Completed", "version": "4.21.1", "image": "one"},
                            {"state": "Completed", "version": "4.21.0", "image": "zero"}],
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
}
