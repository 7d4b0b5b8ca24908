//! Two listeners: probes for the kubelet, and metrics for whoever scrapes, over TLS where a certificate is given.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
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
        source: std::io::Error,
    },
    /// The certificate or its key.
    #[error("metrics can't be served over TLS with {cert} and {key}: {source}; both must be PEM files, and belong together", cert = cert.display(), key = key.display())]
    Certificate {
        /// As configured.
        cert: PathBuf,
        /// As configured.
        key: PathBuf,
        /// What is wrong.
        source: std::io::Error,
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
) -> Result<impl Future<Output = std::io::Result<()>>, ServerError> {
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
) -> Result<std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>, ServerError> {
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
    let listener = TcpListener::bind(address).await.map_err(|source| ServerError::Bind { what, address, source })?;
    if let Ok(bound) = listener.local_addr() {
        tracing::info!(address = %bound, "serving {what}");
    }
    Ok(listener)
}
