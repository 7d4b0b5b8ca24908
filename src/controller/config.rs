//! Arguments of `upgrade-gate run`, resolved once; only [`Config`] travels from here.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum, builder::PossibleValue};

use crate::{api::names, client::ClusterArgs, plan::role::Mode};

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Replace, Self::Bridge, Self::Observe]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => {
                ("auto", "Detects whether a cluster-version operator is running, and acts as `bridge` or `replace`")
            }
            Self::Replace => {
                ("replace", "On clusters where no cluster-version operator decides: writes conditions and history")
            }
            Self::Bridge => (
                "bridge",
                "Beside a stock cluster-version operator: forces patch updates that it refuses for overrides alone",
            ),
            Self::Observe => ("observe", "Writes nothing but events; events and metrics show what it would decide"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// Flags of `upgrade-gate run`, each also as `UPGRADE_GATE_…` in the environment.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// What the operator may write
    #[arg(long, value_enum, default_value = "auto", env = "UPGRADE_GATE_MODE")]
    pub mode: Mode,
    /// Whether replicas elect the one that writes; `false` for a single process
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", env = "UPGRADE_GATE_LEADER_ELECT")]
    pub leader_elect: bool,
    /// How long a Lease is valid without renewal, in whole seconds
    #[arg(long, default_value = "15s", value_parser = whole_seconds, env = "UPGRADE_GATE_LEASE_DURATION")]
    pub lease_duration: Duration,
    /// How often the Lease is renewed, in whole seconds; less than half of its duration
    #[arg(long, default_value = "5s", value_parser = whole_seconds, env = "UPGRADE_GATE_LEASE_RENEW_INTERVAL")]
    pub lease_renew_interval: Duration,
    /// In mode auto, how long a risk may go unenforced with no running cluster-version operator before upgrade-gate
    /// takes over
    #[arg(long, default_value = "300s", value_parser = whole_seconds, env = "UPGRADE_GATE_VACANT_AFTER")]
    pub vacant_after: Duration,
    /// How long a problem lasts before the ClusterOperator is Degraded
    #[arg(long, default_value = "120s", value_parser = whole_seconds, env = "UPGRADE_GATE_DEGRADED_AFTER")]
    pub degraded_after: Duration,
    /// Address of /metrics; 0.0.0.0 means every address, IPv6 included
    #[arg(long, default_value = "0.0.0.0:8080", env = "UPGRADE_GATE_METRICS_BIND_ADDRESS")]
    pub metrics_bind_address: SocketAddr,
    /// Address of /healthz and /readyz; 0.0.0.0 means every address, IPv6 included
    #[arg(long, default_value = "0.0.0.0:8081", env = "UPGRADE_GATE_HEALTH_PROBE_BIND_ADDRESS")]
    pub health_probe_bind_address: SocketAddr,
    /// File of the certificate chain (PEM) for /metrics over TLS
    #[arg(long, requires = "metrics_tls_key", env = "UPGRADE_GATE_METRICS_TLS_CERT")]
    pub metrics_tls_cert: Option<PathBuf>,
    /// File of the private key (PEM) of that certificate
    #[arg(long, requires = "metrics_tls_cert", env = "UPGRADE_GATE_METRICS_TLS_KEY")]
    pub metrics_tls_key: Option<PathBuf>,
    /// Format of log lines
    #[arg(long, value_enum, default_value = "text", env = "UPGRADE_GATE_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// How much is logged: off, error, warn, info, debug, trace
    #[arg(long, default_value = "info", env = "UPGRADE_GATE_LOG_LEVEL")]
    pub log_level: tracing_subscriber::filter::LevelFilter,
    /// Where the cluster is, and as whom
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Everything that `run` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// What may be written.
    pub mode: Mode,
    /// In mode `auto`, how long a risk may go unenforced before upgrade-gate takes over.
    pub vacant_after: Duration,
    /// How long a problem lasts before the ClusterOperator is `Degraded`.
    pub degraded_after: Duration,
    /// The Lease to hold while writing; `None` where this process is the only one.
    pub lease: Option<LeaseConfig>,
    /// This process in leases and events: the Pod's name, else one that no other process has.
    pub identity: String,
    /// Address of /metrics.
    pub metrics: SocketAddr,
    /// Certificate and key of /metrics; plain HTTP without.
    pub metrics_tls: Option<(PathBuf, PathBuf)>,
    /// Address of the probes.
    pub probes: SocketAddr,
}

/// How the one replica that writes is elected.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Namespace of the Lease.
    pub namespace: String,
    /// The mode, by which other commands know what the holder does.
    pub mode: Mode,
    /// How long a Lease is valid without renewal.
    pub duration: Duration,
    /// How often it is renewed.
    pub renew_interval: Duration,
}

/// The flags don't go together.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The Lease would expire between two renewals.
    #[error(
        "--lease-renew-interval ({renew:?}) must be at least 1s and less than half of --lease-duration ({duration:?})"
    )]
    Lease {
        /// As given.
        duration: Duration,
        /// As given.
        renew: Duration,
    },
}

impl Config {
    /// Resolves flags and the Pod's environment, at the time at which the process starts.
    ///
    /// # Errors
    /// Flags that don't go together.
    pub fn new(
        args: &RunArgs,
        pod_name: Option<String>,
        pod_namespace: Option<String>,
        now: jiff::Timestamp,
    ) -> Result<Self, ConfigError> {
        let (duration, renew_interval) = (args.lease_duration, args.lease_renew_interval);
        if args.leader_elect && (renew_interval.is_zero() || renew_interval * 2 >= duration) {
            return Err(ConfigError::Lease { duration, renew: renew_interval });
        }
        let namespace = pod_namespace.unwrap_or_else(|| names::NAMESPACE.to_owned());
        Ok(Self {
            mode: args.mode,
            vacant_after: args.vacant_after,
            degraded_after: args.degraded_after,
            lease: args.leader_elect.then_some(LeaseConfig { namespace, mode: args.mode, duration, renew_interval }),
            // In every container the process has the same number.
            identity: pod_name
                .unwrap_or_else(|| format!("{}-{}-{:x}", names::SELF, std::process::id(), now.as_nanosecond())),
            metrics: args.metrics_bind_address,
            metrics_tls: args.metrics_tls_cert.clone().zip(args.metrics_tls_key.clone()),
            probes: args.health_probe_bind_address,
        })
    }
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    match digits.parse() {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected whole seconds up to 3600, such as 15s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn resolved(pod_name: Option<&str>, now: &str) -> Config {
        let command = RunArgs::augment_args(clap::Command::new("run"));
        let args = RunArgs::from_arg_matches(&command.get_matches_from(["run"])).unwrap();
        Config::new(&args, pod_name.map(str::to_owned), None, now.parse().unwrap()).unwrap()
    }

    #[test]
    fn two_processes_have_two_identities() {
        assert_eq!(resolved(Some("upgrade-gate-abc"), "2026-01-01T00:00:00Z").identity, "upgrade-gate-abc");
        let [first, second] = ["2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:00.000000002Z"]
            .map(|now| resolved(None, now).identity);
        assert_ne!(first, second);
        assert_eq!(first, format!("upgrade-gate-{}-18867251edfa0001", std::process::id()));
    }
}
