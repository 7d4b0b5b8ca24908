//! The first stage: whether the pending request may be forced, by the request itself, our own verdict and the message
//! of the CVO. Pure.

use serde_json::Value;

use crate::{
    api::{
        ConditionStatus, HistoryState,
        names::{condition, reason},
    },
    gate::{
        Decision, Origin, Snapshot, Target, TargetVerdict, UpdateType, cvo_message, evaluate_target,
        release::{is_pinned, same_image},
        update::same_minor,
    },
    plan::{bridge::skip_reason::SkipReason, write::ForcePatch},
};

/// A request that may be forced, as far as the request and the CVO's message are concerned. Only [`confirm`] makes a
/// [`ForcePatch`] of it.
///
/// [`confirm`]: super::confirm()
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate(pub(super) ForcePatch);

impl Candidate {
    /// Our own verdict on the release that the CVO has loaded.
    #[must_use]
    pub fn target_verdict(&self) -> &TargetVerdict {
        &self.0.target_verdict
    }
}

/// The first stage: checks the pending request against the snapshot and the message of the CVO.
///
/// # Errors
/// The first condition that doesn't hold.
pub fn candidate(snapshot: &Snapshot) -> Result<Candidate, SkipReason> {
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
    let refusal = cvo_message::parse(&refused.message).ok_or(SkipReason::MessageUnreadable)?;
    let same_version = request.version.is_empty() || request.version == refusal.version;
    let same_image =
        request.image.is_empty() || (is_pinned(&request.image) && same_image(&request.image, refusal.image));
    if !same_version || !same_image || !is_pinned(refusal.image) {
        return Err(SkipReason::MessageOfAnother);
    }
    // Before the items: those of a minor name our own ClusterOperator among the reasons.
    let target_verdict = judge(snapshot, refusal.version, refusal.image);
    if let Some(why) = is_no_patch(target_verdict.update_type) {
        return Err(SkipReason::NotPatch(why));
    }
    if !refusal.blocks_for_overrides_alone() {
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
    let image = if request.image.is_empty() { refusal.image } else { &request.image };
    Ok(Candidate(ForcePatch {
        target_verdict,
        request: request.raw.clone(),
        image: image.to_owned(),
        resource_version: cluster_version.metadata.resource_version.clone(),
    }))
}

/// Why an update of that type isn't forced; `None` for those that stay within the minor and that a gate without this
/// special case for overrides would accept.
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
            "The current or the requested version is not a semantic version, so it is not known whether this is a patch \
             update.",
        ),
    }
}

/// Our own verdict on the very release that the CVO has loaded: known lists may contradict its version. It is evaluated
/// here rather than passed in, so that no caller can pass a verdict on another snapshot.
fn judge(snapshot: &Snapshot, version: &str, image: &str) -> TargetVerdict {
    let target = Target {
        version: version.to_owned(),
        image: image.to_owned(),
        architecture: String::new(),
        force: false,
        origin: Origin::Requested,
    };
    evaluate_target(snapshot, &target)
}

/// Every field but the known ones is empty. `acceptRisks` is about recommendations, which never block.
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
