//! The objects of the API server, reduced to the fields that the gate reads.
//!
//! A missing field, `null` and an empty value are read alike, and an unknown field is ignored. A field that cannot be read is an
//! error, never a default that allows an update.

mod cluster_operator;
mod cluster_version;
mod condition;
mod managed_fields;
mod metadata;
pub mod names;
mod update_record;

use serde::{Deserialize, Deserializer};

pub use cluster_operator::{ClusterOperator, Health, OwnOperator};
pub use cluster_version::{
    ClusterVersion, ConditionalUpdate, DesiredUpdate, HistoryEntry, HistoryState, Override, Release, ReleaseId, Served,
    Spec, Status, UnreadableClusterVersion,
};
pub use condition::{Condition, ConditionStatus, find};
pub use managed_fields::{ManagedField, owners_of_condition, owners_of_override, owners_of_request};
pub use metadata::{Generation, Metadata, ResourceVersion, Uid};
pub use update_record::{AcceptedBy, Outcome, RecordedOverride, UpdateRecord, UpdateRecordSpec, UpdateRecordStatus};

/// Reads `null` as the type's default, as Go's decoder does for every field of these kinds.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
