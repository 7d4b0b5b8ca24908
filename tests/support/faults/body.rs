//! Forwards the body of a watch event by event, so that a fault can cut it, stall it or add an event in between.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, channel::Sender};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{Kind, Shared, Watch, WatchFault};

const GONE: &[u8] = br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}
"#;

/// A connection that a fault has cut.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut")]
pub(super) struct Cut;

/// Forwards events from the server to the operator until either side or a fault ends the watch.
pub(super) async fn carry(mut from: Incoming, mut to: Sender<Bytes, Cut>, kind: Kind, shared: Arc<Shared>) {
    let mut watch_faults = shared.watch_faults.subscribe();
    let mut applied = watch_faults.borrow_and_update().len();
    let mut partitioned = shared.partitioned.subscribe();
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    loop {
        if *partitioned.borrow_and_update() {
            return stall_until_healed(to, &shared).await;
        }
        tokio::select! {
            frame = from.frame() => {
                let Some(Ok(frame)) = frame else { return };
                let Some(data) = frame.data_ref() else { continue };
                rest.extend_from_slice(data);
                let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
                let events = rest.split_to(end + 1).freeze();
                if first.is_none() {
                    first = events.iter().position(|byte| *byte == b'\n').map(|end| events.slice(..=end));
                }
                if to.send_data(events).await.is_err() {
                    return;
                }
                let fault = shared.state().random_watch_fault(&kind);
                if let Some(watch) = fault {
                    let Some(open) = apply_fault(to, watch, first.as_ref(), &shared).await else { return };
                    to = open;
                }
            }
            _ = watch_faults.changed() => {
                let fresh: Vec<WatchFault> = watch_faults.borrow_and_update()[applied..].to_vec();
                applied += fresh.len();
                for order in fresh.into_iter().filter(|order| order.kind.covers(&kind)) {
                    let Some(open) = apply_fault(to, order.watch, first.as_ref(), &shared).await else { return };
                    to = open;
                }
            }
            _ = partitioned.changed() => {}
        }
    }
}

/// Applies a fault to a watch whose first event was `first`. Returns `None` if that ended the watch.
async fn apply_fault(
    mut to: Sender<Bytes, Cut>,
    watch: Watch,
    first: Option<&Bytes>,
    shared: &Shared,
) -> Option<Sender<Bytes, Cut>> {
    match watch {
        Watch::Cut => to.abort(Cut),
        Watch::Stall => stall_until_healed(to, shared).await,
        Watch::Gone => drop(to.send_data(Bytes::from_static(GONE)).await),
        Watch::Replay => {
            if let Some(event) = first {
                to.send_data(event.clone()).await.ok()?;
            }
            return Some(to);
        }
    }
    None
}

/// Sends nothing more, and ends the connection when the network is healed.
async fn stall_until_healed(to: Sender<Bytes, Cut>, shared: &Shared) {
    let mut healed = shared.healed.subscribe();
    let _ = healed.changed().await;
    to.abort(Cut);
}
