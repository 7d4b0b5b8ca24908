//! The pure core: a [`Snapshot`] in, a [`Verdict`] out. No client, no clock, no async; everything that a rule
//! reads is in the Snapshot, time included.
//!
//! Risks ([`risks`]) decide whether the cluster may leave its minor; preconditions ([`preconditions`]) decide whether one
//! target is allowed, with the risks as one of their inputs.

pub mod availability;
pub mod cvo_message;
mod image;
pub mod message;
pub mod oc;
pub mod preconditions;
pub mod publication;
pub mod release;
mod remedy;
pub mod request;
mod retrieval;
pub mod risks;
pub mod suggest;
#[cfg(test)]
pub(crate) mod testing;
pub mod update;

use std::{borrow::Cow, collections::BTreeMap};

use crate::api::{
    ClusterOperator, ClusterVersion, Condition, Release,
    names::{self, condition, reason},
    owners_of_condition,
};
pub use release::{Origin, Target, VersionAlone};
pub use remedy::Remedy;
pub use risks::{Risk, Upgradeable};
pub use update::{UpdateType, would_leave_minor};

/// What was read of one source, or why it was not read. Only [`Source::Read`] and [`Source::NotServed`] can be a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<T> {
    /// It was read.
    Read(T),
    /// The API does not exist, such as ClusterOperators on a plain Kubernetes cluster: no risk.
    NotServed,
    /// It exists, or should, and could not be read: a risk.
    Unreadable(String),
    /// The input of `check` does not hold it; the conditions of the ClusterVersion are used in its place.
    NotGiven,
}

impl<T> Source<T> {
    /// The same source, borrowed.
    pub fn as_ref(&self) -> Source<&T> {
        match self {
            Self::Read(value) => Source::Read(value),
            Self::NotServed => Source::NotServed,
            Self::Unreadable(why) => Source::Unreadable(why.clone()),
            Self::NotGiven => Source::NotGiven,
        }
    }
}

/// The data of a ConfigMap, or `None` if the ConfigMap does not exist.
pub type ConfigMapData = Option<BTreeMap<String, String>>;

/// Whether another program decides about updates as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// upgrade-gate alone decides (mode `replace`): the present `Upgradeable` is our own, or a predecessor's that we take
    /// over, and the image of a release that is in no list is unknown.
    Sole,
    /// Another program decides as well, or might: an `Upgradeable=False` that is not ours counts.
    Shared,
}

/// What was read of the cluster at one moment, immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When it was taken.
    pub now: jiff::Timestamp,
    /// The object `version`.
    pub cluster_version: ClusterVersion,
    /// All ClusterOperators.
    pub cluster_operators: Source<Vec<ClusterOperator>>,
    /// ConfigMap `openshift-config-managed/admin-gates`.
    pub admin_gates: Source<ConfigMapData>,
    /// ConfigMap `openshift-config/admin-acks`.
    pub admin_acks: Source<ConfigMapData>,
    /// Whether another program decides as well.
    pub authority: Authority,
    /// The updates to evaluate.
    pub targets: Vec<Target>,
}

/// The result of evaluating a Snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The condition `Upgradeable`, as it should be.
    pub upgradeable: Upgradeable,
    /// Every reason not to leave this minor.
    pub risks: Vec<Risk>,
    /// One entry for each of the Snapshot's targets, in their order.
    pub targets: Vec<TargetVerdict>,
}

impl Verdict {
    /// The verdict on the update that `spec.desiredUpdate` requests.
    #[must_use]
    pub fn request(&self) -> Option<&TargetVerdict> {
        self.targets.iter().find(|target_verdict| target_verdict.target.origin == Origin::Requested)
    }
}

/// Whether a target may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "lowercase")]
pub enum Decision {
    /// It goes ahead.
    Allowed,
    /// It does not.
    Blocked,
}

impl Decision {
    /// The value in the JSON of `check` and in labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The step of accepting a release that failed, which is the reason of `ReleaseAccepted=False`. The CVO runs them in this
/// order, so the preconditions of a release that is not found are never checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The request does not identify a release.
    Invalid,
    /// The release's image is in no list, or cannot be pulled or verified.
    RetrievePayload,
    /// The image is known to be another version.
    VerifyPayloadVersion,
    /// A precondition blocks.
    PreconditionChecks,
    /// The cluster refuses the release for a reason that is not known here.
    NotAccepted,
}

impl Step {
    /// The reason of the condition; `Invalid` is a condition of its own, and an unknown step has no name.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Invalid => condition::INVALID,
            Self::NotAccepted => condition::RELEASE_ACCEPTED,
            Self::RetrievePayload => reason::RETRIEVE_PAYLOAD,
            Self::VerifyPayloadVersion => reason::VERIFY_PAYLOAD_VERSION,
            Self::PreconditionChecks => reason::PRECONDITION_CHECKS,
        }
    }
}

/// One reason against a target, from a precondition or an earlier step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The precondition's name, or the step's.
    pub name: &'static str,
    /// One word for programs; a condition's reason is passed on as it is.
    pub reason: String,
    /// Sentences for people.
    pub message: String,
    /// It would have blocked, and `force` skipped it.
    pub forced: bool,
}

/// The verdict on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetVerdict {
    /// What was requested.
    pub target: Target,
    /// The release; an empty image or version is not known.
    pub release: Release,
    /// How it relates to the current release.
    pub update_type: UpdateType,
    /// It is the current release, so requesting it is no update.
    pub is_current: bool,
    /// Where accepting it failed; `None` when it is allowed.
    pub failed_step: Option<Step>,
    /// What blocks.
    pub failures: Vec<Finding>,
    /// What only warns, or was forced past.
    pub accepted_risks: Vec<Finding>,
}

impl TargetVerdict {
    /// Whether the target may be taken.
    #[must_use]
    pub fn decision(&self) -> Decision {
        if self.failed_step.is_none() { Decision::Allowed } else { Decision::Blocked }
    }
}

/// Evaluates a Snapshot: the one entry point of operator, `check`, benches and tests.
#[must_use]
pub fn evaluate(snapshot: &Snapshot) -> Verdict {
    let risks = risks::collect(snapshot);
    let upgradeable = Upgradeable::from_risks(&risks);
    let foreign_refusal = foreign_refusal(snapshot);
    let targets =
        snapshot.targets.iter().map(|target| verdict_on(snapshot, &upgradeable, foreign_refusal, target)).collect();
    Verdict { upgradeable, risks, targets }
}

/// Evaluates one target that is not among those of the Snapshot.
#[must_use]
pub fn evaluate_target(snapshot: &Snapshot, target: &Target) -> TargetVerdict {
    let upgradeable = Upgradeable::from_risks(&risks::collect(snapshot));
    verdict_on(snapshot, &upgradeable, foreign_refusal(snapshot), target)
}

fn verdict_on(
    snapshot: &Snapshot,
    upgradeable: &Upgradeable,
    foreign_refusal: Option<ForeignRefusal<'_>>,
    target: &Target,
) -> TargetVerdict {
    let cluster_version = &snapshot.cluster_version;
    let known = match snapshot.authority {
        Authority::Shared => request::with_loaded_version(cluster_version, target),
        Authority::Sole => Cow::Borrowed(target),
    };
    let resolved = release::resolve(cluster_version, &known);
    let mut target_verdict = TargetVerdict {
        target: target.clone(),
        update_type: update::classify(
            &cluster_version.desired().version,
            &resolved.release.version,
            release::previous(cluster_version).map(|entry| entry.version.as_str()),
        ),
        is_current: resolved.contradicts.is_none() && release::is_current(cluster_version, &resolved.release),
        release: resolved.release.clone(),
        failed_step: None,
        failures: Vec::new(),
        accepted_risks: Vec::new(),
    };
    // While the update to it runs, it keeps the risks that were accepted for it.
    if target_verdict.is_current && !release::is_unfinished(cluster_version) {
        return target_verdict;
    }
    if let Some(failure) =
        failed_before_preconditions(snapshot, foreign_refusal, &target_verdict, resolved.contradicts.as_deref())
    {
        target_verdict.fail(failure);
        return target_verdict;
    }
    let context = preconditions::Context { cluster_version, upgradeable, target: &resolved.release };
    for (name, check) in preconditions::ALL {
        let Some(found) = check(&context) else { continue };
        let forced = found.blocks && target.force;
        let finding = Finding { name, reason: found.reason, message: found.message, forced };
        if found.blocks && !forced {
            target_verdict.failed_step = Some(Step::PreconditionChecks);
            target_verdict.failures.push(finding);
        } else {
            target_verdict.accepted_risks.push(finding);
        }
    }
    // The CVO refuses for a precondition, or for facts, that are not known here.
    if target_verdict.failed_step.is_none()
        && !target.force
        && let Some(ForeignRefusal { step: Step::PreconditionChecks, condition, .. }) =
            foreign_refusal.filter(|foreign_refusal| foreign_refusal.counts_for(&target_verdict))
    {
        target_verdict.fail((Step::PreconditionChecks, condition.reason.clone(), message::target::refused(condition)));
    }
    target_verdict
}

/// A step that failed, and the reason and message of the finding.
type Failure = (Step, String, String);

/// Failures of the steps before the preconditions, which `force` does not skip.
fn failed_before_preconditions(
    snapshot: &Snapshot,
    foreign_refusal: Option<ForeignRefusal<'_>>,
    target_verdict: &TargetVerdict,
    contradicts: Option<&str>,
) -> Option<Failure> {
    let (cluster_version, target) = (&snapshot.cluster_version, &target_verdict.target);
    let failure = |step: Step, message| Some((step, step.reason().to_owned(), message));
    if let Some(known) = contradicts {
        return failure(
            Step::VerifyPayloadVersion,
            message::target::version_mismatch(&target_verdict.release, target, known),
        );
    }
    if target_verdict.release.image.is_empty()
        && let Some(meant) = suggest::misspelt(cluster_version, &target_verdict.release.version)
    {
        return failure(Step::RetrievePayload, message::target::misspelt(target, meant));
    }
    let is_version_alone = target.image.is_empty() && target.origin == Origin::Requested && !target_verdict.is_current;
    if is_version_alone && let Some(why) = release::version_alone(cluster_version, target) {
        let message = message::target::version_alone(target, cluster_version, &why);
        let is_reported_by_a_cvo = match &why {
            VersionAlone::Unknown
            | VersionAlone::Conditional
            | VersionAlone::Several(_)
            | VersionAlone::Architecture => snapshot.authority == Authority::Shared,
            // A CVO ignores it and reports nothing.
            VersionAlone::History(_) => false,
        };
        return if is_reported_by_a_cvo {
            Some((Step::Invalid, reason::INVALID_CLUSTER_VERSION.to_owned(), message))
        } else {
            failure(Step::RetrievePayload, message)
        };
    }
    if snapshot.authority == Authority::Shared
        && let Some(message) = retrieval::invalid_request(cluster_version, target_verdict)
    {
        return Some((Step::Invalid, reason::INVALID_CLUSTER_VERSION.to_owned(), message));
    }
    let not_retrieved = match snapshot.authority {
        Authority::Shared => retrieval::unretrievable(cluster_version, target_verdict),
        Authority::Sole if target_verdict.release.image.is_empty() => {
            Some(message::target::no_image(target, cluster_version))
        }
        Authority::Sole => None,
    };
    if let Some(message) = not_retrieved {
        return failure(Step::RetrievePayload, message);
    }
    match foreign_refusal.filter(|foreign_refusal| foreign_refusal.counts_for(target_verdict)) {
        None | Some(ForeignRefusal { step: Step::PreconditionChecks, .. }) => None,
        Some(ForeignRefusal { step, condition, .. }) => {
            Some((step, condition.reason.clone(), message::target::refused(condition)))
        }
    }
}

/// The refusal of the request by the other program that decides on this cluster.
#[derive(Clone, Copy)]
struct ForeignRefusal<'a> {
    step: Step,
    condition: &'a Condition,
    image: Option<&'a str>,
}

/// Read once for all targets: the message may be long.
fn foreign_refusal(snapshot: &Snapshot) -> Option<ForeignRefusal<'_>> {
    let cluster_version = &snapshot.cluster_version;
    let condition = match snapshot.authority {
        Authority::Shared => request::word(cluster_version)?,
        Authority::Sole => return None,
    };
    let ours = owners_of_condition(&cluster_version.metadata.managed_fields, &condition.kind)
        .any(|manager| manager == names::SELF);
    match request::standing(condition) {
        request::Standing::Refused(step) if !ours => {
            Some(ForeignRefusal { step, condition, image: cvo_message::names(&condition.message).1 })
        }
        request::Standing::Refused(_)
        | request::Standing::Accepted
        | request::Standing::Undecided
        | request::Standing::RefusedForOverrides => None,
    }
}

impl ForeignRefusal<'_> {
    /// For a release that is not requested, only a refusal of its image counts.
    fn counts_for(&self, target_verdict: &TargetVerdict) -> bool {
        let image = &target_verdict.release.image;
        match target_verdict.target.origin {
            Origin::Requested => true,
            Origin::Listed | Origin::Named => {
                matches!(self.step, Step::RetrievePayload | Step::VerifyPayloadVersion)
                    && !image.is_empty()
                    && self.image.is_some_and(|named| release::same_image(named, image))
            }
        }
    }
}

impl TargetVerdict {
    fn fail(&mut self, (step, reason, message): Failure) {
        self.failed_step = Some(step);
        self.failures.push(Finding {
            name: step.reason(),
            reason: message::sanitize_name(&reason),
            message,
            forced: false,
        });
    }
}

/// Whether another writer may have written `Upgradeable`: true unless managedFields name us, so also without managedFields
/// (a trimmed dump).
fn foreign_upgradeable(cluster_version: &ClusterVersion) -> bool {
    let kind = condition::UPGRADEABLE;
    !owners_of_condition(&cluster_version.metadata.managed_fields, kind).any(|manager| manager == names::SELF)
}
