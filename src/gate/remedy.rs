//! What ends a risk, or where a person learns what does.

/// What ends a risk, or says more about it. Names are as the cluster has them, not escaped.
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
    /// No write: this ClusterOperator says what it waits for.
    ReadClusterOperator(String),
    /// No write: the ClusterOperators say so.
    ReadClusterOperators,
    /// No write: this ConfigMap, by namespace and name, says so.
    ReadConfigMap(&'static str, &'static str),
    /// No write: the update in progress ends by itself.
    ReadProgress,
    /// No write: the condition of ClusterVersion says so, and managedFields say whose it is.
    ReadClusterVersion,
}

impl Remedy {
    /// Whether this ends the risk, and doesn't only say more about it.
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
