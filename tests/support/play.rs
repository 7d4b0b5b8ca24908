//! A cluster's life as data: steps that administrators, operators and an updater take, and what must come of each.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{condition, entries, fixtures};

/// A step that somebody takes on the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The administrator sets the override, or removes it.
    Override(bool),
    /// A ClusterOperator says `Upgradeable=False`, or no longer.
    OperatorBlocks(bool),
    /// The payload asks for an acknowledgement that isn't there, or no longer.
    Gate(bool),
    /// The administrator asks for this version, by version and image.
    Ask(&'static str),
    /// The administrator asks for nothing.
    Clear,
    /// The updater completes what was accepted.
    Complete,
}

/// What was done so far, and so what must be.
#[derive(Clone, Debug, Default)]
pub struct Play {
    overridden: bool,
    operator_blocks: bool,
    gated: bool,
    asked: Option<&'static str>,
    completed: bool,
}

impl Play {
    /// Takes the step.
    pub async fn take(&mut self, cluster: &Cluster, step: Step) {
        match step {
            Step::Override(set) => {
                self.overridden = set;
                cluster.set_overrides(if set { json!([fixtures::policy_override()]) } else { json!([]) }).await;
            }
            Step::OperatorBlocks(blocks) => {
                self.operator_blocks = blocks;
                let status = if blocks { "False" } else { "True" };
                let upgradeable = fixtures::condition("Upgradeable", status, "Why", "so");
                cluster.put_cluster_operator("network", json!([upgradeable])).await;
            }
            Step::Gate(set) => {
                self.gated = set;
                cluster.set_admin_gates(if set { json!({"ack-4.21-api": "Read it."}) } else { json!({}) }).await;
            }
            Step::Ask(version) => {
                (self.asked, self.completed) = (Some(version), false);
                cluster.request(version, &fixtures::image(version)).await;
            }
            Step::Clear => {
                self.asked = None;
                cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
            }
            Step::Complete => {
                self.completed = true;
                let version = self.asked.expect("an update to complete");
                cluster
                    .put_status("updater", |status| {
                        status["desired"] = fixtures::release(version);
                        status["history"][0]["state"] = json!("Completed");
                        status["history"][0]["completionTime"] = json!(fixtures::LONG_AGO);
                    })
                    .await;
            }
        }
    }

    /// Why what the cluster says isn't right yet.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn is_right(&self, now: &Value) -> Result<(), String> {
        let holds = self.overridden || self.operator_blocks || self.gated;
        let upgradeable = condition(now, "Upgradeable");
        if upgradeable["status"] != if holds { "False" } else { "True" } {
            return Err(format!("{self:?}, and {upgradeable}"));
        }
        let Some(asked) = self.asked.filter(|_| !self.completed) else { return Ok(()) };
        let leaves_minor = !asked.starts_with("4.21.");
        let accepted = condition(now, "ReleaseAccepted");
        let says_so = accepted["message"].to_string().contains(asked);
        let expected = if leaves_minor && holds { "False" } else { "True" };
        if !says_so || accepted["status"] != expected {
            return Err(format!("{self:?}, and {accepted}"));
        }
        if expected == "True" && self.overridden {
            let found = entries(now, asked);
            if found.len() != 1 || !found[0]["acceptedRisks"].is_string() {
                return Err(format!("{self:?}, and entries {found:?}"));
            }
        }
        Ok(())
    }

    /// Waits until the cluster says what is right.
    pub async fn comes_right(&self, cluster: &Cluster) -> Value {
        super::eventually(&format!("what is right after {self:?}"), async || {
            let now = cluster.cluster_version().await;
            self.is_right(&now).map(|()| now)
        })
        .await
    }
}
