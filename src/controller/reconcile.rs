//! One turn of the loop: evaluate, decide on the role, plan, and make one write after the other until none is
//! missing. All state that outlives a turn is here.

use std::{sync::Arc, time::Duration};

use kube::Client;
use tokio::time::Instant;

use super::{
    apply::{ApplyError, Writer},
    bridge::{self, Bridging, Refusal},
    events::{self, Announcement, Announcer, Reason},
    leader::Leader,
    now,
    observe::Observed,
    ownership::{self, CvoLease, Evidence, Mode, Role},
    pace::Pace,
    plan::{self, Conditions, Situation, Write},
    surroundings,
    watch::Change,
};
use crate::{
    api::names::condition,
    config::Config,
    gate::{Snapshot, Verdict, evaluate, message},
    metrics::Metrics,
};

/// Looks in one turn at most: what one event calls for, what was found stale in between, and that nothing is left.
const STEPS: usize = 16;
/// How often in a row a write that was found stale is planned anew right away: whoever was faster is done by then.
const STALE: u32 = 4;
/// How long an answer about the surroundings is good for.
const REST: Duration = Duration::from_secs(10);

/// Everything that the loop owns.
pub struct Gate {
    mode: Mode,
    vacant_after: Duration,
    client: Client,
    writer: Writer,
    pub(super) leader: Leader,
    metrics: Arc<Metrics>,
    announcer: Announcer,
    observed: Observed,
    pub(super) pace: Pace,
    role: Role,
    why: &'static str,
    /// What the CVO's Lease said, and when.
    lease: Option<(CvoLease, Instant)>,
    /// Whether the policy was in force, and when.
    policy: Option<(bool, Instant)>,
    /// The object on which `Upgradeable` was ours once.
    held: Option<String>,
    contradicted: bool,
    ungated_since: Option<Instant>,
    /// The uid and generation that were forced.
    forced: Option<(String, i64)>,
    restored: Vec<String>,
    /// The record of the bridge whose update went unverified, as it was told.
    unverified: Option<String>,
    /// What a role that doesn't write the conditions would have written last.
    said: Option<Conditions>,
    /// Something may have to be done.
    pub due: bool,
}

impl Gate {
    /// A gate that has seen nothing yet.
    pub fn new(config: &Config, client: &Client, leader: Leader, metrics: Arc<Metrics>, announcer: Announcer) -> Self {
        Self {
            mode: config.mode,
            vacant_after: config.vacant_after,
            client: client.clone(),
            writer: Writer::new(client),
            leader,
            metrics,
            announcer,
            observed: Observed::new(),
            pace: Pace::default(),
            role: Role::Undecided,
            why: "nothing was seen yet",
            lease: None,
            policy: None,
            held: None,
            contradicted: false,
            ungated_since: None,
            forced: None,
            restored: Vec::new(),
            unverified: None,
            said: None,
            due: false,
        }
    }

    /// Takes in what a watch saw.
    pub fn take(&mut self, change: Change) {
        if self.observed.take(change) {
            self.due = true;
            if let Some(why) = self.observed.unreadable() {
                tracing::error!(why, "nothing can be judged");
            }
        }
    }

    /// Whether every source has been seen.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.observed.is_complete()
    }

    /// Does what is due.
    pub async fn turn(&mut self) {
        if std::mem::take(&mut self.due) {
            let started = Instant::now();
            if self.reconcile().await {
                self.metrics.reconciled(started.elapsed());
            }
        }
    }

    /// Gives the lease back, and lets go of the events.
    pub async fn stop(self) {
        self.leader.release().await;
    }

    /// Writes until the cluster says what the verdict says, or something speaks against it. Returns whether
    /// anything was written.
    async fn reconcile(&mut self) -> bool {
        let mut failures = 0;
        let mut any = false;
        for _ in 0..STEPS {
            let leads = self.leader.may_write();
            self.metrics.leads(leads);
            let authority = self.role.authority();
            let Some(snapshot) = self.observed.snapshot(now(), authority) else { return any };
            let verdict = evaluate(snapshot);
            self.metrics.evaluated(snapshot, &verdict);
            if !leads {
                // What another replica writes meanwhile takes nothing back.
                self.pace = Pace::default();
                return any;
            }
            if self.decide_role(&verdict).await {
                // Another role has another authority.
                continue;
            }
            let bridging = self.bridging().await;
            let failing = self.pace.failing();
            let (snapshot, operator, records) = self.observed.all();
            let recording = self.pace.recording(snapshot);
            let situation = Situation {
                snapshot,
                verdict: &verdict,
                role: self.role,
                why: self.why,
                operator,
                records,
                bridging: bridging.as_ref(),
                recording,
                failing: &failing,
                contended: self.pace.contends(),
                restored: &self.restored,
            };
            let writes = plan::plan(&situation);
            if self.role == Role::Replace && !writes.iter().any(|write| write.kind().is_on_cluster_version()) {
                let conditions = plan::conditions(snapshot, &verdict, recording);
                self.pace.stands(snapshot, &conditions);
            }
            self.show(bridging.as_ref());
            if !matches!(self.role, Role::Replace | Role::Undecided) {
                self.look_on(&verdict);
            }
            let Some(write) = self.next(writes) else { return any };
            // The lease may have run out while something was asked.
            if !self.leader.may_write() {
                return any;
            }
            match self.writer.apply(&write).await {
                Ok(answer) => {
                    any = true;
                    failures = 0;
                    self.metrics.wrote(write.kind().as_str(), "ok");
                    self.written(&write, &verdict, recording);
                    self.observed.take_answer(answer);
                    self.after_force(&write);
                }
                Err(error) => {
                    self.metrics.wrote(write.kind().as_str(), error.category());
                    failures += 1;
                    if !self.recover(&write, error, failures).await {
                        return any;
                    }
                }
            }
        }
        self.due = true;
        any
    }

    /// The first write that may be made now.
    fn next(&mut self, writes: Vec<Write>) -> Option<Write> {
        if writes.is_empty() {
            self.pace.settled();
            return None;
        }
        writes.into_iter().find(|write| {
            let (snapshot, ..) = self.observed.all();
            !self.pace.is_contended(write, snapshot) || self.contend()
        })
    }

    /// Looks who gates here. Returns whether the role has changed.
    async fn decide_role(&mut self, verdict: &Verdict) -> bool {
        let Some(cluster_version) = self.observed.cluster_version() else { return false };
        let owned = ownership::owns_upgradeable(cluster_version);
        let uid = &cluster_version.metadata.uid;
        if owned {
            self.held = Some(uid.clone());
        } else if self.held.as_ref() == Some(uid) && matches!(self.role, Role::Replace | Role::Guard) {
            self.contradicted = true;
        }
        let ungated = self.role == Role::Bridge && ownership::is_ungated(cluster_version, verdict);
        self.ungated_since = ungated.then(|| self.ungated_since.unwrap_or_else(Instant::now));
        if self.mode == Mode::Auto && (self.role == Role::Undecided && !owned || ungated) {
            self.look_for_cvo().await;
        }
        let Some(cluster_version) = self.observed.cluster_version() else { return false };
        let evidence = Evidence {
            lease: self.lease.map_or(CvoLease::Unknown, |(lease, _)| lease),
            contradicted: self.contradicted,
            ungated_for: self.ungated_since.map(|since| since.elapsed()),
            vacant_after: self.vacant_after,
            before: self.role,
        };
        let (role, why) = ownership::role(self.mode, cluster_version, &evidence);
        self.metrics.acts_as(role);
        if role == self.role {
            return false;
        }
        (self.role, self.why) = (role, why);
        tracing::info!(role = role.as_str(), why, "the mode has been decided");
        // A mode that a person named is no news.
        if self.mode == Mode::Auto {
            let note = format!("upgrade-gate acts in mode {}: {why}.", role.as_str());
            self.announcer.announce(cluster_version, Announcement { reason: Reason::ModeChanged, note });
        }
        true
    }

    async fn look_for_cvo(&mut self) {
        let known = self.lease.is_some_and(|(lease, at)| lease != CvoLease::Unknown && at.elapsed() < REST);
        if !known {
            self.lease = Some((surroundings::cvo_lease(&self.client, now()).await, Instant::now()));
        }
    }

    /// What the bridge says of the request. The policy is asked for only when nothing else is missing.
    async fn bridging(&mut self) -> Option<Result<Bridging, Refusal>> {
        if self.role != Role::Bridge {
            return None;
        }
        let (snapshot, ..) = self.observed.all();
        let bridging = bridge::decide(snapshot, true);
        if bridging.is_err() {
            return Some(bridging);
        }
        let known = self.policy.filter(|(installed, at)| *installed && at.elapsed() < REST);
        let installed = match known {
            Some((installed, _)) => installed,
            None => surroundings::policy_is_installed(&self.client).await,
        };
        self.policy = Some((installed, known.map_or_else(Instant::now, |(_, at)| at)));
        let (snapshot, ..) = self.observed.all();
        let metadata = &snapshot.cluster_version.metadata;
        if self.forced.as_ref() == Some(&(metadata.uid.clone(), metadata.generation)) {
            return Some(Err(Refusal::Forced));
        }
        Some(bridge::decide(snapshot, installed))
    }

    /// Remembers a write, and says what it means.
    fn written(&mut self, write: &Write, verdict: &Verdict, recording: plan::Recording) {
        let (snapshot, ..) = self.observed.all();
        self.pace.wrote(write, snapshot);
        let cluster_version = &snapshot.cluster_version;
        match write {
            Write::Conditions(_) if self.role == Role::Replace => {
                let after = plan::conditions(snapshot, verdict, recording);
                let before = (
                    cluster_version.condition(condition::UPGRADEABLE),
                    cluster_version.condition(condition::RELEASE_ACCEPTED),
                );
                for announcement in events::announcements(snapshot, verdict, before, &after) {
                    say(&self.announcer, &self.metrics, snapshot, verdict, announcement);
                }
            }
            Write::Force(bridging) => {
                self.metrics.decided(bridging.judgement.update_type, bridging.judgement.decision());
                for announcement in events::forced(cluster_version, &bridging.judgement) {
                    say(&self.announcer, &self.metrics, snapshot, verdict, announcement);
                }
            }
            Write::Restore(_) => {
                self.restored.extend(cluster_version.history().first().map(|entry| entry.started_time.clone()));
            }
            Write::Conditions(_) | Write::Withdraw(_) | Write::History(_) | Write::Record(_) | Write::Operator(_) => {}
        }
    }

    /// Once for each generation: the one that the write made, should somebody strip the force from it.
    fn after_force(&mut self, write: &Write) {
        if let (Write::Force(_), Some(cluster_version)) = (write, self.observed.cluster_version()) {
            self.forced = Some((cluster_version.metadata.uid.clone(), cluster_version.metadata.generation));
        }
    }

    /// Says what a role that doesn't write the conditions itself has come to think of them.
    fn look_on(&mut self, verdict: &Verdict) {
        let (snapshot, ..) = self.observed.all();
        let cluster_version = &snapshot.cluster_version;
        let after = plan::conditions(snapshot, verdict, plan::Recording::Possible);
        let before = match &self.said {
            Some(said) => (Some(&said.upgradeable), Some(&said.release_accepted)),
            None => (cluster_version.condition(condition::UPGRADEABLE), None),
        };
        for announcement in events::announcements(snapshot, verdict, before, &after) {
            // In the bridge an update goes ahead when it is forced, or when the CVO says so.
            let premature = self.role == Role::Bridge
                && matches!(announcement.reason, Reason::UpdateAccepted | Reason::ForcedPastOverrides);
            if !premature {
                say(&self.announcer, &self.metrics, snapshot, verdict, announcement);
            }
        }
        self.said = Some(after);
    }

    /// Shows how the bridge is.
    fn show(&mut self, bridging: Option<&Result<Bridging, Refusal>>) {
        let (snapshot, _, records) = self.observed.all();
        let cluster_version = &snapshot.cluster_version;
        let refusal = match bridging {
            Some(Err(refusal)) if refusal.holds_back() => Some(*refusal),
            _ => None,
        };
        let is_news = self.metrics.bridges(refusal, ownership::owns_force(cluster_version));
        if let Some(refusal) = refusal.filter(|_| is_news) {
            tracing::info!(refusal = refusal.as_str(), "{}", refusal.message());
        }
        let unverified = match records {
            crate::gate::Source::Read(records) => super::records::unverified(records),
            _ => None,
        };
        self.metrics.is_unverified(unverified.is_some());
        let name = unverified.and_then(|record| record.metadata.name.clone());
        if let Some(record) = unverified.filter(|_| name != self.unverified) {
            let note = format!(
                "The update to {} was forced by upgrade-gate and went ahead without a verified signature: the image \
                 stopped being verifiable between the refusal and the force.",
                message::quote(&record.spec.to)
            );
            tracing::warn!("{note}");
            self.announcer.announce(cluster_version, Announcement { reason: Reason::ForcedUnverified, note });
        }
        self.unverified = name;
    }

    /// After a failed write: reads anew, and says whether to plan once more right away.
    async fn recover(&mut self, write: &Write, error: ApplyError, failures: u32) -> bool {
        let kind = write.kind();
        let again = match error {
            ApplyError::Stale(_) => failures <= STALE,
            ApplyError::Invalid(_) => failures <= 1,
            ApplyError::Owned(_) | ApplyError::Gone | ApplyError::Refused(_) | ApplyError::Unanswered(_) => false,
        };
        if again && kind.is_on_cluster_version() {
            match self.writer.read().await {
                Ok(Some(object)) => {
                    self.observed.take_answer(super::apply::Answer::ClusterVersion(object));
                    return true;
                }
                // The watch will tell that it is gone.
                Ok(None) => return false,
                Err(error) => {
                    tracing::warn!(%error, "reading the ClusterVersion anew has failed");
                    self.pace.failed(kind, &error);
                    return false;
                }
            }
        }
        if matches!(error, ApplyError::Gone) && kind.is_on_cluster_version() {
            return false;
        }
        tracing::warn!(write = kind.as_str(), %error, "a write has failed; trying again later");
        self.pace.failed(kind, &error);
        // A server that doesn't answer answers nothing else either; what it refuses mustn't keep the rest back.
        !matches!(error, ApplyError::Unanswered(_))
    }

    /// Another writer has taken back what was written. Says so, and whether it may be written once more by now.
    fn contend(&mut self) -> bool {
        if !self.pace.may_contend() {
            return false;
        }
        self.metrics.contended();
        tracing::warn!("{}", message::CONTENTION);
        if let Some(cluster_version) = self.observed.cluster_version() {
            let announcement = Announcement { reason: Reason::GateContention, note: message::CONTENTION.to_owned() };
            self.announcer.announce(cluster_version, announcement);
        }
        true
    }
}

/// An event, a line in the log, and a count for a decision.
fn say(announcer: &Announcer, metrics: &Metrics, snapshot: &Snapshot, verdict: &Verdict, announcement: Announcement) {
    tracing::info!(reason = ?announcement.reason, "{}", announcement.note.replace('\n', " | "));
    let is_decision = matches!(announcement.reason, Reason::UpdateAccepted | Reason::UpdateBlocked);
    if let Some(request) = events::decided(snapshot, verdict).filter(|_| is_decision) {
        metrics.decided(request.update_type, request.decision());
    }
    announcer.announce(&snapshot.cluster_version, announcement);
}
