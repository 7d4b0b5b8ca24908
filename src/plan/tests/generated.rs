//! Clusters of all kinds: each field absent, null, empty, usual or odd.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    api::{ClusterOperator, ClusterVersion},
    gate::{Authority, ConfigMapData, Snapshot, Source, Target},
};

/// Everything that a Snapshot is made of, before it is read.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub object: Value,
    pub operators: Source<Vec<Value>>,
    pub gates: Source<ConfigMapData>,
    pub acks: Source<ConfigMapData>,
}

impl Cluster {
    pub fn snapshot(&self, object: &Value, now: i64) -> Snapshot {
        let cluster_version = ClusterVersion::from_value(object.clone()).unwrap();
        let operator = |value: &Value| serde_json::from_value::<ClusterOperator>(value.clone()).unwrap();
        Snapshot {
            now: jiff::Timestamp::from_second(1_800_000_000 + now).unwrap(),
            targets: Target::requested(&cluster_version).into_iter().collect(),
            cluster_version,
            cluster_operators: match &self.operators {
                Source::Read(operators) => Source::Read(operators.iter().map(operator).collect()),
                Source::NotServed => Source::NotServed,
                Source::NotGiven => Source::NotGiven,
                Source::Unreadable(why) => Source::Unreadable(why.clone()),
            },
            admin_gates: self.gates.clone(),
            admin_acks: self.acks.clone(),
            authority: Authority::Sole,
        }
    }
}

type Field = (&'static str, BoxedStrategy<Option<Value>>);

/// Absent, null, or one of these.
fn field(name: &'static str, values: impl Strategy<Value = Value> + 'static) -> Field {
    let values = prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 8 => values.prop_map(Some)];
    (name, values.boxed())
}

fn object(fields: Vec<Field>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let build = move |values: Vec<Option<Value>>| {
        let present = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(present.collect::<Map<_, _>>())
    };
    values.prop_map(build).boxed()
}

fn text(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    select(values).prop_map(Value::from)
}

fn version() -> impl Strategy<Value = Value> {
    text(&[
        "",
        "4.21.1",
        "4.21.1",
        "4.21.1",
        "4.21.2",
        "4.21.2",
        "4.21.1+build",
        "4.21.0",
        "4.21.3-rc.1",
        "4.22.0",
        "4.22.0",
        "4.22.0-rc.1",
        "4.23.0",
        "5.0.0",
        "5.1.0",
        "4.20.9",
        "4.2",
        "latest",
        "4.18446744073709551615.0",
    ])
}

fn image() -> impl Strategy<Value = Value> {
    text(&[
        "",
        "a/release@sha256:01",
        "mirror/release@sha256:01",
        "a/release@sha256:02",
        "a/release@sha256:03",
        "a/release:tag",
    ])
}

fn time() -> impl Strategy<Value = Value> {
    text(&["", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+02:00", "yesterday"])
}

fn boolean() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

fn release() -> BoxedStrategy<Value> {
    object(vec![
        field("version", version()),
        field("image", image()),
        field("architecture", text(&["", "Multi"])),
        field("unknown", text(&["field"])),
    ])
}

fn condition(kind: &'static str) -> BoxedStrategy<Value> {
    let fields = vec![
        field("status", text(&["True", "False", "False", "Unknown", "", "true", "No"])),
        field("reason", text(&["", "AsExpected", "ClusterVersionOverrides"])),
        field("message", text(&["", "a message", "two\nlines", "\u{0}\u{7f}"])),
        field("lastTransitionTime", time()),
    ];
    object(fields)
        .prop_map(move |mut condition| {
            condition["type"] = json!(kind);
            condition
        })
        .boxed()
}

/// A map by type, as the API server guarantees.
fn conditions() -> BoxedStrategy<Value> {
    let kinds = [
        "Upgradeable",
        "ReleaseAccepted",
        "Progressing",
        "RetrievedUpdates",
        "UpgradeableByOthers",
        "UpgradeableClusterVersionOverrides",
        "NotUpgradeable",
        "",
    ];
    let each: Vec<_> = kinds.into_iter().map(|kind| option::weighted(0.25, condition(kind))).collect();
    each.prop_map(|conditions| conditions.into_iter().flatten().collect()).boxed()
}

fn entry() -> BoxedStrategy<Value> {
    object(vec![
        field("state", text(&["Completed", "Completed", "Partial", "Partial", "", "Odd"])),
        field("version", version()),
        field("image", image()),
        field("startedTime", time()),
        field("completionTime", time()),
        field("verified", boolean()),
        field("acceptedRisks", text(&["", "a risk"])),
        field("unknown", Just(json!({"deep": [1, null]}))),
    ])
}

fn history() -> BoxedStrategy<Value> {
    prop_oneof![39 => vec(entry(), 0..6), 1 => vec(entry(), 98..103)].prop_map(Value::from).boxed()
}

fn overrides() -> BoxedStrategy<Value> {
    let one = object(vec![
        field("group", text(&["", "apps"])),
        field("kind", text(&["", "Deployment"])),
        field("namespace", text(&["", "shop"])),
        field("name", text(&["", "till", "a\nb"])),
        field("unmanaged", boolean()),
    ]);
    prop_oneof![Just(json!([])), vec(one, 0..3).prop_map(Value::from)].boxed()
}

fn cluster_version() -> BoxedStrategy<Value> {
    let request = object(vec![
        field("version", version()),
        field("image", image()),
        field("architecture", text(&["", "", "", "Multi"])),
        field("force", boolean()),
        field("mode", text(&["", "", "", "Preflight"])),
    ]);
    let conditional = object(vec![
        field("release", release()),
        field("conditions", vec(condition("Recommended"), 0..2).prop_map(Value::from)),
    ]);
    let spec = object(vec![
        field("channel", text(&["", "stable-4.21"])),
        field("desiredUpdate", request),
        field("overrides", overrides()),
    ]);
    let status = object(vec![
        field("desired", release()),
        field("history", history()),
        field("conditions", conditions()),
        field("availableUpdates", vec(release(), 0..4).prop_map(Value::from)),
        field("conditionalUpdates", vec(conditional, 0..2).prop_map(Value::from)),
        field("unknown", Just(json!([{"a": null}]))),
    ]);
    let whole = object(vec![field("spec", spec), field("status", status)]);
    let identified = |mut object: Value| {
        object["metadata"] = json!({"name": "version", "uid": "u", "resourceVersion": "100", "generation": 3});
        object
    };
    whole.prop_map(identified).boxed()
}

fn operators() -> BoxedStrategy<Source<Vec<Value>>> {
    let status = prop_oneof![
        4 => text(&["True", "False", "Unknown", ""]),
        1 => Just(json!(1)),
    ];
    let operator = (select(&["dns", "etcd", "upgrade-gate"][..]), status).prop_map(|(name, status)| {
        json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Upgradeable", "status": status}]}})
    });
    prop_oneof![
        6 => vec(operator, 0..3).prop_map(Source::Read),
        1 => Just(Source::NotServed),
        1 => Just(Source::Unreadable("forbidden".to_owned())),
    ]
    .boxed()
}

fn config_map(keys: &'static [&'static str], values: &'static [&'static str]) -> BoxedStrategy<Source<ConfigMapData>> {
    let data = vec((select(keys), select(values)), 0..3).prop_map(|pairs| {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
    });
    prop_oneof![
        8 => data.prop_map(|data| Source::Read(Some(data))),
        1 => Just(Source::Read(None)),
        1 => Just(Source::Unreadable("forbidden".to_owned())),
    ]
    .boxed()
}

/// Any cluster; half of them without a risk in the sources outside of the object.
pub fn cluster() -> impl Strategy<Value = Cluster> {
    let quiet = |source: BoxedStrategy<Source<ConfigMapData>>| prop_oneof![2 => Just(Source::Read(Some(BTreeMap::<String, String>::new()))), 1 => source];
    let gates = config_map(&["ack-4.21-a", "ack-4.21-b", "ack-4.20-a", "note"], &["", "text"]);
    let acks = config_map(&["ack-4.21-a", "ack-4.21-b", "note"], &["true", "True", ""]);
    (cluster_version(), prop_oneof![Just(Source::Read(Vec::new())), operators()], quiet(gates), quiet(acks))
        .prop_map(|(object, operators, gates, acks)| Cluster { object, operators, gates, acks })
}
