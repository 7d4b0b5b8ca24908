//! Everything that can go wrong between operator and API server, in the middle of everything that a cluster goes
//! through. Seeded: `UPGRADE_GATE_SEED`; `UPGRADE_GATE_FAULTS=all` (`make faults`) runs every scenario under every fault.

mod bridge;
mod lasting;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::faults::{Fault, Kind, Proxy, Watch};
use crate::support::scenario::{Scenario, Step};
use crate::support::{self, Cluster, Operator, Options, Steps, Versions, condition, eventually, fixtures, invariants};

/// The most requests of an operator within ten seconds under any fault: a start takes about 20, a repeated step a few, and
/// six failing watches are restarted after 0.2, 0.4, 0.8 s and so on, each with a list.
const RATE: usize = 150;
const SPAN: Duration = Duration::from_secs(10);

/// What is done to the operator's link before each step of a scenario.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Request(Fault, Of, usize),
    Watches(Watch),
}

/// Requests that a fault meets.
#[derive(Clone, Copy, Debug)]
enum Of {
    Status,
    Spec,
    Records,
    Lease,
    Writes,
    Any,
}

impl Of {
    fn kind(self) -> Kind {
        match self {
            Self::Status => Kind::write("clusterversions/status"),
            Self::Spec => Kind::write("clusterversions"),
            Self::Records => Kind::write("updaterecords"),
            Self::Lease => Kind::write("leases"),
            Self::Writes => Kind::writes(),
            Self::Any => Kind::any(),
        }
    }
}

const TROUBLES: [Trouble; 21] = [
    Trouble::Request(Fault::DropAfter, Of::Status, 1),
    Trouble::Request(Fault::DropBefore, Of::Status, 1),
    Trouble::Request(Fault::DropAfter, Of::Spec, 1),
    Trouble::Request(Fault::DropBefore, Of::Spec, 1),
    Trouble::Request(Fault::Answer(409), Of::Spec, 2),
    Trouble::Request(Fault::Answer(500), Of::Spec, 1),
    Trouble::Request(Fault::DropAfter, Of::Records, 1),
    Trouble::Request(Fault::DropAfter, Of::Writes, 3),
    Trouble::Request(Fault::DropBefore, Of::Any, 5),
    Trouble::Request(Fault::Answer(409), Of::Status, 2),
    Trouble::Request(Fault::Answer(410), Of::Any, 2),
    Trouble::Request(Fault::Answer(429), Of::Status, 1),
    Trouble::Request(Fault::Answer(500), Of::Writes, 2),
    Trouble::Request(Fault::Answer(503), Of::Writes, 1),
    Trouble::Request(Fault::Answer(500), Of::Lease, 2),
    Trouble::Request(Fault::Delay(Duration::from_millis(300)), Of::Any, 4),
    Trouble::Request(Fault::Delay(Duration::from_millis(800)), Of::Status, 1),
    Trouble::Watches(Watch::Cut),
    Trouble::Watches(Watch::Gone),
    Trouble::Watches(Watch::Replay),
    Trouble::Watches(Watch::Stall),
];

const SCENARIOS: [(&str, &[Step]); 4] = [
    (
        "the mission",
        &[Step::Override(true), Step::Ask("4.22.0"), Step::Ask("5.0.0"), Step::Ask("4.21.2"), Step::Complete],
    ),
    (
        "an override comes and goes",
        &[Step::Override(true), Step::Override(false), Step::Override(true), Step::Override(false)],
    ),
    (
        "every gate",
        &[
            Step::OperatorBlocks(true),
            Step::Ask("4.22.0"),
            Step::Gate(true),
            Step::OperatorBlocks(false),
            Step::Gate(false),
        ],
    ),
    (
        "asked, cleared and asked again",
        &[
            Step::Ask("4.22.0"),
            Step::Clear,
            Step::Override(true),
            Step::Ask("4.21.2"),
            Step::Override(false),
            Step::Clear,
        ],
    ),
];

fn seed() -> u64 {
    std::env::var("UPGRADE_GATE_SEED").ok().and_then(|value| value.parse().ok()).unwrap_or(1)
}

fn all() -> bool {
    std::env::var("UPGRADE_GATE_FAULTS").is_ok_and(|which| which == "all")
}

/// An operator behind a proxy, and everything that is seen of it from the other side.
struct Scene {
    cluster: Cluster,
    proxy: Proxy,
    versions: Versions,
    _operator: Operator,
}

impl Scene {
    async fn set(cluster_version: Value) -> Self {
        Self::of(support::cluster(cluster_version).await, Options::mode("replace")).await
    }

    async fn of(cluster: Cluster, options: Options) -> Self {
        let proxy = Proxy::start(&cluster).await;
        let versions = cluster.record().await;
        let mut operator = Operator::start(&cluster, proxy.route(options)).await;
        operator.ready().await;
        Self { cluster, proxy, versions, _operator: operator }
    }

    fn trouble(&self, trouble: Trouble) {
        match trouble {
            Trouble::Request(fault, of, times) => self.proxy.inject(fault, of.kind(), times),
            Trouble::Watches(watch) => self.proxy.watches(Kind::watches(), watch),
        }
    }

    /// Safe and bounded, up to now.
    async fn is_sound(&self, context: &str) {
        invariants::assert_all(context, &self.versions.so_far().await, &self.cluster.writes().await);
        self.keeps_its_rate(context);
    }

    fn keeps_its_rate(&self, context: &str) {
        let most = self.proxy.most_requests_within(SPAN);
        assert!(most <= RATE, "{context}: {most} requests within {SPAN:?}");
    }

    /// The operator notices a watch without events only after a while; here the fault ends instead.
    fn end_of_stall(&self, trouble: Trouble) {
        if matches!(trouble, Trouble::Watches(Watch::Stall)) {
            self.proxy.heal();
        }
    }

    /// One record for each update that went ahead under an override.
    async fn has_records(&self, context: &str, expected: usize) {
        self.cluster
            .records_are(&format!("{context}: {expected} UpdateRecords"), |records| records.len() == expected)
            .await;
    }
}

async fn holds(name: &str, steps: &[Step], trouble: Trouble) {
    let context = format!("{name}, {trouble:?}");
    let scene = Scene::set(fixtures::cluster()).await;
    let mut scenario = Scenario::default();
    scenario.wait_for_expected_state(&scene.cluster).await;
    for step in steps {
        scene.trouble(trouble);
        scenario.take(&scene.cluster, *step).await;
        scene.end_of_stall(trouble);
        scenario.wait_for_expected_state(&scene.cluster).await;
        scene.is_sound(&format!("{context}, {step:?}")).await;
    }
    scene.proxy.heal();
    let recorded = steps.contains(&Step::Ask("4.21.2"));
    scene.has_records(&context, usize::from(recorded)).await;
    scenario.wait_for_expected_state(&scene.cluster).await;
    scene.is_sound(&context).await;
}

#[tokio::test]
async fn every_scenario_keeps_the_invariants_under_every_fault() {
    for (number, trouble) in TROUBLES.into_iter().enumerate() {
        for (name, steps) in SCENARIOS {
            // One scenario for each fault, another with each seed.
            let chosen = SCENARIOS[(number + usize::try_from(seed()).unwrap_or_default()) % SCENARIOS.len()].0;
            if all() || name == chosen {
                holds(name, steps, trouble).await;
            }
        }
    }
}

#[tokio::test]
async fn random_schedules_of_faults_and_steps_keep_the_invariants() {
    const STEPS: [Step; 10] = [
        Step::Override(true),
        Step::Override(true),
        Step::Override(false),
        Step::OperatorBlocks(true),
        Step::OperatorBlocks(false),
        Step::Gate(true),
        Step::Gate(false),
        Step::Ask("4.22.0"),
        Step::Ask("5.0.0"),
        Step::Clear,
    ];
    let schedules = if all() { 30 } else { 2 };
    for schedule in 0..schedules {
        let seed = seed() + schedule;
        let mut choices = Steps::seeded(seed);
        let scene = Scene::set(fixtures::cluster()).await;
        let mut scenario = Scenario::default();
        for number in 0..12 {
            let context = format!("seed {seed}, step {number}");
            for _ in 0..choices.below(3) {
                scene.trouble(*choices.one_of(&TROUBLES));
            }
            for _ in 0..=choices.below(3) {
                scenario.take(&scene.cluster, *choices.one_of(&STEPS)).await;
            }
            // Half of the time the next step comes while this one isn't through.
            if choices.one_in(2) {
                scene.proxy.heal();
                scenario.wait_for_expected_state(&scene.cluster).await;
            }
            scene.is_sound(&context).await;
        }
        scene.proxy.heal();
        scenario.wait_for_expected_state(&scene.cluster).await;
        scene.is_sound(&format!("seed {seed}, at the end")).await;
        scene.cluster.assert_not_written_for(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_write_whose_response_is_lost_is_not_repeated() {
    let scene = Scene::set(fixtures::cluster()).await;
    scene.cluster.upgradeable("True", "AsExpected").await;
    scene.proxy.inject(Fault::DropAfter, Kind::write("clusterversions/status"), 1);
    let before = scene.cluster.operator_writes().await.len();
    scene.cluster.set_overrides(json!([fixtures::policy_override()])).await;
    scene.cluster.upgradeable("False", "ClusterVersionOverrides").await;
    scene.cluster.assert_not_written_for(Duration::from_secs(2)).await;
    assert!(scene.proxy.all_faults_were_met());
    assert_eq!(scene.cluster.operator_writes().await.len(), before + 1);
}

#[tokio::test]
async fn a_stalled_watch_delays_an_override_by_little_more_than_half_a_minute() {
    let scene = Scene::set(fixtures::cluster()).await;
    scene.cluster.upgradeable("True", "AsExpected").await;
    scene.proxy.watches(Kind::watch("clusterversions"), Watch::Stall);
    scene.cluster.set_overrides(json!([fixtures::policy_override()])).await;
    let blocked = |cv: &Value| condition(cv, "Upgradeable")["status"] == "False";
    let seen = async {
        while !blocked(&scene.cluster.cluster_version().await) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(45), seen).await.expect("the override is seen");
    scene.is_sound("a silent watch").await;
}

#[tokio::test]
async fn a_partitioned_leader_writes_nothing_after_another_has_taken_over() {
    let replica = |identity| {
        Options::mode("replace").identity(identity).arg("--lease-duration=3s").arg("--lease-renew-interval=1s")
    };
    let cluster = support::cluster(fixtures::cluster()).await;
    let proxy = Proxy::start(&cluster).await;
    let versions = cluster.record().await;
    let mut alone = Operator::start(&cluster, proxy.route(replica("alone"))).await;
    alone.ready().await;
    cluster.upgradeable("True", "AsExpected").await;
    // It has an override to write about when the network goes.
    proxy.inject(Fault::Delay(Duration::from_secs(6)), Kind::write("clusterversions/status"), 1);
    cluster.set_overrides(json!([fixtures::policy_override()])).await;
    proxy.partition();
    let _other = Operator::start(&cluster, replica("other")).await;
    eventually("the other to lead", async || {
        let lease = cluster.lease().await.unwrap_or_default();
        if lease["spec"]["holderIdentity"] == "other" { Ok(()) } else { Err(lease.to_string()) }
    })
    .await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    cluster.request_blocked("4.22.0", &[]).await;
    eventually("the one that is alone to know", async || {
        let leads = alone.metric("upgrade_gate_leader");
        if leads == Some(0.0) { Ok(()) } else { Err(format!("{leads:?}")) }
    })
    .await;
    let before = cluster.operator_writes().await.len();
    proxy.heal();
    cluster.request_accepted("4.21.2").await;
    cluster.assert_not_written_for(Duration::from_secs(2)).await;
    assert_eq!(cluster.operator_writes().await.len(), before + 2, "the other's two, for the update");
    invariants::assert_all("a partition", &versions.so_far().await, &cluster.writes().await);
}
