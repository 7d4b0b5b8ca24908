//! The proxy's own HTTP: takes requests, lets faults happen to them, and hands them on.

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

/// Serves until it is stopped.
pub(super) async fn serve(listener: TcpListener, config: &Config, shared: &Arc<Shared>, mut stop: watch::Receiver<()>) {
    let connector = config.rustls_https_connector().expect("the cluster's CA");
    let server = config.cluster_url.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        // A client of its own: what comes in on one connection goes out on one.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector.clone());
        let (shared, server) = (Arc::clone(shared), server.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &client, &server, &shared));
            // An error is a fault's: the connection ends.
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
    let fault = meet(shared, &kind);
    through(shared).await?;
    match fault {
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::DropBefore) => return Err(Cut),
        Some(Fault::Answer(code)) => return Ok(made_up(code)),
        Some(Fault::End) => return Ok(Response::new(whole(Bytes::new()))),
        Some(Fault::HoldBefore) => return hold(shared).await,
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
    through(shared).await?;
    match fault {
        Some(Fault::DropAfter) => return Err(Cut),
        Some(Fault::HoldAfter) => return hold(shared).await,
        _ => {}
    }
    Ok(Response::from_parts(parts, whole(body)))
}

/// Never answers.
async fn hold(shared: &Shared) -> Result<Answer, Cut> {
    shared.state().held += 1;
    std::future::pending().await
}

/// Notes the request, and takes the fault that waits for it.
fn meet(shared: &Shared, kind: &Kind) -> Option<Fault> {
    let mut state = shared.state();
    state.log.push((Instant::now(), kind.clone()));
    let Some(position) = state.traps.iter().position(|trap| trap.kind.covers(kind)) else {
        return state.random_fault(kind);
    };
    let trap = &mut state.traps[position];
    trap.left = trap.left.saturating_sub(1);
    let fault = trap.fault;
    if trap.left == 0 {
        state.traps.remove(position);
    }
    Some(fault)
}

/// While nothing gets through, a request waits for ever; once something does again, it is lost.
async fn through(shared: &Shared) -> Result<(), Cut> {
    let mut partitioned = shared.partitioned.subscribe();
    if !*partitioned.borrow_and_update() {
        return Ok(());
    }
    let _ = partitioned.changed().await;
    Err(Cut)
}

/// What an API server, or something in front of it, says when it can't or won't.
fn made_up(code: u16) -> Answer {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"made up","reason":"{reason}","code":{code}}}"#
    );
    let mut response = Response::new(whole(Bytes::from(status)));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code == 429 {
        response.headers_mut().insert(RETRY_AFTER, "1".parse().expect("a header"));
    }
    response
}

fn whole(bytes: Bytes) -> BoxBody<Bytes, Cut> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
