//! Every name that is part of an API: objects, condition types and reasons, as in the CVO and `oc`.

/// Field manager, Lease, ClusterOperator and ServiceAccount of this operator.
pub const SELF: &str = "upgrade-gate";
/// The namespace that `deploy/` puts the operator into.
pub const NAMESPACE: &str = "openshift-upgrade-gate";
/// The one ClusterVersion object of a cluster.
pub const CLUSTER_VERSION: &str = "version";
/// API group and version of ClusterVersion and ClusterOperator.
pub const CONFIG_API_VERSION: &str = "config.openshift.io/v1";

/// Namespace and name of the ConfigMap of gates that an administrator has to acknowledge.
pub const ADMIN_GATES: (&str, &str) = ("openshift-config-managed", "admin-gates");
/// Namespace and name of the ConfigMap of acknowledgements.
pub const ADMIN_ACKS: (&str, &str) = ("openshift-config", "admin-acks");

/// The ValidatingAdmissionPolicy that denies minor and major updates, and its binding.
pub const POLICY: &str = "upgrade-gate";
/// Namespace and name of the Lease that a cluster-version operator holds.
pub const CVO_LEASE: (&str, &str) = ("openshift-cluster-version", "version");
/// Annotation of the operator's own Lease: the mode in which the replica runs that holds it.
pub const MODE: &str = "upgrade-gate.openshift.io/mode";
/// API group of UpdateRecord.
pub const RECORD_GROUP: &str = "upgrade-gate.openshift.io";
/// Annotation of an UpdateRecord by which a person acknowledges, with the value `true`, that its update went ahead without
/// a verified signature.
pub const ACKNOWLEDGED: &str = "upgrade-gate.openshift.io/acknowledged";
/// API group and version of UpdateRecord.
pub const RECORD_API_VERSION: &str = "upgrade-gate.openshift.io/v1alpha1";

/// Types of conditions.
pub mod condition {
    use crate::api::ConditionStatus;

    /// `False` blocks minor and major updates; every other value allows them.
    pub const UPGRADEABLE: &str = "Upgradeable";
    /// Whether the requested release has passed its preconditions.
    pub const RELEASE_ACCEPTED: &str = "ReleaseAccepted";
    /// An update is being applied.
    pub const PROGRESSING: &str = "Progressing";
    /// The current release or an update cannot be applied.
    pub const FAILING: &str = "Failing";
    /// Of a ClusterOperator: it works.
    pub const AVAILABLE: &str = "Available";
    /// Of a ClusterOperator: it does not work as it should.
    pub const DEGRADED: &str = "Degraded";
    /// The request cannot be carried out at all.
    pub const INVALID: &str = "Invalid";
    /// Whether the update service answered.
    pub const RETRIEVED_UPDATES: &str = "RetrievedUpdates";
    /// Of a conditional update: whether it is recommended on this cluster.
    pub const RECOMMENDED: &str = "Recommended";

    /// Releases up to 4.22 show a risk source as a condition of its own when several fire: the overrides.
    pub const UPGRADEABLE_OVERRIDES: &str = "UpgradeableClusterVersionOverrides";
    /// The same for ClusterOperators.
    pub const UPGRADEABLE_CLUSTER_OPERATORS: &str = "UpgradeableClusterOperators";
    /// The same for admin acks.
    pub const UPGRADEABLE_ADMIN_ACK: &str = "UpgradeableAdminAckRequired";
    /// The same for manifests that the CVO is deleting.
    pub const UPGRADEABLE_DELETES: &str = "UpgradeableDeletesInProgress";
    /// The same for an update in progress; `True` is what blocks.
    pub const UPGRADEABLE_IN_PROGRESS: &str = "UpgradeableUpgradeInProgress";
    /// All of these, each with the status that blocks.
    pub const UPGRADEABLE_OF_SOURCES: [(&str, ConditionStatus); 5] = [
        (UPGRADEABLE_OVERRIDES, ConditionStatus::False),
        (UPGRADEABLE_CLUSTER_OPERATORS, ConditionStatus::False),
        (UPGRADEABLE_ADMIN_ACK, ConditionStatus::False),
        (UPGRADEABLE_DELETES, ConditionStatus::False),
        (UPGRADEABLE_IN_PROGRESS, ConditionStatus::True),
    ];
}

/// Names of risks; with a single one, also the reason of `Upgradeable`.
pub mod risk {
    /// An override has `unmanaged: true`.
    pub const OVERRIDES: &str = "ClusterVersionOverrides";
    /// A ClusterOperator has `Upgradeable=False`; its name follows after a hyphen.
    pub const CLUSTER_OPERATOR: &str = "ClusterOperatorUpgradeable";
    /// The ClusterOperators, or one of them, could not be read.
    pub const CLUSTER_OPERATOR_UNKNOWN: &str = "ClusterOperatorUpgradeableUnknown";
    /// A gate needs an acknowledgement; its key follows after a hyphen.
    pub const ADMIN_ACK: &str = "AdminAck";
    /// Gates or acknowledgements could not be read, or not compared with the current version.
    pub const ADMIN_ACK_UNKNOWN: &str = "AdminAckUnknown";
    /// An update is being applied.
    pub const UPDATING: &str = "ClusterVersionUpdating";
}

/// Names that a CVO gives to its reasons in `Upgradeable=False`, in the styles of all releases.
pub mod reported {
    /// An override has `unmanaged: true`.
    pub const OVERRIDES: [&str; 2] = [super::reason::OVERRIDES_SET, super::risk::OVERRIDES];
    /// An update is being applied.
    pub const UPDATING: [&str; 2] = ["UpdateInProgress", super::risk::UPDATING];
    /// Several ClusterOperators have `Upgradeable=False`; up to 4.22.
    pub const CLUSTER_OPERATORS: &str = "ClusterOperatorsNotUpgradeable";
    /// A ConfigMap of admin gates or acks cannot be read; up to 4.22. Its other reasons begin with `AdminAck`.
    pub const ADMIN_CONFIG_MAPS: [&str; 2] = ["UnableToAccessAdminGatesConfigMap", "UnableToAccessAdminAcksConfigMap"];
    /// The CVO is deleting manifests, which only it knows.
    pub const RESOURCE_DELETIONS: [&str; 2] = ["ResourceDeletesInProgress", "ResourceDeletionInProgress"];
}

/// Reasons of conditions and of precondition failures.
pub mod reason {
    /// `Upgradeable=True`.
    pub const AS_EXPECTED: &str = "AsExpected";
    /// `Upgradeable=False` for more than one risk.
    pub const MULTIPLE_REASONS: &str = "MultipleReasons";
    /// `ReleaseAccepted=True`.
    pub const PAYLOAD_LOADED: &str = "PayloadLoaded";
    /// `ReleaseAccepted=False`: a precondition blocks.
    pub const PRECONDITION_CHECKS: &str = "PreconditionChecks";
    /// `ReleaseAccepted=False`: the release's image is not known.
    pub const RETRIEVE_PAYLOAD: &str = "RetrievePayload";
    /// `ReleaseAccepted=False`: the image is known to be another version than the requested one.
    pub const VERIFY_PAYLOAD_VERSION: &str = "VerifyPayloadVersion";

    /// `Invalid=True`: the spec cannot be carried out.
    pub const INVALID_CLUSTER_VERSION: &str = "InvalidClusterVersion";

    /// The current version is not SemVer. It only warns, because such a cluster needs an update to be repaired.
    pub const INVALID_CURRENT_VERSION: &str = "InvalidCurrentVersion";
    /// The target's version is not SemVer, or not known.
    pub const INVALID_DESIRED_VERSION: &str = "InvalidDesiredVersion";
    /// A target below current that is not the previous version of the same minor.
    pub const LOW_DESIRED_VERSION: &str = "LowDesiredVersion";
    /// A target in a higher major.
    pub const MAJOR_VERSION_UPDATE: &str = "MajorVersionUpdate";
    /// A target more than one minor ahead.
    pub const MULTIPLE_MINOR_VERSIONS_UPDATE: &str = "MultipleMinorVersionsUpdate";
    /// Overrides are set, and the target stays within the minor.
    pub const OVERRIDES_SET: &str = "ClusterVersionOverridesSet";
    /// A patch on top of an unfinished minor update.
    pub const MINOR_UPDATE_IN_PROGRESS: &str = "MinorVersionClusterUpdateInProgress";
    /// A patch on top of an unfinished major update.
    pub const MAJOR_UPDATE_IN_PROGRESS: &str = "MajorVersionClusterUpdateInProgress";
    /// The target is in no list of updates.
    pub const UNKNOWN_UPDATE: &str = "UnknownUpdate";
    /// The target is a conditional update without a `Recommended` condition.
    pub const UNKNOWN_CONDITION_TYPE: &str = "UnknownConditionType";
    /// The target is in no list of updates, as no channel is set.
    pub const NO_CHANNEL: &str = "NoChannel";
}

/// Names of preconditions, in the order in which the CVO runs them.
pub mod precondition {
    /// Refuses an older version, except the previous version of the same minor.
    pub const ROLLBACK: &str = "ClusterVersionRollback";
    /// Refuses to skip a minor.
    pub const GIANT_HOP: &str = "ClusterVersionGiantHop";
    /// Refuses minor and major updates while `Upgradeable` is `False`.
    pub const UPGRADEABLE: &str = "ClusterVersionUpgradeable";
    /// Warns about a target that is not recommended.
    pub const RECOMMENDED: &str = "ClusterVersionRecommendedUpdate";
}
