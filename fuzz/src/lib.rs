//! What the fuzz targets share: a snapshot of any cluster, and the invariants that hold for every one.

use upgrade_gate::{
    api::ClusterVersion,
    escape::is_unprintable,
    gate::{
        Authority, Decision, Snapshot, Source, Target, UpdateType, Verdict,
        message::{self, MESSAGE_LIMIT, RECORD_LIMIT},
        would_leave_minor,
    },
};

/// A snapshot of a ClusterVersion without other sources, with every target that it names and these.
#[must_use]
pub fn snapshot(cluster_version: ClusterVersion, authority: Authority, targets: &[Target]) -> Snapshot {
    let named = Target::requested(&cluster_version).into_iter().chain(Target::listed(&cluster_version).take(16));
    Snapshot {
        now: jiff::Timestamp::UNIX_EPOCH,
        targets: named.chain(targets.iter().cloned()).collect(),
        cluster_version,
        cluster_operators: Source::Read(Vec::new()),
        admin_gates: Source::Read(Some([].into())),
        admin_acks: Source::Read(Some([].into())),
        authority,
    }
}

/// Asserts that a verdict errs on the safe side, and that its texts are printable and within the limits.
pub fn assert_safe(snapshot: &Snapshot, verdict: &Verdict) {
    let cluster_version = &snapshot.cluster_version;
    let overridden = cluster_version.unmanaged_overrides().next().is_some();
    assert!(!overridden || !verdict.upgradeable.holds(), "overrides, and Upgradeable");
    assert_eq!(verdict.risks.is_empty(), verdict.upgradeable.holds());
    let current_parses = semver::Version::parse(&cluster_version.desired().version).is_ok();
    for target_verdict in &verdict.targets {
        let leaves = would_leave_minor(target_verdict.update_type) && !verdict.upgradeable.holds();
        let unknown = target_verdict.update_type == UpdateType::Unknown && current_parses;
        let downgrade = target_verdict.update_type == UpdateType::Downgrade;
        if (leaves || unknown || downgrade) && !target_verdict.target.force {
            assert_eq!(target_verdict.decision(), Decision::Blocked, "{target_verdict:?}");
        }
        assert_eq!(target_verdict.failures.is_empty(), target_verdict.decision() == Decision::Allowed);
        assert_fit(&message::release_accepted(target_verdict), MESSAGE_LIMIT);
        assert_fit(&message::accepted_risks(target_verdict), RECORD_LIMIT);
        for finding in target_verdict.failures.iter().chain(&target_verdict.accepted_risks) {
            assert_fit(&finding.message, MESSAGE_LIMIT);
            assert_fit(&finding.reason, 2048);
        }
    }
    assert_fit(verdict.upgradeable.message(), MESSAGE_LIMIT);
    assert_fit(verdict.upgradeable.reason(), 2048);
}

/// Asserts that a text is of at most so many bytes, and that nothing hides in it.
pub fn assert_fit(text: &str, limit: usize) {
    assert!(text.len() <= limit, "{} bytes of {limit}", text.len());
    assert_shown(text);
}

/// Asserts that nothing hides in a text, line breaks apart.
pub fn assert_shown(text: &str) {
    let hidden = text.chars().find(|character| *character != '\n' && is_unprintable(*character));
    assert_eq!(hidden, None, "in {text:?}");
}
