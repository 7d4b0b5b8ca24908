//! Any JSON that reads as a ClusterVersion: judging it and planning for it never panics, and errs on the safe side.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use upgrade_gate::{api::ClusterVersion, gate::{Authority, Source, evaluate}, plan::{PlanInput, RecordState, Write, bridge::{ClusterChecks, candidate, confirm, unforce}, newest_entry::EntryStart, plan, record_wait::RecordWait, role::{CvoLease, Role}}};
use upgrade_gate_fuzz::{assert_safe, assert_shown, snapshot};

/// A cluster on which the bridge would force.
const CONFIRMED: ClusterChecks = ClusterChecks {
    policy_installed: true,
    cvo: CvoLease::Fresh,
    record: RecordWait::Settled,
    record_missing_for: Duration::ZERO,
};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(object) = serde_json::from_slice::<Value>(data) else { return Corpus::Reject };
    let Ok(cluster_version) = ClusterVersion::from_value(object) else { return Corpus::Reject };
    for (role, authority) in
        [(Role::Replace, Authority::Sole), (Role::Guard, Authority::Shared), (Role::Bridge, Authority::Shared)]
    {
        let snapshot = snapshot(cluster_version.clone(), authority, &[]);
        let verdict = evaluate(&snapshot);
        assert_safe(&snapshot, &verdict);
        let force = (role == Role::Bridge).then(|| candidate(&snapshot).and_then(|candidate| confirm(candidate, &CONFIRMED)));
        let records = Source::Read(Vec::new());
        let start = EntryStart::default();
        let removal = unforce::decide(&snapshot.cluster_version, &snapshot.cluster_operators, &records, start);
        let writes = plan(&PlanInput {
            snapshot: &snapshot,
            verdict: &verdict,
            role,
            why: "fuzzing",
            operator: &Source::Read(None),
            records: &records,
            force: force.as_ref(),
            start,
            removal: removal.as_ref(),
            record_state: RecordState::Possible,
            problems: &[],
            degraded_after: Duration::ZERO,
            cvo: CvoLease::Unknown,
            is_restored: false,
        })
        .writes;
        assert!(cluster_version.status.is_some() || writes.is_empty(), "a write without a status");
        for write in &writes {
            if let Write::Conditions(write) = write {
                for condition in &write.conditions {
                    assert_shown(&condition.message);
                }
            }
        }
    }
    Corpus::Keep
});
