//! The pure core: a [`Snapshot`] in, a [`Verdict`] out. No client, no clock, no async; everything that a rule
//! looks at is in the Snapshot, time included.
//!
//! Risks ([`risks`]) say whether the cluster may leave its minor; preconditions ([`preconditions`]) say for one
//! target whether it may be taken, with the risks as one input among others.

pub mod availability;
pub mod cvo_message;
pub mod meant;
pub mod message;
pub mod preconditions;
pub mod publication;
pub mod release;
pub mod request;
pub mod risks;
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
pub use risks::{Remedy, Risk, Upgradeable};
pub use update::{UpdateType, would_leave_minor};

/// What was seen of one source, and if not, why: only [`Source::Read`] can ever be a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<T> {
    /// It was read.
    Read(T),
    /// The API isn't there at all, as ClusterOperators on a plain Kubernetes cluster: no risk.
    NotServed,
    /// It is there, or should be, and couldn't be read: a risk.
    Unreadable(String),
    /// The input of `check` doesn't hold it; the conditions of whoever gates the cluster stand in for it.
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

/// The data of a ConfigMap, or `None` where the ConfigMap doesn't exist.
pub type ConfigMapData = Option<BTreeMap<String, String>>;

/// Whose gate the verdict is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Ours alone (mode `replace`): what `Upgradeable` says now is our own word, or a predecessor's that we
    /// take over, and a release that no list knows has nobody to find its image.
    Sole,
    /// Somebody else gates as well, or might: an `Upgradeable=False` that isn't ours counts.
    Shared,
}

/// What was seen of the cluster, immutable, with no I/O behind it.
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
    /// Whose gate the verdict is for.
    pub authority: Authority,
    /// The updates to judge.
    pub targets: Vec<Target>,
}

/// What the gate says of a Snapshot.
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
    /// The judgement of what `spec.desiredUpdate` asks for.
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
    /// It doesn't.
    Blocked,
}

impl Decision {
    /// The word in the JSON of `check` and in labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The step of accepting a release that failed, which is the reason of `ReleaseAccepted=False`. The CVO
/// takes them in this order, so a release that isn't found never gets as far as its preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The request doesn't say which release it means.
    Invalid,
    /// No list knows the release's image, or it can't be pulled or verified.
    RetrievePayload,
    /// The image is known to be another version.
    VerifyPayloadVersion,
    /// A precondition blocks.
    PreconditionChecks,
    /// The cluster refuses the release in a way that isn't known here.
    NotAccepted,
}

impl Step {
    /// The reason of the condition; `Invalid` is a condition of its own, and a step that isn't known has no name.
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

/// One thing that a precondition, or an earlier step, has against a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The precondition's name, or the step's.
    pub name: &'static str,
    /// One word for programs; a condition's reason is passed on as it is.
    pub reason: String,
    /// Sentences for people.
    pub message: String,
    /// It would have blocked, and `force` let it through.
    pub forced: bool,
}

/// What the gate says of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetVerdict {
    /// What was asked for.
    pub target: Target,
    /// The release that this is; an empty image or version means that nothing tells.
    pub release: Release,
    /// How it relates to the current release.
    pub update_type: UpdateType,
    /// It is the current release: asking for it is no update.
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

/// Judges a Snapshot: the one entry point of operator, `check`, benches and tests.
#[must_use]
pub fn evaluate(snapshot: &Snapshot) -> Verdict {
    let risks = risks::collect(snapshot);
    let upgradeable = Upgradeable::from_risks(&risks);
    let skip_reason = refusal_of_others(snapshot);
    let targets = snapshot.targets.iter().map(|target| judge(snapshot, &upgradeable, skip_reason, target)).collect();
    Verdict { upgradeable, risks, targets }
}

/// Judges one target that is not among the Snapshot's.
#[must_use]
pub fn evaluate_target(snapshot: &Snapshot, target: &Target) -> TargetVerdict {
    let upgradeable = Upgradeable::from_risks(&risks::collect(snapshot));
    judge(snapshot, &upgradeable, refusal_of_others(snapshot), target)
}

fn judge(
    snapshot: &Snapshot,
    upgradeable: &Upgradeable,
    skip_reason: Option<RefusalOfOthers<'_>>,
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
    // While the update to it runs, its risks are those that were accepted for it.
    if target_verdict.is_current && !release::is_unfinished(cluster_version) {
        return target_verdict;
    }
    if let Some(failure) =
        failed_before_preconditions(snapshot, skip_reason, &target_verdict, resolved.contradicts.as_deref())
    {
        target_verdict.fail(failure);
        return target_verdict;
    }
    let context = preconditions::Context { cluster_version, upgradeable, target: &resolved.release };
    for (name, check) in preconditions::ALL {
        let Some(objection) = check(&context) else { continue };
        let forced = objection.blocks && target.force;
        let finding = Finding { name, reason: objection.reason, message: objection.message, forced };
        if objection.blocks && !forced {
            target_verdict.failed_step = Some(Step::PreconditionChecks);
            target_verdict.failures.push(finding);
        } else {
            target_verdict.accepted_risks.push(finding);
        }
    }
    // A precondition that isn't known here, or what it depends on isn't.
    if target_verdict.failed_step.is_none()
        && !target.force
        && let Some(RefusalOfOthers { step: Step::PreconditionChecks, word, .. }) =
            skip_reason.filter(|skip_reason| skip_reason.counts_for(&target_verdict))
    {
        target_verdict.fail((Step::PreconditionChecks, word.reason.clone(), message::target::refused(word)));
    }
    target_verdict
}

/// A step that failed, and the reason and message of the finding.
type Failure = (Step, String, String);

/// What fails before the preconditions are looked at, and what no `force` gets past.
fn failed_before_preconditions(
    snapshot: &Snapshot,
    skip_reason: Option<RefusalOfOthers<'_>>,
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
        && let Some(meant) = meant::misspelt(cluster_version, &target_verdict.release.version)
    {
        return failure(Step::RetrievePayload, message::target::misspelt(target, meant));
    }
    let is_version_alone = target.image.is_empty() && target.origin == Origin::Requested && !target_verdict.is_current;
    if is_version_alone && let Some(why) = release::version_alone(cluster_version, target) {
        let message = message::target::version_alone(target, cluster_version, &why);
        let is_said_by_a_cvo = match &why {
            VersionAlone::Unknown | VersionAlone::Conditional | VersionAlone::Several(_) => {
                snapshot.authority == Authority::Shared
            }
            // A CVO says nothing of it, and does nothing.
            VersionAlone::History(_) => false,
        };
        return if is_said_by_a_cvo {
            Some((Step::Invalid, reason::INVALID_CLUSTER_VERSION.to_owned(), message))
        } else {
            failure(Step::RetrievePayload, message)
        };
    }
    if target_verdict.release.image.is_empty() && snapshot.authority == Authority::Sole {
        return failure(Step::RetrievePayload, message::target::no_image(target, cluster_version));
    }
    match skip_reason.filter(|skip_reason| skip_reason.counts_for(target_verdict)) {
        None | Some(RefusalOfOthers { step: Step::PreconditionChecks, .. }) => None,
        Some(RefusalOfOthers { step, word, .. }) => Some((step, word.reason.clone(), message::target::refused(word))),
    }
}

/// That whoever gates the cluster beside us refuses the request.
#[derive(Clone, Copy)]
struct RefusalOfOthers<'a> {
    step: Step,
    word: &'a Condition,
    image: Option<&'a str>,
}

/// Read once for all targets: the message may be long.
fn refusal_of_others(snapshot: &Snapshot) -> Option<RefusalOfOthers<'_>> {
    let cluster_version = &snapshot.cluster_version;
    let word = match snapshot.authority {
        Authority::Shared => request::word(cluster_version)?,
        Authority::Sole => return None,
    };
    let ours =
        owners_of_condition(&cluster_version.metadata.managed_fields, &word.kind).any(|manager| manager == names::SELF);
    match request::standing(word) {
        request::Standing::Refused(step) if !ours => {
            Some(RefusalOfOthers { step, word, image: cvo_message::names(&word.message).1 })
        }
        request::Standing::Refused(_)
        | request::Standing::Accepted
        | request::Standing::Undecided
        | request::Standing::RefusedForOverrides => None,
    }
}

impl RefusalOfOthers<'_> {
    /// Of a release that isn't asked for, only what is said of its image counts.
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
            reason: message::quote_name(&reason),
            message,
            forced: false,
        });
    }
}

/// Whether the `Upgradeable` in the status may be somebody else's word: so it is unless managedFields name us,
/// and where there are no managedFields (a trimmed dump) it counts.
fn foreign_upgradeable(cluster_version: &ClusterVersion) -> bool {
    let kind = condition::UPGRADEABLE;
    !owners_of_condition(&cluster_version.metadata.managed_fields, kind).any(|manager| manager == names::SELF)
}
