//! The built operator as a process, with the arguments and environment of the Deployment in `deploy/base`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use kube::Api;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::NamedTempFile;

use super::cluster::Cluster;
use super::control_plane::{NAME, NAMESPACE};
use super::eventually;
use super::faults::Proxy;

/// The differences of one replica from the Deployment.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--mode`; `None` keeps that of the Deployment.
    pub mode: Option<&'static str>,
    /// `POD_NAME`, and so the identity on the Lease.
    pub identity: &'static str,
    /// More flags, each `--name=value`. They replace those of the Deployment.
    pub args: Vec<String>,
    /// More environment.
    pub env: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { mode: None, identity: "upgrade-gate-0", args: Vec::new(), env: BTreeMap::new() }
    }
}

impl Options {
    /// The Deployment's options in this mode.
    pub fn mode(mode: &'static str) -> Self {
        Self { mode: Some(mode), ..Self::default() }
    }

    /// These options with another identity.
    pub fn identity(self, identity: &'static str) -> Self {
        Self { identity, ..self }
    }

    /// These options with this flag, `--name=value`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }
}

/// A running operator. Dropped, it is killed; when its test panics, its log is printed.
pub struct Operator {
    process: Child,
    started: Instant,
    identity: &'static str,
    log: NamedTempFile,
    health: SocketAddr,
    metrics: SocketAddr,
    /// The proxy with random faults, if there is one.
    _link: Option<Proxy>,
}

impl Operator {
    /// Starts an operator without waiting for it: see [`Self::ready`].
    pub async fn start(cluster: &Cluster, options: Options) -> Self {
        let container = container(cluster).await;
        // A test with a proxy of its own injects its own faults.
        let link = if options.env.contains_key("KUBECONFIG") { None } else { Proxy::random(cluster).await };
        let options = match &link {
            Some(proxy) => proxy.route(options),
            None => options,
        };
        let (health, metrics) = (free_port(), free_port());
        let mut args = container.args.unwrap_or_default();
        set_flag(&mut args, &format!("--health-probe-bind-address={health}"));
        set_flag(&mut args, &format!("--metrics-bind-address={metrics}"));
        // Two minutes are too long for a test.
        set_flag(&mut args, "--degraded-after=0s");
        options.mode.iter().for_each(|mode| set_flag(&mut args, &format!("--mode={mode}")));
        options.args.iter().for_each(|arg| set_flag(&mut args, arg));

        let log = NamedTempFile::new().expect("a temporary file");
        let stream = || Stdio::from(File::options().append(true).open(log.path()).expect("the log"));
        let mut command = mortal(&binary());
        let started = Instant::now();
        let process = command
            .args(&args)
            .env_clear() // the Deployment does not have the developer's environment
            .envs(container.env.unwrap_or_default().into_iter().filter_map(|variable| {
                let field = variable.value_from.and_then(|from| from.field_ref).map(|field| field.field_path);
                let value = match field.as_deref() {
                    Some("metadata.name") => Some(options.identity.to_owned()),
                    Some("metadata.namespace") => Some(NAMESPACE.to_owned()),
                    Some(other) => panic!("the harness doesn't know the field {other} of deploy/base's Deployment"),
                    None => variable.value,
                };
                Some((variable.name, value?))
            }))
            .env("KUBECONFIG", cluster.control_plane.operator_kubeconfig())
            .env("RUST_BACKTRACE", "1")
            .envs(&options.env)
            .stdin(Stdio::null())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("start the operator");
        Self { process, started, identity: options.identity, log, health, metrics, _link: link }
    }

    /// Waits until `/readyz` returns 200.
    pub async fn ready(&mut self) {
        eventually("the operator to be ready", async || {
            if let Some(status) = self.process.try_wait().expect("the operator's status") {
                panic!("the operator ended ({status}) instead of becoming ready:\n{}", self.log());
            }
            match get(self.health, "/readyz") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}; its log:\n{}", self.log())),
            }
        })
        .await;
    }

    /// Status and body of a GET on the port of the probes.
    pub fn probe(&self, path: &str) -> Result<(u16, String), std::io::Error> {
        get(self.health, path)
    }

    /// The text of `/metrics`.
    ///
    /// # Panics
    ///
    /// If there is no answer, or its status is not 200.
    pub fn metrics(&self) -> String {
        match get(self.metrics, "/metrics") {
            Ok((200, body)) => body,
            other => panic!("no metrics: {other:?}"),
        }
    }

    /// One sample, by its name and labels as exposed: `upgrade_gate_mode{mode="replace"}`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.metrics();
        let sample = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        sample.split(' ').next()?.parse().ok()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("the operator's log")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The CPU time used so far, if the system has `/proc`.
    pub fn busy(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or_default());
        Some(Duration::from_millis(ticks.sum::<u64>() * 10)) // 100 ticks a second, as on every Linux
    }

    /// The resident memory in bytes, if the system has `/proc`.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait("the operator to end on SIGTERM").await
    }

    /// Waits until the process ends by itself.
    pub async fn ended(mut self) -> ExitStatus {
        self.wait("the operator to end by itself").await
    }

    /// Sends SIGKILL, and waits until the process has ended.
    pub fn kill(mut self) {
        self.reap();
    }

    /// Sends SIGSTOP: the process does not run and does not renew its Lease, as on a node that hangs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        // Threads stop one by one; after this call none runs.
        waitid(WaitId::Pid(Pid::from_child(&self.process)), WaitIdOptions::STOPPED).expect("a stopped operator");
    }

    /// Resumes the process after [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("signal the operator");
    }

    async fn wait(&mut self, what: &str) -> ExitStatus {
        eventually(what, async || self.process.try_wait().expect("the operator's status").ok_or_else(|| self.log()))
            .await
    }

    fn reap(&mut self) {
        // Both fail only if the process has ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.reap();
        if std::thread::panicking() {
            eprintln!("--- the log of {}:\n{}---", self.identity, self.log());
        }
    }
}

/// The operator's container in the Deployment, as applied from `deploy/base`.
async fn container(cluster: &Cluster) -> Container {
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), NAMESPACE);
    let deployment = deployments.get(NAME).await.expect("the Deployment");
    let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a pod template");
    pod.containers.into_iter().find(|container| container.name == NAME).expect("the operator's container")
}

/// Replaces the argument for `--name`, or appends `--name=value`.
fn set_flag(args: &mut Vec<String>, flag: &str) {
    let name = flag.split('=').next().unwrap_or(flag);
    match args.iter_mut().find(|arg| arg.split('=').next() == Some(name)) {
        Some(arg) => flag.clone_into(arg),
        None => args.push(flag.to_owned()),
    }
}

/// The operator's binary: the one built with the tests, or the one that `UPGRADE_GATE_BINARY` names, e.g. from an image.
pub fn binary() -> String {
    std::env::var("UPGRADE_GATE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_upgrade-gate").to_owned())
}

/// A command that the kernel kills together with this process, if the system supports that.
fn mortal(program: &str) -> Command {
    const SETPRIV: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];
    let known = Command::new(SETPRIV[0]).args(&SETPRIV[1..]).arg("true").status().is_ok_and(|status| status.success());
    if !known {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV[0]);
    command.args(&SETPRIV[1..]).arg(program);
    command
}

/// A free address on 127.0.0.1, outside the range of ephemeral ports, so that no client connection takes it in the
/// meantime.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (std::process::id() % 2000) * 5 + u32::from(step);
        let port = 20_000 + u16::try_from(offset % 10_000).unwrap_or_default();
        if let Ok(socket) = TcpListener::bind(("127.0.0.1", port)) {
            return socket.local_addr().expect("an address");
        }
    }
}

/// A minimal HTTP GET for probes and metrics. It blocks, for up to two seconds if the operator hangs.
fn get(address: SocketAddr, path: &str) -> Result<(u16, String), std::io::Error> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
