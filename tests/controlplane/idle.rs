//! An idle operator writes nothing on resyncs.

use std::time::Duration;

use crate::support::{self, Operator, Options, fixtures};

#[tokio::test]
async fn an_idle_operator_writes_nothing_in_a_minute_of_resyncs() {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let leader = Operator::start(&cluster, Options::mode("replace").identity("leader")).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_accepted("4.21.2").await;
    let mut follower = Operator::start(&cluster, Options::mode("replace").identity("follower")).await;
    follower.ready().await;
    let judged = |operator: &Operator| operator.metric("upgrade_gate_last_evaluation_timestamp_seconds").unwrap();
    let before = (judged(&leader), judged(&follower));
    cluster.assert_not_written_for(Duration::from_secs(61)).await;
    assert!(judged(&leader) > before.0 + 45.0 && judged(&follower) > before.1 + 45.0, "both evaluated meanwhile");
}
