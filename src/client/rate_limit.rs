//! The clients of the operator. Every request has a timeout, and waits for a `Retry-After` of the server and for the
//! rate limit of watches. Nothing is retried here: the watches and the backoff of writes do that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use kube::{Client, Config, client::Body};
use tokio::time::Instant;
use tower::{Service, layer::layer_fn};

use crate::client;

/// The maximum duration of a watch. The API server then ends it, and the next one begins.
pub const WATCH_SECONDS: u32 = 30;
const CONNECT: Duration = Duration::from_secs(10);
/// A request ends with an error if no data comes for this long. A watch ends before that.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// Between two starts of the same watch. The library restarts a watch that ends at once without waiting, so a faulty
/// proxy could keep both sides busy.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);
/// The longest `Retry-After` that is respected.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The two connections to the API server. The Lease has one of its own: a problem of the other must not cost the lead,
/// and a renewal without an answer has to time out before the next.
#[derive(Clone)]
pub struct Clients {
    /// For everything but the lease.
    pub client: Client,
    /// For acquiring and renewing the lease.
    pub lease: Client,
}

impl Clients {
    /// Connections to that cluster; a request about the Lease times out after `renew_interval`.
    ///
    /// # Errors
    /// The configuration doesn't make a client.
    pub fn new(config: &Config, renew_interval: Duration) -> kube::Result<Self> {
        Ok(Self { client: client(config.clone(), READ_TIMEOUT)?, lease: client(config.clone(), renew_interval)? })
    }
}

fn client(mut config: Config, timeout: Duration) -> kube::Result<Client> {
    config.connect_timeout = Some(CONNECT.min(timeout));
    config.read_timeout = Some(timeout);
    // The library's own retries would continue for minutes without a log line, and repeat a write after the Lease has
    // expired.
    config.default_retry = false;
    let times = Times::default();
    let layer = layer_fn(move |inner| RateLimit { inner, times: times.clone() });
    Ok(client::builder(&config)?.with_layer(&layer).build())
}

/// The earliest time for each request.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<HashMap<String, Instant>>>);

impl Times {
    /// When a request may be made. The next start of the same watch is then delayed by `BETWEEN_WATCHES`.
    fn of(&self, request: &str, is_watch: bool) -> Instant {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        times.retain(|_, time| now < *time);
        let time = times.get(request).copied().unwrap_or(now);
        if is_watch {
            times.insert(request.to_owned(), time + BETWEEN_WATCHES);
        }
        time
    }

    fn wait(&self, request: String, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.insert(request, Instant::now() + time.min(LONGEST_WAIT));
    }
}

/// Delays each request until its earliest time. tower's rate limit counts all requests together, so a busy watch would
/// delay the writes, and it does not know `Retry-After`.
#[derive(Clone)]
struct RateLimit<S> {
    inner: S,
    times: Times,
}

impl<S, B> Service<Request<Body>> for RateLimit<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
        let verb = if is_watch { "WATCH" } else { request.method().as_str() };
        let name = format!("{verb} {}", request.uri().path());
        let times = self.times.clone();
        let time = times.of(&name, is_watch);
        // Nothing is sent before it is awaited.
        let answer = self.inner.call(request);
        Box::pin(async move {
            tokio::time::sleep_until(time).await;
            let answer = answer.await?;
            if let Some(time) = retry_after(&answer) {
                times.wait(name, time);
            }
            Ok(answer)
        })
    }
}

/// The `Retry-After` of a server that is overloaded (priority and fairness) or shutting down.
fn retry_after<B>(answer: &Response<B>) -> Option<Duration> {
    let busy = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = answer.headers().get(RETRY_AFTER).filter(|_| busy)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rstest::rstest;
    use tower::Service as _;

    use super::*;

    /// When, counted from the first, requests are made that are asked for one right after the other.
    async fn made(requests: &[&str], status: u16, retry_after: &str) -> Vec<Duration> {
        let start = Instant::now();
        let (status, retry_after) = (StatusCode::from_u16(status).unwrap(), retry_after.to_owned());
        let server = tower::service_fn(move |_| {
            let answer = Response::builder().status(status).header(RETRY_AFTER, &retry_after).body(Body::empty());
            async move { Ok::<_, Infallible>((Instant::now(), answer.unwrap())) }
        });
        let times = Arc::new(Mutex::new(Vec::new()));
        let seen = times.clone();
        let inner = tower::util::MapResponse::new(server, move |(at, answer): (Instant, Response<Body>)| {
            seen.lock().unwrap().push(at - start);
            answer
        });
        let mut service = RateLimit { inner, times: Times::default() };
        for request in requests {
            let (method, uri) = request.split_once(' ').unwrap();
            service.call(Request::builder().method(method).uri(uri).body(Body::empty()).unwrap()).await.unwrap();
        }
        let made = times.lock().unwrap();
        made.clone()
    }

    const WATCH: &str = "GET /apis/g/v1/things?&watch=true&resourceVersion=5";
    const LIST: &str = "GET /apis/g/v1/things?limit=100";
    const PATCH: &str = "PATCH /apis/g/v1/things/one/status?";

    #[rstest]
    #[case::a_watch_that_ends_at_once_is_begun_a_second_later(&[WATCH, WATCH, WATCH], 200, "", &[0, 1, 2])]
    #[case::a_list_may_follow(&[WATCH, LIST, LIST], 200, "", &[0, 0, 0])]
    #[case::a_server_that_is_busy_says_when(&[PATCH, PATCH], 429, "3", &[0, 3])]
    #[case::or_one_that_goes_down(&[LIST, LIST], 503, "2", &[0, 2])]
    #[case::another_request_need_not_wait(&[PATCH, LIST], 429, "3", &[0, 0])]
    #[case::an_hour_is_too_long(&[LIST, LIST], 429, "3600", &[0, 10])]
    #[case::a_date_is_not_heeded(&[LIST, LIST], 429, "Wed, 21 Oct 2026 07:28:00 GMT", &[0, 0])]
    #[case::only_when_busy(&[LIST, LIST], 500, "3", &[0, 0])]
    #[tokio::test(start_paused = true)]
    async fn no_request_is_made_before_its_time(
        #[case] requests: &[&str],
        #[case] status: u16,
        #[case] retry_after: &str,
        #[case] expected: &[u64],
    ) {
        let seconds: Vec<u64> = made(requests, status, retry_after).await.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, expected);
    }
}
