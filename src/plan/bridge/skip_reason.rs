//! Why the bridge doesn't force a request: a name for the metric, a sentence for the administrator.

/// Why a request is not forced; the first reason that holds is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
pub enum SkipReason {
    /// No update is requested.
    NoRequest,
    /// The request has unknown fields, or a mode.
    UnknownFields,
    /// The request asks for an architecture, which excludes an image.
    Architecture,
    /// `force` is set already.
    Forced,
    /// The CVO calls the request invalid.
    Invalid,
    /// The CVO doesn't refuse the request for its preconditions.
    NotRefused,
    /// The CVO's message cannot be parsed.
    MessageUnreadable,
    /// The CVO's message is about another request, or doesn't name the image by digest.
    MessageOfAnother,
    /// Something else than overrides blocks as well.
    OtherPrecondition,
    /// No unmanaged override is left, so the CVO will accept it without a force.
    NoOverrides,
    /// By our own comparison it is neither a patch update nor a rollback to the previous version; the sentence
    /// names its type.
    NotPatch(&'static str),
    /// By our own verdict it is blocked.
    Blocked,
    /// A minor or major update hasn't completed.
    Unfinished,
    /// The admission policy, which denies other targets while `force` is set, is not installed or does not deny.
    NoPolicy,
    /// No CVO is known to run.
    NoCvo,
    /// The UpdateRecord can't be written or the UpdateRecords can't be read, for less than 60 seconds so far.
    NoRecords,
}

impl SkipReason {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether a request waits because of this, which an administrator wants to know.
    #[must_use]
    pub fn holds_back(self) -> bool {
        match self {
            Self::NoRequest | Self::Forced | Self::NotRefused | Self::NoOverrides => false,
            Self::UnknownFields
            | Self::Architecture
            | Self::Invalid
            | Self::MessageUnreadable
            | Self::MessageOfAnother
            | Self::OtherPrecondition
            | Self::NotPatch(_)
            | Self::Blocked
            | Self::Unfinished
            | Self::NoPolicy
            | Self::NoCvo
            | Self::NoRecords => true,
        }
    }

    /// Whether the bridge may let the request through within moments, or the CVO does so by itself: it isn't reported as
    /// blocked then.
    #[must_use]
    pub fn may_pass(self) -> bool {
        match self {
            Self::NoRequest
            | Self::Forced
            | Self::NotRefused
            | Self::MessageOfAnother
            | Self::NoOverrides
            | Self::NoCvo
            | Self::NoRecords => true,
            Self::UnknownFields
            | Self::Architecture
            | Self::Invalid
            | Self::MessageUnreadable
            | Self::OtherPrecondition
            | Self::NotPatch(_)
            | Self::Blocked
            | Self::Unfinished
            | Self::NoPolicy => false,
        }
    }

    /// The sentence for the administrator.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NoRequest => "No update is requested.",
            Self::UnknownFields => {
                "The request has fields other than version, image, force and acceptRisks; request the update without them."
            }
            Self::Architecture => "The request names an architecture; a change of architecture is no patch update.",
            Self::Forced => "The request is forced already.",
            Self::Invalid => "The cluster-version operator calls the request invalid.",
            Self::NotRefused => "The cluster-version operator does not refuse the request for its preconditions.",
            Self::MessageUnreadable => "The message of ReleaseAccepted does not have the expected form.",
            Self::MessageOfAnother => {
                "The message of ReleaseAccepted doesn't name the requested release by its digest; if it doesn't within a \
                 minute, ask for the update by version, or by an image with a digest."
            }
            Self::OtherPrecondition => "Something else than overrides blocks the update too; see ReleaseAccepted.",
            Self::NoOverrides => {
                "No override is unmanaged any more; the cluster-version operator decides again by itself."
            }
            Self::NotPatch(why) => why,
            Self::Blocked => "The gate blocks the update.",
            Self::Unfinished => "A minor or major update has not completed; wait for it.",
            Self::NoPolicy => {
                "The ValidatingAdmissionPolicy upgrade-gate, or a binding of it that denies, is missing: without it a force \
                 left in spec would carry the next update. Apply deploy/ again."
            }
            Self::NoCvo => {
                "No cluster-version operator is known to run: its Lease openshift-cluster-version/version isn't renewed, \
                 isn't there, or can't be read. Once one runs and has verified the release again, the update goes on."
            }
            Self::NoRecords => {
                "Its UpdateRecord can't be written, or UpdateRecords can't be read; the log of upgrade-gate says why. The \
                 update waits for its record for up to 60 seconds, and then goes ahead without one."
            }
        }
    }
}
