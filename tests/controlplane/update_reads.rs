//! `upgrade-gate update` while a read or the answer to a write is lost: what is not known never counts as absent.

use std::time::Duration;

use serde_json::Value;

use super::update::{GO, administrators, assert_nothing_is_left, binding, command, locked_out, outcome};
use crate::support::{
    self, Cluster, Operator, Options,
    cvo::{self, Cvo, Params, Profile},
    faults::{Fault, Kind, Proxy},
    fixtures,
};

async fn proxy(cluster: &Cluster) -> Proxy {
    Proxy::start_for(&cluster.control_plane.kubeconfig()).await
}

fn run(proxy: &Proxy, arguments: &[&str]) -> (i32, String, String) {
    outcome(&command(&proxy.path(), arguments).output().unwrap())
}

/// Each look reads two Leases.
#[tokio::test]
async fn an_operator_whose_lease_cannot_be_read_for_a_moment_is_not_overlooked() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    cluster.install_policy().await;
    let mut operator = Operator::start(&cluster, Options::default()).await;
    operator.ready().await;
    let proxy = proxy(&cluster).await;
    let leases = || Kind::read("leases");
    proxy.inject(Fault::Answer(500), leases(), 2);
    proxy.inject(Fault::Answer(403), leases(), 2);
    proxy.inject(Fault::Answer(404), leases(), 2);
    proxy.inject(Fault::Delay(Duration::ZERO), leases(), 2);
    proxy.inject(Fault::Answer(503), leases(), 4);
    let (code, stdout, stderr) = run(&proxy, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(proxy.all_faults_were_met());
    assert!(stdout.contains("Nothing else: the operator of upgrade-gate is running."), "{stdout}");
    assert_nothing_is_left(&cluster.cluster_version().await);
    let mut writes = administrators(&cluster).await;
    writes.retain(|(_, resource, manager)| resource == "clusterversions" && !manager.starts_with("kubectl"));
    assert_eq!(writes.len(), 1, "the request alone: {writes:?}");
    cluster.remove_policy().await;
}

#[tokio::test]
async fn a_lease_that_stays_unreadable_ends_it_without_an_answer() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let before = cluster.cluster_version().await;
    let proxy = proxy(&cluster).await;
    proxy.inject(Fault::Answer(500), Kind::read("leases"), 100);
    let (code, stdout, stderr) = run(&proxy, &[GO.as_slice(), &["--retry-for=0s"]].concat());
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("cannot read the Lease openshift-cluster-version/version: "), "{stderr}");
    assert!(stderr.ends_with("nothing was written\n"), "{stderr}");
    assert_eq!(cluster.cluster_version().await, before);

    // The same once the request is written: both Leases were read once before it.
    proxy.heal();
    proxy.inject(Fault::Delay(Duration::ZERO), Kind::read("leases"), 4);
    proxy.inject(Fault::Answer(500), Kind::read("leases"), 100);
    let (code, stdout, stderr) = run(&proxy, &[GO.as_slice(), &["--retry-for=0s"]].concat());
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("cannot read the Lease openshift-cluster-version/version: "), "{stderr}");
    assert!(stderr.contains("4.21.2 is requested and not forced. `upgrade-gate update --to 4.21.2"), "{stderr}");
    assert_eq!(cluster.cluster_version().await["spec"]["desiredUpdate"]["force"], false);
    assert_eq!(binding(&cluster), "");
}

/// The account of the operator without its rights on Leases.
#[tokio::test]
async fn a_lease_that_may_not_be_read_is_a_right_that_is_missing() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let _unbound = cluster.unbind_lease();
    let before = cluster.cluster_version().await;
    let (code, _, stderr) = outcome(&command(&cluster.control_plane.operator_kubeconfig(), &GO).output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    let lacking = "you lack these rights: get leases.coordination.k8s.io in openshift-upgrade-gate.";
    assert!(stderr.contains(lacking), "{stderr}");
    assert_eq!(cluster.cluster_version().await, before);
}

/// The CRD is installed, and something between here and the API server answers 404 for a while.
#[tokio::test]
async fn a_404_does_not_mean_that_update_records_are_not_served() {
    let (cluster, _cvo) = locked_out(Profile::V4_21).await;
    let proxy = proxy(&cluster).await;
    proxy.inject(Fault::Answer(404), Kind::read("updaterecords"), 3);
    let (code, stdout, stderr) = run(&proxy, &GO);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(!stdout.contains("No UpdateRecord"), "{stdout}");
    let records = cluster.records().await;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["spec"]["by"], &records[0]["status"]["outcome"]), (&"Bridge".into(), &"Completed".into()));
    assert_nothing_is_left(&cluster.cluster_version().await);
}

#[tokio::test]
async fn after_a_lost_answer_it_says_whether_the_request_is_there() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let _cvo = Cvo::start(&cluster, Profile::V4_21, Params::default()).await;
    let arguments = [GO.as_slice(), &["--retry-for=0s"]].concat();
    for (fault, expected, is_asked) in [
        (Fault::DropBefore, "4.21.2 is not requested, and nothing is left to remove. `upgrade-gate update --to", false),
        (Fault::DropAfter, "4.21.2 is requested and not forced. `upgrade-gate update --to", true),
    ] {
        let proxy = proxy(&cluster).await;
        proxy.inject(fault, Kind::write("clusterversions"), 1);
        let (code, _, stderr) = run(&proxy, &arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(expected), "{fault:?}: {stderr}");
        let request = &cluster.cluster_version().await["spec"]["desiredUpdate"];
        assert_eq!(*request != Value::Null, is_asked, "{fault:?}: {request}");
    }

    // The force.
    let proxy = proxy(&cluster).await;
    proxy.inject(Fault::DropAfter, Kind::write("clusterversions"), 1);
    let (code, _, stderr) = run(&proxy, &arguments);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("4.21.2 is requested and forced. `upgrade-gate update --to"), "{stderr}");
    assert!(stderr.contains("`upgrade-gate cleanup --yes"), "{stderr}");
}
