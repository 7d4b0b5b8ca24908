//! Fault injection: a proxy between an operator and the real API server. One connection in is one connection out. Every
//! response is the API server's, except those of [`Fault::Answer`] and [`Fault::End`].
//!
//! ```text
//! let proxy = Proxy::start(&cluster).await;
//! let operator = Operator::start(&cluster, proxy.route(Options::mode("replace"))).await;
//! proxy.inject(Fault::DropAfter, Kind::write("clusterversions/status"), 1); // written, but the response is lost
//! proxy.watches(Kind::watch("clusterversions"), Watch::Stall);
//! proxy.heal();
//! ```

mod body;
mod kind;
mod serve;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tempfile::NamedTempFile;
use tokio::{net::TcpListener, sync::watch};

pub use self::kind::Kind;
use super::{cluster::Cluster, operator::Options, steps::Steps};

/// The variable with the seed of random faults for every operator of a test: see [`Proxy::random`].
const RANDOM_FAULTS: &str = "UPGRADE_GATE_RANDOM_FAULTS";
/// With random faults, one in so many requests and events fails.
const ONE_IN: u64 = 8;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is forwarded after this time.
    Delay(Duration),
    /// The connection is cut before the server has seen it.
    DropBefore,
    /// The server handles the request, and the connection is cut before the response.
    DropAfter,
    /// The server never sees the request, and no response arrives.
    HoldBefore,
    /// The server handles the request, and no response arrives.
    HoldAfter,
    /// The proxy responds with this HTTP status; the server never sees the request.
    Answer(u16),
    /// The proxy responds with 200 and an empty body: a watch that ends at once.
    End,
}

/// What happens to the open watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// They end.
    Cut,
    /// They stay open, but deliver no more events.
    Stall,
    /// They report that the resourceVersion is too old (an ERROR event with code 410), and end.
    Gone,
    /// They deliver their first event a second time, as a stale cache does.
    Replay,
}

/// A fault for the next `left` requests of a kind.
#[derive(Clone, Debug)]
struct PendingFault {
    fault: Fault,
    kind: Kind,
    left: usize,
}

/// A fault of all open watches of a kind.
#[derive(Clone, Debug)]
struct WatchFault {
    kind: Kind,
    watch: Watch,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<PendingFault>,
    log: Vec<(Instant, Kind)>,
    random: Option<Steps>,
    /// How many requests hang for ever.
    held: usize,
}

impl State {
    /// The random fault for this request, if any. Requests for Leases are exempt, since losing the lead is not a fault.
    fn random_fault(&mut self, kind: &Kind) -> Option<Fault> {
        const FAULTS: [Fault; 8] = [
            Fault::Delay(Duration::from_millis(200)),
            Fault::DropBefore,
            Fault::DropAfter,
            Fault::Answer(409),
            Fault::Answer(410),
            Fault::Answer(429),
            Fault::Answer(500),
            Fault::Answer(503),
        ];
        let random = self.random.as_mut().filter(|_| !kind.is_of("leases"))?;
        random.one_in(ONE_IN).then(|| *random.one_of(&FAULTS))
    }

    /// The random fault for a watch after an event, if any.
    fn random_watch_fault(&mut self, kind: &Kind) -> Option<Watch> {
        let random = self.random.as_mut().filter(|_| !kind.is_of("leases"))?;
        random.one_in(ONE_IN).then(|| *random.one_of(&[Watch::Cut, Watch::Gone, Watch::Replay]))
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// All faults of watches, in order. A watch applies those that were added after it was opened.
    watch_faults: watch::Sender<Vec<WatchFault>>,
    /// How often the network was healed. That ends a stalled watch.
    healed: watch::Sender<u64>,
    /// Whether the network drops all packets. Connections stay open.
    partitioned: watch::Sender<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy, stopped when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    kubeconfig: NamedTempFile,
    _stop: watch::Sender<()>,
}

impl Proxy {
    /// Starts a proxy in front of the cluster's API server, in a thread of its own, so that a busy test does not slow it.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::start_for(&cluster.control_plane.operator_kubeconfig()).await
    }

    /// Starts a proxy in front of the API server of this kubeconfig.
    pub async fn start_for(original: &Path) -> Self {
        let file = Kubeconfig::read_from(original).expect("a readable kubeconfig");
        let config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a sound kubeconfig");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            watch_faults: watch::Sender::new(Vec::new()),
            healed: watch::Sender::new(0),
            partitioned: watch::Sender::new(false),
        });
        let (stop, stopped) = watch::channel(());
        let (ready, address) = std::sync::mpsc::channel::<SocketAddr>();
        let (server, of_thread) = (config.cluster_url.to_string(), Arc::clone(&shared));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                ready.send(listener.local_addr().expect("an address")).expect("the receiver is open");
                serve::serve(listener, &config, &of_thread, stopped).await;
            });
        });
        let address = address.recv().expect("the proxy to listen");
        let text = std::fs::read_to_string(original).expect("a readable kubeconfig");
        let kubeconfig = NamedTempFile::new().expect("a temporary file");
        let text = text.replace(server.trim_end_matches('/'), &format!("http://{address}"));
        std::fs::write(kubeconfig.path(), text).expect("write a kubeconfig");
        Self { shared, kubeconfig, _stop: stop }
    }

    /// These options, with a kubeconfig whose server is this proxy.
    pub fn route(&self, mut options: Options) -> Options {
        options.env.insert("KUBECONFIG".to_owned(), self.path().to_string_lossy().into_owned());
        options
    }

    /// A proxy with random faults by the seed in `UPGRADE_GATE_RANDOM_FAULTS`, or `None` if that is not set. Any request
    /// may fail, and any watch after an event.
    pub async fn random(cluster: &Cluster) -> Option<Self> {
        let seed =
            std::env::var(RANDOM_FAULTS).ok()?.parse().expect("UPGRADE_GATE_RANDOM_FAULTS is a number, the seed");
        let proxy = Self::start(cluster).await;
        proxy.state().random = Some(Steps::seeded(seed));
        Some(proxy)
    }

    /// A kubeconfig whose server is this proxy.
    pub fn path(&self) -> PathBuf {
        self.kubeconfig.path().to_owned()
    }

    /// Applies the fault to the next `times` requests of the kind.
    pub fn inject(&self, fault: Fault, kind: Kind, times: usize) {
        self.state().pending.push(PendingFault { fault, kind, left: times });
    }

    /// Applies the fault to the open watches of the kind.
    pub fn watches(&self, kind: Kind, watch: Watch) {
        self.shared.watch_faults.send_modify(|watch_faults| watch_faults.push(WatchFault { kind, watch }));
    }

    /// Drops all packets in both directions; connections stay open.
    pub fn partition(&self) {
        self.shared.partitioned.send_replace(true);
    }

    /// Ends all faults. Connections that lost packets meanwhile are closed.
    pub fn heal(&self) {
        self.state().pending.clear();
        self.shared.partitioned.send_replace(false);
        self.shared.healed.send_modify(|times| *times += 1);
    }

    /// How many requests hang: those of [`Fault::HoldBefore`], and those of [`Fault::HoldAfter`] that the server has handled.
    pub fn held(&self) -> usize {
        self.state().held
    }

    /// Whether every injected fault has been applied as often as asked for.
    pub fn all_faults_were_met(&self) -> bool {
        self.state().pending.is_empty()
    }

    /// All requests with their times, oldest first.
    pub fn log(&self) -> Vec<(Instant, Kind)> {
        self.state().log.clone()
    }

    /// The most requests within any span of this length.
    pub fn most_requests_within(&self, span: Duration) -> usize {
        let log = self.log();
        let until = |start: usize| log[start..].iter().take_while(|(at, _)| *at < log[start].0 + span).count();
        (0..log.len()).map(until).max().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}
