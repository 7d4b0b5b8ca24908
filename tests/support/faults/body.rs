//! The body of a watch, event by event, so that it can be cut, silenced or added to between two of them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, channel::Sender};
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{Kind, Order, Shared, Watch};

const GONE: &[u8] = br#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}
"#;

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut")]
pub(super) struct Cut;

/// Carries events from the server to the operator until either ends it, or a fault does.
pub(super) async fn carry(mut from: Incoming, mut to: Sender<Bytes, Cut>, kind: Kind, shared: Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let mut obeyed = orders.borrow_and_update().len();
    let mut partitioned = shared.partitioned.subscribe();
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    loop {
        if *partitioned.borrow_and_update() {
            return lost(to, &shared).await;
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
                    let Some(open) = befall(to, watch, first.as_ref(), &shared).await else { return };
                    to = open;
                }
            }
            _ = orders.changed() => {
                let fresh: Vec<Order> = orders.borrow_and_update()[obeyed..].to_vec();
                obeyed += fresh.len();
                for order in fresh.into_iter().filter(|order| order.kind.covers(&kind)) {
                    let Some(open) = befall(to, order.watch, first.as_ref(), &shared).await else { return };
                    to = open;
                }
            }
            _ = partitioned.changed() => {}
        }
    }
}

/// Does this to a watch that has brought `first`; `None` where it has ended by that.
async fn befall(
    mut to: Sender<Bytes, Cut>,
    watch: Watch,
    first: Option<&Bytes>,
    shared: &Shared,
) -> Option<Sender<Bytes, Cut>> {
    match watch {
        Watch::Cut => to.abort(Cut),
        Watch::Stall => lost(to, shared).await,
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

/// Nothing comes any more; the connection ends once the network is whole again.
async fn lost(to: Sender<Bytes, Cut>, shared: &Shared) {
    let mut healed = shared.healed.subscribe();
    let _ = healed.changed().await;
    to.abort(Cut);
}
