//! The task that publishes events on the API server, without ever blocking a write of the operator.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    api::{ClusterVersion, names},
    plan::events::EventContent,
};

/// Bytes that the API server takes for a note.
const NOTE_LIMIT: usize = 1024;
/// Events that wait for the API server at most; further ones are dropped, as events may be.
const QUEUE: usize = 64;

/// Publishes events. A full queue or a failing API server loses events, and never delays a write.
#[derive(Clone, Debug)]
pub struct EventPublisher(mpsc::Sender<(EventContent, ObjectReference)>);

impl EventPublisher {
    /// Starts the task that publishes. It ends when the last publisher is dropped and the queue is empty.
    #[must_use]
    pub fn start(client: Client, identity: String) -> (Self, JoinHandle<()>) {
        let (sender, mut queue) = mpsc::channel::<(EventContent, ObjectReference)>(QUEUE);
        let task = tokio::spawn(async move {
            let reporter = Reporter { controller: names::SELF.to_owned(), instance: Some(identity) };
            while let Some((content, regarding)) = queue.recv().await {
                let event = Event {
                    type_: if content.reason.is_warning() { EventType::Warning } else { EventType::Normal },
                    reason: content.reason.as_str().to_owned(),
                    note: Some(cut(content.note)),
                    action: "Gate".to_owned(),
                    secondary: None,
                };
                // A recorder folds events of one reason into the first one's note; the notes of ours differ.
                let recorder = Recorder::new(client.clone(), reporter.clone());
                if let Err(error) = recorder.publish(&event, &regarding).await {
                    tracing::warn!(reason = event.reason, %error, "an event could not be published");
                }
            }
        });
        (Self(sender), task)
    }

    /// Queues an event on the ClusterVersion.
    pub fn publish(&self, cluster_version: &ClusterVersion, content: EventContent) {
        let metadata = &cluster_version.metadata;
        let regarding = ObjectReference {
            api_version: Some(names::CONFIG_API_VERSION.to_owned()),
            kind: Some("ClusterVersion".to_owned()),
            name: Some(names::CLUSTER_VERSION.to_owned()),
            uid: Some(metadata.uid.as_str().to_owned()),
            ..ObjectReference::default()
        };
        let _ = self.0.try_send((content, regarding));
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
