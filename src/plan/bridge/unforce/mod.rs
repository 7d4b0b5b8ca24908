//! Removal of the force that the bridge set: when it is safe, and why it stays until then. Pure; managedFields show
//! what we set, so nothing has to be remembered.
//!
//! A force that stays in spec makes every restart of the CVO an update, and forces the next target that a merge patch
//! requests; if the image stays pinned, the CVO ignores a later request for another version. Removed before the
//! hand-over to the new release's CVO, a restart of the old one would fall back. ClusterVersion doesn't show the
//! hand-over; `Completed` is the first proof of it.

pub use crate::plan::write::ForceRemoval;

use crate::{
    api::{
        ClusterOperator, ClusterVersion, ConditionStatus, DesiredUpdate, Health, HistoryState, UpdateRecord,
        names::{self, condition},
        owners_of_request,
    },
    gate::{
        Source, message,
        release::{is_pinned, same_image},
    },
    plan::{bridge::candidate::has_unknown_fields, newest_entry::EntryStart, role::owns_force, update_records},
};

/// Why the force stays in spec for now.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
pub enum KeepReason {
    /// Another manager owns `force` as well.
    SharedForce(String),
    /// The request isn't as it was after our write.
    RequestChanged,
    /// The CVO calls the request invalid.
    Invalid,
    /// The newest update in the history isn't the one asked for.
    NotBegun,
    /// The update isn't completed.
    NotCompleted,
    /// The cluster reconciles towards another release than the one that it completed last.
    NotDesired,
    /// `ReleaseAccepted` isn't `True`.
    NotAccepted,
    /// `Progressing` isn't `False`.
    Progressing,
    /// `Failing` is `True`.
    Failing,
    /// The ClusterOperators cannot be read.
    OperatorsUnreadable,
    /// This ClusterOperator isn't available, is degraded, or can't be read.
    OperatorUnhealthy(String),
    /// The UpdateRecords cannot be read.
    RecordsUnreadable,
    /// The UpdateRecord of the update is not completed yet.
    RecordOpen,
}

impl KeepReason {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.into()
    }

    /// The sentence for the administrator.
    #[must_use]
    pub fn message(&self) -> String {
        let fixed = match self {
            Self::SharedForce(manager) => {
                return format!(
                    "The field manager {} owns the field as well, so it is that manager's to remove.",
                    message::sanitize_name(manager)
                );
            }
            Self::OperatorUnhealthy(name) => {
                return format!(
                    "ClusterOperator {} is degraded, or not available; see oc get clusteroperators.",
                    message::sanitize_name(name)
                );
            }
            Self::RequestChanged => {
                "The request has been changed since: ask for the update again with oc adm upgrade, which writes the \
                 whole request, or clear it with oc adm upgrade --clear."
            }
            Self::Invalid => "The cluster-version operator calls the request invalid; see condition Invalid.",
            Self::NotBegun => "The requested update has not started; see ReleaseAccepted.",
            Self::NotCompleted => "The update has not completed.",
            Self::NotDesired => "status.desired is another release than the one that was completed last.",
            Self::NotAccepted => "ReleaseAccepted is not True.",
            Self::Progressing => "Progressing is not False.",
            Self::Failing => "Failing is True; see oc adm upgrade.",
            Self::OperatorsUnreadable => "ClusterOperators cannot be read.",
            Self::RecordsUnreadable => "UpdateRecords cannot be read.",
            Self::RecordOpen => "The UpdateRecord is not completed yet.",
        };
        fixed.to_owned()
    }
}

/// What is decided on a force of ours: the write that removes it, or the first reason to keep it.
pub type RemovalDecision = Result<ForceRemoval, KeepReason>;

/// Decides whether the force in spec is removed, and how; `None` where no force there is ours.
///
/// Our own ClusterOperator isn't among `operators`: no CVO waits for it, and while this write fails it is degraded.
///
/// # Errors
/// The first condition that doesn't hold.
#[must_use]
pub fn decide(
    cluster_version: &ClusterVersion,
    operators: &Source<Vec<ClusterOperator>>,
    records: &Source<Vec<UpdateRecord>>,
    start: EntryStart,
) -> Option<RemovalDecision> {
    let request = cluster_version.spec.desired_update.as_ref().filter(|_| owns_force(cluster_version))?;
    let keep = is_as_written(cluster_version, request)
        .and_then(|()| is_over(cluster_version, request))
        .and_then(|()| is_healthy(operators))
        .and_then(|()| is_recorded(cluster_version, records, start));
    Some(keep.map(|()| removal(cluster_version, request)))
}

/// The request is what the bridge left: its digest, force, and what a person asked for; and the force is ours alone.
fn is_as_written(cluster_version: &ClusterVersion, request: &DesiredUpdate) -> Result<(), KeepReason> {
    let fields = &cluster_version.metadata.managed_fields;
    if let Some(other) = owners_of_request(fields, "force").find(|owner| *owner != names::SELF) {
        return Err(KeepReason::SharedForce(other.to_owned()));
    }
    let is_plain = request.architecture.is_empty() && request.mode.is_empty() && !has_unknown_fields(&request.raw);
    if is_plain && is_pinned(&request.image) { Ok(()) } else { Err(KeepReason::RequestChanged) }
}

/// The CVO has completed this update, and is idle.
fn is_over(cluster_version: &ClusterVersion, request: &DesiredUpdate) -> Result<(), KeepReason> {
    let status = |kind| cluster_version.condition(kind).map(|found| found.status);
    let when = |holds: bool, reason| if holds { Ok(()) } else { Err(reason) };
    let front = cluster_version.history().first().ok_or(KeepReason::NotBegun)?;
    let desired = cluster_version.desired();
    let is_requested =
        (request.version.is_empty() || request.version == front.version) && same_image(&request.image, &front.image);
    let is_desired = desired.version == front.version && same_image(&desired.image, &front.image);
    when(status(condition::INVALID) != Some(ConditionStatus::True), KeepReason::Invalid)?;
    when(is_requested, KeepReason::NotBegun)?;
    when(front.state == HistoryState::Completed, KeepReason::NotCompleted)?;
    when(is_desired, KeepReason::NotDesired)?;
    when(status(condition::RELEASE_ACCEPTED) == Some(ConditionStatus::True), KeepReason::NotAccepted)?;
    when(status(condition::PROGRESSING) == Some(ConditionStatus::False), KeepReason::Progressing)?;
    when(status(condition::FAILING) != Some(ConditionStatus::True), KeepReason::Failing)
}

/// When force is removed, the CVO applies the release again, and waits for each unhealthy operator.
fn is_healthy(operators: &Source<Vec<ClusterOperator>>) -> Result<(), KeepReason> {
    let Source::Read(operators) = operators else { return Err(KeepReason::OperatorsUnreadable) };
    let unhealthy = operators.iter().find(|operator| operator.health != Health::Healthy);
    unhealthy.map_or(Ok(()), |operator| Err(KeepReason::OperatorUnhealthy(operator.name.clone())))
}

/// The record is derived from the request while that is forced, so it has to be complete first. If the API of
/// UpdateRecords is not served, there is no record to wait for.
fn is_recorded(
    cluster_version: &ClusterVersion,
    records: &Source<Vec<UpdateRecord>>,
    start: EntryStart,
) -> Result<(), KeepReason> {
    match records {
        Source::NotServed => Ok(()),
        Source::Unreadable(_) | Source::NotGiven => Err(KeepReason::RecordsUnreadable),
        Source::Read(records) if update_records::is_accounted_for(records, cluster_version, start) => Ok(()),
        Source::Read(_) => Err(KeepReason::RecordOpen),
    }
}

/// Removes what is ours, and nothing that a person wrote.
fn removal(cluster_version: &ClusterVersion, request: &DesiredUpdate) -> ForceRemoval {
    let metadata = &cluster_version.metadata;
    let mut owners = owners_of_request(&metadata.managed_fields, "image").peekable();
    let is_ours = owners.peek().is_some() && owners.all(|owner| owner == names::SELF);
    ForceRemoval {
        request: request.raw.clone(),
        resource_version: metadata.resource_version.clone(),
        // If the request has only an image, it would be empty without it.
        removes_image: is_ours && !request.version.is_empty(),
    }
}

#[cfg(test)]
mod tests;
