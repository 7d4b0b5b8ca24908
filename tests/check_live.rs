//! `check` against a cluster: what it does with each answer of an API server, played here by a few lines that give
//! the answers that a test names. The real API server is for the tests of the operator.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

#[path = "support/canned.rs"]
mod canned;

use std::{fs, net::TcpListener, process::Command};

use canned::{
    ADMIN_ACKS, ADMIN_GATES, BINDING, CLUSTER_OPERATORS, CLUSTER_VERSION, CVO_LEASE, Cluster, DEPLOYMENT, OWN_LEASE,
    POLICY, RECORDS, answer, check, cluster_version, config_map, error, kubeconfig, lease, refusal, run, run_with,
};
use serde_json::{Value, json};

fn risks(answer: &Value) -> Vec<&str> {
    answer["upgradeable"]["risks"].as_array().unwrap().iter().map(|risk| risk["name"].as_str().unwrap()).collect()
}

#[test]
fn check_reads_the_four_sources_and_writes_nothing() {
    let operator = json!({"metadata": {"name": "dns"}, "status": {"conditions": [
        {"type": "Upgradeable", "status": "False", "reason": "R", "message": "M"}]}});
    let cluster = Cluster::serving([
        (CLUSTER_VERSION, cluster_version()),
        (CLUSTER_OPERATORS, (200, json!({"kind": "ClusterOperatorList", "items": [operator]}))),
        (ADMIN_GATES, config_map(&json!({"ack-4.21-a": "text"}))),
        (ADMIN_ACKS, config_map(&Value::Null)),
    ]);
    let output = cluster.check(&[]);
    assert_eq!(output.status.code(), Some(1), "4.22.0 is asked for, and blocked");
    assert_eq!(risks(&answer(&output)), ["ClusterOperatorUpgradeable-dns", "AdminAck-ack-4.21-a"]);
    assert_eq!(answer(&output)["notEvaluated"], json!([]));
    let about_the_gate = [CVO_LEASE, OWN_LEASE, DEPLOYMENT, POLICY, BINDING];
    let sources = [CLUSTER_VERSION, CLUSTER_OPERATORS, ADMIN_GATES, ADMIN_ACKS];
    let mut expected: Vec<String> = sources.iter().chain(&about_the_gate).map(|path| format!("GET {path}")).collect();
    let mut requests = cluster.requests.lock().unwrap().clone();
    assert_eq!(requests[..4], expected[..4]);
    requests.sort();
    expected.sort();
    assert_eq!(requests, expected, "and those about who gates it, two of them at once");
}

#[test]
fn check_reports_who_gates_a_live_cluster() {
    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version())]);
    let output = cluster.check(&[]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("  \"")).collect();
    assert_eq!(keys.last().unwrap().trim(), "\"gate\": {");
    let answer = answer(&output);
    assert_eq!(
        answer["gate"],
        json!({"mode": "replace", "why": "no cluster-version operator was ever here", "policyInstalled": false,
               "operatorInstalled": false, "operatorRunning": false, "operatorMode": null, "bridge": null})
    );
    let cluster = Cluster::serving([
        (CLUSTER_VERSION, cluster_version()),
        (CVO_LEASE, lease("cvo")),
        (OWN_LEASE, lease("upgrade-gate-0")),
    ]);
    let output = cluster.check(&["-o", "table"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let (_, section) = table.split_once("\nOn this cluster\n").unwrap();
    let expected = "  Mode       bridge: a cluster-version operator renews its Lease
  Policy     not installed, or it does not deny: nothing is denied at admission
  Operator   running
  Bridge     It would leave 4.22.0 alone: The cluster-version operator does not
             refuse the request for its preconditions.\n";
    assert_eq!(section, expected);
}

/// The Lease of an operator that runs in this mode.
fn lease_in_mode(mode: &str) -> (u16, Value) {
    let (code, mut object) = lease("upgrade-gate-0");
    object["metadata"] = json!({"annotations": {"upgrade-gate.openshift.io/mode": mode}});
    (code, object)
}

/// A disconnected site before anything is deployed: the CVO has read the version of the image, and refuses it.
#[test]
fn the_verdict_agrees_with_the_bridge() {
    const IMAGE: &str = "mirror.lan:5000/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
    let message = format!(
        "Preconditions failed for payload loaded version=\"4.21.2\" image=\"{IMAGE}\": Precondition \
         \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text"
    );
    let (code, mut object) = cluster_version();
    object["spec"] = json!({"desiredUpdate": {"image": IMAGE, "version": "", "force": false},
        "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]});
    object["status"]["history"] = json!([{"state": "Completed", "version": "4.21.1", "image": "current"}]);
    object["status"]["conditions"] = json!([
        {"type": "Upgradeable", "status": "False", "reason": "ClusterVersionOverridesSet"},
        {"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks", "message": message}]);
    object["metadata"]["managedFields"] = json!([{"manager": "cluster-version-operator",
        "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"ReleaseAccepted\"}": {"f:status": {}}}}}}]);
    let sources = [
        (CLUSTER_VERSION, (code, object)),
        (ADMIN_GATES, config_map(&Value::Null)),
        (ADMIN_ACKS, config_map(&Value::Null)),
        (CVO_LEASE, lease("cvo")),
    ];
    let cluster = Cluster::serving(sources.clone());
    let output = cluster.check(&[]);
    let seen = answer(&output);
    assert_eq!(output.status.code(), Some(0));
    let target = &seen["targets"][0];
    assert_eq!([&target["version"], &target["updateType"], &target["decision"]], ["4.21.2", "patch", "allowed"]);
    assert_eq!(seen["request"], json!({"accepted": false, "reason": "PreconditionChecks", "message": message}));
    assert_eq!(seen["gate"]["bridge"]["decision"], "onceDeployed");
    let command =
        format!("upgrade-gate update --to 4.21.2 --to-image {IMAGE} --allow-explicit-upgrade --kubeconfig kubeconfig");
    assert_eq!(target["command"], command);
    let table = String::from_utf8(cluster.check(&["-o", "table"]).stdout).unwrap();
    let unwrapped = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "Asked for 4.21.2, allowed",
        "Now refused by the CVO, because overrides are set (ClusterVersionOverridesSet). With upgrade-gate: allowed.",
        &command,
        "blocks 4.21.2; it would be let through once upgrade-gate is deployed, or by `upgrade-gate update`.",
    ] {
        assert!(unwrapped.contains(expected), "{table}");
    }

    // An operator that observes changes neither the update nor its command.
    let observing = sources.clone().into_iter().chain([(OWN_LEASE, lease_in_mode("observe"))]);
    let cluster = Cluster::serving(observing);
    let seen = answer(&cluster.check(&[]));
    assert_eq!(seen["targets"][0]["command"], command);
    let gate = &seen["gate"];
    assert_eq!([&gate["operatorRunning"], &gate["operatorMode"]], [&json!(true), &json!("observe")]);
    assert_eq!(gate["bridge"]["decision"], "notInThisMode", "{gate:#}");
    let table = String::from_utf8(cluster.check(&["-o", "table"]).stdout).unwrap();
    let unwrapped = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "See Bridge below for what upgrade-gate does. ",
        "Operator running in mode observe: it writes only events, so it blocks and forces nothing Bridge",
        "blocks 4.21.2; the operator only observes, and leaves it so. `upgrade-gate update` lets it through.",
    ] {
        assert!(unwrapped.contains(expected), "{table}");
    }

    // The operator runs, and its policy is missing.
    let cluster = Cluster::serving(sources.into_iter().chain([(OWN_LEASE, lease("upgrade-gate-0"))]));
    let table = String::from_utf8(cluster.check(&["-o", "table"]).stdout).unwrap();
    let unwrapped = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains("See Bridge below for what upgrade-gate does. "), "{table}");
    assert!(unwrapped.contains("the bridge would leave it so: The ValidatingAdmissionPolicy"), "{table}");
    assert!(!unwrapped.contains("With upgrade-gate: allowed"), "{table}");
}

#[test]
fn every_command_names_the_cluster_that_was_read() {
    let (code, mut object) = cluster_version();
    object["spec"] = json!({"desiredUpdate": {"version": "4.21.9", "force": true},
        "overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]});
    let cluster = Cluster::serving([(CLUSTER_VERSION, (code, object)), (CVO_LEASE, lease("cvo"))]);
    let seen = answer(&cluster.check(&["--to", "4.21.9"]));
    let behind = seen["upgradeable"]["behind"]["commands"].as_array().unwrap();
    let risk = &seen["upgradeable"]["risks"][0]["commands"][0]["command"];
    for command in behind.iter().chain([risk, &seen["force"]["command"]]) {
        assert!(command.as_str().unwrap().ends_with(" --kubeconfig kubeconfig"), "{command}");
    }
    assert_eq!(behind.len(), 2);
}

#[test]
fn a_cluster_without_a_current_version_is_an_error() {
    for status in [json!(null), json!({}), json!({"desired": {"version": ""}, "history": null})] {
        let (code, mut object) = cluster_version();
        object["status"] = status;
        let cluster = Cluster::serving([(CLUSTER_VERSION, (code, object))]);
        for format in ["table", "json", "yaml", "markdown"] {
            let message = error(&cluster.check(&["-o", format]));
            assert!(message.contains("expected the version that the cluster runs; wait until `oc get"), "{message}");
        }
    }
}

#[test]
fn a_forbidden_read_of_the_gate_s_objects_is_reported_and_not_an_error() {
    let forbidden = || refusal(403, "Forbidden", "User \"me\" cannot get it");
    let gate = [CVO_LEASE, OWN_LEASE, DEPLOYMENT, POLICY, BINDING].map(|path| (path, forbidden()));
    let cluster = Cluster::serving(gate.into_iter().chain([(CLUSTER_VERSION, cluster_version())]));
    let output = cluster.check(&["--to", "4.21.2"]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    let gate = &answer(&output)["gate"];
    assert_eq!(gate["mode"], "undecided");
    assert_eq!([&gate["policyInstalled"], &gate["operatorInstalled"], &gate["operatorRunning"]], [&Value::Null; 3]);
}

#[test]
fn history_of_a_live_cluster_works_without_records() {
    let history =
        |cluster: &Cluster| run(cluster.folder.path(), &["history", "--kubeconfig", "kubeconfig", "-o", "json"]);
    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version())]);
    assert_eq!(answer(&history(&cluster)), json!({"updates": []}), "no CRD");
    assert_eq!(*cluster.requests.lock().unwrap(), [CLUSTER_VERSION, RECORDS].map(|path| format!("GET {path}")));

    let spec = json!({"from": "4.21.0", "to": "4.21.1", "type": "patch", "image": "i", "overrides": [],
                      "acceptedRisks": "text", "by": "Bridge", "acceptedTime": "2026-01-01T00:00:00Z"});
    let records = json!({"kind": "UpdateRecordList", "items": [{"metadata": {"name": "a"}, "spec": spec}]});
    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version()), (RECORDS, (200, records))]);
    let update = &answer(&history(&cluster))["updates"][0];
    assert_eq!(
        (&update["record"], &update["by"], &update["outcome"]),
        (&json!("a"), &json!("Bridge"), &json!("Pending"))
    );

    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version()), (RECORDS, refusal(403, "Forbidden", "no"))]);
    let message = error(&history(&cluster));
    assert!(message.contains("refuses to list updaterecords.upgrade-gate.openshift.io: no; use a role"), "{message}");
}

/// An operator that may still run would write everything again.
#[test]
fn without_access_to_the_lease_cleanup_writes_nothing() {
    let cluster = Cluster::serving([(OWN_LEASE, refusal(403, "Forbidden", "leases \"upgrade-gate\" is forbidden"))]);
    let cleanup = |arguments: &[&str]| {
        run(cluster.folder.path(), &[&["cleanup", "--kubeconfig", "kubeconfig"], arguments].concat())
    };
    let looked = String::from_utf8(cleanup(&[]).stdout).unwrap();
    assert!(looked.contains("Stays:\n  It is not known whether the operator is still running"), "{looked}");
    cluster.requests.lock().unwrap().clear();
    let message = error(&cleanup(&["--yes"]));
    assert!(message.contains("it is not known whether the operator is still running"), "{message}");
    assert!(
        message.contains("openshift-upgrade-gate/upgrade-gate") && message.contains("as a user who may"),
        "{message}"
    );
    assert_eq!(*cluster.requests.lock().unwrap(), [OWN_LEASE, CLUSTER_VERSION].map(|path| format!("GET {path}")));
}

/// kubectl and oc find a plugin by its file's name, and give their kubeconfig on in the environment.
#[test]
#[cfg(unix)]
fn as_a_plugin_it_checks_the_cluster_of_the_environment() {
    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version())]);
    for client in ["kubectl", "oc"] {
        let plugin = cluster.folder.path().join(format!("{client}-upgrade_gate"));
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_upgrade-gate"), &plugin).unwrap();
        let plugin = |arguments: &[&str]| {
            let mut process = Command::new(&plugin);
            process.args(arguments).current_dir(cluster.folder.path()).env_clear().env("KUBECONFIG", "kubeconfig");
            process.output().unwrap()
        };
        assert_eq!(plugin(&[]).status.code(), Some(1), "4.22.0 is asked for, and blocked");
        let output = plugin(&["--context", "here", "--to", "4.21.2", "-o", "json"]);
        assert_eq!((output.status.code(), &answer(&output)["targets"][0]["version"]), (Some(0), &json!("4.21.2")));
        assert_eq!(answer(&plugin(&["history", "-o", "json"])), json!({"updates": []}));

        let said = |arguments: &[&str]| {
            let output = plugin(arguments);
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        };
        for (arguments, usage) in [
            (&["--help"][..], "upgrade-gate [OPTIONS OF check]"),
            (&["help", "history"], "upgrade-gate history [OPTIONS]"),
            (&["check", "--help"], "upgrade-gate check [OPTIONS]"),
            (&["--form", "x"], "upgrade-gate check"),
        ] {
            let said = said(arguments);
            assert!(said.contains(&format!("Usage: {client} {usage}")), "{said}");
        }
        assert!(said(&["--version"]).starts_with("upgrade-gate "));
    }
}

#[test]
fn an_unserved_api_is_not_a_risk_but_a_missing_config_map_is() {
    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version()), (ADMIN_GATES, config_map(&json!({})))]);
    let output = cluster.check(&["--to", "4.21.2"]);
    assert_eq!(output.status.code(), Some(0), "a patch");
    assert_eq!(risks(&answer(&output)), ["AdminAckUnknown"]);
    assert_eq!(answer(&output)["notEvaluated"], json!([]));
}

#[test]
fn an_unreadable_source_is_a_risk() {
    let forbidden = |what: &str| refusal(403, "Forbidden", &format!("{what} is forbidden: User \"me\" cannot"));
    let cluster = Cluster::serving([
        (CLUSTER_VERSION, cluster_version()),
        (CLUSTER_OPERATORS, forbidden("clusteroperators.config.openshift.io")),
        (ADMIN_GATES, refusal(500, "InternalError", "etcd is away")),
        (ADMIN_ACKS, config_map(&json!({}))),
    ]);
    let answer = answer(&cluster.check(&[]));
    assert_eq!(risks(&answer), ["ClusterOperatorUpgradeableUnknown", "AdminAckUnknown"]);
    assert!(answer["upgradeable"]["message"].as_str().unwrap().contains("User \"me\" cannot"), "{answer}");
    assert!(answer["upgradeable"]["message"].as_str().unwrap().contains("etcd is away"), "{answer}");
}

/// As for the operator's own account, which `kubectl exec` in its Pod uses.
#[test]
fn without_get_permission_a_config_map_is_listed_by_name() {
    const GATES_BY_NAME: &str =
        "/api/v1/namespaces/openshift-config-managed/configmaps?fieldSelector=metadata.name%3Dadmin-gates";
    const ACKS_BY_NAME: &str =
        "/api/v1/namespaces/openshift-config/configmaps?fieldSelector=metadata.name%3Dadmin-acks";
    let forbidden = || refusal(403, "Forbidden", "User \"me\" cannot get resource \"configmaps\"");
    let list = |items: &Value| (200, json!({"kind": "ConfigMapList", "metadata": {}, "items": items}));
    let risks_with = |gates: (u16, Value), acks: (u16, Value)| {
        let cluster = Cluster::serving([
            (CLUSTER_VERSION, cluster_version()),
            (ADMIN_GATES, forbidden()),
            (ADMIN_ACKS, forbidden()),
            (GATES_BY_NAME, gates),
            (ACKS_BY_NAME, acks),
        ]);
        let answer = answer(&cluster.check(&[]));
        risks(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let gates = || list(&json!([{"metadata": {"name": "admin-gates"}, "data": {"ack-4.21-a": "text"}}]));
    let acks = |given: &Value| list(&json!([{"metadata": {"name": "admin-acks"}, "data": given}]));
    assert!(risks_with(gates(), acks(&json!({"ack-4.21-a": "true"}))).is_empty());
    assert_eq!(risks_with(gates(), acks(&Value::Null)), ["AdminAck-ack-4.21-a"]);
    assert_eq!(risks_with(gates(), list(&json!([]))), ["AdminAckUnknown"], "there is none of that name");
    assert_eq!(risks_with(gates(), forbidden()), ["AdminAckUnknown"]);
    assert_eq!(risks_with(gates(), (404, json!({}))), ["AdminAckUnknown"]);
}

#[test]
fn a_missing_cluster_version_is_an_error() {
    let refused = |answer: (u16, Value)| error(&Cluster::serving([(CLUSTER_VERSION, answer)]).check(&[]));
    let message =
        refused(refusal(403, "Forbidden", "clusterversions \"version\" is forbidden: User \"me\" cannot get"));
    assert!(message.contains("refuses to get clusterversions.config.openshift.io \"version\""), "{message}");
    assert!(message.contains("User \"me\" cannot get") && message.contains("cluster-reader"), "{message}");
    let message = refused(refusal(401, "Unauthorized", "Unauthorized"));
    assert!(message.contains("Unauthorized; log in to it again"), "{message}");
    let message = refused(refusal(404, "NotFound", "the server could not find the requested resource"));
    assert!(message.contains("an OpenShift cluster"), "{message}");
    let message = refused(refusal(503, "ServiceUnavailable", "apiserver is\u{1b}[31m starting"));
    assert!(message.contains("apiserver is\\u{1b}[31m starting"), "{message}");
    let message = refused((200, json!({"spec": {"overrides": "none"}})));
    assert!(message.contains("ClusterVersion") && message.contains("expected"), "{message}");
    let message = refused((200, json!("<html>a login page</html>")));
    assert!(message.contains("127.0.0.1"), "{message}");
}

#[test]
fn an_unreachable_cluster_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(folder.path().join("kubeconfig"), kubeconfig(&format!("http://{free}"))).unwrap();
    let message = error(&check(folder.path(), &["--kubeconfig", "kubeconfig"]));
    assert!(message.contains(&free.to_string()) && message.contains("refused"), "{message}");

    fs::write(folder.path().join("kubeconfig"), kubeconfig("https://no-such-host.invalid:6443")).unwrap();
    let message = error(&check(folder.path(), &["--kubeconfig", "kubeconfig"]));
    assert!(message.contains("no-such-host.invalid"), "{message}");
}

/// Those that go to a cluster.
const COMMANDS: [&str; 4] = ["check", "history", "cleanup", "run"];

#[test]
fn an_unusable_kubeconfig_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    write("broken", "clusters: [\n- secret");
    write("empty", "");
    write("kubeconfig", &kubeconfig("http://127.0.0.1:1"));
    write("mistaken", &(kubeconfig("http://127.0.0.1:1") + "- name: you\n  user: [\n"));
    for command in COMMANDS {
        let message = error(&run(folder.path(), &[command, "--kubeconfig", "missing"]));
        assert!(message.contains("missing") && message.contains("No such file"), "{message}");
        let advice = if matches!(command, "check" | "history") {
            "use --kubeconfig, KUBECONFIG or --from FILE"
        } else {
            "use --kubeconfig or KUBECONFIG"
        };
        let message = error(&run(folder.path(), &[command]));
        assert_eq!(message, format!("error: no cluster is configured; {advice}\n"));
        let message = error(&run_with(folder.path(), &[command], &[("KUBECONFIG", "kubeconfig:broken")]));
        assert!(message.starts_with("error: KUBECONFIG names broken: "), "{message}");
        let message = error(&run_with(folder.path(), &[command], &[("KUBECONFIG", "missing")]));
        assert!(
            message.starts_with("error: KUBECONFIG names missing: ") && message.contains("No such file"),
            "{message}"
        );
        let message = error(&run_with(folder.path(), &[command], &[("KUBECONFIG", "empty")]));
        assert!(message.starts_with("error: KUBECONFIG names empty: "), "{message}");
        assert!(error(&run(folder.path(), &[command, "--kubeconfig", "broken"])).contains("broken"));
        let message = error(&run(folder.path(), &[command, "--kubeconfig", "kubeconfig", "--context", "there"]));
        assert!(message.contains("there"), "{message}");
        assert!(error(&run(folder.path(), &[command, "--kubeconfig", "empty"])).contains("empty"));

        let message = error(&run(folder.path(), &[command, "--kubeconfig", "mistaken"]));
        assert!(message.contains("mistaken") && message.contains("line 14"), "{message}");
        for arguments in [&[command][..], &[command, "--context", "here"]] {
            let message = error(&run_with(folder.path(), arguments, &[("KUBECONFIG", "mistaken")]));
            assert!(message.contains("line 14"), "{message}");
        }
    }
}

#[test]
fn the_kubeconfig_of_the_environment_is_used() {
    let cluster = Cluster::serving([(CLUSTER_VERSION, cluster_version())]);
    let run = |key: &str, value: &str| {
        Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
            .args(["check", "--context", "here"])
            .current_dir(cluster.folder.path())
            .env_clear()
            .env(key, value)
            .output()
            .unwrap()
    };
    assert_eq!(run("KUBECONFIG", "kubeconfig").status.code(), Some(1));
    fs::create_dir(cluster.folder.path().join(".kube")).unwrap();
    fs::rename(cluster.folder.path().join("kubeconfig"), cluster.folder.path().join(".kube/config")).unwrap();
    assert_eq!(run("HOME", cluster.folder.path().to_str().unwrap()).status.code(), Some(1));
}
