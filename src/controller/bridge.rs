//! The bridge: whether a patch update that a stock CVO refuses for overrides alone is forced past it. The only write
//! to `spec` that this operator ever makes, so every condition that speaks against it has a name.

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation, TestOperation};
use serde_json::{Value, json};

use super::{cvo_message, patch::pointer};
use crate::{
    api::{
        ConditionStatus, HistoryState,
        names::{condition, precondition, reason},
    },
    gate::{
        Decision, Judgement, Origin, Snapshot, Target, UpdateType, evaluate,
        release::{digest, same_image},
        update::same_minor,
    },
};

/// A request that may be forced, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridging {
    /// Our own verdict on the release that the CVO has loaded.
    pub judgement: Judgement,
    /// JSON patch on the spec: `force`, and `image` pinned to the digest.
    pub patch: Patch,
}

/// Why a request isn't forced; the first that holds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Nothing is asked for.
    NoRequest,
    /// The request has fields whose meaning nobody here knows, or a mode.
    UnknownFields,
    /// The request asks for an architecture, which excludes an image.
    Architecture,
    /// `force` is set already.
    Forced,
    /// The CVO calls the request invalid.
    Invalid,
    /// The CVO doesn't refuse the request for its preconditions.
    NotRefused,
    /// The CVO's message isn't of the shape that is known.
    MessageUnreadable,
    /// The CVO's message is about another request, or doesn't name the image by digest.
    MessageOfAnother,
    /// Something else than overrides blocks as well.
    OtherPrecondition,
    /// No unmanaged override is left, so the CVO will let it through by itself.
    NoOverrides,
    /// By our own comparison it is no patch update.
    NotPatch,
    /// By our own verdict it is blocked.
    Blocked,
    /// A minor or major update hasn't completed.
    Unfinished,
    /// The policy that keeps a `force` from being carried along isn't in force.
    NoPolicy,
}

impl Refusal {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRequest => "NoRequest",
            Self::UnknownFields => "UnknownFields",
            Self::Architecture => "Architecture",
            Self::Forced => "Forced",
            Self::Invalid => "Invalid",
            Self::NotRefused => "NotRefused",
            Self::MessageUnreadable => "MessageUnreadable",
            Self::MessageOfAnother => "MessageOfAnother",
            Self::OtherPrecondition => "OtherPrecondition",
            Self::NoOverrides => "NoOverrides",
            Self::NotPatch => "NotPatch",
            Self::Blocked => "Blocked",
            Self::Unfinished => "Unfinished",
            Self::NoPolicy => "NoPolicy",
        }
    }

    /// Whether a request waits because of this, which an administrator wants to know.
    #[must_use]
    pub fn holds_back(self) -> bool {
        !matches!(self, Self::NoRequest | Self::Forced | Self::NotRefused | Self::NoOverrides)
    }

    /// What an administrator reads.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NoRequest => "No update is asked for.",
            Self::UnknownFields => {
                "The request has fields other than version, image, force and acceptRisks; ask for the update without them."
            }
            Self::Architecture => "The request asks for an architecture; a change of architecture is no patch update.",
            Self::Forced => "The request is forced already.",
            Self::Invalid => "The cluster-version operator calls the request invalid.",
            Self::NotRefused => "The cluster-version operator doesn't refuse the request for its preconditions.",
            Self::MessageUnreadable => "The message of ReleaseAccepted isn't of a shape that can be relied on.",
            Self::MessageOfAnother => {
                "The message of ReleaseAccepted doesn't name the requested release by its digest; if it doesn't within a \
                 minute, ask for the update by version, or by an image with a digest."
            }
            Self::OtherPrecondition => "Something else than overrides blocks the update too; see ReleaseAccepted.",
            Self::NoOverrides => {
                "No override is unmanaged any more; the cluster-version operator decides anew by itself."
            }
            Self::NotPatch => "The update leaves the minor, which overrides prevent.",
            Self::Blocked => "The gate blocks the update.",
            Self::Unfinished => "A minor or major update hasn't completed; wait for it.",
            Self::NoPolicy => {
                "The ValidatingAdmissionPolicy upgrade-gate, or a binding of it that denies, is missing: without it a force \
                 left in spec would carry the next update. Apply deploy/ again."
            }
        }
    }
}

/// Decides whether the pending request is forced past the CVO. `policy` says whether the policy of the door and a
/// binding that denies are installed.
///
/// # Errors
/// The first condition that doesn't hold.
pub fn decide(snapshot: &Snapshot, policy: bool) -> Result<Bridging, Refusal> {
    let cluster_version = &snapshot.cluster_version;
    let Some(request) = &cluster_version.spec.desired_update else { return Err(Refusal::NoRequest) };
    if request.version.is_empty() && request.image.is_empty() {
        return Err(Refusal::NoRequest);
    }
    if request.force {
        return Err(Refusal::Forced);
    }
    if !request.architecture.is_empty() {
        return Err(Refusal::Architecture);
    }
    if !request.mode.is_empty() || has_unknown_fields(&request.raw) {
        return Err(Refusal::UnknownFields);
    }
    if cluster_version.condition(condition::INVALID).is_some_and(|invalid| invalid.status == ConditionStatus::True) {
        return Err(Refusal::Invalid);
    }
    let refused = cluster_version
        .condition(condition::RELEASE_ACCEPTED)
        .filter(|found| found.status == ConditionStatus::False && found.reason == reason::PRECONDITION_CHECKS)
        .ok_or(Refusal::NotRefused)?;
    let told = cvo_message::parse(&refused.message).ok_or(Refusal::MessageUnreadable)?;
    let same_version = request.version.is_empty() || request.version == told.version;
    let same_image = request.image.is_empty() || (is_pinned(&request.image) && same_image(&request.image, told.image));
    if !same_version || !same_image || !is_pinned(told.image) {
        return Err(Refusal::MessageOfAnother);
    }
    let permitted = |item: &cvo_message::Item<'_>| {
        item.name == precondition::RECOMMENDED
            || (item.name == precondition::UPGRADEABLE && item.reason == reason::OVERRIDES_SET)
    };
    if !told.items.iter().all(permitted) || !told.items.iter().any(|item| item.name == precondition::UPGRADEABLE) {
        return Err(Refusal::OtherPrecondition);
    }
    if cluster_version.unmanaged_overrides().next().is_none() {
        return Err(Refusal::NoOverrides);
    }
    let judgement = judge(snapshot, told.version, told.image);
    if judgement.update_type != UpdateType::Patch {
        return Err(Refusal::NotPatch);
    }
    if judgement.decision() == Decision::Blocked {
        return Err(Refusal::Blocked);
    }
    if !is_finished(snapshot) {
        return Err(Refusal::Unfinished);
    }
    if !policy {
        return Err(Refusal::NoPolicy);
    }
    let image = if request.image.is_empty() { told.image } else { &request.image };
    let patch = force(&cluster_version.metadata.resource_version, &request.raw, image);
    Ok(Bridging { judgement, patch })
}

/// Our own verdict on the very release that the CVO has loaded: known lists may contradict its version.
fn judge(snapshot: &Snapshot, version: &str, image: &str) -> Judgement {
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
fn has_unknown_fields(request: &Value) -> bool {
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

/// Whether the reference ends in a digest as registries write it: upper case means something else to them.
fn is_pinned(image: &str) -> bool {
    digest(image).is_some_and(|found| {
        image.ends_with(&found)
            && found
                .strip_prefix("sha256:")
                .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
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
