//! The HTTP side of the proxy: accepts requests, applies faults, and forwards the rest.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, channel::Channel, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{HOST, RETRY_AFTER},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioIo},
};
use kube::{Config, client::ConfigExt as _};
use tokio::{net::TcpListener, sync::watch};

use super::{
    Fault, Kind, Shared,
    body::{Cut, carry},
};

type Answer = Response<BoxBody<Bytes, Cut>>;

/// Serves until `stop` changes.
pub(super) async fn serve(listener: TcpListener, config: &Config, shared: &Arc<Shared>, mut stop: watch::Receiver<()>) {
    let connector = config.rustls_https_connector().expect("the cluster's CA");
    let server = config.cluster_url.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        // One client for each connection, so that one connection in is one connection out.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector.clone());
        let (shared, server) = (Arc::clone(shared), server.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &client, &server, &shared));
            // An error here is an injected fault, which ends the connection.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer<C: Connect + Clone + Send + Sync + 'static>(
    request: Request<Incoming>,
    client: &Client<C, Full<Bytes>>,
    server: &Uri,
    shared: &Arc<Shared>,
) -> Result<Answer, Cut> {
    let kind = Kind::of(request.method(), request.uri());
    let fault = take_fault(shared, &kind);
    wait_for_network(shared).await?;
    match fault {
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::DropBefore) => return Err(Cut),
        Some(Fault::Answer(code)) => return Ok(error_response(code)),
        Some(Fault::End) => return Ok(Response::new(full_body(Bytes::new()))),
        Some(Fault::HoldBefore) => return never_answer(shared).await,
        Some(Fault::DropAfter | Fault::HoldAfter) | None => {}
    }
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{}{path}", server.to_string().trim_end_matches('/')).parse().map_err(|_| Cut)?;
    parts.headers.remove(HOST);
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let response = client.request(Request::from_parts(parts, Full::new(body))).await.map_err(|_| Cut)?;
    if Kind::watches().covers(&kind) && response.status() == StatusCode::OK {
        let (parts, body) = response.into_parts();
        let (sender, channel) = Channel::new(16);
        tokio::spawn(carry(body, sender, kind, Arc::clone(shared)));
        return Ok(Response::from_parts(parts, channel.boxed()));
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    wait_for_network(shared).await?;
    match fault {
        Some(Fault::DropAfter) => return Err(Cut),
        Some(Fault::HoldAfter) => return never_answer(shared).await,
        _ => {}
    }
    Ok(Response::from_parts(parts, full_body(body)))
}

/// Never answers.
async fn never_answer(shared: &Shared) -> Result<Answer, Cut> {
    shared.state().held += 1;
    std::future::pending().await
}

/// Logs the request, and returns the fault that applies to it.
fn take_fault(shared: &Shared, kind: &Kind) -> Option<Fault> {
    let mut state = shared.state();
    state.log.push((Instant::now(), kind.clone()));
    let Some(position) = state.pending.iter().position(|pending| pending.kind.covers(kind)) else {
        return state.random_fault(kind);
    };
    let pending = &mut state.pending[position];
    pending.left = pending.left.saturating_sub(1);
    let (fault, left) = (pending.fault, pending.left);
    if left == 0 {
        state.pending.remove(position);
    }
    Some(fault)
}

/// Returns at once unless the network is partitioned. A request during a partition hangs, and fails when it ends.
async fn wait_for_network(shared: &Shared) -> Result<(), Cut> {
    let mut partitioned = shared.partitioned.subscribe();
    if !*partitioned.borrow_and_update() {
        return Ok(());
    }
    let _ = partitioned.changed().await;
    Err(Cut)
}

/// An error as an API server, or a load balancer in front of it, returns it.
fn error_response(code: u16) -> Answer {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"injected","reason":"{reason}","code":{code}}}"#
    );
    let mut response = Response::new(full_body(Bytes::from(status)));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code == 429 {
        response.headers_mut().insert(RETRY_AFTER, "1".parse().expect("a header"));
    }
    response
}

fn full_body(bytes: Bytes) -> BoxBody<Bytes, Cut> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
