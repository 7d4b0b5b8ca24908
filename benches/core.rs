//! What a judgement and a plan cost, on a real cluster's size, on a large one, and from one to the other:
//! `cargo bench --bench core`.

mod sizes;

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use sizes::{LARGE, REAL, Size};
use upgrade_gate::{
    api::{ClusterOperator, ClusterVersion},
    gate::{Authority, Snapshot, Source, evaluate},
    plan::{
        PlanInput, RecordState,
        newest_entry::EntryStart,
        plan,
        role::{CvoLease, Role},
    },
};

/// What a watch has seen of such a cluster, with an update asked for.
fn snapshot(size: Size) -> Snapshot {
    let mut object = sizes::cluster_version(size);
    object["apiVersion"] = json!("config.openshift.io/v1");
    object["kind"] = json!("ClusterVersion");
    object["metadata"] = json!({"name": "version", "uid": "bench", "generation": 1, "resourceVersion": "1"});
    object["spec"]["desiredUpdate"] = json!({"version": "4.21.2", "image": ""});
    let cluster_version: ClusterVersion = serde_json::from_value(object).unwrap_or_default();
    let operators: Result<Vec<ClusterOperator>, _> =
        (0..size.operators).map(|number| serde_json::from_value(sizes::cluster_operator(number, 4096))).collect();
    Snapshot {
        now: jiff::Timestamp::UNIX_EPOCH,
        cluster_version,
        cluster_operators: Source::Read(operators.unwrap_or_default()),
        admin_gates: Source::Read(None),
        admin_acks: Source::Read(None),
        authority: Authority::Sole,
        targets: Vec::new(),
    }
}

/// From a real cluster's size to the large one's, in equal steps.
fn growth() -> impl Iterator<Item = Size> {
    let between = |from: usize, to: usize, step: usize| from + (to - from) * step / 4;
    (0..=4).map(move |step| Size {
        operators: between(REAL.operators, LARGE.operators, step),
        available: REAL.available,
        conditional: between(REAL.conditional, LARGE.conditional, step),
        history: between(REAL.history, LARGE.history, step),
    })
}

fn judging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evaluate");
    for size in growth() {
        let snapshot = snapshot(size);
        group.throughput(Throughput::Elements(size.operators as u64));
        group.bench_function(BenchmarkId::from_parameter(size.operators), |bencher| {
            bencher.iter(|| evaluate(black_box(&snapshot)));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("plan");
    for size in growth() {
        let snapshot = snapshot(size);
        let verdict = evaluate(&snapshot);
        let input = PlanInput {
            snapshot: &snapshot,
            verdict: &verdict,
            role: Role::Replace,
            why: "it is measured",
            operator: &Source::NotServed,
            records: &Source::Read(Vec::new()),
            removal: None,
            force: None,
            start: EntryStart::default(),
            record_state: RecordState::Possible,
            problems: &[],
            degraded_after: Duration::ZERO,
            cvo: CvoLease::Unknown,
            is_restored: false,
        };
        group.throughput(Throughput::Elements(size.operators as u64));
        group.bench_function(BenchmarkId::from_parameter(size.operators), |bencher| {
            bencher.iter(|| plan(black_box(&input)));
        });
    }
    group.finish();
}

criterion_group!(benches, judging);
criterion_main!(benches);
