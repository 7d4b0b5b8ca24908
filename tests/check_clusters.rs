//! `check` on several clusters: a row for each, also if others fail, and the worst exit code. Each API server here has fixed
//! answers; `tests/controlplane/check_clusters.rs` uses a real one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

#[path = "support/canned.rs"]
mod canned;

use std::{fmt::Write as _, fs, net::TcpListener, process::Output};

use canned::{
    ADMIN_ACKS, ADMIN_GATES, CLUSTER_VERSION, Cluster, answer, check, cluster_version, config_map, error, refusal,
};
use rstest::rstest;
use serde_json::{Value, json};

/// A kubeconfig with a context for each server, called as it is, and the servers behind it.
struct Fleet {
    folder: tempfile::TempDir,
    clusters: Vec<Cluster>,
}

impl Fleet {
    fn of(clusters: Vec<(&str, Cluster)>) -> Self {
        let servers: Vec<(&str, String)> = clusters.iter().map(|(name, cluster)| (*name, cluster.server())).collect();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kubeconfig"), kubeconfig(&servers)).unwrap();
        Self { folder, clusters: clusters.into_iter().map(|(_, cluster)| cluster).collect() }
    }

    fn check(&self, arguments: &[&str]) -> Output {
        check(self.folder.path(), &[&["--kubeconfig", "kubeconfig"], arguments].concat())
    }
}

fn kubeconfig(servers: &[(&str, String)]) -> String {
    let mut text = String::from("apiVersion: v1\nkind: Config\ncurrent-context: none\nclusters:\n");
    for (name, server) in servers {
        let (name, server) = (json!(name), json!(server));
        let _ = writeln!(text, "- name: {name}\n  cluster: {{server: {server}}}");
    }
    text += "contexts:\n";
    for (name, _) in servers {
        let name = json!(name);
        let _ = writeln!(text, "- name: {name}\n  context: {{cluster: {name}, user: me}}");
    }
    text + "users:\n- name: me\n  user: {token: secret}\n"
}

/// A cluster that is asked for that version, if any.
fn asked_for(version: Option<&str>) -> Cluster {
    let (code, mut object) = cluster_version();
    let image = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
    object["status"]["availableUpdates"] = json!([{"version": "4.21.2", "image": image}]);
    object["spec"]["desiredUpdate"] = version.map_or(Value::Null, |version| json!({"version": version}));
    serving(code, object)
}

/// A cluster with that ClusterVersion and nothing that needs an acknowledgement.
fn serving(code: u16, object: Value) -> Cluster {
    let none = || config_map(&json!({}));
    Cluster::serving([(CLUSTER_VERSION, (code, object)), (ADMIN_GATES, none()), (ADMIN_ACKS, none())])
}

/// The URL of an address without a server.
fn dead() -> Cluster {
    let cluster = Cluster::serving([]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(cluster.folder.path().join("kubeconfig"), canned::kubeconfig(&format!("http://{free}"))).unwrap();
    cluster
}

/// With an override, whose risk blocks a minor update.
fn with_override() -> Cluster {
    let (code, mut object) = cluster_version();
    object["spec"] = json!({"overrides": [{"kind": "ClusterImagePolicy", "name": "openshift", "unmanaged": true}]});
    serving(code, object)
}

#[test]
fn an_unreachable_cluster_does_not_hide_the_others() {
    let no_openshift = Cluster::serving([(CLUSTER_VERSION, refusal(404, "NotFound", "not found"))]);
    let fleet = Fleet::of(vec![
        ("a", asked_for(Some("4.21.2"))),
        ("dead", dead()),
        ("k8s", no_openshift),
        ("b", with_override()),
    ]);
    let arguments =
        ["--context", "b", "--context", "dead", "--context", "k8s", "--context", "nowhere", "--context", "a"];
    let output = fleet.check(&[&arguments[..], &["-o", "json"]].concat());
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(2), &b""[..]));
    let list = answer(&output);
    let list = list.as_array().unwrap();
    let contexts: Vec<&str> = list.iter().map(|entry| entry["context"].as_str().unwrap()).collect();
    assert_eq!(contexts, ["b", "dead", "k8s", "nowhere", "a"], "in the order of the arguments");
    for (number, expected) in [(1, "refused"), (2, "OpenShift cluster"), (3, "nowhere")] {
        let entry = list[number].as_object().unwrap();
        assert_eq!(entry.keys().collect::<Vec<_>>(), ["context", "error"]);
        assert!(entry["error"].as_str().unwrap().contains(expected), "{entry:?}");
    }
    assert_eq!(list[0]["upgradeable"]["reason"], "ClusterVersionOverrides");
    let target = &list[4]["targets"][0];
    assert_eq!((&target["version"], &target["decision"]), (&json!("4.21.2"), &json!("allowed")));
}

/// The same object as for the one cluster, behind its context.
#[test]
fn each_entry_has_the_keys_of_the_report_on_one_cluster() {
    let fleet = Fleet::of(vec![("a", asked_for(Some("4.22.0"))), ("b", asked_for(None))]);
    let one = fleet.check(&["--context", "a", "-o", "json"]);
    assert!(answer(&one).is_object(), "one context is one object, as without");
    let several = fleet.check(&["--context", "a", "--context", "b", "-o", "json"]);
    let expected: String = String::from_utf8(one.stdout).unwrap().lines().skip(1).fold(String::new(), |text, line| {
        if line == "}" { text } else { format!("{text}    {}\n", line.strip_prefix("  ").unwrap()) }
    });
    let several_text = String::from_utf8(several.stdout.clone()).unwrap();
    let entry = several_text.split_once("    \"context\": \"a\",\n").unwrap().1;
    assert!(entry.starts_with(&expected), "{entry}\n{expected}");
    let yaml = fleet.check(&["--all-contexts", "-o", "yaml"]);
    assert_eq!(serde_saphyr::from_slice::<Value>(&yaml.stdout).unwrap(), answer(&several));
}

#[rstest]
#[case::nothing_is_blocked(vec![("a", asked_for(Some("4.21.2"))), ("b", asked_for(None))], &[], 0)]
#[case::one_is_blocked(vec![("a", asked_for(None)), ("b", with_override())], &["--to", "4.22.0"], 1)]
#[case::one_is_dead(vec![("a", asked_for(None)), ("b", dead())], &[], 2)]
#[case::one_is_dead_and_one_blocked(vec![("a", dead()), ("b", with_override())], &["--to", "4.22.0"], 2)]
fn the_exit_code_is_the_worst(#[case] clusters: Vec<(&str, Cluster)>, #[case] to: &[&str], #[case] expected: i32) {
    let fleet = Fleet::of(clusters);
    for format in ["table", "json", "yaml", "markdown"] {
        let output = fleet.check(&[&["--all-contexts", "-o", format], to].concat());
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(expected), &b""[..]), "{format}");
        assert!(!output.stdout.is_empty(), "{format}");
    }
}

#[test]
fn the_table_has_a_row_for_each_cluster_and_each_target() {
    let fleet = Fleet::of(vec![
        ("prod", with_override()),
        ("default/api-staging-example-com:6443/admin", asked_for(None)),
        ("lab", Cluster::serving([(CLUSTER_VERSION, refusal(403, "Forbidden", "no"))])),
    ]);
    let text = |arguments: &[&str]| {
        let output = fleet.check(&[&["--all-contexts"], arguments].concat());
        let port = |text: String, cluster: &Cluster| text.replace(&cluster.server(), "http://127.0.0.1:12345");
        port(String::from_utf8(output.stdout).unwrap(), &fleet.clusters[2])
    };
    let expected = "\
CONTEXT  VERSION  UPGRADEABLE  ASKED FOR  DECISION
prod     4.21.1   False        -          -
default/api-staging-example-com:6443/admin
         4.21.1   True         -          -
lab      no answer: http://127.0.0.1:12345/ refuses to get
         clusterversions.config.openshift.io \"version\": no; use a role that may
         get it, such as cluster-reader, or give files with --from

For the reasons, name one cluster:
`upgrade-gate check --context NAME --kubeconfig kubeconfig`
";
    assert_eq!(text(&[]), expected);
    let expected = "\
CONTEXT  VERSION  UPGRADEABLE  ASKED FOR  DECISION
prod     4.21.1   False        4.21.2     allowed
                               4.22.0     blocked
default/api-staging-example-com:6443/admin
         4.21.1   True         4.21.2     allowed
                               4.22.0     allowed
lab      no answer: http://127.0.0.1:12345/";
    let seen = text(&["--to", "4.21.2", "--to", "4.22.0"]);
    assert!(seen.starts_with(expected), "{seen}");
    let expected = "\
| Context | Version | Upgradeable | Asked for | Decision |
|---|---|---|---|---|
| prod | 4.21.1 | False | 4.21.2<br>4.22.0 | allowed<br>blocked |
| default/api-staging-example-com:6443/admin | 4.21.1 | True | 4.21.2<br>4.22.0 | allowed<br>allowed |
| lab | - | - | - | no answer: http://127.0.0.1:12345/ refuses";
    let seen = text(&["--to", "4.21.2", "--to", "4.22.0", "-o", "markdown"]);
    assert!(seen.starts_with(expected), "{seen}");
}

/// `oc login` and `oc project` leave a context for each namespace.
#[test]
fn contexts_that_differ_only_in_the_namespace_are_one_cluster() {
    let fleet = Fleet::of(vec![("a", asked_for(None)), ("b", asked_for(None))]);
    let path = fleet.folder.path().join("kubeconfig");
    let text = fs::read_to_string(&path).unwrap().replace(
        "contexts:\n",
        "contexts:\n- name: first\n  context: {cluster: a, user: me, namespace: other}\n- name: as-other\n  \
         context: {cluster: a, user: other}\n",
    );
    fs::write(&path, text + "- name: other\n  user: {token: secret}\n").unwrap();
    let list = answer(&fleet.check(&["--all-contexts", "-o", "json"]));
    let contexts: Vec<&str> = list.as_array().unwrap().iter().map(|entry| entry["context"].as_str().unwrap()).collect();
    assert_eq!(contexts, ["first", "as-other", "b"]);
    // Those that are named are taken as they are, each once.
    let list = answer(&fleet.check(&["--context", "a", "--context", "first", "--context", "a", "-o", "json"]));
    let contexts: Vec<&str> = list.as_array().unwrap().iter().map(|entry| entry["context"].as_str().unwrap()).collect();
    assert_eq!(contexts, ["a", "first"]);
}

#[test]
fn control_characters_in_a_kubeconfig_are_escaped() {
    let fleet = Fleet::of(vec![("\u{1b}[31m|a", asked_for(None)), ("\u{202e}", dead())]);
    for format in ["table", "json", "yaml", "markdown"] {
        let text = String::from_utf8(fleet.check(&["--all-contexts", "-o", format]).stdout).unwrap();
        assert!(text.contains("u{1b}") || text.contains("u001b"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn a_kubeconfig_without_a_cluster_is_an_error() {
    let fleet = Fleet::of(vec![]);
    assert!(error(&fleet.check(&["--all-contexts"])).contains("has no context; name another kubeconfig"));
    let folder = tempfile::tempdir().unwrap();
    let message = error(&check(folder.path(), &["--context", "a", "--context", "b", "--kubeconfig", "missing"]));
    assert!(message.starts_with("error: missing: "), "{message}");
    assert!(error(&check(folder.path(), &["--all-contexts"])).contains("no cluster is configured"));
    for arguments in [["--all-contexts", "--context", "a"], ["--all-contexts", "--from", "a"]] {
        let output = check(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be used with"));
    }
}
