//! `Upgradeable` of a stock CVO: the reasons not to leave this minor version, under the names of each release, and the
//! delay until it is published.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::Profile;
use crate::status::{Condition, bullets, condition, overrides_set, text};

/// The conditions of single sources, which releases up to 4.22 publish if there are several.
const SOURCES: [&str; 5] = [
    "UpgradeableClusterVersionOverrides",
    "UpgradeableAdminAckRequired",
    "UpgradeableClusterOperators",
    "UpgradeableDeletesInProgress",
    "UpgradeableUpgradeInProgress",
];

/// The message about overrides, in `Upgradeable` and for a blocked patch update.
pub(crate) const OVERRIDES: &str = "Overrides in spec.overrides prevent updates. Remove them before you update.";

/// A ClusterOperator that is not in the release image, so no pass waits for it.
const NOT_IN_THE_PAYLOAD: &str = "upgrade-gate";

/// The watched objects other than the ClusterVersion. A missing ConfigMap is `None`.
#[derive(Default)]
pub(crate) struct Inputs {
    pub(crate) operators: BTreeMap<String, Value>,
    pub(crate) gates: Option<Value>,
    pub(crate) acks: Option<Value>,
}

impl Inputs {
    /// Whether a ClusterOperator of the payload blocks the end of a pass: it is Degraded, or not Available.
    pub(crate) fn block_a_pass(&self) -> bool {
        let mut operators = self.operators.iter().filter(|(name, _)| *name != NOT_IN_THE_PAYLOAD);
        operators.any(|(_, operator)| {
            condition(operator, "Degraded")["status"] == "True" || condition(operator, "Available")["status"] == "False"
        })
    }
}

/// Whether a CVO of this release owns conditions of this type, and removes those that it does not set.
pub(crate) fn is_ours(profile: Profile, type_: &str) -> bool {
    match profile {
        Profile::V4_21 => type_.starts_with("Upgradeable"),
        Profile::V4_22 | Profile::Main => type_ == "Upgradeable" || SOURCES.contains(&type_),
    }
}

/// The conditions as last computed.
#[derive(Default)]
pub(crate) struct Upgradeable {
    conditions: Option<Vec<Condition>>,
    computed: Option<Instant>,
    /// Whether they changed since the last sync.
    is_news: bool,
    updating: bool,
}

impl Upgradeable {
    /// The conditions to publish in a sync. `event`: the ClusterVersion changed, or a resync is due.
    pub(crate) fn at_sync(
        &mut self,
        profile: Profile,
        seen: &Value,
        inputs: &Inputs,
        event: bool,
        throttle: Duration,
    ) -> &[Condition] {
        let updating = condition(seen, "Progressing")["status"] == "True";
        let ended = self.updating && !updating;
        self.updating = updating;
        let over = self.computed.is_none_or(|computed| computed.elapsed() >= throttle);
        let due = match profile {
            Profile::V4_21 => event && over,
            Profile::V4_22 => (event && over) || ended,
            Profile::Main => true,
        };
        if due || self.conditions.is_none() {
            self.compute(profile, seen, inputs);
        }
        self.is_news = false;
        self.conditions.as_deref().unwrap_or_default()
    }

    /// Computes the conditions now. The next sync publishes them.
    pub(crate) fn compute(&mut self, profile: Profile, seen: &Value, inputs: &Inputs) {
        let conditions = Some(evaluate(profile, seen, inputs));
        self.is_news |= conditions != self.conditions;
        (self.conditions, self.computed) = (conditions, Some(Instant::now()));
    }

    /// Computes the conditions unless that was done within `throttle`. Returns whether there is something to publish.
    pub(crate) fn resync(&mut self, profile: Profile, seen: &Value, inputs: &Inputs, throttle: Duration) -> bool {
        if self.computed.is_some_and(|computed| computed.elapsed() >= throttle) {
            self.compute(profile, seen, inputs);
        }
        self.is_news
    }

    /// Makes the next sync compute the conditions.
    pub(crate) fn forget(&mut self) {
        self.conditions = None;
    }
}

/// A reason and its message.
struct Risk {
    source: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Risk {
    fn new(source: &'static str, reason: &str, message: &str) -> Self {
        let status = if source == SOURCES[4] { "True" } else { "False" };
        Self { source, status, reason: reason.to_owned(), message: message.to_owned() }
    }
}

fn evaluate(profile: Profile, seen: &Value, inputs: &Inputs) -> Vec<Condition> {
    let risks = match profile {
        Profile::V4_21 | Profile::V4_22 => by_source(seen, inputs),
        Profile::Main => by_name(seen, inputs),
    };
    let gated = |reason: &str, message: &str| Condition::new("Upgradeable", "False", reason, message);
    match &risks[..] {
        [] => Vec::new(),
        [risk] => vec![gated(&risk.reason, &risk.message)],
        risks => {
            let bullets = bullets(risks.iter().map(|risk| risk.message.clone()));
            if profile == Profile::Main {
                return vec![gated(
                    "MultipleReasons",
                    &format!("Several reasons to stay at this minor version:{bullets}"),
                )];
            }
            let reasons: Vec<_> = risks.iter().map(|risk| &*risk.reason).collect();
            let message = format!("Several reasons to stay at this minor version: {}{bullets}", reasons.join(","));
            let each = risks.iter().map(|risk| Condition::new(risk.source, risk.status, &risk.reason, &risk.message));
            each.chain([gated("MultipleReasons", &message)]).collect()
        }
    }
}

/// Up to 4.22: at most one risk for each source.
fn by_source(seen: &Value, inputs: &Inputs) -> Vec<Risk> {
    let mut risks = Vec::new();
    if overrides_set(seen) {
        risks.push(Risk::new(SOURCES[0], "ClusterVersionOverridesSet", OVERRIDES));
    }
    let acks = match (&inputs.gates, &inputs.acks) {
        (None, _) => vec![("UnableToAccessAdminGatesConfigMap", "There is no admin-gates.".to_owned())],
        (_, None) => vec![("UnableToAccessAdminAcksConfigMap", "There is no admin-acks.".to_owned())],
        (Some(gates), Some(acks)) => open_gates(seen, gates, acks).into_iter().map(|gate| (gate.1, gate.2)).collect(),
    };
    if let Some((reason, _)) = acks.first() {
        let reason = if acks.iter().all(|ack| ack.0 == *reason) { reason } else { "MultipleReasons" };
        let messages: Vec<_> = acks.iter().map(|ack| &*ack.1).collect();
        risks.push(Risk::new(SOURCES[1], reason, &messages.join(" ")));
    }
    match &blocking_operators(inputs)[..] {
        [] => {}
        [(name, condition)] => {
            let message = format!("ClusterOperator {name}: {}", text(&condition["message"]));
            risks.push(Risk::new(SOURCES[2], text(&condition["reason"]), &message));
        }
        operators => {
            let line = |(name, condition): &(&str, &Value)| {
                format!("{name}: {}: {}", text(&condition["reason"]), text(&condition["message"]))
            };
            let message = format!("Several ClusterOperators:{}", bullets(operators.iter().map(line)));
            risks.push(Risk::new(SOURCES[2], "ClusterOperatorsNotUpgradeable", &message));
        }
    }
    if condition(seen, "Progressing")["status"] == "True" {
        risks.push(Risk::new(SOURCES[4], "UpdateInProgress", "An update is in progress, see Progressing."));
    }
    risks
}

/// Later releases: one risk for each object, whose name is the reason if it is a valid reason.
fn by_name(seen: &Value, inputs: &Inputs) -> Vec<Risk> {
    let named = |name: &str, message: &str| {
        let reason = if name.contains('-') { "RiskNameNotCompatibleWithReasonProperty" } else { name };
        Risk::new("Upgradeable", reason, message)
    };
    let mut risks = Vec::new();
    if overrides_set(seen) {
        risks.push(named("ClusterVersionOverrides", OVERRIDES));
    }
    for (name, condition) in blocking_operators(inputs) {
        risks.push(named(&format!("ClusterOperatorUpgradeable-{name}"), text(&condition["message"])));
    }
    match (&inputs.gates, &inputs.acks) {
        (Some(gates), Some(acks)) => {
            for (key, _, message) in open_gates(seen, gates, acks) {
                risks.push(named(&format!("AdminAck-{key}"), &message));
            }
        }
        _ => risks.push(named("AdminAckUnknown", "There is no admin-gates, or no admin-acks.")),
    }
    if condition(seen, "Progressing")["status"] == "True" {
        risks.push(named("ClusterVersionUpdating", "An update is in progress, see Progressing."));
    }
    risks
}

fn blocking_operators(inputs: &Inputs) -> Vec<(&str, &Value)> {
    let conditions = inputs.operators.iter().map(|(name, operator)| (&**name, condition(operator, "Upgradeable")));
    conditions.filter(|(_, condition)| condition["status"] == "False").collect()
}

/// The gates without acknowledgement, by key, each with the reason of 4.21 and a message.
fn open_gates(seen: &Value, gates: &Value, acks: &Value) -> Vec<(String, &'static str, String)> {
    let current = text(&seen["status"]["desired"]["version"]);
    let mut minor = current.splitn(3, '.');
    let current = (minor.next(), minor.next());
    let gates = gates["data"].as_object().into_iter().flatten();
    let open = gates.filter_map(|(key, value)| {
        let value = text(value);
        let Some(minor) = minor_of_gate(key) else {
            return Some((
                key.clone(),
                "AdminAckConfigMapGateNameError",
                format!("Gate {key} is for no minor version."),
            ));
        };
        if minor.split_once('.').map(|(major, minor)| (Some(major), Some(minor))) != Some(current) {
            return None;
        }
        if value.is_empty() {
            return Some((key.clone(), "AdminAckConfigMapGateValueError", format!("Gate {key} says nothing.")));
        }
        (acks["data"][key] != "true").then(|| (key.clone(), "AdminAckRequired", value.to_owned()))
    });
    open.collect()
}

/// The minor version in a key of the form `ack-4.21-something`.
fn minor_of_gate(key: &str) -> Option<&str> {
    let (minor, what) = key.strip_prefix("ack-")?.split_once('-')?;
    let (major, number) = minor.split_once('.')?;
    let sound = matches!(major, "4" | "5")
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !what.is_empty()
        && !what.starts_with('-');
    sound.then_some(minor)
}
