//! What the loop reports: events, lines in the log and metrics. The reporter remembers what it has reported, so that each
//! thing is reported once, however often it is seen.

use std::sync::Arc;

use crate::{
    api::{ClusterVersion, Release, UpdateRecord, names::condition},
    controller::{events::EventPublisher, metrics::Metrics},
    gate::{Snapshot, Source, Verdict, message},
    plan::{
        Conditions,
        bridge::{ForcePatch, skip_reason::SkipReason, unforce::KeepReason},
        decisions::{self, Reported},
        events::{self, EventContent, Reason},
        newest_entry::EntryStart,
        record_match,
        role::Role,
        update_records,
        write::ForceRemoval,
    },
};

/// Reports, and remembers what was reported.
pub struct Reporter {
    pub(super) metrics: Arc<Metrics>,
    publisher: EventPublisher,
    /// The conditions that a role that doesn't write them would have written last.
    unwritten: Option<Conditions>,
    /// Why the bridge doesn't force the requested update, as logged.
    skip_reason: Option<SkipReason>,
    /// Why a force of ours stays in spec, as logged.
    keep_reason: Option<&'static str>,
    /// What was reported of a CVO's decisions.
    reported: Reported,
    /// The release that was forced last, which was reported then.
    forced: Option<Release>,
    /// The record of the bridge whose update went ahead unverified, as reported.
    unverified: Option<String>,
}

impl Reporter {
    /// Nothing was reported yet.
    pub fn new(metrics: Arc<Metrics>, publisher: EventPublisher) -> Self {
        Self {
            metrics,
            publisher,
            unwritten: None,
            skip_reason: None,
            keep_reason: None,
            reported: Reported::default(),
            forced: None,
            unverified: None,
        }
    }

    /// The role has changed. There is no event where a person named the role.
    pub fn report_role(&self, cluster_version: &ClusterVersion, role: Role, why: &str, is_news: bool) {
        tracing::info!(role = role.as_str(), why, "the mode has been decided");
        if !is_news {
            return;
        }
        let note = format!("upgrade-gate acts in mode {}: {why}.", role.as_str());
        self.publisher.publish(cluster_version, EventContent { reason: Reason::ModeChanged, note });
    }

    /// The conditions have been written.
    pub fn report_conditions(&self, snapshot: &Snapshot, verdict: &Verdict, after: &Conditions) {
        let before = |kind| snapshot.cluster_version.condition(kind);
        let before = (before(condition::UPGRADEABLE), before(condition::RELEASE_ACCEPTED));
        for announcement in events::announcements(snapshot, verdict, before, after) {
            self.publish_decision(snapshot, verdict, announcement);
        }
    }

    /// A request has been forced, with a record of it or without.
    pub fn report_force(&mut self, snapshot: &Snapshot, force_patch: &ForcePatch, unrecorded: bool) {
        let target_verdict = &force_patch.target_verdict;
        self.forced = Some(target_verdict.release.clone());
        self.metrics.decided(target_verdict.update_type, target_verdict.decision());
        for announcement in events::forced(&snapshot.cluster_version, target_verdict, unrecorded) {
            self.publish(&snapshot.cluster_version, announcement);
        }
    }

    /// What a role that doesn't write the conditions would write.
    pub fn report_role_without_writes(
        &mut self,
        snapshot: &Snapshot,
        verdict: &Verdict,
        role: Role,
        after: &Conditions,
    ) {
        let before = match &self.unwritten {
            Some(before) => (Some(&before.upgradeable), Some(&before.release_accepted)),
            None => (snapshot.cluster_version.condition(condition::UPGRADEABLE), None),
        };
        for announcement in events::announcements(snapshot, verdict, before, after) {
            let premature = match announcement.reason {
                // An update goes ahead when the bridge forces it, or when a CVO accepts it.
                Reason::UpdateAccepted | Reason::ForcedPastOverrides => matches!(role, Role::Bridge | Role::Guard),
                // Beside a CVO, it decides: see [`Self::report_decisions`].
                Reason::UpdateBlocked => role == Role::Bridge,
                _ => false,
            };
            if !premature {
                self.publish_decision(snapshot, verdict, announcement);
            }
        }
        self.unwritten = Some(after.clone());
    }

    /// What a CVO has decided, once for each request and decision.
    pub fn report_decisions(
        &mut self,
        (snapshot, verdict): (&Snapshot, &Verdict),
        force_patch: Option<&Result<ForcePatch, SkipReason>>,
        records: &Source<Vec<UpdateRecord>>,
        start: EntryStart,
    ) {
        let cluster_version = &snapshot.cluster_version;
        if let Some(forced) = &self.forced {
            if update_records::is_in_front(cluster_version, forced) {
                self.reported.is_known(cluster_version);
                self.forced = None;
            } else if !record_match::asks_for(cluster_version, &forced.version, &forced.image) {
                self.forced = None;
            }
        }
        let decided = decisions::of_cvo(snapshot, verdict, force_patch, records, start);
        for decided in self.reported.news(snapshot, decided) {
            self.metrics.decided(decided.update_type, decided.decision);
            for announcement in decided.announcements {
                self.publish(cluster_version, announcement);
            }
        }
    }

    /// Another replica writes now, and reports; what was reported here is forgotten.
    pub fn forget(&mut self) {
        self.reported.steps_down();
        (self.skip_reason, self.keep_reason) = (None, None);
    }

    /// Why the bridge doesn't force the requested update, and whether one that it forced went ahead unverified.
    pub fn report_bridge(
        &mut self,
        cluster_version: &ClusterVersion,
        records: &Source<Vec<UpdateRecord>>,
        force_patch: Option<&Result<ForcePatch, SkipReason>>,
    ) {
        let skip_reason = match force_patch {
            Some(Err(skip_reason)) if skip_reason.holds_back() => Some(*skip_reason),
            _ => None,
        };
        self.metrics.set_skip_reason(skip_reason);
        let before = std::mem::replace(&mut self.skip_reason, skip_reason);
        if let Some(skip_reason) = skip_reason.filter(|_| skip_reason != before) {
            tracing::info!(skip_reason = skip_reason.as_str(), "{}", skip_reason.message());
        }
        let unverified = match records {
            Source::Read(records) => update_records::unverified(records, cluster_version),
            Source::NotServed | Source::Unreadable(_) | Source::NotGiven => None,
        };
        self.metrics.set_unverified(unverified.is_some());
        let name = unverified.and_then(|record| record.metadata.name.clone());
        if let Some(record) = unverified.filter(|_| name != self.unverified) {
            let note = format!(
                "The update to {} was forced by upgrade-gate and went ahead without a verified signature: the image \
                 stopped being verifiable between the refusal and the force.",
                message::quote_name(&record.spec.to)
            );
            tracing::warn!("{note}");
            self.publisher.publish(cluster_version, EventContent { reason: Reason::ForcedUnverified, note });
        }
        self.unverified = name;
    }

    /// Why a force of ours is still in spec.
    pub fn report_kept_force(&mut self, unforcing: Option<&Result<ForceRemoval, KeepReason>>) {
        let reason = unforcing.and_then(|unforcing| unforcing.as_ref().err());
        self.metrics.set_force(unforcing.is_some(), reason);
        let before = std::mem::replace(&mut self.keep_reason, reason.map(KeepReason::as_str));
        if let Some(reason) = reason.filter(|_| self.keep_reason != before) {
            tracing::info!(reason = reason.as_str(), "spec.desiredUpdate.force stays for now: {}", reason.message());
        }
    }

    /// Another writer has reverted a write.
    pub fn report_contention(&self, cluster_version: &ClusterVersion) {
        self.metrics.contended();
        tracing::warn!("{}", message::CONTENTION);
        let announcement = EventContent { reason: Reason::GateContention, note: message::CONTENTION.to_owned() };
        self.publisher.publish(cluster_version, announcement);
    }

    /// An event, a line in the log, and a count for a decision.
    fn publish_decision(&self, snapshot: &Snapshot, verdict: &Verdict, announcement: EventContent) {
        let is_decision = matches!(announcement.reason, Reason::UpdateAccepted | Reason::UpdateBlocked);
        if let Some(request) = events::decided(snapshot, verdict).filter(|_| is_decision) {
            self.metrics.decided(request.update_type, request.decision());
        }
        self.publish(&snapshot.cluster_version, announcement);
    }

    fn publish(&self, cluster_version: &ClusterVersion, announcement: EventContent) {
        tracing::info!(reason = ?announcement.reason, "{}", announcement.note.replace('\n', " | "));
        self.publisher.publish(cluster_version, announcement);
    }
}
