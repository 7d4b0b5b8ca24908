//! Who gates this cluster, and so which part is ours: pure, from what the API server remembers of writers, the CVO's
//! Lease, and how long a risk has stayed ungated.

use std::time::Duration;

use crate::{
    api::{
        ClusterVersion, Condition, ConditionStatus,
        names::{self, condition},
        owners_of_condition,
    },
    gate::{Authority, Verdict},
};

/// The mode that the administrator has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// Detects whether a cluster-version operator is running, and acts as `bridge` or `replace`
    Auto,
    /// Nothing else gates: write conditions and history
    Replace,
    /// A stock cluster-version operator gates: let patch updates through that it refuses for overrides alone
    Bridge,
    /// Write nothing; report in events and metrics what would be done
    Observe,
}

/// What the operator does here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "lowercase")]
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
    /// Its name in the metric, the log and the ClusterOperator.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Who decides on `Upgradeable`.
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

/// What the decision depends on, besides the ClusterVersion.
#[derive(Clone, Copy, Debug)]
pub struct RoleInput {
    /// The CVO's Lease.
    pub lease: CvoLease,
    /// Another writer has reverted this process's `Upgradeable` once.
    pub overwritten: bool,
    /// How long a risk has stayed ungated.
    pub ungated_for: Option<Duration>,
    /// How long it may, before the gate counts as vacant.
    pub vacant_after: Duration,
    /// The role so far.
    pub before: Role,
}

/// The CVO's field manager.
const CVO: &str = "cluster-version-operator";

/// The role and its reason, a sentence for log, event and ClusterOperator.
#[must_use]
pub fn role(mode: Mode, cluster_version: &ClusterVersion, input: &RoleInput) -> (Role, &'static str) {
    match mode {
        Mode::Replace => return (Role::Replace, "--mode=replace"),
        Mode::Bridge => return (Role::Bridge, "--mode=bridge"),
        Mode::Observe => return (Role::Observe, "--mode=observe"),
        Mode::Auto => {}
    }
    let fields = &cluster_version.metadata.managed_fields;
    // A CVO that was ever here has written the history, even if another writer has written to it since.
    let was_here = fields.iter().any(|field| field.manager == CVO);
    let gating = if was_here { Role::Guard } else { Role::Replace };
    if input.overwritten {
        return (Role::Bridge, "another writer reverted Upgradeable, so another program decides about updates");
    }
    if matches!(input.before, Role::Replace | Role::Guard) {
        return (gating, "no other writer has reverted it");
    }
    if owns_upgradeable(cluster_version) {
        return (gating, "Upgradeable is upgrade-gate's own already");
    }
    if input.lease == CvoLease::Unknown {
        // What is running stays; what isn't waits for an answer.
        let waiting = if input.before == Role::Bridge { Role::Bridge } else { Role::Undecided };
        return (
            waiting,
            "it is not known yet whether a cluster-version operator is running: its Lease cannot be read",
        );
    }
    let vacant = input.ungated_for.is_some_and(|ungated| ungated >= input.vacant_after);
    if vacant && matches!(input.lease, CvoLease::Stale | CvoLease::Absent) {
        return (gating, "a risk stayed ungated, and no cluster-version operator is running");
    }
    let owns = |kind| owners_of_condition(fields, kind).any(|manager| manager == CVO);
    if owns(condition::UPGRADEABLE) || owns(condition::RELEASE_ACCEPTED) {
        return (Role::Bridge, "a cluster-version operator writes the conditions");
    }
    if input.lease == CvoLease::Fresh {
        return (Role::Bridge, "a cluster-version operator renews its Lease");
    }
    if input.lease == CvoLease::Stale || was_here {
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

/// Whether any part of that condition is ours.
#[must_use]
pub fn owns(cluster_version: &ClusterVersion, kind: &str) -> bool {
    owners_of_condition(&cluster_version.metadata.managed_fields, kind).any(|manager| manager == names::SELF)
}

/// Whether the `force` in spec was set by the bridge.
#[must_use]
pub fn owns_force(cluster_version: &ClusterVersion) -> bool {
    force_written(cluster_version).is_some()
}

/// When the bridge set the `force` in spec, if it did. Of the spec it writes nothing else.
#[must_use]
pub fn force_written(cluster_version: &ClusterVersion) -> Option<&str> {
    cluster_version.spec.desired_update.as_ref().filter(|request| request.force)?;
    let ours = cluster_version.metadata.managed_fields.iter().find(|field| {
        field.manager == names::SELF && field.fields_v1["f:spec"]["f:desiredUpdate"].get("f:force").is_some()
    })?;
    Some(&ours.time)
}

/// Whether a risk holds that nobody gates: no `Upgradeable=False` but one that we wrote.
#[must_use]
pub fn is_ungated(cluster_version: &ClusterVersion, verdict: &Verdict) -> bool {
    let gated = |found: &Condition| found.status == ConditionStatus::False && !owns_upgradeable(cluster_version);
    !verdict.upgradeable.holds() && !cluster_version.condition(condition::UPGRADEABLE).is_some_and(gated)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn owner(manager: &str, owned: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:status": owned}})
    }

    fn whole(kind: &str) -> Value {
        let fields =
            json!({".": {}, "f:type": {}, "f:status": {}, "f:reason": {}, "f:message": {}, "f:lastTransitionTime": {}});
        json!({"f:conditions": {format!("k:{{\"type\":\"{kind}\"}}"): fields}})
    }

    fn cluster(owners: &[Value]) -> ClusterVersion {
        ClusterVersion::from_value(json!({"metadata": {"managedFields": owners}, "status": {}})).unwrap()
    }

    fn role_input(lease: CvoLease, before: Role) -> RoleInput {
        RoleInput { lease, overwritten: false, ungated_for: None, vacant_after: Duration::from_mins(5), before }
    }

    fn nobody() -> ClusterVersion {
        cluster(&[])
    }

    fn cvo(owned: &Value) -> ClusterVersion {
        cluster(&[owner("cluster-version-operator", owned)])
    }

    fn ours() -> Value {
        owner("upgrade-gate", &whole("Upgradeable"))
    }

    #[rstest]
    #[case::nobody_ever(nobody(), CvoLease::Absent, Role::Replace)]
    #[case::not_looked_yet(nobody(), CvoLease::Unknown, Role::Undecided)]
    #[case::renewing(nobody(), CvoLease::Fresh, Role::Bridge)]
    #[case::was_here(nobody(), CvoLease::Stale, Role::Bridge)]
    #[case::writes_upgradeable(cvo(&whole("Upgradeable")), CvoLease::Absent, Role::Bridge)]
    #[case::writes_release_accepted(cvo(&whole("ReleaseAccepted")), CvoLease::Absent, Role::Bridge)]
    #[case::wrote_something_once(cvo(&json!({"f:versionHash": {}})), CvoLease::Absent, Role::Bridge)]
    #[case::ours_already(cluster(&[ours()]), CvoLease::Unknown, Role::Replace)]
    #[case::ours_over_a_cvos_history(
        cluster(&[ours(), owner("cluster-version-operator", &json!({"f:history": {}}))]), CvoLease::Stale, Role::Guard)]
    #[case::ours_over_a_history_that_we_restored(
        cluster(&[ours(), owner("cluster-version-operator", &json!({"f:desired": {}})),
                  owner("upgrade-gate", &json!({"f:history": {}}))]), CvoLease::Stale, Role::Guard)]
    #[case::partly_reverted(
        cluster(&[owner("upgrade-gate", &json!({"f:conditions": {"k:{\"type\":\"Upgradeable\"}": {"f:type": {}}}})),
                  owner("cluster-version-operator", &whole("Upgradeable"))]), CvoLease::Fresh, Role::Bridge)]
    fn auto_looks_before_it_writes(#[case] cluster: ClusterVersion, #[case] lease: CvoLease, #[case] expected: Role) {
        assert_eq!(role(Mode::Auto, &cluster, &role_input(lease, Role::Undecided)).0, expected);
    }

    #[rstest]
    #[case::too_early(299, CvoLease::Absent, Role::Bridge)]
    #[case::vacant(300, CvoLease::Absent, Role::Guard)]
    #[case::vacant_with_a_stale_lease(300, CvoLease::Stale, Role::Guard)]
    #[case::a_slow_cvo(3000, CvoLease::Fresh, Role::Bridge)]
    #[case::not_known(3000, CvoLease::Unknown, Role::Bridge)]
    fn a_vacant_gate_is_taken_after_its_wait(#[case] seconds: u64, #[case] lease: CvoLease, #[case] expected: Role) {
        let mut input = role_input(lease, Role::Bridge);
        input.ungated_for = Some(Duration::from_secs(seconds));
        assert_eq!(role(Mode::Auto, &cvo(&json!({"f:history": {}})), &input).0, expected);
    }

    #[rstest]
    #[case(Role::Replace)]
    #[case(Role::Guard)]
    #[case(Role::Bridge)]
    fn once_overwritten_it_is_the_bridge_for_good(#[case] before: Role) {
        let mut input = role_input(CvoLease::Absent, before);
        input.overwritten = true;
        input.ungated_for = Some(Duration::from_hours(1));
        assert_eq!(role(Mode::Auto, &cluster(&[ours()]), &input).0, Role::Bridge);
    }

    #[rstest]
    #[case(Role::Replace)]
    #[case(Role::Guard)]
    fn a_gate_that_was_taken_is_kept_until_overwritten(#[case] before: Role) {
        let found = role(Mode::Auto, &cvo(&json!({"f:history": {}})), &role_input(CvoLease::Fresh, before)).0;
        assert_eq!(found, Role::Guard);
    }

    #[rstest]
    #[case(Mode::Replace, Role::Replace)]
    #[case(Mode::Bridge, Role::Bridge)]
    #[case(Mode::Observe, Role::Observe)]
    fn a_mode_that_a_person_names_is_taken(#[case] mode: Mode, #[case] expected: Role) {
        let found = role(mode, &cvo(&whole("Upgradeable")), &role_input(CvoLease::Fresh, Role::Undecided)).0;
        assert_eq!(found, expected);
    }

    #[test]
    fn a_force_is_ours_only_while_our_manager_owns_it() {
        let with = |manager: &str, force: bool| {
            let fields = json!({"f:spec": {"f:desiredUpdate": {"f:force": {}}}});
            ClusterVersion::from_value(json!({
                "metadata": {"managedFields": [{"manager": manager, "fieldsV1": fields}]},
                "spec": {"desiredUpdate": {"version": "4.21.2", "force": force}},
            }))
            .unwrap()
        };
        assert!(owns_force(&with("upgrade-gate", true)));
        assert!(!owns_force(&with("upgrade-gate", false)));
        assert!(!owns_force(&with("kubectl-patch", true)));
    }
}
