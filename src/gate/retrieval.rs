//! What every cluster-version operator (CVO) refuses before it loads a release, whatever the cluster knows about it.
//!
//! A request for a version that is not `SemVer` is invalid, even with an image or a force. An image whose reference is
//! malformed cannot be pulled. The CVO looks the signature up by the digest, so it takes an image by tag only with a force.

use semver::Version;

use crate::{
    api::ClusterVersion,
    gate::{Origin, TargetVerdict, message, release, suggest},
};

/// Why a request is invalid for its version, although its image is named or listed.
pub(super) fn invalid_version(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> Option<String> {
    let target = &target_verdict.target;
    if target.origin != Origin::Requested || target.version.is_empty() || target_verdict.is_current {
        return None;
    }
    let error = Version::parse(&target.version).err()?;
    Some(message::target::invalid_version(cluster_version, &target.version, &error))
}

/// Why the image cannot be retrieved; `None` if that is not known before it is tried.
pub(super) fn unretrievable(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> Option<String> {
    let image = &target_verdict.release.image;
    if image.is_empty() || target_verdict.is_current {
        return None;
    }
    if let Some(problem) = suggest::digest_problem(image) {
        return Some(message::target::malformed_digest(cluster_version, image, &problem));
    }
    // The command for `VERSION@sha256:…` has a placeholder for a repository that is not known.
    let target = &target_verdict.target;
    let lacks_repository = target.origin == Origin::Named && !target.version.is_empty() && image.starts_with('@');
    if !lacks_repository && let Some(problem) = suggest::name_problem(image) {
        return Some(message::target::malformed_name(cluster_version, image, &problem));
    }
    let is_verifiable = release::digest(image).is_some() || target.force;
    (!is_verifiable).then(|| message::target::no_digest(image))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::gate::{
        Authority, Step, evaluate,
        testing::{TWO, requested},
    };

    const MIRROR: &str = "mirror.example.com:5000/ocp/release";
    const NINE: &str = "9999999999999999999999999999999999999999999999999999999999999999";

    /// The step that refuses a request without an override, if one does.
    fn refused(request: &Value, authority: Authority) -> Option<&'static str> {
        let mut snapshot = requested(&json!({
            "spec": {"channel": "c", "desiredUpdate": request},
            "status": {
                "desired": {"version": "4.21.1", "image": "r.example.com/release:4.21.1"},
                "history": [{"state": "Completed", "version": "4.21.1", "image": "r.example.com/release:4.21.1"}],
                "availableUpdates": [{"version": "4.21.2", "image": TWO}, {"version": "nightly", "image": TWO},
                                     {"version": "4.21.3", "image": "r.example.com/release:4.21.3"}],
            },
        }));
        snapshot.authority = authority;
        evaluate(&snapshot).request().unwrap().failed_step.map(Step::reason)
    }

    #[rstest]
    #[case::fine(json!({"version": "4.21.9", "image": format!("{MIRROR}@sha256:{NINE}")}), None)]
    #[case::listed(json!({"version": "4.21.2"}), None)]
    #[case::listed_by_tag(json!({"version": "4.21.3"}), Some("RetrievePayload"))]
    #[case::by_tag(json!({"version": "4.21.9", "image": format!("{MIRROR}:4.21.9")}), Some("RetrievePayload"))]
    #[case::by_tag_forced(json!({"version": "4.21.9", "image": format!("{MIRROR}:4.21.9"), "force": true}), None)]
    #[case::what_runs(json!({"image": "r.example.com/release:4.21.1"}), None)]
    #[case::cut_off(json!({"version": "4.21.9", "image": format!("{MIRROR}@sha256:{}", &NINE[1..])}), Some("RetrievePayload"))]
    #[case::cut_off_forced(
        json!({"version": "4.21.9", "image": format!("{MIRROR}@sha256:{}", &NINE[1..]), "force": true}), Some("RetrievePayload")
    )]
    #[case::in_capitals(json!({"version": "4.21.9", "image": format!("{MIRROR}@sha256:{}", NINE.replace('9', "F"))}), Some("RetrievePayload"))]
    #[case::scheme(json!({"version": "4.21.9", "image": format!("docker://{MIRROR}@sha256:{NINE}")}), Some("RetrievePayload"))]
    #[case::not_semver(json!({"version": "4.21", "image": format!("{MIRROR}@sha256:{NINE}")}), Some("Invalid"))]
    #[case::not_semver_forced(json!({"version": "4.21", "image": format!("{MIRROR}@sha256:{NINE}"), "force": true}), Some("Invalid"))]
    #[case::not_semver_and_listed(json!({"version": "nightly", "force": true}), Some("Invalid"))]
    #[case::an_image_alone_forced(json!({"image": format!("{MIRROR}@sha256:{NINE}"), "force": true}), None)]
    fn what_a_cvo_refuses_before_it_loads_the_release(#[case] request: Value, #[case] expected: Option<&str>) {
        assert_eq!(refused(&request, Authority::Shared), expected);
    }

    #[test]
    fn where_our_gate_is_alone_nobody_looks_a_signature_up() {
        let by_tag = json!({"version": "4.21.9", "image": format!("{MIRROR}:4.21.9")});
        assert_eq!(refused(&by_tag, Authority::Sole), None);
    }
}
