//! The names in metrics, events, logs and JSON are an interface. They are derived from the names of enum variants, so
//! renaming a variant must not change them.

use strum::VariantNames;

use crate::{
    api::ConditionStatus,
    gate::{Decision, UpdateType},
    plan::{
        Kind,
        bridge::{skip_reason::SkipReason, unforce::KeepReason},
        events::Reason,
        recovery::WriteError,
        role::Role,
    },
};

#[test]
fn words_that_programs_read_stay_as_they_are() {
    assert_eq!(ConditionStatus::VARIANTS, ["True", "False", "Unknown"]);
    assert_eq!(Decision::VARIANTS, ["allowed", "blocked"]);
    assert_eq!(UpdateType::VARIANTS, ["patch", "minor", "major", "rollback", "downgrade", "same", "unknown"]);
    assert_eq!(Role::VARIANTS, ["undecided", "replace", "guard", "bridge", "observe"]);
    assert_eq!(
        Kind::VARIANTS,
        ["history", "conditions", "withdraw", "force", "unforce", "restore", "record", "operator"]
    );
    assert_eq!(WriteError::VARIANTS, ["stale", "invalid", "owned", "gone", "refused", "too_large", "unanswered"]);
    assert_eq!(
        Reason::VARIANTS,
        [
            "UpdateAccepted",
            "UpdateBlocked",
            "UpgradeableChanged",
            "ForcedPastOverrides",
            "GateContention",
            "ModeChanged",
            "ForcedUnverified",
            "ForcedUnrecorded",
        ]
    );
    assert_eq!(
        SkipReason::VARIANTS,
        [
            "NoRequest",
            "UnknownFields",
            "Architecture",
            "Forced",
            "Invalid",
            "NotRefused",
            "MessageUnreadable",
            "MessageOfAnother",
            "OtherPrecondition",
            "NoOverrides",
            "NotPatch",
            "Blocked",
            "Unfinished",
            "NoPolicy",
            "NoCvo",
            "NoRecords",
        ]
    );
    assert_eq!(
        KeepReason::VARIANTS,
        [
            "SharedForce",
            "RequestChanged",
            "Invalid",
            "NotBegun",
            "NotCompleted",
            "NotDesired",
            "NotAccepted",
            "Progressing",
            "Failing",
            "OperatorsUnreadable",
            "OperatorUnhealthy",
            "RecordsUnreadable",
            "RecordOpen",
        ]
    );
}
