//! Two listeners: probes for the kubelet, and metrics for whoever scrapes, over TLS where a certificate is given.

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

use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::metrics::Metrics;

/// A reconcile loop that hasn't turned for this long is stuck. Each of its waits ends far earlier.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// The listener can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("{what} can't be served on {address}: {source}; choose another address")]
    Bind {
        /// What was to be served.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate or its key.
    #[error("metrics can't be served over TLS with {cert} and {key}: {source}; both must be PEM files, and belong together", cert = cert.display(), key = key.display())]
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

/// Serves the probes until the returned task is dropped or fails.
///
/// # Errors
/// The address can't be bound.
pub async fn serve_probes(
    address: SocketAddr,
    health: Arc<Health>,
) -> Result<impl Future<Output = io::Result<()>>, ServerError> {
    let status = |good: bool| if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let alive = health.clone();
    let app = Router::new()
        .route("/healthz", get(move || async move { status(alive.is_alive()) }))
        .route("/readyz", get(move || async move { status(health.ready.load(Ordering::Relaxed)) }));
    let listener = bind("probes", address).await?;
    Ok(async move { axum::serve(listener, app).await })
}

/// Serves the metrics until the returned task is dropped or fails.
///
/// # Errors
/// The address can't be bound, or the certificate not read.
pub async fn serve_metrics(
    address: SocketAddr,
    tls: Option<(PathBuf, PathBuf)>,
    metrics: Arc<Metrics>,
) -> Result<std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>>, ServerError> {
    let content_type = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    let app = Router::new().route("/metrics", get(move || async move { (content_type, metrics.text()) }));
    let listener = bind("metrics", address).await?;
    let Some((cert, key)) = tls else {
        return Ok(Box::pin(async move { axum::serve(listener, app).await }));
    };
    let config = axum_server::tls_rustls::RustlsConfig::from_pem_file(&cert, &key)
        .await
        .map_err(|source| ServerError::Certificate { cert: cert.clone(), key: key.clone(), source })?;
    tokio::spawn(reload_certificate(config.clone(), cert, key));
    let bind_error = |source| ServerError::Bind { what: "metrics", address, source };
    let server = axum_server::from_tcp_rustls(listener.into_std().map_err(bind_error)?, config).map_err(bind_error)?;
    Ok(Box::pin(server.serve(app.into_make_service())))
}

/// The service CA replaces a certificate long before it runs out, so looking once a minute is soon enough.
async fn reload_certificate(config: axum_server::tls_rustls::RustlsConfig, cert: PathBuf, key: PathBuf) {
    let mut every = tokio::time::interval(Duration::from_mins(1));
    loop {
        every.tick().await;
        if let Err(error) = config.reload_from_pem_file(&cert, &key).await {
            tracing::warn!(%error, cert = %cert.display(), "keeping the old certificate of the metrics: the new one can't be read");
        }
    }
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
        socket.set_reuse_address(true)?; // as the standard library does
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port())).into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    open().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener as Blocking, TcpStream};

    use super::*;

    async fn port_of(address: &str) -> (TcpListener, u16) {
        let listener = bind("a test", address.parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn has_ipv6() -> bool {
        Blocking::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
    }

    #[tokio::test]
    async fn every_address_means_ipv6_as_well() {
        let (_listener, port) = port_of("0.0.0.0:0").await;
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if has_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[tokio::test]
    async fn where_there_is_no_ipv6_ipv4_is_served() {
        if !has_ipv6() {
            return; // the test above has shown it
        }
        let taken = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        taken.set_only_v6(true).unwrap();
        taken.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
        taken.listen(1).unwrap();
        let port = taken.local_addr().unwrap().as_socket().unwrap().port();
        let (listener, _) = port_of(&format!("0.0.0.0:{port}")).await;
        assert!(listener.local_addr().unwrap().is_ipv4());
    }

    #[tokio::test]
    async fn one_address_means_no_other() {
        let (_listener, port) = port_of("127.0.0.1:0").await;
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_err());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let (_listener, port) = port_of("0.0.0.0:0").await;
        let error = bind("metrics", format!("0.0.0.0:{port}").parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("metrics can't be served on 0.0.0.0:{port}: ")), "{error}");
    }
}
