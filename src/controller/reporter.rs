//! What the loop reports: events, lines in the log and metrics. The reporter remembers what it has reported, so that each
//! thing is reported once, however often it is seen.

use std::sync::Arc;

use crate::{
    api::{ClusterVersion, Release, UpdateRecord, names::condition},
    controller::{events::EventPublisher, metrics::Metrics},
    gate::{Snapshot, Source, Verdict, message},
    plan::{
        Conditions,
        bridge::{
            ForceDecision, ForcePatch,
            skip_reason::SkipReason,
            unforce::{KeepReason, RemovalDecision},
        },
        decisions::{self, Reported},
        events::{self, EventContent, Reason},
        newest_entry::EntryStart,
        record_match,
        role::{Mode, Role},
        step::{Decided, Memory, Observation, RoleChange, Step},
        update_records,
        write::Write,
    },
};

/// Reports, and remembers what was reported.
pub struct Reporter {
    pub(super) metrics: Arc<Metrics>,
    publisher: EventPublisher,
    /// The role is detected, so a change of it is worth an event; otherwise a person has named it.
    detects_role: bool,
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
    pub fn new(metrics: Arc<Metrics>, publisher: EventPublisher, mode: Mode) -> Self {
        Self {
            metrics,
            publisher,
            detects_role: mode == Mode::Auto,
            unwritten: None,
            skip_reason: None,
            keep_reason: None,
            reported: Reported::default(),
            forced: None,
            unverified: None,
        }
    }

    /// Whether this replica may write. Otherwise another one writes and reports, so what was reported here is forgotten.
    pub fn leads(&mut self, leads: bool) {
        self.metrics.leads(leads);
        if !leads {
            self.reported.steps_down();
            (self.skip_reason, self.keep_reason) = (None, None);
        }
    }

    /// Reports what was decided in a step.
    pub fn report(&mut self, step: &Step, observation: &Observation<'_>) {
        let Observation { snapshot, records, operator: _, leads: _ } = *observation;
        let Some(verdict) = &step.verdict else { return };
        self.metrics.evaluated(snapshot, verdict);
        let Some(change) = step.role else { return };
        self.report_role(&snapshot.cluster_version, change);
        let Some(Decided { plan, force, removal, start }) = &step.decided else { return };
        self.report_bridge(&snapshot.cluster_version, records, force.as_ref());
        self.report_kept_force(removal.as_ref());
        if !matches!(change.role, Role::Replace | Role::Undecided) {
            self.report_role_without_writes(snapshot, verdict, change.role, &plan.desired);
        }
        if change.role == Role::Bridge {
            self.report_decisions((snapshot, verdict), force.as_ref(), records, *start);
        }
    }

    /// Reports a write that was made, on the ClusterVersion as it was before.
    pub fn report_write(
        &mut self,
        write: &Write,
        memory: &Memory,
        snapshot: &Snapshot,
        (decided, verdict): (&Decided, &Verdict),
    ) {
        match write {
            Write::Conditions(_) if memory.role() == Role::Replace => {
                self.report_conditions(snapshot, verdict, &decided.plan.desired);
            }
            Write::Force(force_patch) => self.report_force(snapshot, force_patch, memory.record_is_missing()),
            Write::Unforce(_) => tracing::info!("spec.desiredUpdate.force was removed, as the update has completed"),
            Write::Conditions(_)
            | Write::Withdraw(_)
            | Write::History(_)
            | Write::Restore(_)
            | Write::Record(_)
            | Write::Operator(_) => {}
        }
    }

    /// The role, and why it is not known yet.
    fn report_role(&self, cluster_version: &ClusterVersion, change: RoleChange) {
        let RoleChange { role, why, is_new, has_another_reason } = change;
        self.metrics.acts_as(role);
        if !is_new {
            if role == Role::Undecided && has_another_reason {
                tracing::warn!(why, "nothing is written yet");
            }
            return;
        }
        tracing::info!(role = role.as_str(), why, "the mode has been decided");
        if !self.detects_role {
            return;
        }
        let note = format!("upgrade-gate acts in mode {}: {why}.", role.as_str());
        self.publisher.publish(cluster_version, EventContent { reason: Reason::ModeChanged, note });
    }

    /// The conditions have been written.
    fn report_conditions(&self, snapshot: &Snapshot, verdict: &Verdict, after: &Conditions) {
        let before = |kind| snapshot.cluster_version.condition(kind);
        let before = (before(condition::UPGRADEABLE), before(condition::RELEASE_ACCEPTED));
        for event in events::of_change(snapshot, verdict, before, after) {
            self.publish_decision(snapshot, verdict, event);
        }
    }

    /// A request has been forced, with a record of it or without.
    fn report_force(&mut self, snapshot: &Snapshot, force_patch: &ForcePatch, unrecorded: bool) {
        let target_verdict = &force_patch.target_verdict;
        self.forced = Some(target_verdict.release.clone());
        self.metrics.decided(target_verdict.update_type, target_verdict.decision());
        for event in events::forced(&snapshot.cluster_version, target_verdict, unrecorded) {
            self.publish(&snapshot.cluster_version, event);
        }
    }

    /// What a role that doesn't write the conditions would write.
    fn report_role_without_writes(&mut self, snapshot: &Snapshot, verdict: &Verdict, role: Role, after: &Conditions) {
        let before = match &self.unwritten {
            Some(before) => (Some(&before.upgradeable), Some(&before.release_accepted)),
            None => (snapshot.cluster_version.condition(condition::UPGRADEABLE), None),
        };
        for event in events::of_change(snapshot, verdict, before, after) {
            let premature = match event.reason {
                // An update goes ahead when the bridge forces it, or when a CVO accepts it.
                Reason::UpdateAccepted | Reason::ForcedPastOverrides => matches!(role, Role::Bridge | Role::Guard),
                // Beside a CVO, it decides: see [`Self::report_decisions`].
                Reason::UpdateBlocked => role == Role::Bridge,
                Reason::UpgradeableChanged
                | Reason::GateContention
                | Reason::ModeChanged
                | Reason::ForcedUnverified
                | Reason::ForcedUnrecorded => false,
            };
            if !premature {
                self.publish_decision(snapshot, verdict, event);
            }
        }
        self.unwritten = Some(after.clone());
    }

    /// What a CVO has decided, once for each request and decision.
    fn report_decisions(
        &mut self,
        (snapshot, verdict): (&Snapshot, &Verdict),
        force: Option<&ForceDecision>,
        records: &Source<Vec<UpdateRecord>>,
        start: EntryStart,
    ) {
        let cluster_version = &snapshot.cluster_version;
        if let Some(forced) = &self.forced {
            if update_records::is_in_front(cluster_version, forced) {
                self.reported.is_known(cluster_version);
                self.forced = None;
            } else if !record_match::asks_for(cluster_version, forced.id()) {
                self.forced = None;
            }
        }
        let decided = decisions::of_cvo(snapshot, verdict, force, records, start);
        for decided in self.reported.news(snapshot, decided) {
            self.metrics.decided(decided.update_type, decided.decision);
            for event in decided.events {
                self.publish(cluster_version, event);
            }
        }
    }

    /// Why the bridge doesn't force the requested update, and whether one that it forced went ahead unverified.
    fn report_bridge(
        &mut self,
        cluster_version: &ClusterVersion,
        records: &Source<Vec<UpdateRecord>>,
        force: Option<&ForceDecision>,
    ) {
        let skip_reason = match force {
            Some(Err(skip_reason)) => Some(*skip_reason).filter(|skip_reason| skip_reason.holds_back()),
            Some(Ok(_)) | None => None,
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
                message::sanitize_name(&record.spec.to)
            );
            tracing::warn!("{note}");
            self.publisher.publish(cluster_version, EventContent { reason: Reason::ForcedUnverified, note });
        }
        self.unverified = name;
    }

    /// Why a force of ours is still in spec.
    fn report_kept_force(&mut self, removal: Option<&RemovalDecision>) {
        let reason = removal.and_then(|removal| removal.as_ref().err());
        self.metrics.set_force(removal.is_some(), reason);
        let before = std::mem::replace(&mut self.keep_reason, reason.map(KeepReason::as_str));
        if let Some(reason) = reason.filter(|_| self.keep_reason != before) {
            tracing::info!(reason = reason.as_str(), "spec.desiredUpdate.force stays for now: {}", reason.message());
        }
    }

    /// Another writer has reverted a write.
    pub fn report_contention(&self, cluster_version: &ClusterVersion) {
        self.metrics.contended();
        tracing::warn!("{}", message::CONTENTION);
        let event = EventContent { reason: Reason::GateContention, note: message::CONTENTION.to_owned() };
        self.publisher.publish(cluster_version, event);
    }

    /// An event, a line in the log, and a count for a decision.
    fn publish_decision(&self, snapshot: &Snapshot, verdict: &Verdict, event: EventContent) {
        let is_decision = matches!(event.reason, Reason::UpdateAccepted | Reason::UpdateBlocked);
        if let Some(request) = events::decided(snapshot, verdict).filter(|_| is_decision) {
            self.metrics.decided(request.update_type, request.decision());
        }
        self.publish(&snapshot.cluster_version, event);
    }

    fn publish(&self, cluster_version: &ClusterVersion, event: EventContent) {
        tracing::info!(reason = ?event.reason, "{}", event.note.replace('\n', " | "));
        self.publisher.publish(cluster_version, event);
    }
}
