//! What the listeners answer, and whom they let wait.

use std::{
    net::{Ipv4Addr, TcpListener as Blocking, TcpStream},
    path::Path,
};

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream as Stream,
};
use tokio_rustls::{TlsConnector, rustls};

use crate::controller::http::*;

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
    assert!(error.to_string().starts_with(&format!("metrics cannot be served on 0.0.0.0:{port}: ")), "{error}");
}

/// The probes on a port of their own, and a health to play with.
async fn probes() -> (SocketAddr, Arc<Health>) {
    let health = Arc::new(Health::default());
    let taken = Blocking::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    serve_probes(address, health.clone()).await.unwrap();
    (address, health)
}

/// The first line of the answer to this, sent as it is, and nothing where the connection was just closed.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut stream = Stream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap().lines().next().unwrap_or_default().to_owned()
}

#[rstest]
#[case::alive("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK")]
#[case::alive_by_its_head("HEAD /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK")]
#[case::not_ready("GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 503 Service Unavailable")]
#[case::no_other_method(
    "POST /healthz HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    "HTTP/1.1 405 Method Not Allowed"
)]
#[case::no_other_path("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found")]
#[case::not_http("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request")]
#[tokio::test]
async fn probes_answer(#[case] request: &str, #[case] expected: &str) {
    let (address, _health) = probes().await;
    assert_eq!(answer(address, request).await, expected);
}

#[tokio::test]
async fn probes_carry_nothing() {
    let (address, _health) = probes().await;
    let mut stream = Stream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "");
    let names: Vec<&str> = head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["connection", "content-length", "date"]);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (address, _health) = probes().await;
    let long = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(answer(address, &long).await, "HTTP/1.1 431 Request Header Fields Too Large");
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(65));
    assert_eq!(answer(address, &many).await, "HTTP/1.1 431 Request Header Fields Too Large");
}

#[rstest]
#[case::that_says_nothing("")]
#[case::that_never_ends_its_head("GET /healthz HTTP/1.1\r\n")]
#[case::that_has_its_answer_and_stays("GET /healthz HTTP/1.1\r\n\r\n")]
#[tokio::test(start_paused = true)]
async fn a_connection_is_closed(#[case] request: &str) {
    let (address, _health) = probes().await;
    let began = Instant::now();
    answer(address, request).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn those_that_hold_every_place_keep_nobody_out_for_long() {
    let (address, _health) = probes().await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(Stream::connect(address).await.unwrap());
    }
    let request = "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(answer(address, request).await, "HTTP/1.1 200 OK");
}

/// With keep-alive, 32 who ask again and again would have the places to themselves.
#[tokio::test]
async fn a_connection_is_for_one_request() {
    let (address, _health) = probes().await;
    let mut stream = Stream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    let _ = stream.read_to_string(&mut answers).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1, "{answers}");
    assert!(answers.contains("\r\nconnection: close\r\n"), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn those_that_read_nothing_of_their_answer_keep_nobody_out_for_long() {
    let (listener, port) = port_of("127.0.0.1:0").await;
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let routes = |path: &str| {
        let content = (path == "/large").then(|| ("text/plain", vec![b'x'; 16 << 20].into()));
        Some(Answer { status: StatusCode::OK, content })
    };
    tokio::spawn(connections::serve(listener, routes, None));
    let mut greedy = Vec::new();
    for _ in 0..32 {
        let mut stream = Stream::connect(address).await.unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\n\r\n").await.unwrap();
        greedy.push(stream);
    }
    let began = Instant::now();
    assert_eq!(answer(address, "GET /small HTTP/1.1\r\n\r\n").await, "HTTP/1.1 200 OK");
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_has_not_turned_for_a_minute_is_not_alive() {
    let request = "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    let (address, health) = probes().await;
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(answer(address, request).await, "HTTP/1.1 200 OK");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(answer(address, request).await, "HTTP/1.1 503 Service Unavailable");
    health.turn();
    assert_eq!(answer(address, request).await, "HTTP/1.1 200 OK");
}

/// Writes a certificate as a Secret is mounted: a link that is replaced. Returns it in DER.
fn mount(folder: &Path, version: &str) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let data = folder.join(version);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(data.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    link(folder, version);
    made.cert.der().to_vec()
}

fn link(folder: &Path, version: &str) {
    std::os::unix::fs::symlink(version, folder.join("..new")).unwrap();
    std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
}

/// Whether that certificate is what the server shows, by the protocols that the client has.
async fn shows(address: SocketAddr, trusted: &[u8], protocols: &[&'static rustls::SupportedProtocolVersion]) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(protocols).unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = Stream::connect(address).await.unwrap();
    let Ok(mut stream) = connector.connect("localhost".try_into().unwrap(), stream).await else { return false };
    stream.write_all(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("# EOF\n")
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_used_and_a_broken_one_is_not() {
    use rustls::version::{TLS12, TLS13};
    let folder = tempfile::tempdir().unwrap();
    let first = mount(folder.path(), "first");
    let files = || (folder.path().join("..data/tls.crt"), folder.path().join("..data/tls.key"));
    let taken = Blocking::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let metrics = Arc::new(Metrics::new());
    serve_metrics(address, Some(files()), metrics).await.unwrap();
    assert!(shows(address, &first, &[&TLS13]).await && shows(address, &first, &[&TLS12]).await);

    let second = mount(folder.path(), "second");
    // From here on, the clock is ours.
    tokio::time::pause();
    while !shows(address, &second, &[&TLS13]).await {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(!shows(address, &first, &[&TLS13]).await);

    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::copy(folder.path().join("second/tls.crt"), broken.join("tls.crt")).unwrap();
    std::fs::copy(folder.path().join("first/tls.key"), broken.join("tls.key")).unwrap();
    link(folder.path(), "broken");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(shows(address, &second, &[&TLS13]).await);
    link(folder.path(), "first");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(shows(address, &first, &[&TLS13]).await);
}

#[tokio::test]
async fn a_pair_that_does_not_belong_together_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), "first");
    mount(folder.path(), "second");
    let files = (folder.path().join("first/tls.crt"), folder.path().join("second/tls.key"));
    let address = "127.0.0.1:0".parse().unwrap();
    let error = serve_metrics(address, Some(files), Arc::new(Metrics::new())).await.unwrap_err();
    assert!(error.to_string().contains("both must be PEM files, and belong together"), "{error}");
}
