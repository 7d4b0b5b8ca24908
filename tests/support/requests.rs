//! Generated edits of a ClusterVersion, and the response of the policies that follows from the core's verdict. Used with
//! kube-cel and with the API server.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use upgrade_gate::api::{ClusterVersion, ConditionStatus, Release};
use upgrade_gate::gate::{Authority, Snapshot, Source, Step, Target, TargetVerdict, UpdateType, evaluate};

/// An edit: the object before and after.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The stored object.
    pub before: Value,
    /// The new object. Its status is the stored one, since a write to `spec` cannot change it.
    pub after: Value,
}

/// The expected response of the two policies to an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The edit is denied.
    pub denied: bool,
    /// There is a warning that the type of the update is unknown.
    pub warned_as_unknown: bool,
    /// There is a warning about a patch update with overrides.
    pub warned_as_patch: bool,
}

/// The response required by the design, from the core's verdict on the target.
///
/// # Panics
///
/// If the CRD does not admit the object.
pub fn expected(edit: &Edit) -> Answer {
    let read = |object: &Value| ClusterVersion::from_value(object.clone()).expect("a ClusterVersion");
    let (before, after) = (read(&edit.before), read(&edit.after));
    let asked = |object: &ClusterVersion| {
        let target = Target::requested(object)?;
        Some(Release { version: target.version, image: target.image, architecture: target.architecture })
    };
    let Some(target) = Target::requested(&after).filter(|_| asked(&before) != asked(&after)) else {
        return Answer::default();
    };
    let forces = target.force;
    let forced_before = before.spec.desired_update.is_some_and(|request| request.force);
    let overridden = after.unmanaged_overrides().next().is_some();
    let published = after.condition("Upgradeable").is_some_and(|it| it.status == ConditionStatus::False);
    let judgement = judge(after, target);
    let kind = judgement.update_type;
    let gated = match kind {
        UpdateType::Minor | UpdateType::Major => overridden || published,
        UpdateType::Unknown => overridden && !published,
        UpdateType::Patch | UpdateType::Rollback | UpdateType::Downgrade | UpdateType::Same => false,
    };
    let carried = forces && forced_before;
    let of_another_version = judgement.failed_step == Some(Step::VerifyPayloadVersion);
    let denied = carried || of_another_version || (gated && !forces);
    Answer {
        denied,
        warned_as_unknown: !denied && kind == UpdateType::Unknown && !forces,
        warned_as_patch: !denied && kind == UpdateType::Patch && overridden,
    }
}

fn judge(cluster_version: ClusterVersion, target: Target) -> TargetVerdict {
    let snapshot = Snapshot {
        now: jiff::Timestamp::UNIX_EPOCH,
        cluster_version,
        cluster_operators: Source::NotServed,
        admin_gates: Source::NotGiven,
        admin_acks: Source::NotGiven,
        authority: Authority::Shared,
        targets: vec![target],
    };
    evaluate(&snapshot).targets.swap_remove(0)
}

/// Edits of objects with every field absent, null, empty or odd.
pub fn edits() -> impl Strategy<Value = Edit> {
    (objects(), changes()).prop_map(|(before, change)| Edit { after: change.of(&before), before })
}

/// A change of request and overrides.
#[derive(Clone, Debug)]
pub struct Change {
    request: Option<Value>,
    overrides: Option<Value>,
    version: String,
    toggles_force: bool,
    sets_overrides: bool,
    how: u8,
}

/// Any change of request and overrides.
pub fn changes() -> impl Strategy<Value = Change> {
    (request(), overrides(), version(), any::<[bool; 2]>(), 0..8_u8).prop_map(
        |(request, overrides, version, [toggles_force, sets_overrides], how)| Change {
            request,
            overrides,
            version,
            toggles_force,
            sets_overrides,
            how,
        },
    )
}

impl Change {
    /// The object after this change.
    pub fn of(&self, before: &Value) -> Value {
        let mut after = before.clone();
        let spec = after["spec"].as_object_mut().expect("a spec");
        match (spec.get_mut("desiredUpdate"), self.how) {
            // As a merge patch, which keeps `force`.
            (Some(Value::Object(request)), 0 | 1) => put(request, "version", Some(json!(self.version))),
            (Some(Value::Object(request)), 2) => put(request, "mode", None),
            (Some(Value::Object(request)), 3) => put(request, "architecture", Some(json!("Multi"))),
            (Some(Value::Object(request)), 4) => toggle_force(request),
            _ => put(spec, "desiredUpdate", self.request.clone()),
        }
        if let (Some(Value::Object(request)), true) = (spec.get_mut("desiredUpdate"), self.toggles_force) {
            toggle_force(request);
        }
        if self.sets_overrides {
            put(spec, "overrides", self.overrides.clone());
        }
        after
    }
}

fn toggle_force(request: &mut Map<String, Value>) {
    let force = request.get("force") != Some(&json!(true));
    put(request, "force", Some(json!(force)));
}

fn put(object: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    object.remove(field);
    object.extend(value.map(|value| (field.to_owned(), value)));
}

/// An optional field: absent, null or present.
fn field<T: Into<Value> + Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 14 => value.prop_map(|value| Some(value.into()))]
}

fn fields<const N: usize>(names: [&'static str; N], values: [Option<Value>; N]) -> Value {
    names.into_iter().zip(values).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Spec and status, of which any part may be missing.
pub fn objects() -> impl Strategy<Value = Value> {
    (request(), overrides(), field(status())).prop_map(|(request, overrides, status)| {
        let spec = fields(["desiredUpdate", "overrides"], [request, overrides]);
        fields(["spec", "status"], [Some(spec), status])
    })
}

fn request() -> impl Strategy<Value = Option<Value>> {
    let architecture = select(vec!["", "Multi"]);
    let mode =
        prop_oneof![4 => Just(None), 1 => select(vec![json!(null), json!(""), json!("Preflight")]).prop_map(Some)];
    let values = (field(version()), field(image()), field(any::<bool>()), field(architecture), mode);
    field(values.prop_map(|(version, image, force, architecture, mode)| {
        fields(["version", "image", "force", "architecture", "mode"], [version, image, force, architecture, mode])
    }))
}

fn overrides() -> impl Strategy<Value = Option<Value>> {
    let entry = (field(any::<bool>()), any::<u8>()).prop_map(|(unmanaged, name)| {
        let name = |kind: &str| Some(json!(format!("{kind}{name}")));
        fields(
            ["unmanaged", "kind", "group", "namespace", "name"],
            [unmanaged, name("K"), name("g"), Some(json!("")), name("n")],
        )
    });
    field(prop::collection::vec(entry, 0..7))
}

fn status() -> impl Strategy<Value = Value> {
    let release = || {
        (field(version()), field(image())).prop_map(|(version, image)| fields(["version", "image"], [version, image]))
    };
    let list = || prop::collection::vec(release(), 0..4);
    let conditional = prop::collection::vec(field(release()).prop_map(|release| fields(["release"], [release])), 0..4);
    let desired =
        (field(current()), field(image())).prop_map(|(version, image)| fields(["version", "image"], [version, image]));
    let history = prop::collection::vec(
        (release(), field(select(vec!["Completed", "Partial"]))).prop_map(|(mut entry, state)| {
            put(entry.as_object_mut().expect("an object"), "state", state);
            entry
        }),
        0..4,
    );
    (field(desired), field(list()), field(conditional), field(history), field(conditions())).prop_map(
        |(desired, available, conditional, history, conditions)| {
            fields(
                ["desired", "availableUpdates", "conditionalUpdates", "history", "conditions"],
                [desired, available, conditional, history, conditions],
            )
        },
    )
}

fn conditions() -> impl Strategy<Value = Vec<Value>> {
    let upgradeable = (field(select(vec!["True", "False", "Unknown", ""])), field(text()), field(text())).prop_map(
        |(status, reason, message)| {
            fields(["type", "status", "reason", "message"], [Some(json!("Upgradeable")), status, reason, message])
        },
    );
    let other = json!({"type": "UpgradeableX", "status": "False"});
    let odd = json!({"type": null, "status": null});
    (prop::option::of(upgradeable), any::<bool>()).prop_map(move |(upgradeable, others)| {
        let others = if others { vec![other.clone(), odd.clone()] } else { Vec::new() };
        others.into_iter().chain(upgradeable).collect()
    })
}

/// Messages of conditions, usual and hostile.
fn text() -> impl Strategy<Value = String> {
    let odd =
        ["", "AsExpected", "MultipleReasons", "two:\n* first\r\n* second\n", "a\u{0}b\u{7f}c\u{85}d\u{2028}e", "“”"];
    prop_oneof![
        6 => select(odd.to_vec()).prop_map(str::to_owned),
        2 => (select(vec!["a", "字", "🙂", "\n"]), 1000..3000_usize).prop_map(|(unit, times)| unit.repeat(times)),
    ]
}

/// The current version, mostly 4.21.1.
fn current() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("4.21.1".to_owned()),
        1 => select(vec!["4.21.1-rc.2", "4.21.1+build.7", "4.18446744073709551615.0", "5.0.0"]).prop_map(str::to_owned),
        2 => neighbours(),
        1 => version(),
    ]
}

/// Versions around 4.21.1, and texts that resemble versions.
pub fn version() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(VERSIONS.to_vec()).prop_map(str::to_owned),
        2 => select(ODD_VERSIONS.to_vec()).prop_map(str::to_owned),
        2 => neighbours(),
        1 => Just(String::new()),
        2 => "[0-9]{1,2}\\.[0-9]{1,21}\\.[0-9]{1,2}(-[0-9a.-]{0,6})?(\\+[0-9A.-]{0,4})?",
        1 => (neighbours(), any::<Index>(), "[-+.0a-z é]").prop_map(|(version, at, odd)| {
            let at = at.index(version.len() + 1); // of bytes, as all of it is ASCII
            format!("{}{odd}{}", &version[..at], &version[at..])
        }),
    ]
}

/// Valid versions around 4.21.1 that differ in pre-release and build.
pub fn neighbours() -> impl Strategy<Value = String> {
    let prerelease = prop::collection::vec("0|2|10|a|a-|-|b1", 0..4).prop_map(|parts| parts.join("."));
    (select(vec!["4.21.1", "4.21.2", "4.22.0"]), prerelease, select(vec!["", "", "+1", "+b.01"])).prop_map(
        |(version, prerelease, build)| {
            let dash = if prerelease.is_empty() { "" } else { "-" };
            format!("{version}{dash}{prerelease}{build}")
        },
    )
}

const VERSIONS: [&str; 12] = [
    "4.21.1",
    "4.21.2",
    "4.21.10",
    "4.21.0",
    "4.20.9",
    "4.22.0",
    "4.23.1",
    "5.0.0",
    "4.22.0-rc.1",
    "4.21.1-rc.10",
    "4.21.2-0.nightly-2026-01-01-000000",
    "4.21.1+other",
];

const ODD_VERSIONS: [&str; 34] = [
    "5.21.1",
    "3.22.0",
    "10.0.0",
    "4.100.0",
    "4.22.0+a-01",
    "4.22.0-a+b.01",
    "4.22.0+a-b.01",
    "4",
    "4.22",
    "4.2",
    "4.22.",
    "4.22.0.0",
    "v4.22.0",
    " 4.22.0",
    "4.22.0\n",
    "4.22.0 ",
    "4.022.0",
    "04.22.0",
    "4.22.00",
    "4.22.0-",
    "4.22.0+",
    "4.22.0-a..b",
    "4.22.0-01",
    "4.22.0-01a",
    "4.22.0+01",
    "4.22.0-0",
    "4.22.0-a.00",
    "4.-22.0",
    "4.18446744073709551615.0",
    "4.18446744073709551616.0",
    "4.99999999999999999999.0",
    "18446744073709551615.0.0",
    "4.100000000000000000000.0",
    "４.22.0",
];

/// Images: one digest in several forms, tags, and texts that resemble digests.
fn image() -> impl Strategy<Value = String> {
    let images = [
        "",
        "r.example/a@sha256:aa",
        "mirror.example:5000/b/c@sha256:aa",
        "mirror.example/b@SHA256:AA",
        "@sha256:aa",
        "r.example/a:4.22@sha256:aa",
        "r.example/a@sha256:bb",
        "r.example/a@sha256:0aa",
        "r.example/a:4.22",
        "R.example/a:4.22",
        "a@b@sha256:aa",
        "r.example/a@sha256:",
        "mirror/b@sha256:",
        "r.example/a@:aa",
        "mirror/b@:aa",
        "r.example/a@sha256:aa:bb",
        "r.example/a@",
        "é@sha256:ÉÉ",
        "é@sha256:éé",
        "r.example/a@\n:aa",
    ];
    prop_oneof![
        3 => select(images[..7].to_vec()).prop_map(str::to_owned),
        1 => select(images.to_vec()).prop_map(str::to_owned),
    ]
}
