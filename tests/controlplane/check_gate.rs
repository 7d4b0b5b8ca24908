//! `check` on a live cluster reports who gates it, and what the bridge would do: with a stock CVO, before the operator is
//! deployed.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    self, Cluster, Operator, Options,
    cvo::{self, Cvo, Params, Profile},
    eventually, fixtures,
};

fn gate(cluster: &Cluster) -> Value {
    check(&cluster.control_plane.kubeconfig())["gate"].clone()
}

fn check(kubeconfig: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .args(["check", "-o", "json", "--kubeconfig"])
        .arg(kubeconfig)
        .env_clear()
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn check_predicts_what_the_bridge_does() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let version = "4.21.2";
    cluster.request_blocked(version, &["ClusterVersionOverridesSet"]).await;

    let reported = gate(&cluster);
    assert_eq!(
        (&reported["mode"], &reported["policyInstalled"]),
        (&Value::from("bridge"), &Value::from(false)),
        "{reported:#}"
    );
    assert_eq!(
        (&reported["operatorInstalled"], &reported["operatorRunning"]),
        (&Value::from(true), &Value::from(false))
    );
    assert_eq!(
        (&reported["bridge"]["decision"], &reported["bridge"]["reason"]),
        (&Value::from("leavesBlocked"), &Value::from("NoPolicy"))
    );

    cluster.install_policy().await;
    let reported = gate(&cluster);
    assert_eq!(reported["policyInstalled"], true, "{reported:#}");
    let message = "The cluster-version operator blocks 4.21.2; the bridge would let it through.";
    assert_eq!(
        (&reported["bridge"]["decision"], &reported["bridge"]["message"]),
        (&Value::from("letsThrough"), &Value::from(message))
    );

    let _operator = Operator::start(&cluster, Options::mode("auto")).await;
    cvo.complete().await;
    // The force is removed once the update is over, and nothing is refused any more.
    let reported = eventually("check sees the operator, and the update", async || {
        let reported = gate(&cluster);
        let done = reported["operatorRunning"] == true && reported["bridge"]["reason"] == "NotRefused";
        if done { Ok(reported) } else { Err(format!("{reported:#}")) }
    })
    .await;
    assert_eq!(reported["bridge"]["decision"], "nothingToDo");
}

/// `kubectl exec deployment/upgrade-gate -- /upgrade-gate check` runs with the operator's own account.
#[tokio::test]
async fn check_with_the_operator_s_permissions_agrees_with_the_operator() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    cluster.install_policy().await;
    let _operator = Operator::start(&cluster, Options::mode("auto")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;

    let reported = check(&cluster.control_plane.operator_kubeconfig());
    assert_eq!(reported["upgradeable"]["reason"], "ClusterVersionOverrides", "{reported:#}");
    assert_eq!(reported["notEvaluated"], serde_json::json!([]), "{reported:#}");
    let gate = &reported["gate"];
    assert_eq!((&gate["mode"], &gate["policyInstalled"]), (&Value::from("replace"), &Value::from(true)), "{gate:#}");
    assert_eq!((&gate["operatorInstalled"], &gate["operatorRunning"]), (&Value::from(true), &Value::from(true)));
}

/// An operator in mode `observe` writes its mode into its Lease, and the update stays blocked: what works is `update`.
#[tokio::test]
async fn check_does_not_count_on_an_operator_that_observes() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    cluster.install_policy().await;
    cluster.request_blocked("4.21.2", &["ClusterVersionOverridesSet"]).await;
    let kubeconfig = cluster.control_plane.kubeconfig();
    let without = check(&kubeconfig)["targets"].clone();
    let command = without[0]["command"].as_str().unwrap();
    assert!(command.starts_with("upgrade-gate update --to 4.21.2 "), "{command}");

    let mut operator = Operator::start(&cluster, Options::mode("observe")).await;
    operator.ready().await;
    let reported = eventually("check sees the operator", async || {
        let reported = check(&kubeconfig);
        if reported["gate"]["operatorRunning"] == true { Ok(reported) } else { Err(format!("{reported:#}")) }
    })
    .await;
    let gate = &reported["gate"];
    assert_eq!((&gate["mode"], &gate["operatorMode"]), (&Value::from("bridge"), &Value::from("observe")), "{gate:#}");
    let message = "The cluster-version operator blocks 4.21.2; the operator only observes, and leaves it so. \
                   `upgrade-gate update` lets it through.";
    assert_eq!(
        (&gate["bridge"]["decision"], &gate["bridge"]["message"]),
        (&Value::from("notInThisMode"), &Value::from(message))
    );
    assert_eq!(reported["targets"], without);
}
