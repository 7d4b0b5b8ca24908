//! Two listeners: probes for the kubelet, and metrics for Prometheus, over TLS if a certificate is given.

mod certificate;
mod connections;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Instant};

use self::{certificate::Files, connections::Answer};
use crate::controller::metrics::Metrics;

/// A reconcile loop that hasn't turned for this long is stuck. Each of its waits ends far earlier.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// The listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("{what} cannot be served on {address}: {source}; choose another address")]
    Bind {
        /// What was to be served.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate or its key.
    #[error("metrics cannot be served over TLS with {cert} and {key}: {source}; both must be PEM files, and belong together", cert = cert.display(), key = key.display())]
    Certificate {
        /// As configured.
        cert: PathBuf,
        /// As configured.
        key: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// How the process is, as the kubelet asks.
#[derive(Debug)]
pub struct Health {
    ready: AtomicBool,
    turned: watch::Sender<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self { ready: AtomicBool::new(false), turned: watch::Sender::new(Instant::now()) }
    }
}

impl Health {
    /// Says that the reconcile loop has turned.
    pub fn turn(&self) {
        self.turned.send_replace(Instant::now());
    }

    /// Says whether every source has been read once.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        self.turned.borrow().elapsed() < STUCK_AFTER
    }
}

/// Serves the probes in a task of its own, so that a reconcile loop that waits does not delay them.
///
/// # Errors
/// The address can't be bound.
pub async fn serve_probes(address: SocketAddr, health: Arc<Health>) -> Result<JoinHandle<()>, ServerError> {
    let status = |good: bool| if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let routes = move |path: &str| -> Option<Answer> {
        match path {
            "/healthz" => Some(status(health.is_alive()).into()),
            "/readyz" => Some(status(health.ready.load(Ordering::Relaxed)).into()),
            _ => None,
        }
    };
    let listener = bind("probes", address).await?;
    Ok(tokio::spawn(connections::serve(listener, routes, None)))
}

/// Serves the metrics, in a task of its own.
///
/// # Errors
/// The address can't be bound, or the certificate not read.
pub async fn serve_metrics(
    address: SocketAddr,
    tls: Option<(PathBuf, PathBuf)>,
    metrics: Arc<Metrics>,
) -> Result<JoinHandle<()>, ServerError> {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let routes = move |path: &str| {
        (path == "/metrics")
            .then(|| Answer { status: StatusCode::OK, content: Some((content_type, metrics.text().into())) })
    };
    let listener = bind("metrics", address).await?;
    let tls = match tls {
        None => None,
        Some((cert, key)) => {
            let files = Files { cert: cert.clone(), key: key.clone() };
            Some(files.serve().await.map_err(|source| ServerError::Certificate { cert, key, source })?)
        }
    };
    Ok(tokio::spawn(connections::serve(listener, routes, tls)))
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = match every_address(address) {
        Some(listener) => listener,
        None => TcpListener::bind(address).await.map_err(|source| ServerError::Bind { what, address, source })?,
    };
    if let Ok(bound) = listener.local_addr() {
        tracing::info!(address = %bound, "serving {what}");
    }
    Ok(listener)
}

/// 0.0.0.0 means every address of the Pod, which on an IPv6 cluster has no other: one socket for both families, where
/// the kernel can. Where it can't, IPv4 is all there is.
fn every_address(address: SocketAddr) -> Option<TcpListener> {
    if !(address.is_ipv4() && address.ip().is_unspecified()) {
        return None;
    }
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_only_v6(false)?;
        #[cfg(unix)] // as the standard library does; on Windows it would mean to share the port
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port())).into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    open().ok()
}

#[cfg(test)]
mod tests;
