//! A proxy between an operator and the real API server that goes wrong on demand. One connection in is one connection
//! out, and every answer is the API server's own, but for those that a fault makes up.
//!
//! ```text
//! let proxy = Proxy::start(&cluster).await;
//! let operator = Operator::start(&cluster, proxy.between(Options::mode("replace"))).await;
//! proxy.inject(Fault::DropAfter, Kind::write("clusterversions/status"), 1); // it is written, and the answer is lost
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

/// The seed of the random faults that every operator of a test meets, where it is set: see [`Proxy::random`].
const RANDOM_FAULTS: &str = "UPGRADE_GATE_RANDOM_FAULTS";
/// Of random faults, one in so many requests and events meets one.
const ODDS: u64 = 8;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is held back for so long.
    Delay(Duration),
    /// The connection is cut before the server has seen it.
    DropBefore,
    /// The server does what it asks for, and the connection is cut before the answer.
    DropAfter,
    /// The server never sees it, and no answer comes.
    HoldBefore,
    /// The server does what it asks for, and no answer comes.
    HoldAfter,
    /// It is answered with this HTTP status, and the server never sees it.
    Answer(u16),
    /// It is answered well, and with nothing: a watch that ends as soon as it has begun.
    End,
}

/// What happens to the watches that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// They end.
    Cut,
    /// They stay open, and nothing comes any more.
    Stall,
    /// They say that what was asked for is too old (an event of type ERROR with code 410), and end.
    Gone,
    /// The first object that they brought comes once more, as from a cache that lags.
    Replay,
}

/// A fault that waits for its requests.
#[derive(Clone, Debug)]
struct Trap {
    fault: Fault,
    kind: Kind,
    left: usize,
}

/// What was done to all watches of a kind, in the order of its doing.
#[derive(Clone, Debug)]
struct Order {
    kind: Kind,
    watch: Watch,
}

#[derive(Debug, Default)]
struct State {
    traps: Vec<Trap>,
    log: Vec<(Instant, Kind)>,
    random: Option<Steps>,
    /// Requests that are held for ever.
    held: usize,
}

impl State {
    /// The random fault for this request, if any. Leases are left alone: losing the lead is no fault.
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
        random.one_in(ODDS).then(|| *random.one_of(&FAULTS))
    }

    /// The random fault of a watch after an event, if any.
    fn random_watch_fault(&mut self, kind: &Kind) -> Option<Watch> {
        let random = self.random.as_mut().filter(|_| !kind.is_of("leases"))?;
        random.one_in(ODDS).then(|| *random.one_of(&[Watch::Cut, Watch::Gone, Watch::Replay]))
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Everything that was ordered; a watch obeys what comes after it was opened.
    orders: watch::Sender<Vec<Order>>,
    /// How often it was healed: a stalled watch ends then, as its packets are lost.
    healed: watch::Sender<u64>,
    /// Nothing gets through, and no connection is closed.
    partitioned: watch::Sender<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running proxy; it ends when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    kubeconfig: NamedTempFile,
    _stop: watch::Sender<()>,
}

impl Proxy {
    /// Starts one in front of the cluster's API server, in a thread of its own, so that a busy test doesn't slow it.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::start_for(&cluster.control_plane.operator_kubeconfig()).await
    }

    /// The same for whoever has this kubeconfig.
    pub async fn start_for(original: &Path) -> Self {
        let file = Kubeconfig::read_from(original).expect("a readable kubeconfig");
        let config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a sound kubeconfig");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            orders: watch::Sender::new(Vec::new()),
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
                ready.send(listener.local_addr().expect("an address")).expect("somebody waits for it");
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

    /// The options of an operator that knows the API server by this proxy alone.
    pub fn between(&self, mut options: Options) -> Options {
        options.env.insert("KUBECONFIG".to_owned(), self.path().to_string_lossy().into_owned());
        options
    }

    /// A proxy with random faults by the seed in `UPGRADE_GATE_RANDOM_FAULTS`, or none where that isn't set: a fault may
    /// meet any request, and any watch after an event.
    pub async fn random(cluster: &Cluster) -> Option<Self> {
        let seed =
            std::env::var(RANDOM_FAULTS).ok()?.parse().expect("UPGRADE_GATE_RANDOM_FAULTS is a number, the seed");
        let proxy = Self::start(cluster).await;
        proxy.state().random = Some(Steps::seeded(seed));
        Some(proxy)
    }

    /// A kubeconfig that knows the API server by this proxy alone.
    pub fn path(&self) -> PathBuf {
        self.kubeconfig.path().to_owned()
    }

    /// Does this to the next so many requests of the kind.
    pub fn inject(&self, fault: Fault, kind: Kind, times: usize) {
        self.state().traps.push(Trap { fault, kind, left: times });
    }

    /// Does this to the open watches of the kind.
    pub fn watches(&self, kind: Kind, watch: Watch) {
        self.shared.orders.send_modify(|orders| orders.push(Order { kind, watch }));
    }

    /// Lets nothing through, in neither direction, without cutting anything: packets are lost.
    pub fn partition(&self) {
        self.shared.partitioned.send_replace(true);
    }

    /// No more faults. What was lost meanwhile stays lost: those connections end.
    pub fn heal(&self) {
        self.state().traps.clear();
        self.shared.partitioned.send_replace(false);
        self.shared.healed.send_modify(|times| *times += 1);
    }

    /// How many requests are held for ever, each after the server has done what it asks for, where it was to see it.
    pub fn held(&self) -> usize {
        self.state().held
    }

    /// Whether every fault that waited for its requests has met them.
    pub fn is_spent(&self) -> bool {
        self.state().traps.is_empty()
    }

    /// When which requests came, the oldest first.
    pub fn log(&self) -> Vec<(Instant, Kind)> {
        self.state().log.clone()
    }

    /// The most requests that came within any span of so long.
    pub fn most_within(&self, span: Duration) -> usize {
        let log = self.log();
        let until = |start: usize| log[start..].iter().take_while(|(at, _)| *at < log[start].0 + span).count();
        (0..log.len()).map(until).max().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}
