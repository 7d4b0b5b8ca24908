//! The writes, as data: what is written, and what was read of the object before. [`patch`](super::patch) turns each
//! into JSON.

use serde_json::Value;

use crate::{
    api::{Condition, HistoryEntry, Release, ResourceVersion, Uid, UpdateRecord, UpdateRecordStatus},
    gate::TargetVerdict,
};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// JSON patch on the status of ClusterVersion: an accepted risk.
    History(HistoryWrite),
    /// Server-side apply on the status of ClusterVersion: the conditions that are ours, always all of them.
    Conditions(ConditionsWrite),
    /// Withdrawal of the conditions that another role has written.
    Withdraw(Withdrawal),
    /// JSON patch on the spec of ClusterVersion: the bridge.
    Force(Box<ForcePatch>),
    /// JSON patch on the spec of ClusterVersion: the removal of the bridge's force after the update.
    Unforce(ForceRemoval),
    /// JSON patch on the status of ClusterVersion: an accepted risk that its completed entry lost.
    Restore(TextWrite),
    /// An UpdateRecord.
    Record(RecordWrite),
    /// Our ClusterOperator.
    Operator(OperatorWrite),
}

impl Write {
    /// The kind, which is the label in metrics and the key of the backoff.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::History(_) => Kind::History,
            Self::Conditions(_) => Kind::Conditions,
            Self::Withdraw(_) => Kind::Withdraw,
            Self::Force(_) => Kind::Force,
            Self::Unforce(_) => Kind::Unforce,
            Self::Restore(_) => Kind::Restore,
            Self::Record(_) => Kind::Record,
            Self::Operator(_) => Kind::Operator,
        }
    }
}

/// The kinds of write, without their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// See [`Write::History`].
    History,
    /// See [`Write::Conditions`].
    Conditions,
    /// See [`Write::Withdraw`].
    Withdraw,
    /// See [`Write::Force`].
    Force,
    /// See [`Write::Unforce`].
    Unforce,
    /// See [`Write::Restore`].
    Restore,
    /// See [`Write::Record`].
    Record,
    /// See [`Write::Operator`].
    Operator,
}

impl Kind {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is a write to ClusterVersion, which the watch of ClusterVersion shows.
    #[must_use]
    pub fn is_on_cluster_version(self) -> bool {
        !matches!(self, Self::Record | Self::Operator)
    }
}

/// An accepted risk in the history.
#[derive(Clone, Debug, PartialEq)]
pub enum HistoryWrite {
    /// The entry of the update is there, and gets its text.
    Text(TextWrite),
    /// A new entry is put in front.
    Entry(Box<EntryWrite>),
}

/// The text of the newest entry of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct TextWrite {
    /// The `resourceVersion` of the ClusterVersion that was read.
    pub resource_version: ResourceVersion,
    /// The entry that was read.
    pub entry: Box<HistoryEntry>,
    /// What was accepted.
    pub text: String,
}

/// A new entry of the history. The entry left behind is completed, and the entries beyond the limit leave.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryWrite {
    /// The `resourceVersion` of the ClusterVersion that was read.
    pub resource_version: ResourceVersion,
    /// The release that the update is to.
    pub release: Release,
    /// What was accepted.
    pub text: String,
    /// When it was, in RFC 3339.
    pub now: String,
    /// The newest entry that was read; `None` where there was none.
    pub behind: Option<HistoryEntry>,
    /// The entries that leave, by their position, ascending.
    pub leaving: Vec<(usize, HistoryEntry)>,
}

/// The conditions of ClusterVersion that are ours. An apply drops those of ours that it doesn't name.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionsWrite {
    /// The `resourceVersion` of the ClusterVersion that was read.
    pub resource_version: ResourceVersion,
    /// `Upgradeable` first.
    pub conditions: Vec<Condition>,
}

/// A step of the withdrawal of our conditions. Each item is known by its position.
#[derive(Clone, Debug, PartialEq)]
pub enum Withdrawal {
    /// On the status: removes the conditions that only we have written.
    Conditions {
        /// The `resourceVersion` of the ClusterVersion that was read.
        resource_version: ResourceVersion,
        /// Positions and types, ascending.
        conditions: Vec<(usize, String)>,
    },
    /// On the object, as the status subresource doesn't accept it: our ownership of the other conditions is removed.
    Ownership {
        /// The `resourceVersion` of the ClusterVersion that was read.
        resource_version: ResourceVersion,
        /// Positions in `metadata.managedFields`, ascending.
        fields: Vec<usize>,
    },
}

/// A request that is forced, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ForcePatch {
    /// Our own verdict on the release that the CVO has loaded.
    pub target_verdict: TargetVerdict,
    /// `spec.desiredUpdate` as it was read.
    pub request: Value,
    /// The image that is pinned, with a digest.
    pub image: String,
    /// The `resourceVersion` of the ClusterVersion that was read.
    pub resource_version: ResourceVersion,
}

/// The removal of a force of ours, and of the image that was pinned with it.
#[derive(Clone, Debug, PartialEq)]
pub struct ForceRemoval {
    /// `spec.desiredUpdate` as it was read.
    pub request: Value,
    /// The `resourceVersion` of the ClusterVersion that was read.
    pub resource_version: ResourceVersion,
    /// The image is ours as well.
    pub removes_image: bool,
}

/// A write to UpdateRecords.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordWrite {
    /// A record that is missing.
    Create(Box<UpdateRecord>),
    /// A record's status has moved on.
    Status {
        /// The record.
        name: String,
        /// The `resourceVersion` that was read.
        resource_version: Option<ResourceVersion>,
        /// The new status.
        status: Box<UpdateRecordStatus>,
    },
    /// A record beyond the limit.
    Delete {
        /// The record.
        name: String,
        /// Which of that name: it may be a later one by then.
        uid: Uid,
    },
}

/// A write to our ClusterOperator.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorWrite {
    /// Server-side apply of the object, which has no spec to speak of.
    Create,
    /// Server-side apply of its status.
    Status {
        /// The `resourceVersion` that was read, so that a late write of a former leader fails.
        resource_version: ResourceVersion,
        /// All of its conditions.
        conditions: Vec<Condition>,
    },
}
