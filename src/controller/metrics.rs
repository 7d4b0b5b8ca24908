//! What the operator counts and shows, in the OpenMetrics format with the prefix `upgrade_gate_`. Labels are closed sets,
//! but for the names of risks, of which at most [`RISK_NAMES`] are shown.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use crate::{
    gate::{Snapshot, UpdateType, Verdict, would_leave_minor},
    plan::{
        bridge::{skip_reason::SkipReason, unforce::KeepReason},
        role::Role,
    },
};

/// Names of risks that have a series of their own; further ones share the name `other`.
pub const RISK_NAMES: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Risk {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Type {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    r#type: &'static str,
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModeLabel {
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// A new metric, registered.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    register(registry, name, help, M::default())
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// All metrics of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    upgradeable: Gauge,
    risk: Family<Risk, Gauge>,
    update_allowed: Family<Type, Gauge>,
    overrides_unmanaged: Gauge,
    decisions: Family<Decision, Counter>,
    writes: Family<Written, Counter>,
    mode: Family<ModeLabel, Gauge>,
    bridge_refusal: Family<ReasonLabel, Gauge>,
    bridge_force_standing: Gauge,
    bridge_force_kept: Family<ReasonLabel, Gauge>,
    bridge_unverified: Gauge,
    leader: Gauge,
    contention: Counter,
    reconcile_duration: Histogram,
    last_evaluation: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "registering is work, not a default")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("upgrade_gate");
        let all = &mut registry;
        let duration = Histogram::new([0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]);
        Self {
            upgradeable: registered(all, "upgradeable", "Whether minor and major updates may go ahead"),
            risk: registered(all, "risk", "Reasons not to leave this minor, by name"),
            update_allowed: registered(all, "update_allowed", "Whether the gate lets updates of that type go ahead"),
            overrides_unmanaged: registered(
                all,
                "overrides_unmanaged",
                "Entries of spec.overrides with unmanaged: true",
            ),
            decisions: registered(all, "decisions", "Requests decided, by type of update"),
            writes: registered(all, "writes", "Writes to ClusterVersion, by kind and result"),
            mode: registered(all, "mode", "The mode that the operator acts in"),
            bridge_refusal: registered(all, "bridge_refusal", "Why the bridge does not force the requested update"),
            bridge_force_standing: registered(
                all,
                "bridge_force_standing",
                "Whether spec.desiredUpdate.force is still set by the bridge",
            ),
            bridge_force_kept: registered(
                all,
                "bridge_force_kept",
                "Why the bridge has not removed its force from spec.desiredUpdate yet",
            ),
            bridge_unverified: registered(
                all,
                "bridge_unverified",
                "Whether an update that the bridge forced was completed without a verified signature",
            ),
            leader: registered(all, "leader", "Whether this replica writes"),
            contention: registered(all, "contention", "Writes that another writer reverted"),
            reconcile_duration: register(
                all,
                "reconcile_duration_seconds",
                "From an event to the last write that it caused",
                duration,
            ),
            last_evaluation: registered(
                all,
                "last_evaluation_timestamp_seconds",
                "When the cluster was last evaluated, in Unix time",
            ),
            registry,
        }
    }

    /// Shows a verdict. A series goes when its risk does.
    pub fn evaluated(&self, snapshot: &Snapshot, verdict: &Verdict) {
        self.upgradeable.set(verdict.upgradeable.holds().into());
        self.risk.clear();
        for risk in verdict.risks.iter().take(RISK_NAMES) {
            self.risk.get_or_create(&Risk { name: risk.name.clone() }).set(1);
        }
        if let Some(others) = verdict.risks.len().checked_sub(RISK_NAMES).filter(|&others| others > 0) {
            let others = i64::try_from(others).unwrap_or(i64::MAX);
            self.risk.get_or_create(&Risk { name: "other".to_owned() }).set(others);
        }
        for update_type in [UpdateType::Patch, UpdateType::Minor, UpdateType::Major] {
            let allowed = verdict.upgradeable.holds() || !would_leave_minor(update_type);
            self.update_allowed.get_or_create(&Type { r#type: update_type.as_str() }).set(allowed.into());
        }
        let overrides = snapshot.cluster_version.unmanaged_overrides().count();
        self.overrides_unmanaged.set(i64::try_from(overrides).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into an f64's mantissa")]
        self.last_evaluation.set(snapshot.now.as_millisecond() as f64 / 1000.0);
    }

    /// Counts a decision on a request.
    pub fn decided(&self, update_type: UpdateType, decision: crate::gate::Decision) {
        let labels = Decision { r#type: update_type.as_str(), decision: decision.as_str() };
        self.decisions.get_or_create(&labels).inc();
    }

    /// Counts a write.
    pub fn wrote(&self, kind: &'static str, result: &'static str) {
        self.writes.get_or_create(&Written { kind, result }).inc();
    }

    /// Counts a write that another writer reverted.
    pub fn contended(&self) {
        self.contention.inc();
    }

    /// Shows what the operator acts as.
    pub fn acts_as(&self, role: Role) {
        self.mode.clear();
        self.mode.get_or_create(&ModeLabel { mode: role.as_str() }).set(1);
    }

    /// Shows why the bridge doesn't force the requested update.
    pub fn set_skip_reason(&self, skip_reason: Option<SkipReason>) {
        self.bridge_refusal.clear();
        if let Some(skip_reason) = skip_reason {
            self.bridge_refusal.get_or_create(&ReasonLabel { reason: skip_reason.as_str() }).set(1);
        }
    }

    /// Shows whether a force of the bridge is in spec, and why it stays.
    pub fn set_force(&self, is_set: bool, reason: Option<&KeepReason>) {
        self.bridge_force_standing.set(is_set.into());
        self.bridge_force_kept.clear();
        if let Some(reason) = reason {
            self.bridge_force_kept.get_or_create(&ReasonLabel { reason: reason.as_str() }).set(1);
        }
    }

    /// Shows whether an update of the bridge went unverified.
    pub fn set_unverified(&self, unverified: bool) {
        self.bridge_unverified.set(unverified.into());
    }

    /// Shows whether this replica writes. One that doesn't has nothing to show of modes and bridges.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
        if !leads {
            self.mode.clear();
            self.set_skip_reason(None);
            self.set_force(false, None);
            self.set_unverified(false);
        }
    }

    /// Observes how long a reconciliation took.
    pub fn reconciled(&self, duration: std::time::Duration) {
        self.reconcile_duration.observe(duration.as_secs_f64());
    }

    /// The text of /metrics.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String doesn't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Authority, Source, evaluate};

    fn shown(metrics: &Metrics, operators: usize) -> String {
        let operator = |index: usize| crate::api::ClusterOperator {
            name: format!("operator-{index:03}"),
            upgradeable: Ok(Some(crate::api::Condition {
                status: crate::api::ConditionStatus::False,
                ..crate::api::Condition::default()
            })),
            health: crate::api::Health::default(),
        };
        let snapshot = Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            cluster_version: crate::api::ClusterVersion::default(),
            cluster_operators: Source::Read((0..operators).map(operator).collect()),
            admin_gates: Source::Read(Some([].into())),
            admin_acks: Source::Read(Some([].into())),
            authority: Authority::Sole,
            targets: Vec::new(),
        };
        metrics.evaluated(&snapshot, &evaluate(&snapshot));
        metrics.text()
    }

    #[test]
    fn at_most_fifty_risks_have_a_name_and_a_series_goes_with_its_risk() {
        let metrics = Metrics::new();
        let many = shown(&metrics, 60);
        assert_eq!(many.matches("upgrade_gate_risk{").count(), 51);
        assert!(many.contains("upgrade_gate_risk{name=\"other\"} 10"), "{many}");
        assert!(many.contains("upgrade_gate_upgradeable 0"));
        assert!(many.contains("upgrade_gate_update_allowed{type=\"patch\"} 1"));
        assert!(many.contains("upgrade_gate_update_allowed{type=\"minor\"} 0"));
        let none = shown(&metrics, 0);
        assert!(!none.contains("upgrade_gate_risk{"), "{none}");
        assert!(none.contains("upgrade_gate_update_allowed{type=\"minor\"} 1"));
    }
}
