//! The remedy of a risk: a write that ends it, or the object that explains it.

/// What ends a risk, or explains it. Names are those of the cluster, not escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Setting the unmanaged overrides to `unmanaged: false`.
    ManageOverrides,
    /// Acknowledging the gate with this key.
    Acknowledge(String),
    /// Creating the ConfigMap of acknowledgements.
    CreateAcks,
    /// Making the cluster-version operator compute and publish `Upgradeable` again.
    Publish,
    /// No write: this ClusterOperator explains it.
    ReadClusterOperator(String),
    /// No write: the ClusterOperators explain it.
    ReadClusterOperators,
    /// No write: this ConfigMap, by namespace and name, explains it.
    ReadConfigMap(&'static str, &'static str),
    /// No write: the update in progress ends by itself.
    ReadProgress,
    /// No write: the condition of ClusterVersion explains it, and managedFields show its writer.
    ReadClusterVersion,
}

impl Remedy {
    /// Whether this ends the risk, rather than only explaining it.
    #[must_use]
    pub fn removes(&self) -> bool {
        match self {
            Self::ManageOverrides | Self::Acknowledge(_) | Self::CreateAcks | Self::Publish => true,
            Self::ReadClusterOperator(_)
            | Self::ReadClusterOperators
            | Self::ReadConfigMap(..)
            | Self::ReadProgress
            | Self::ReadClusterVersion => false,
        }
    }
}
