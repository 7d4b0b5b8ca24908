//! HTTP/1 over TCP or TLS with limits: on the number of connections, the time that each takes, and the size of a request.
//!
//! The accept loop is written by hand because axum and axum-server bound neither the connections nor the time of one, so
//! 32 idle clients would keep the kubelet's probes out. Three paths need no router.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, sync::watch, time::timeout};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Concurrent connections: a kubelet, a few scrapers and a user. Others wait for a place.
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

/// What a path answers: a status, and a body with its content type.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content: Option<(&'static str, Bytes)>,
}

impl From<StatusCode> for Answer {
    fn from(status: StatusCode) -> Self {
        Self { status, content: None }
    }
}

/// What a listener serves: the answer of each path that it has, to GET and HEAD.
pub(super) trait Routes: Send + Sync + 'static {
    fn answer(&self, path: &str) -> Option<Answer>;
}

impl<F: Fn(&str) -> Option<Answer> + Send + Sync + 'static> Routes for F {
    fn answer(&self, path: &str) -> Option<Answer> {
        self(path)
    }
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, routes: impl Routes, tls: Option<Tls>) {
    let routes = Arc::new(routes);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let routes = Arc::clone(&routes);
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
        tokio::spawn(async move {
            let served = timeout(CONNECTION, async {
                match acceptor {
                    None => answer(TokioIo::new(stream), routes).await,
                    Some(acceptor) => {
                        let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await??;
                        answer(TokioIo::new(stream), routes).await
                    }
                }
            });
            // The client sees the error; it needs no handling here.
            let _ = served.await;
            drop(place);
        });
    }
}

async fn answer(stream: impl Read + Write + Unpin, routes: Arc<impl Routes>) -> io::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&*routes, request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(stream, service)
        .await
        .map_err(io::Error::other)
}

/// hyper leaves the body out of the answer to HEAD.
fn respond(routes: &impl Routes, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let answer = match routes.answer(path) {
        None => StatusCode::NOT_FOUND.into(),
        Some(_) if method != Method::GET && method != Method::HEAD => StatusCode::METHOD_NOT_ALLOWED.into(),
        Some(answer) => answer,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = answer.status;
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
    }
    if let Some((content_type, body)) = answer.content {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        *response.body_mut() = Full::new(body);
    }
    response
}
