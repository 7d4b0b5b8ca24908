//! Who gates this cluster, and so which part is ours: pure, from what the API server remembers of writers, the CVO's
//! Lease, and how long a risk has stayed ungated.

use std::time::Duration;

use crate::{
    api::{
        ClusterVersion, Condition, ConditionStatus, ManagedField,
        names::{self, condition},
        owners_of_condition,
    },
    gate::{Authority, Verdict},
};

/// What the administrator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Mode {
    /// As `bridge` or as `replace`, by what is seen
    Auto,
    /// Nothing else gates: write conditions and history
    Replace,
    /// A stock cluster-version operator gates: let patch updates through that it refuses for overrides alone
    Bridge,
    /// Write nothing; say in events and metrics what would be done
    Observe,
}

/// What the operator does here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Not known yet: nothing is written.
    Undecided,
    /// Writes `Upgradeable`, `ReleaseAccepted` and the history.
    Replace,
    /// Writes `Upgradeable` alone: a CVO that is away must find its history as it left it.
    Guard,
    /// Leaves the gate to the CVO, and forces patch updates past its refusal.
    Bridge,
    /// Writes events only.
    Observe,
}

impl Role {
    /// The word in the metric, the log and the ClusterOperator.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Replace => "replace",
            Self::Guard => "guard",
            Self::Bridge => "bridge",
            Self::Observe => "observe",
        }
    }

    /// Whose word `Upgradeable` is.
    #[must_use]
    pub fn authority(self) -> Authority {
        match self {
            Self::Replace | Self::Guard => Authority::Sole,
            Self::Undecided | Self::Bridge | Self::Observe => Authority::Shared,
        }
    }
}

/// What is known of the CVO's Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CvoLease {
    /// Renewed within three of its durations.
    Fresh,
    /// There, but not renewed for longer.
    Stale,
    /// Not there.
    Absent,
    /// Not looked for yet, or not readable.
    Unknown,
}

/// What the decision rests on, beside the ClusterVersion.
#[derive(Clone, Copy, Debug)]
pub struct Evidence {
    /// The CVO's Lease.
    pub lease: CvoLease,
    /// What this process wrote on `Upgradeable` was taken back once.
    pub contradicted: bool,
    /// How long a risk has stayed ungated.
    pub ungated_for: Option<Duration>,
    /// How long it may, before the gate counts as vacant.
    pub vacant_after: Duration,
    /// The role so far.
    pub before: Role,
}

/// The CVO's field manager.
const CVO: &str = "cluster-version-operator";

/// The role, and why, in words for log, event and ClusterOperator.
#[must_use]
pub fn role(mode: Mode, cluster_version: &ClusterVersion, evidence: &Evidence) -> (Role, &'static str) {
    match mode {
        Mode::Replace => return (Role::Replace, "--mode=replace"),
        Mode::Bridge => return (Role::Bridge, "--mode=bridge"),
        Mode::Observe => return (Role::Observe, "--mode=observe"),
        Mode::Auto => {}
    }
    let fields = &cluster_version.metadata.managed_fields;
    let gating = if owns_history(fields, CVO) { Role::Guard } else { Role::Replace };
    if evidence.contradicted {
        return (Role::Bridge, "what was written on Upgradeable was taken back, so somebody else gates");
    }
    if matches!(evidence.before, Role::Replace | Role::Guard) {
        return (gating, "nobody has taken the gate back");
    }
    if owns_upgradeable(cluster_version) {
        return (gating, "Upgradeable is upgrade-gate's own already");
    }
    if evidence.lease == CvoLease::Unknown {
        // What is running stays; what isn't waits for an answer.
        let waiting = if evidence.before == Role::Bridge { Role::Bridge } else { Role::Undecided };
        return (waiting, "whether a cluster-version operator runs isn't known yet: its Lease can't be read");
    }
    let vacant = evidence.ungated_for.is_some_and(|ungated| ungated >= evidence.vacant_after);
    if vacant && matches!(evidence.lease, CvoLease::Stale | CvoLease::Absent) {
        return (gating, "a risk stayed ungated, and no cluster-version operator is running");
    }
    let owns = |kind| owners_of_condition(fields, kind).any(|manager| manager == CVO);
    if owns(condition::UPGRADEABLE) || owns(condition::RELEASE_ACCEPTED) {
        return (Role::Bridge, "a cluster-version operator writes the conditions");
    }
    if evidence.lease == CvoLease::Fresh {
        return (Role::Bridge, "a cluster-version operator renews its Lease");
    }
    if evidence.lease == CvoLease::Stale || fields.iter().any(|field| field.manager == CVO) {
        return (Role::Bridge, "a cluster-version operator was here, and may come back");
    }
    (Role::Replace, "no cluster-version operator was ever here")
}

/// Whether `Upgradeable` is ours, whole. A CVO that changes a part of it takes that part over.
#[must_use]
pub fn owns_upgradeable(cluster_version: &ClusterVersion) -> bool {
    let key = format!("k:{{\"type\":\"{}\"}}", condition::UPGRADEABLE);
    cluster_version.metadata.managed_fields.iter().any(|field| {
        let owned = &field.fields_v1["f:status"]["f:conditions"][&key];
        field.manager == names::SELF
            && ["f:status", "f:reason", "f:message"].iter().all(|name| owned.get(name).is_some())
    })
}

/// Whether some condition of the status is ours, which another role than that of the gate withdraws.
#[must_use]
pub fn owns_conditions(cluster_version: &ClusterVersion) -> bool {
    [condition::UPGRADEABLE, condition::RELEASE_ACCEPTED].iter().any(|kind| {
        owners_of_condition(&cluster_version.metadata.managed_fields, kind).any(|manager| manager == names::SELF)
    })
}

/// Whether the `force` in spec was set by the bridge.
#[must_use]
pub fn owns_force(cluster_version: &ClusterVersion) -> bool {
    cluster_version.spec.desired_update.as_ref().is_some_and(|request| request.force)
        && cluster_version.metadata.managed_fields.iter().any(|field| {
            field.manager == names::SELF && field.fields_v1["f:spec"]["f:desiredUpdate"].get("f:force").is_some()
        })
}

fn owns_history(fields: &[ManagedField], manager: &str) -> bool {
    fields.iter().any(|field| field.manager == manager && field.fields_v1["f:status"].get("f:history").is_some())
}

/// Whether a risk holds that nobody gates: no `Upgradeable=False` but one that we wrote.
#[must_use]
pub fn is_ungated(cluster_version: &ClusterVersion, verdict: &Verdict) -> bool {
    let gated = |found: &Condition| found.status == ConditionStatus::False && !owns_upgradeable(cluster_version);
    !verdict.upgradeable.holds() && !cluster_version.condition(condition::UPGRADEABLE).is_some_and(gated)
}
