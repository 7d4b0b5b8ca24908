//! How long a force waits for its UpdateRecord: pure, the shell measures the time.
//!
//! No update goes ahead without a record that could be written; but a security fix must not wait indefinitely for one
//! that cannot. A failed read counts like a failed write: records that cannot be read may be missing. A restart begins
//! the wait again.

use std::time::Duration;

use crate::{
    api::{AcceptedBy, ClusterVersion, UpdateRecord},
    gate::{Source, TargetVerdict},
    plan::update_records,
};

/// After so long the update goes ahead without a record.
pub const LIMIT: Duration = Duration::from_mins(1);

/// The record of an update that is about to be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordWait {
    /// It is there, or the API server doesn't serve UpdateRecords.
    Settled,
    /// It is missing, and is written next.
    Writable,
    /// It is missing, and the last try to write it has failed a moment ago.
    Failing,
    /// UpdateRecords cannot be read.
    Unreadable,
}

impl RecordWait {
    /// Finds the record. `is_failing`: the next write of a record still waits after a failure.
    #[must_use]
    pub fn of(
        records: &Source<Vec<UpdateRecord>>,
        cluster_version: &ClusterVersion,
        target_verdict: &TargetVerdict,
        is_failing: bool,
    ) -> Self {
        let is_there = |records: &[UpdateRecord]| {
            update_records::is_recorded(records, cluster_version, target_verdict, AcceptedBy::Bridge)
        };
        match records {
            Source::NotServed => Self::Settled,
            Source::Unreadable(_) | Source::NotGiven => Self::Unreadable,
            Source::Read(records) if is_there(records) => Self::Settled,
            Source::Read(_) if is_failing => Self::Failing,
            Source::Read(_) => Self::Writable,
        }
    }

    /// Whether the record is missing, or may be.
    #[must_use]
    pub fn is_missing(self) -> bool {
        self != Self::Settled
    }

    /// Whether the update waits for its record, which has been missing for this time.
    #[must_use]
    pub fn holds_back(self, missing_for: Duration) -> bool {
        match self {
            Self::Settled | Self::Writable => false,
            Self::Failing | Self::Unreadable => missing_for < LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::gate::testing::{cluster_version, evaluate_to};

    fn none() -> Source<Vec<UpdateRecord>> {
        Source::Read(Vec::new())
    }

    fn one(to: &str, by: &str, outcome: &str) -> Source<Vec<UpdateRecord>> {
        let record = json!({
            "apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": "a"},
            "spec": {"from": "4.21.1", "to": to, "type": "patch", "image": "", "overrides": [], "acceptedRisks": "text",
                     "by": by, "acceptedTime": "2026-01-01T00:00:00Z"},
            "status": {"outcome": outcome},
        });
        Source::Read(vec![serde_json::from_value(record).unwrap()])
    }

    #[rstest]
    #[case::there(one("4.21.2", "Bridge", "Pending"), false, RecordWait::Settled)]
    #[case::there_while_another_fails(one("4.21.2", "Bridge", "Pending"), true, RecordWait::Settled)]
    #[case::nobody_serves_any(Source::NotServed, true, RecordWait::Settled)]
    #[case::to_be_written(none(), false, RecordWait::Writable)]
    #[case::not_written(none(), true, RecordWait::Failing)]
    #[case::of_another_update(one("4.21.3", "Bridge", "Pending"), true, RecordWait::Failing)]
    #[case::of_an_earlier_request(one("4.21.2", "Bridge", "Abandoned"), true, RecordWait::Failing)]
    #[case::of_a_force_of_somebody_else(one("4.21.2", "Force", "Pending"), true, RecordWait::Failing)]
    #[case::not_read(Source::Unreadable("why".to_owned()), false, RecordWait::Unreadable)]
    #[case::not_seen(Source::NotGiven, false, RecordWait::Unreadable)]
    fn the_record_is_looked_for(
        #[case] records: Source<Vec<UpdateRecord>>,
        #[case] is_failing: bool,
        #[case] expected: RecordWait,
    ) {
        let cluster_version = cluster_version("4.21.1", &[]);
        let target_verdict = evaluate_to(&cluster_version, "4.21.2");
        assert_eq!(RecordWait::of(&records, &cluster_version, &target_verdict, is_failing), expected);
    }

    #[rstest]
    #[case(RecordWait::Settled, 0, false)]
    #[case(RecordWait::Writable, 0, false)]
    #[case(RecordWait::Failing, 0, true)]
    #[case(RecordWait::Failing, 59_999, true)]
    #[case(RecordWait::Failing, 60_000, false)]
    #[case(RecordWait::Unreadable, 0, true)]
    #[case(RecordWait::Unreadable, 59_999, true)]
    #[case(RecordWait::Unreadable, 60_000, false)]
    fn an_update_waits_for_its_record_for_a_minute(
        #[case] state: RecordWait,
        #[case] milliseconds: u64,
        #[case] expected: bool,
    ) {
        assert_eq!(state.holds_back(Duration::from_millis(milliseconds)), expected);
    }
}
