//! Scenarios as data: steps of administrators, operators and an updater, and the expected state after each.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{condition, entries, fixtures};

/// A change of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The administrator sets the override, or removes it.
    Override(bool),
    /// A ClusterOperator sets `Upgradeable=False`, or `True`.
    OperatorBlocks(bool),
    /// The payload has a gate without an acknowledgement, or no gate.
    Gate(bool),
    /// The administrator requests this version, by version and image.
    Ask(&'static str),
    /// The administrator clears the request.
    Clear,
    /// The updater completes the accepted update.
    Complete,
}

/// The steps so far, from which the expected state follows.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the cluster")]
pub struct Scenario {
    overridden: bool,
    operator_blocks: bool,
    gated: bool,
    asked: Option<&'static str>,
    completed: bool,
}

impl Scenario {
    /// Performs the step.
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

    /// Checks the state of the cluster.
    ///
    /// # Errors
    ///
    /// The first difference from the expected state.
    pub fn check(&self, now: &Value) -> Result<(), String> {
        let holds = self.overridden || self.operator_blocks || self.gated;
        let upgradeable = condition(now, "Upgradeable");
        if upgradeable["status"] != if holds { "False" } else { "True" } {
            return Err(format!("{self:?}, and {upgradeable}"));
        }
        self.check_named_risks(upgradeable)?;
        let accepted = condition(now, "ReleaseAccepted");
        let Some(asked) = self.asked.filter(|_| !self.completed) else {
            let current = now["status"]["desired"]["version"].as_str().unwrap_or_default();
            let is_current = accepted["status"] == "True" && accepted["message"].to_string().contains(current);
            return if is_current { Ok(()) } else { Err(format!("{self:?}, and {accepted}")) };
        };
        let leaves_minor = !asked.starts_with("4.21.");
        let says_so = accepted["message"].to_string().contains(asked);
        // The precondition ClusterVersionGiantHop blocks a major update from 4.21 whatever the risks.
        let is_giant_hop = asked.starts_with("5.");
        let expected = if is_giant_hop || leaves_minor && holds { "False" } else { "True" };
        if !says_so || accepted["status"] != expected {
            return Err(format!("{self:?}, and {accepted}"));
        }
        if expected == "False" {
            self.check_named_risks(accepted)?;
        }
        if expected == "True" && self.overridden {
            let found = entries(now, asked);
            if found.len() != 1 || !found[0]["acceptedRisks"].is_string() {
                return Err(format!("{self:?}, and entries {found:?}"));
            }
        }
        Ok(())
    }

    /// Checks that the condition names exactly the current risks.
    fn check_named_risks(&self, condition: &Value) -> Result<(), String> {
        let said = format!("{} {}", condition["reason"], condition["message"]);
        let risks = [
            ("ClusterVersionOverrides", self.overridden),
            ("ClusterOperatorUpgradeable-network", self.operator_blocks),
            ("AdminAck-ack-4.21-api", self.gated),
        ];
        match risks.iter().find(|(name, there)| said.contains(name) != *there) {
            Some((name, there)) => Err(format!("{name} should be named: {there}, and {condition}")),
            None => Ok(()),
        }
    }

    /// Waits until [`Self::check`] succeeds.
    pub async fn wait_for_expected_state(&self, cluster: &Cluster) -> Value {
        super::eventually(&format!("the state expected after {self:?}"), async || {
            let now = cluster.cluster_version().await;
            self.check(&now).map(|()| now)
        })
        .await
    }
}
