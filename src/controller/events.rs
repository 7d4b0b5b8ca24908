//! What the gate says aloud: which change of the conditions is worth an event, a log line and a count (pure), and
//! the task that carries events to the API server without ever holding the gate up.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus, names},
    gate::{Decision, Snapshot, TargetVerdict, UpdateType, Verdict, message},
    plan::{self, Conditions},
};

/// Bytes that the API server takes for a note.
const NOTE_LIMIT: usize = 1024;
/// Events that wait for the API server at most; what comes on top is lost, as events may be.
const QUEUE: usize = 64;

/// The reasons of our events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
pub enum Reason {
    /// A requested update goes ahead.
    UpdateAccepted,
    /// A requested update doesn't.
    UpdateBlocked,
    /// `Upgradeable` has flipped, or holds for other reasons.
    UpgradeableChanged,
    /// A failed precondition was forced past while overrides are set.
    ForcedPastOverrides,
    /// Another writer takes back what this one writes.
    GateContention,
    /// The operator acts in another mode than before.
    ModeChanged,
    /// An update that the bridge forced went ahead without a verified signature.
    ForcedUnverified,
    /// The bridge forced an update without an UpdateRecord.
    ForcedUnrecorded,
}

impl Reason {
    fn as_str(self) -> &'static str {
        self.into()
    }

    fn kind(self) -> EventType {
        match self {
            Self::UpdateAccepted | Self::UpgradeableChanged | Self::ModeChanged => EventType::Normal,
            Self::UpdateBlocked
            | Self::ForcedPastOverrides
            | Self::GateContention
            | Self::ForcedUnverified
            | Self::ForcedUnrecorded => EventType::Warning,
        }
    }
}

/// Something worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventContent {
    /// Its reason.
    pub reason: Reason,
    /// What happened, in sentences.
    pub note: String,
}

/// What changes for an administrator when the conditions go from `before` to `after`. A decision is announced
/// once: the same text for the same request says nothing new.
#[must_use]
pub fn announcements(
    snapshot: &Snapshot,
    verdict: &Verdict,
    before: (Option<&Condition>, Option<&Condition>),
    after: &Conditions,
) -> Vec<EventContent> {
    let same = |before: Option<&Condition>, after: &Condition| {
        before.is_some_and(|before| before.status == after.status && before.reason == after.reason)
    };
    let mut announcements = Vec::new();
    if !same(before.0, &after.upgradeable) {
        let Condition { status, reason, message, .. } = &after.upgradeable;
        let note = format!("Upgradeable={}: {reason}: {message}", status.as_str());
        announcements.push(EventContent { reason: Reason::UpgradeableChanged, note });
    }
    let accepted_before = before.1;
    let decided_anew = !same(accepted_before, &after.release_accepted)
        || accepted_before.is_some_and(|before| before.message != after.release_accepted.message);
    let waits = after.release_accepted.status == ConditionStatus::Unknown;
    if let Some(request) = decided(snapshot, verdict).filter(|_| decided_anew && !waits) {
        announcements.extend(decision(&snapshot.cluster_version, request));
    }
    announcements
}

/// The request that a change of `ReleaseAccepted` decides on, if it is for an update at all.
#[must_use]
pub fn decided<'a>(snapshot: &Snapshot, verdict: &'a Verdict) -> Option<&'a TargetVerdict> {
    verdict.request().filter(|request| plan::is_update(snapshot, request))
}

/// What the bridge has done for a request.
#[must_use]
pub fn forced(cluster_version: &ClusterVersion, request: &TargetVerdict, unrecorded: bool) -> Vec<EventContent> {
    let update = requested_update(cluster_version, request);
    let overrides = message::overrides(cluster_version);
    let mut announcements = vec![
        EventContent {
            reason: Reason::UpdateAccepted,
            note: format!("{update} goes ahead with accepted risks: {}", message::accepted_risks(request)),
        },
        EventContent {
            reason: Reason::ForcedPastOverrides,
            note: format!(
                "{update} was forced past the cluster-version operator, which refused it for overrides alone: {overrides}"
            ),
        },
    ];
    if unrecorded {
        let note = format!(
            "{update} was forced without an UpdateRecord: for 60 seconds none could be written, or the UpdateRecords could \
             not be read. The log of upgrade-gate says why."
        );
        announcements.push(EventContent { reason: Reason::ForcedUnrecorded, note });
    }
    announcements
}

/// An update, as every note names it.
#[must_use]
pub fn update(from: &str, to: &str, update_type: UpdateType) -> String {
    format!("Update from {} to {} ({})", message::quote_name(from), message::quote_name(to), update_type.as_str())
}

/// The update that a request is for.
#[must_use]
pub fn requested_update(cluster_version: &ClusterVersion, request: &TargetVerdict) -> String {
    let name = if request.release.version.is_empty() { &request.release.image } else { &request.release.version };
    update(&cluster_version.desired().version, name, request.update_type)
}

/// That a request is blocked, and why.
#[must_use]
pub fn blocked(cluster_version: &ClusterVersion, request: &TargetVerdict) -> String {
    let failures = request.failures.iter().map(|failure| format!(" {}: {}", failure.reason, failure.message));
    format!("{} is blocked:{}", requested_update(cluster_version, request), failures.collect::<String>())
}

fn decision(cluster_version: &ClusterVersion, request: &TargetVerdict) -> Vec<EventContent> {
    match request.decision() {
        Decision::Blocked => {
            vec![EventContent { reason: Reason::UpdateBlocked, note: blocked(cluster_version, request) }]
        }
        Decision::Allowed => {
            let update = requested_update(cluster_version, request);
            let risks = message::accepted_risks(request);
            let with = if risks.is_empty() { ".".to_owned() } else { format!(" with accepted risks: {risks}") };
            let mut announcements =
                vec![EventContent { reason: Reason::UpdateAccepted, note: format!("{update} goes ahead{with}") }];
            if request.accepted_risks.iter().any(|risk| risk.forced)
                && cluster_version.unmanaged_overrides().next().is_some()
            {
                let note =
                    format!("{update} was forced while overrides are set: {}", message::overrides(cluster_version));
                announcements.push(EventContent { reason: Reason::ForcedPastOverrides, note });
            }
            announcements
        }
    }
}

/// Where announcements go to; a full or broken way loses events, never a write of the gate.
#[derive(Clone, Debug)]
pub struct EventPublisher(mpsc::Sender<(EventContent, ObjectReference)>);

impl EventPublisher {
    /// Starts the task that publishes. It ends when the last announcer is dropped and the queue is empty.
    #[must_use]
    pub fn start(client: Client, identity: String) -> (Self, JoinHandle<()>) {
        let (sender, mut queue) = mpsc::channel::<(EventContent, ObjectReference)>(QUEUE);
        let task = tokio::spawn(async move {
            let reporter = Reporter { controller: names::SELF.to_owned(), instance: Some(identity) };
            while let Some((announcement, regarding)) = queue.recv().await {
                let event = Event {
                    type_: announcement.reason.kind(),
                    reason: announcement.reason.as_str().to_owned(),
                    note: Some(cut(announcement.note)),
                    action: "Gate".to_owned(),
                    secondary: None,
                };
                // A recorder folds events of one reason into the first one's note; ours differ in what they say.
                let recorder = Recorder::new(client.clone(), reporter.clone());
                if let Err(error) = recorder.publish(&event, &regarding).await {
                    tracing::warn!(reason = event.reason, %error, "an event could not be published");
                }
            }
        });
        (Self(sender), task)
    }

    /// Queues an event on the ClusterVersion.
    pub fn announce(&self, cluster_version: &ClusterVersion, announcement: EventContent) {
        let metadata = &cluster_version.metadata;
        let regarding = ObjectReference {
            api_version: Some(names::CONFIG_API_VERSION.to_owned()),
            kind: Some("ClusterVersion".to_owned()),
            name: Some(names::CLUSTER_VERSION.to_owned()),
            uid: Some(metadata.uid.clone()),
            ..ObjectReference::default()
        };
        let _ = self.0.try_send((announcement, regarding));
    }
}

fn cut(mut note: String) -> String {
    const MARK: &str = "…";
    if note.len() > NOTE_LIMIT {
        note.truncate(note.floor_char_boundary(NOTE_LIMIT - MARK.len()));
        note.push_str(MARK);
    }
    note
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        gate::{Authority, Source, Target, evaluate},
        plan::{RecordState, conditions},
    };

    fn snapshot(object: Value) -> Snapshot {
        let cluster_version = ClusterVersion::from_value(object).unwrap();
        Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            targets: Target::requested(&cluster_version).into_iter().collect(),
            cluster_version,
            cluster_operators: Source::Read(Vec::new()),
            admin_gates: Source::Read(Some([].into())),
            admin_acks: Source::Read(Some([].into())),
            authority: Authority::Shared,
        }
    }

    #[rstest]
    #[case::the_word_of_a_cvo(
        "Upgradeable",
        "ResourceDeletesInProgress",
        "Objects are deleted.",
        "Upgradeable=False: ResourceDeletesInProgress: Objects are deleted.",
        "Update from 4.21.1 to 4.22.0 (minor) is blocked: ResourceDeletesInProgress: Objects are deleted."
    )]
    #[case::without_a_message(
        "Upgradeable",
        "Why",
        "",
        "Upgradeable=False: Why: Upgradeable is False, without a message.",
        "Update from 4.21.1 to 4.22.0 (minor) is blocked: Why: Upgradeable is False, without a message."
    )]
    #[case::a_veto(
        "UpgradeableByTheDatabase",
        "Why",
        "It is being dumped.",
        "Upgradeable=False: UpgradeableByTheDatabase: Why: It is being dumped.",
        "Update from 4.21.1 to 4.22.0 (minor) is blocked: UpgradeableByTheDatabase: Why: It is being dumped."
    )]
    fn each_thing_is_said_once(
        #[case] kind: &str,
        #[case] reason: &str,
        #[case] message: &str,
        #[case] changed: &str,
        #[case] blocked: &str,
    ) {
        let release = json!({"version": "4.22.0", "image": "three"});
        let snapshot = snapshot(json!({
            "spec": {"desiredUpdate": release},
            "status": {
                "desired": {"version": "4.21.1", "image": "one"},
                "availableUpdates": [release],
                "conditions": [{"type": kind, "status": "False", "reason": reason, "message": message}],
            },
        }));
        let verdict = evaluate(&snapshot);
        let after = conditions(&snapshot, &verdict, RecordState::Possible);
        let notes: Vec<String> =
            announcements(&snapshot, &verdict, (None, None), &after).into_iter().map(|event| event.note).collect();
        assert_eq!(notes, [changed, blocked]);
    }
}
