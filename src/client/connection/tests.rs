use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, server::conn, service::service_fn};
use hyper_util::{client::legacy::connect::Connected, rt::TokioIo};
use rstest::rstest;
use tokio::{
    io::DuplexStream,
    sync::Notify,
    time::{Instant, sleep},
};

use super::*;

const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(10), answer: Duration::from_secs(40) };
const SERVER: &str = "https://cluster.invalid:6443";
const GET: &str = "https://cluster.invalid:6443/api";
const WATCH: &str = "https://cluster.invalid:6443/watch";

/// One end of a connection, as if TLS had negotiated the protocol.
struct Stream(TokioIo<DuplexStream>, bool);

impl connect::Connection for Stream {
    fn connected(&self) -> Connected {
        if self.1 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl rt::Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What a server does with the connections that it accepts, the first one first; the others are served well.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    /// Serves it.
    Serves,
    /// Reads and writes nothing any more, and closes nothing when triggered.
    Freezes,
    /// Closes it when triggered.
    Closes,
    /// Serves what was asked, and takes no more (GOAWAY) when triggered.
    GoesAway,
    /// Answers pings, and no request.
    Hangs,
}

struct Server {
    http2: bool,
    first: First,
    connections: AtomicUsize,
    trigger: Notify,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Server {
    fn new(http2: bool, first: First) -> Arc<Self> {
        let (connections, trigger) = (AtomicUsize::new(0), Notify::new());
        Arc::new(Self { http2, first, connections, trigger })
    }

    fn client(
        self: &Arc<Self>,
    ) -> Connection<
        impl Service<Uri, Response = Stream, Error = BoxError, Future: Send + Unpin> + Clone + Send + Sync + use<>,
    > {
        let server = Arc::clone(self);
        let connector = tower::service_fn(move |_: Uri| {
            let server = Arc::clone(&server);
            Box::pin(async move {
                sleep(Duration::from_millis(20)).await; // as handshakes take
                let (here, there) = tokio::io::duplex(64 * 1024);
                let http2 = server.http2;
                tokio::spawn(server.serve(there));
                Ok::<_, BoxError>(Stream(TokioIo::new(here), http2))
            })
        });
        Connection::new(Uri::from_static(SERVER), connector, TIMEOUTS)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn serve(self: Arc<Self>, stream: DuplexStream) {
        let is_first = self.connections.fetch_add(1, Ordering::SeqCst) == 0;
        let first = if is_first { self.first } else { First::Serves };
        let service = service_fn(move |request: Request<Incoming>| async move {
            if first == First::Hangs {
                std::future::pending::<()>().await;
            }
            Ok::<Answer, Infallible>(Response::new(answer(request.uri())))
        });
        let stream = TokioIo::new(stream);
        if !self.http2 {
            let _ = conn::http1::Builder::new().serve_connection(stream, service).await;
            return;
        }
        let mut served =
            std::pin::pin!(conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service));
        let triggered = async {
            match first {
                First::Serves | First::Hangs => std::future::pending().await,
                First::Freezes | First::Closes | First::GoesAway => self.trigger.notified().await,
            }
        };
        tokio::select! {
            _ = served.as_mut() => return,
            () = triggered => {}
        }
        match first {
            First::Freezes => std::future::pending().await,
            First::GoesAway => {
                served.as_mut().graceful_shutdown();
                let _ = served.await;
            }
            First::Serves | First::Hangs | First::Closes => {}
        }
    }
}

/// A watch brings one line, and another after half a minute; anything else is answered at once.
fn answer(uri: &Uri) -> UnsyncBoxBody<Bytes, Infallible> {
    if uri.path() != "/watch" {
        return Full::new(Bytes::from_static(b"{}")).boxed_unsync();
    }
    let lines = futures::stream::unfold(0, |line| async move {
        match line {
            0 => Some((Ok(Frame::data(Bytes::from_static(b"first\n"))), 1)),
            1 => {
                sleep(Duration::from_secs(30)).await;
                Some((Ok(Frame::data(Bytes::from_static(b"last\n"))), 2))
            }
            _ => None,
        }
    });
    StreamBody::new(lines).boxed_unsync()
}

type Received = Response<UnsyncBoxBody<Bytes, BoxError>>;

async fn ask<C>(client: &Connection<C>, uri: &'static str) -> Result<Received, BoxError>
where
    Connection<C>: Service<Request<Body>, Response = Response<TimeoutBody<Incoming>>, Error = BoxError>,
{
    let response = client.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await?;
    Ok(response.map(BodyExt::boxed_unsync))
}

async fn text(response: Received) -> Result<Bytes, BoxError> {
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_at_once_share_one_connection() {
    let server = Server::new(true, First::Serves);
    let client = server.client();
    let answers = futures::future::join_all((0..6).map(|_| ask(&client, GET))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200));
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_http2_requests_are_made_over_http1() {
    let server = Server::new(false, First::Serves);
    let client = server.client();
    let answers = futures::future::join_all((0..3).map(|_| ask(&client, GET))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().version() == http::Version::HTTP_11));
    assert_eq!(text(ask(&client, WATCH).await.unwrap()).await.unwrap(), "first\nlast\n");
}

#[rstest]
#[case::frozen(First::Freezes, 15, false)]
#[case::closed(First::Closes, 0, false)]
#[case::going_away(First::GoesAway, 0, true)]
#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_is_noticed_and_replaced(
    #[case] first: First,
    #[case] seconds: u64,
    #[case] watch_goes_on: bool,
) {
    let server = Server::new(true, first);
    let client = server.client();
    let mut watch = ask(&client, WATCH).await.unwrap().into_body();
    assert_eq!(watch.frame().await.unwrap().unwrap().into_data().unwrap(), "first\n");
    let since = Instant::now();
    server.trigger.notify_one();
    let rest = watch.collect().await;
    let noticed = if watch_goes_on { Duration::from_secs(30) } else { Duration::from_secs(seconds) };
    assert!(since.elapsed() <= noticed + Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(
        rest.map(http_body_util::Collected::to_bytes).ok(),
        watch_goes_on.then_some(Bytes::from_static(b"last\n"))
    );
    assert_eq!(text(ask(&client, GET).await.unwrap()).await.unwrap(), "{}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_but_pings_is_left() {
    let server = Server::new(true, First::Hangs);
    let client = server.client();
    let since = Instant::now();
    let error = ask(&client, GET).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), since.elapsed().as_secs()), ("no answer within 40s", 40));
    assert_eq!(text(ask(&client, GET).await.unwrap()).await.unwrap(), "{}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_established_is_given_up() {
    let connector = tower::service_fn(|_: Uri| {
        Box::pin(async {
            std::future::pending::<()>().await;
            Err::<Stream, BoxError>("never".into())
        })
    });
    let client = Connection::new(Uri::from_static(SERVER), connector, TIMEOUTS);
    assert_eq!(ask(&client, GET).await.unwrap_err().to_string(), "no connection within 10s");
}
