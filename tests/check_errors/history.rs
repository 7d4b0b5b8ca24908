//! Errors that only one of `check` and `history` reports.

use super::{CLUSTER, error, gate};
use rstest::rstest;
use std::fs;

/// `history` reports what is wrong with records, which `check` does not read; and the other way round.
#[rstest]
#[case::nothing_of_use(
    "kind: Pod\napiVersion: v1\n",
    "a.yaml:1: found a Pod, expected a ClusterVersion or UpdateRecords; get them with `oc get"
)]
#[case::odd_record(&record("Nobody"), "a.yaml:4: UpdateRecord a: spec.by: found the string \"Nobody\", expected one of Gate, Bridge, Force; compare it with `kubectl explain updaterecord`")]
#[case::two(&(record("Gate") + "---\n" + &record("Force")), "a.yaml:6: found another UpdateRecord a, which differs from the one at a.yaml:1")]
fn the_history_needs_records_or_a_history(#[case] content: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), content).unwrap();
    let message = error(&gate(folder.path(), &["history", "--from", "a.yaml"]));
    assert!(message.starts_with(expected), "{message}");

    fs::write(folder.path().join("b.yaml"), CLUSTER).unwrap();
    let output = gate(folder.path(), &["check", "--from", "a.yaml", "--from", "b.yaml"]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn history_ignores_a_malformed_config_map() {
    let folder = tempfile::tempdir().unwrap();
    let acks =
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: admin-acks, namespace: openshift-config}\ndata: odd\n";
    fs::write(folder.path().join("a.yaml"), CLUSTER.to_owned() + acks).unwrap();
    let output = gate(folder.path(), &["history", "--from", "a.yaml"]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    error(&gate(folder.path(), &["check", "--from", "a.yaml"]));
}

fn record(by: &str) -> String {
    format!(
        "apiVersion: upgrade-gate.openshift.io/v1alpha1\nkind: UpdateRecord\nmetadata: {{name: a}}\n\
         spec: {{from: a, to: b, type: patch, image: c, overrides: [], acceptedRisks: d, by: {by}, acceptedTime: e}}\n"
    )
}
