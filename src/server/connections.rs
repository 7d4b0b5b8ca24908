//! HTTP/1 over TCP or TLS, within limits: whoever connects can keep neither a connection for long nor many of them, and
//! what a request costs is bounded before anything of it is looked at.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    rt::{Read, Write},
    server::conn::http1,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, sync::watch, time::timeout};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Connections at once: a kubelet, a few scrapers, and somebody who looks. Others wait for a place.
const CONNECTIONS: usize = 32;
/// For a TLS handshake, and for the head of the one request that a connection is for.
const HANDSHAKE: Duration = Duration::from_secs(5);
const HEAD: Duration = Duration::from_secs(5);
/// For all that happens on one connection, however slowly its other end reads.
const CONNECTION: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and lines of it. Bodies are never read.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_LINES: usize = 64;
/// After the kernel has refused a connection: when there are no files left, it would refuse the next one at once.
const BREATH: Duration = Duration::from_millis(100);

/// The TLS configuration for the next connection.
pub(super) type Tls = watch::Receiver<Arc<ServerConfig>>;

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, app: Router, tls: Option<Tls>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let app = app.clone();
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
        tokio::spawn(async move {
            let served = timeout(CONNECTION, async {
                match acceptor {
                    None => answer(TokioIo::new(stream), app).await,
                    Some(acceptor) => {
                        let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await??;
                        answer(TokioIo::new(stream), app).await
                    }
                }
            });
            // Whoever is cut off knows it; nobody here has to.
            let _ = served.await;
            drop(place);
        });
    }
}

async fn answer(stream: impl Read + Write + Unpin, app: Router) -> io::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(stream, TowerToHyperService::new(app))
        .await
        .map_err(io::Error::other)
}
