//! HTTP to one API server: a single HTTP/2 connection that all requests share, or HTTP/1.1 if the server does not offer
//! HTTP/2. The decision and its figures are in docs/adr/0009-one-connection.md.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, Uri, uri::Scheme};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    rt,
};
use hyper_util::{
    client::legacy::{self, connect},
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::Body;
use tokio::{sync::Mutex, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service, ServiceExt as _};
use tower_http::timeout::TimeoutBody;

/// A quiet connection is pinged after `PING_INTERVAL`, and closed if no answer comes within `PING_TIMEOUT`. Both are
/// shorter for a client whose requests time out earlier than that.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How many bytes the server may send before they are read, on one stream and on the connection. While the loop waits
/// for an answer, it may leave all watches unread on the same connection: eight full streams use only half of its
/// window.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// Timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To establish a connection.
    pub connect: Duration,
    /// For the answer, and then for each part of it: longer than a watch lasts.
    pub answer: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TimeoutError {
    /// No connection was established.
    #[error("no connection within {0:?}")]
    Connect(Duration),
    /// The server didn't answer the request.
    #[error("no answer within {0:?}")]
    Answer(Duration),
}

/// Sends requests over connections that `C` makes.
pub struct Connection<C>(Arc<Shared<C>>);

impl<C> Clone for Connection<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<C> {
    server: Uri,
    connector: C,
    timeouts: Timeouts,
    /// Locked while a connection is established, so that other requests wait for that one.
    state: Mutex<State>,
    /// The pool of HTTP/1.1 connections.
    http1: legacy::Client<C, Body>,
}

enum State {
    Unconnected,
    /// The server doesn't offer HTTP/2.
    Http1,
    Http2(Http2),
}

#[derive(Clone)]
struct Http2 {
    sender: SendRequest<Body>,
    tasks: Tasks,
}

/// The tasks of one connection. They end when their work is done or the connection is closed.
#[derive(Clone)]
struct Tasks(CancellationToken);

impl<F: Future<Output = ()> + Send + 'static> rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let closed = self.0.clone();
        tokio::spawn(async move { closed.run_until_cancelled_owned(task).await });
    }
}

impl<C> Connection<C>
where
    C: Service<Uri, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Response: rt::Read + rt::Write + connect::Connection + Send + Unpin + 'static,
    C::Future: Send + Unpin + 'static,
{
    /// Connects to that server with the first request.
    pub fn new(server: Uri, connector: C, timeouts: Timeouts) -> Self {
        // HTTP/2 is negotiated by TLS.
        let is_encrypted = server.scheme() == Some(&Scheme::HTTPS);
        let state = if is_encrypted { State::Unconnected } else { State::Http1 };
        let http1 = legacy::Client::builder(TokioExecutor::new()).build(connector.clone());
        Self(Arc::new(Shared { server, connector, timeouts, state: Mutex::new(state), http1 }))
    }
}

impl<C> Shared<C>
where
    C: Service<Uri, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Response: rt::Read + rt::Write + connect::Connection + Send + Unpin + 'static,
    C::Future: Send + Unpin + 'static,
{
    /// The connection, established if there is none; `None` if the server offers only HTTP/1.1.
    async fn http2(&self) -> Result<Option<Http2>, BoxError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Http1 => return Ok(None),
            State::Http2(http2) if !http2.sender.is_closed() => return Ok(Some(http2.clone())),
            State::Http2(_) | State::Unconnected => {}
        }
        let stream = self.connector.clone().oneshot(self.server.clone()).await?;
        if !connect::Connection::connected(&stream).is_negotiated_h2() {
            *state = State::Http1;
            return Ok(None);
        }
        let tasks = Tasks(CancellationToken::new());
        let (sender, connection) = http2::Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL.min(self.timeouts.answer / 2))
            .keep_alive_timeout(PING_TIMEOUT.min(self.timeouts.answer / 2))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream)
            .await?;
        rt::Executor::execute(&tasks, async {
            // Each of its requests reports the error as well.
            let _ = connection.await;
        });
        let http2 = Http2 { sender, tasks };
        *state = State::Http2(http2.clone());
        Ok(Some(http2))
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<TimeoutBody<Incoming>>, BoxError> {
        let Timeouts { connect, answer } = self.timeouts;
        let mut is_repeated = false;
        loop {
            let connection = timeout(connect, self.http2()).await.map_err(|_| TimeoutError::Connect(connect))??;
            let Some(Http2 { mut sender, tasks }) = connection else { break };
            match timeout(answer, sender.try_send_request(request)).await {
                Ok(Ok(response)) => return Ok(response.map(|body| TimeoutBody::new(answer, body))),
                // The connection was closed before the request was sent on it.
                Ok(Err(mut error)) => match error.take_message().filter(|_| !is_repeated) {
                    Some(unsent) => (request, is_repeated) = (unsent, true),
                    None => return Err(error.into_error().into()),
                },
                Err(_) => {
                    // The server may answer pings and nothing else: the next request opens another connection.
                    tasks.0.cancel();
                    return Err(TimeoutError::Answer(answer).into());
                }
            }
        }
        let response =
            timeout(answer, self.http1.request(request)).await.map_err(|_| TimeoutError::Answer(answer))??;
        Ok(response.map(|body| TimeoutBody::new(answer, body)))
    }
}

impl<C> Service<Request<Body>> for Connection<C>
where
    C: Service<Uri, Error = BoxError> + Clone + Send + Sync + 'static,
    C::Response: rt::Read + rt::Write + connect::Connection + Send + Unpin + 'static,
    C::Future: Send + Unpin + 'static,
{
    type Response = Response<TimeoutBody<Incoming>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.send(request).await })
    }
}

#[cfg(test)]
mod tests;
