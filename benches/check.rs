//! What reading a large dump costs: `cargo bench --bench check`. The answers are held right by `tests/check_large.rs`.

mod sizes;

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use sizes::REAL;
use upgrade_gate::cli::check::read_files;

const BYTES: usize = 50 << 20;

const CLUSTER: &str =
    "apiVersion: config.openshift.io/v1\nkind: ClusterVersion\nmetadata:\n  name: version\nspec: {}\n";

fn config_map(number: usize) -> String {
    let line = "      {\"datasource\": \"prometheus\", \"targets\": [{\"expr\": \"sum(rate(requests[5m]))\"}]},\n";
    format!(
        "apiVersion: v1\n  data:\n    dashboard.json: |\n{}  kind: ConfigMap\n  metadata:\n    name: dashboard-{number}\n    \
         namespace: openshift-monitoring\n",
        line.repeat(200)
    )
}

/// An object that the cluster-version operator manages, and that therefore names ClusterVersion.
fn service(number: usize) -> String {
    format!(
        "apiVersion: v1\n  kind: Service\n  metadata:\n    creationTimestamp: \"2026-01-01T00:00:00Z\"\n    labels:\n      \
         app: a\n    name: service-{number}\n    namespace: openshift-monitoring\n    ownerReferences:\n    - apiVersion: \
         config.openshift.io/v1\n      controller: true\n      kind: ClusterVersion\n      name: version\n      uid: a\n  \
         spec:\n    clusterIP: 10.0.0.1\n    ports:\n    - name: metrics\n      port: 8443\n      protocol: TCP\n      \
         targetPort: 8443\n    selector:\n      app: a\n    type: ClusterIP\n  status:\n    loadBalancer: {{}}\n"
    )
}

/// What identifies an object: the least that a parser has to build of it.
#[derive(serde::Deserialize)]
struct Head {
    #[serde(default, rename = "kind")]
    _kind: String,
    #[serde(default)]
    items: Vec<Head>,
}

/// The heads of all objects in the files that name a kind, as a filter by file would leave them to the parser.
fn by_the_parser_alone(texts: &[String]) -> usize {
    let of_file = |text: &String| {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_events: 1 << 30, max_nodes: 1 << 30 },
        };
        serde_saphyr::from_str_with_options::<Head>(text, options).map_or(0, |head| head.items.len())
    };
    texts.iter().filter(|text| text.contains("ClusterVersion")).map(of_file).sum()
}

/// The YAML files below a folder.
fn texts(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            self::texts(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            texts.extend(fs::read_to_string(&path));
        }
    }
}

/// One List of many objects, as a must-gather holds for each namespace.
fn yaml_list() -> String {
    let mut text = String::from("apiVersion: v1\nitems:\n");
    for number in 0.. {
        if text.len() > BYTES {
            break;
        }
        text += "- ";
        text += &config_map(number);
    }
    text + "kind: ConfigMapList\nmetadata: {}\n"
}

/// The same as JSON, from `oc get configmaps -o json`.
fn json_list() -> String {
    let data = "{\\\"datasource\\\": \\\"prometheus\\\"},\\n".repeat(400);
    let items: Vec<String> = (0..BYTES / data.len())
        .map(|number| {
            format!(
                "{{\"apiVersion\": \"v1\", \"data\": {{\"dashboard.json\": \"{data}\"}}, \"kind\": \"ConfigMap\", \
                 \"metadata\": {{\"name\": \"dashboard-{number}\", \"namespace\": \"openshift-monitoring\"}}}}"
            )
        })
        .collect();
    format!("{{\"apiVersion\": \"v1\", \"items\": [{}], \"kind\": \"List\"}}\n", items.join(",\n"))
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).throughput(Throughput::Bytes(BYTES as u64));
    for (name, extension, text) in [("50 MB of YAML", "yaml", yaml_list()), ("50 MB of JSON", "json", json_list())] {
        let Ok(folder) = tempfile::tempdir() else { return };
        let files = [("cluster.yaml".to_owned(), CLUSTER.to_owned()), (format!("configmaps.{extension}"), text)];
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
        for (path, (_, text)) in paths.iter().zip(&files) {
            if fs::write(path, text).is_err() {
                return;
            }
        }
        group.bench_function(name, |bencher| bencher.iter(|| black_box(read_files(&paths).is_ok())));
    }
    group.finish();

    let Ok(folder) = tempfile::tempdir() else { return };
    if must_gather(folder.path()).is_err() {
        return;
    }
    let paths = [folder.path().to_owned()];
    let mut in_memory = Vec::new();
    texts(folder.path(), &mut in_memory);
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    group.bench_function("a must-gather of 700 files, 110 MB", |bencher| {
        bencher.iter(|| black_box(read_files(&paths).is_ok()));
    });
    group.bench_function("the same by the parser alone", |bencher| {
        bencher.iter(|| black_box(by_the_parser_alone(&in_memory)));
    });
    group.finish();
}

/// What a must-gather of a cluster of real size holds: two files to read, many to look into, and logs to pass by.
fn must_gather(folder: &Path) -> std::io::Result<()> {
    let write = |file: String, text: &str| {
        let path = folder.join("must-gather.local.1/image").join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)
    };
    let yaml = |object: &serde_json::Value| serde_saphyr::to_string(object).map_err(std::io::Error::other);
    let mut cluster = sizes::cluster_version(REAL);
    cluster["apiVersion"] = json!("config.openshift.io/v1");
    cluster["kind"] = json!("ClusterVersion");
    cluster["metadata"] = json!({"name": "version"});
    let operators: Vec<_> = (0..REAL.operators).map(|number| sizes::cluster_operator(number, 4096)).collect();
    let list = |kind: &str, items| json!({"apiVersion": "config.openshift.io/v1", "kind": kind, "items": items});
    let config = "cluster-scoped-resources/config.openshift.io";
    write(format!("{config}/clusterversions.yaml"), &yaml(&list("ClusterVersionList", vec![cluster]))?)?;
    write(format!("{config}/clusteroperators.yaml"), &yaml(&list("ClusterOperatorList", operators))?)?;
    let of_users: String = (0..6).fold(String::new(), |text, number| text + "- " + &config_map(number));
    let managed = (0..60).fold(String::new(), |text, number| text + "- " + &service(number));
    let managed: String = (0..4).fold(managed, |text, number| text + "- " + &config_map(number));
    let log = "2026-01-01T00:00:00.000000000Z I0101 00:00:00.000000 1 controller.go:100] Reconciled\n".repeat(6_000);
    for number in 0..600 {
        let objects = if number % 2 == 0 { &managed } else { &of_users };
        write(
            format!("namespaces/ns-{number}/core/configmaps.yaml"),
            &format!("apiVersion: v1\nitems:\n{objects}kind: List\n"),
        )?;
        if number % 6 == 0 {
            write(format!("namespaces/ns-{number}/pods/one/one/one/logs/current.log"), &log)?;
        }
    }
    Ok(())
}

criterion_group!(benches, reading);
criterion_main!(benches);
