//! What the cluster reports about `spec.desiredUpdate`: the conditions `Invalid` and `ReleaseAccepted`, if they are about the
//! current request.
//!
//! A condition stays until the cluster-version operator writes it again, so one that names another version or digest
//! is about an earlier request. `observedGeneration` decides only if the message names neither, because it does not change
//! while a request is refused.

use std::borrow::Cow;

use crate::{
    api::{
        ClusterVersion, Condition, ConditionStatus, Generation,
        names::{condition, reason},
    },
    gate::{
        Step, Target,
        cvo_message::{self, PreconditionMessage},
        release::{is_pinned, same_image},
    },
};

/// What follows from the condition that [`word`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The release is accepted.
    Accepted,
    /// The release is being retrieved or verified.
    Undecided,
    /// It is refused for overrides alone.
    RefusedForOverrides,
    /// It is refused at this step.
    Refused(Step),
}

/// The condition that is about the current request; `None` if nothing is requested, or no condition is about it.
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

/// The message by which a CVO refuses a release that it has loaded, if `ReleaseAccepted` contains one.
#[must_use]
pub fn loaded(cluster_version: &ClusterVersion) -> Option<PreconditionMessage<'_>> {
    let found = cluster_version.condition(condition::RELEASE_ACCEPTED)?;
    let is_refusal = found.status == ConditionStatus::False && found.reason == reason::PRECONDITION_CHECKS;
    cvo_message::parse(&found.message).filter(|_| is_refusal)
}

/// A target that is an image alone, with the version that the CVO has read from that digest. The message names a digest only
/// after its signature was verified, so it is as reliable as a list.
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
    // The CVO may have added the image to a request that had none.
    let may_have_changed = version.is_some() && image.is_none() && !request.image.is_empty();
    agree && (!may_have_changed || is_observed(cluster_version))
}

/// Whether the status is about the current spec, as far as is known.
fn is_observed(cluster_version: &ClusterVersion) -> bool {
    let unknown = Generation::default();
    let generation = cluster_version.metadata.generation;
    let observed = cluster_version.status.as_ref().map_or(unknown, |status| status.observed_generation);
    generation == unknown || observed == unknown || observed >= generation
}

#[cfg(test)]
mod tests;
