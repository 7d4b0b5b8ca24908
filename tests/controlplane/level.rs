//! The operator is level-triggered: from any state of the cluster it reaches the expected one within seconds. States are
//! random with the seed `UPGRADE_GATE_SEED`; `UPGRADE_GATE_STATES` is their number (60, and 1,000 for `make faults`).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{self, Cluster, Operator, Options, Steps, condition, entries, fixtures};

/// Within seconds.
const SECONDS: Duration = Duration::from_secs(5);
const VERSIONS: [&str; 6] = ["4.21.0", "4.21.1", "4.21.2", "4.22.0", "5.0.0", "4.20.9"];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A ClusterVersion that the CRD admits, and what must come of it.
struct State {
    object: Value,
    /// The object itself has a risk.
    holds: bool,
    /// The minor or major that is asked for.
    leaves_minor: bool,
    /// The patch that is asked for, and accepted: to a version above the current one.
    patch: Option<&'static str>,
}

/// A condition of any status, by any writer.
fn any_condition(steps: &mut Steps, kind: &str) -> Value {
    let status = *steps.one_of(&["True", "False", "Unknown"]);
    let reason =
        *steps.one_of(&["AsExpected", "PayloadLoaded", "Odd", "ClusterVersionOverrides", "PreconditionChecks"]);
    let long = "é ".repeat(2000);
    let message = *steps.one_of(&["", "Payload loaded version=\"4.22.0\"", "Forced through", long.as_str()]);
    fixtures::condition(kind, status, reason, message)
}

fn any_entry(steps: &mut Steps) -> Value {
    let mut entry = fixtures::completed(VERSIONS[steps.index(VERSIONS.len())]);
    if steps.one_in(3) {
        entry["state"] = json!("Partial");
        entry["completionTime"] = steps.one_of(&[Value::Null, json!(fixtures::LONG_AGO)]).clone();
    }
    if steps.one_in(4) {
        entry["acceptedRisks"] = json!("somebody's words");
    }
    if steps.one_in(5) {
        entry["verified"] = json!(false);
    }
    entry
}

fn any_state(steps: &mut Steps) -> State {
    let mut object = fixtures::cluster();
    let status = &mut object["status"];
    let mut conditions: Vec<Value> = vec![fixtures::condition("Available", "True", "", "")];
    for kind in ["Upgradeable", "ReleaseAccepted", "Failing", "Progressing", "UpgradeableVeto", "Invalid"] {
        if steps.one_in(2) {
            conditions.push(any_condition(steps, kind));
        }
    }
    let is = |kind: &str, status: &str| {
        conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == status)
    };
    let mut holds = is("Progressing", "True") || is("UpgradeableVeto", "False");
    status["conditions"] = json!(conditions);
    let entries = *steps.one_of(&[0, 1, 2, 5, 100]);
    status["history"] = (0..entries).map(|_| any_entry(steps)).collect();
    if steps.one_in(4) {
        status["conditionalUpdates"] = json!([]);
    }
    match steps.below(4) {
        0 => status["availableUpdates"] = Value::Null,
        1 => status["availableUpdates"] = json!([fixtures::release("4.21.2")]),
        _ => {}
    }
    if steps.one_in(2) {
        holds = true;
        object["spec"]["overrides"] = json!([fixtures::policy_override()]);
    }
    let (mut leaves_minor, mut patch) = (false, None);
    if steps.one_in(2) {
        let version = *steps.one_of(&VERSIONS);
        let image = if steps.one_in(2) { fixtures::image(version) } else { String::new() };
        object["spec"]["desiredUpdate"] = json!({"version": version, "image": image});
        leaves_minor = version == "4.22.0" || version == "5.0.0";
        let known = object["status"]["availableUpdates"].is_array() || !image.is_empty();
        patch = (version == "4.21.2" && known).then_some(version);
    }
    State { object, holds, leaves_minor, patch }
}

impl State {
    /// The difference of the cluster from the expected state.
    fn wrong(&self, now: &Value) -> Option<String> {
        let upgradeable = &condition(now, "Upgradeable")["status"];
        if upgradeable != if self.holds { "False" } else { "True" } {
            return Some(format!("Upgradeable is {upgradeable}"));
        }
        let accepted = condition(now, "ReleaseAccepted");
        let asked = now["spec"]["desiredUpdate"]["version"].as_str().unwrap_or_default();
        if self.leaves_minor && self.holds && accepted["status"] != "False" {
            return Some(format!("a minor or major update isn't refused: {accepted}"));
        }
        if self.patch.is_some() && (accepted["status"] != "True" || !accepted["message"].to_string().contains(asked)) {
            return Some(format!("a patch isn't accepted: {accepted}"));
        }
        let overridden = now["spec"]["overrides"].is_array();
        if let (Some(version), true) = (self.patch, overridden)
            && entries(now, version).first().is_none_or(|entry| !entry["acceptedRisks"].is_string())
        {
            return Some("the accepted risk isn't recorded".to_owned());
        }
        None
    }

    async fn wait_for_expected_state(&self, cluster: &Cluster) -> Result<Value, String> {
        let since = Instant::now();
        loop {
            let now = cluster.cluster_version().await;
            match self.wrong(&now) {
                None => return Ok(now),
                Some(why) if since.elapsed() > SECONDS => return Err(format!("{why}\nin {now:#}")),
                Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

#[tokio::test]
async fn the_expected_state_is_reached_from_any_state() {
    let (seed, states) = (number("UPGRADE_GATE_SEED", 1), number("UPGRADE_GATE_STATES", 60));
    let mut steps = Steps::seeded(seed);
    let cluster = support::cluster(fixtures::cluster()).await;
    let mut operator = Operator::start(&cluster, Options::mode("replace")).await;
    operator.ready().await;
    for number in 0..states {
        let state = any_state(&mut steps);
        cluster.delete().await;
        cluster.create("fixture", state.object.clone()).await;
        if let Err(why) = state.wait_for_expected_state(&cluster).await {
            panic!("state {number} of seed {seed}: {why}\nfrom {:#}", state.object);
        }
    }
    // Checked for the last state only: an idle operator writes nothing.
    cluster.assert_not_written_for(Duration::from_secs(2)).await;
}
