//! Each condition of the bridge on the API server. No CVO runs: the test writes its conditions, also hostile ones. Each case
//! differs from a forced one in one point.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use upgrade_gate::api::ClusterVersion;
use upgrade_gate::gate::{Authority, Snapshot, Source, Target};
use upgrade_gate::plan::{
    bridge::{ClusterChecks, ForcePatch, candidate, confirm},
    record_wait::RecordWait,
    role::CvoLease,
};

use crate::support::{
    self, Cluster, Loosen, Operator, Options, condition, cvo, eventually,
    fixtures::{self, OVERRIDES_ITEM},
};

const ROLLBACK: &str = "Precondition \"ClusterVersionRollback\" failed because of \"LowDesiredVersion\": some text";
const SEVERAL: &str = "Precondition \"ClusterVersionUpgradeable\" failed because of \"MultipleReasons\": some text";
const RECOMMENDED: &str = "Precondition \"ClusterVersionRecommendedUpdate\" failed because of \"SomeIssue\": some text";

/// A cluster on which a CVO refuses 4.21.2 for overrides alone.
pub fn refused() -> Value {
    let mut cluster = fixtures::cluster_with_override();
    cluster["spec"]["desiredUpdate"] =
        json!({"architecture": "", "version": "4.21.2", "image": fixtures::image("4.21.2"), "force": false});
    cluster["status"]["conditions"].as_array_mut().unwrap().extend([
        fixtures::condition("Upgradeable", "False", "ClusterVersionOverridesSet", "no"),
        fixtures::refusal("4.21.2", &fixtures::image("4.21.2"), &[OVERRIDES_ITEM]),
    ]);
    cluster
}

fn set_condition(status: &mut Value, wanted: Value) {
    let conditions = status["conditions"].as_array_mut().unwrap();
    conditions.retain(|condition| condition["type"] != wanted["type"]);
    conditions.push(wanted);
}

/// An operator on a cluster with the CVO's conditions written by the test.
struct Stage<'a> {
    cluster: &'a Cluster,
    operator: &'a Operator,
    overrides: Value,
    shown: usize,
}

impl Stage<'_> {
    /// Gives the operator [`refused`] with these changes, and waits until it has read that. A veto of no other meaning
    /// shows which version of the object it has read.
    ///
    /// The operator reads the policy and the Lease directly, and the ClusterVersion from its cache. So before a test restores
    /// one of those two, it has to show a ClusterVersion without a request: else the operator tries to force the request
    /// that its cache still has, which the API server rejects, and which counts as a write.
    async fn show(&mut self, request: Value, change: impl Fn(&mut Value)) {
        self.shown += 1;
        // The policy allows a minor as long as there is no override.
        self.cluster.put_status(cvo::MANAGER, |status| *status = fixtures::cluster()["status"].clone()).await;
        self.cluster.patch(json!({"spec": {"desiredUpdate": null, "overrides": []}})).await;
        self.cluster.patch(json!({"spec": {"desiredUpdate": request}})).await;
        self.cluster.set_overrides(self.overrides.clone()).await;
        let seen = format!("UpgradeableSeen{}", self.shown);
        self.cluster
            .put_status(cvo::MANAGER, |status| {
                *status = refused()["status"].clone();
                set_condition(status, fixtures::condition(&seen, "False", "Seen", ""));
                change(status);
            })
            .await;
        let series = format!("upgrade_gate_risk{{name=\"{seen}\"}}");
        eventually("the operator to look", async || self.operator.metric(&series).ok_or_else(|| self.operator.log()))
            .await;
    }

    /// The same, and waits until the bridge reports this skip reason; `None` if it reports none.
    async fn is_held_back(&mut self, case: &str, request: Value, change: impl Fn(&mut Value), reason: Option<&str>) {
        self.show(request.clone(), change).await;
        let series = reason.map(|reason| format!("upgrade_gate_bridge_refusal{{reason=\"{reason}\"}} 1"));
        eventually(&format!("{case}: {reason:?}"), async || {
            let seen = self.cluster.cluster_version().await["spec"]["desiredUpdate"].clone();
            assert!(seen["force"] == request["force"], "{case} was forced");
            let metrics = self.operator.metrics();
            let reported = match &series {
                Some(series) => metrics.contains(series),
                None => !metrics.contains("upgrade_gate_bridge_refusal{"),
            };
            if reported { Ok(()) } else { Err(metrics) }
        })
        .await;
    }
}

fn by_version(version: &str) -> Value {
    json!({"version": version, "image": "", "architecture": "", "force": false})
}

fn by_image(image: &str) -> Value {
    json!({"version": "", "image": image, "architecture": "", "force": false})
}

fn reports(version: &str, image: &str, items: &[&str]) -> impl Fn(&mut Value) + use<> {
    let condition = fixtures::refusal(version, image, items);
    move |status| set_condition(status, condition.clone())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "most of them are the rows of its table")]
async fn a_request_is_forced_only_if_every_condition_holds() {
    let cluster = support::cluster_as(cvo::MANAGER, fixtures::cluster_with_override()).await;
    let anything = "/properties/spec/properties/desiredUpdate";
    let loosened =
        cluster.loosen("clusterversions", &[Loosen::UnknownFields(anything), Loosen::Field(anything, "mode")]).await;
    cluster.install_policy().await;
    cvo::leave_lease(&cluster, Duration::from_secs(137), Duration::ZERO).await;
    let mut operator = Operator::start(&cluster, Options::mode("bridge")).await;
    operator.ready().await;
    let overrides = json!([fixtures::policy_override()]);
    let mut stage = Stage { cluster: &cluster, operator: &operator, overrides: overrides.clone(), shown: 0 };
    let image = fixtures::image("4.21.2");
    let two = json!({"version": "4.21.2", "image": image, "architecture": "", "force": false});
    let with = |field: &str, value: Value| {
        let mut request = two.clone();
        request[field] = value;
        request
    };
    let nothing = |_: &mut Value| {};

    // The request.
    let forced = with("force", json!(true));
    stage.is_held_back("forced by somebody else", forced, nothing, None).await;
    let multi = json!({"version": "4.21.2", "architecture": "Multi", "force": false});
    stage.is_held_back("an architecture", multi, nothing, Some("Architecture")).await;
    stage.is_held_back("preflight", with("mode", json!("Preflight")), nothing, Some("UnknownFields")).await;
    stage.is_held_back("an unknown field", with("later", json!(true)), nothing, Some("UnknownFields")).await;
    let tag = "registry.example.com/openshift/release:4.21.2";
    stage
        .is_held_back("a tag", by_image(tag), reports("4.21.2", tag, &[OVERRIDES_ITEM]), Some("MessageOfAnother"))
        .await;
    let upper = image.replace("342e32", "342E32");
    assert_ne!(upper, image);
    let reported = reports("4.21.2", &upper, &[OVERRIDES_ITEM]);
    stage.is_held_back("a digest in upper case", by_image(&upper), reported, Some("MessageOfAnother")).await;

    // The CVO's word.
    let invalid = |status: &mut Value| set_condition(status, fixtures::condition("Invalid", "True", "No", ""));
    stage.is_held_back("invalid", two.clone(), invalid, Some("Invalid")).await;
    for (status, reason) in [("True", "PayloadLoaded"), ("Unknown", "PreconditionChecks"), ("False", "RetrievePayload")]
    {
        let change = |seen: &mut Value| {
            let mut reported = fixtures::refusal("4.21.2", &fixtures::image("4.21.2"), &[OVERRIDES_ITEM]);
            (reported["status"], reported["reason"]) = (json!(status), json!(reason));
            set_condition(seen, reported);
        };
        stage.is_held_back(reason, two.clone(), change, None).await;
    }
    let other = fixtures::image("4.21.3");
    for (case, reported, reason) in [
        ("a message about the previous version", reports("4.21.3", &image, &[OVERRIDES_ITEM]), "MessageOfAnother"),
        ("a message about the previous image", reports("4.21.2", &other, &[OVERRIDES_ITEM]), "MessageOfAnother"),
        ("a message that names a tag", reports("4.21.2", tag, &[OVERRIDES_ITEM]), "MessageOfAnother"),
        ("no message", reports("4.21.2", &image, &[""]), "MessageUnreadable"),
        (
            "a broken item",
            reports("4.21.2", &image, &[OVERRIDES_ITEM, "Precondition \"A\" failed: B"]),
            "MessageUnreadable",
        ),
        ("another that blocks", reports("4.21.2", &image, &[OVERRIDES_ITEM, ROLLBACK]), "OtherPrecondition"),
        ("another that blocks, first", reports("4.21.2", &image, &[ROLLBACK, OVERRIDES_ITEM]), "OtherPrecondition"),
        ("more than overrides", reports("4.21.2", &image, &[SEVERAL]), "OtherPrecondition"),
        ("a recommendation alone", reports("4.21.2", &image, &[RECOMMENDED]), "OtherPrecondition"),
        (
            "a text that holds what looks like an item",
            reports("4.21.2", &image, &[OVERRIDES_ITEM, &format!("{RECOMMENDED}\n* {ROLLBACK}")]),
            "OtherPrecondition",
        ),
    ] {
        stage.is_held_back(case, two.clone(), reported, Some(reason)).await;
    }

    // The update.
    let three = fixtures::image("4.22.0");
    for (case, version) in
        [("a minor", "4.22.0"), ("a major", "5.0.0"), ("a downgrade", "4.20.9"), ("the same", "4.21.1")]
    {
        let reported = reports(version, &fixtures::image(version), &[OVERRIDES_ITEM]);
        stage.is_held_back(case, by_version(version), reported, Some("NotPatch")).await;
    }
    let no_graph = |status: &mut Value| {
        status["availableUpdates"] = Value::Null;
        set_condition(status, fixtures::refusal("4.22.0", &fixtures::image("4.22.0"), &[OVERRIDES_ITEM]));
    };
    stage.is_held_back("a minor by its image, without a graph", by_image(&three), no_graph, Some("NotPatch")).await;
    let reported = reports("4.21.2", &three, &[OVERRIDES_ITEM]);
    stage.is_held_back("an image known as a minor", by_image(&three), reported, Some("NotPatch")).await;
    let known = |status: &mut Value| {
        status["availableUpdates"] = json!([{"version": "4.21.9", "image": fixtures::image("4.21.2")}]);
    };
    stage.is_held_back("an image known as another patch", two.clone(), known, Some("Blocked")).await;

    // The cluster.
    let unfinished = |status: &mut Value| {
        let mut front = fixtures::completed("4.21.1");
        (front["state"], front["completionTime"]) = (json!("Partial"), Value::Null);
        status["history"] = json!([front, fixtures::completed("4.20.9")]);
    };
    stage.is_held_back("an unfinished minor", two.clone(), unfinished, Some("Unfinished")).await;
    stage.overrides = json!([]);
    stage.is_held_back("without overrides", two.clone(), nothing, None).await;
    stage.overrides = overrides;
    cluster.remove_policy().await;
    stage.is_held_back("without the policy", two.clone(), nothing, Some("NoPolicy")).await;
    stage.show(Value::Null, nothing).await;
    cluster.install_policy().await;
    cvo::leave_lease(&cluster, Duration::from_secs(1), Duration::from_secs(10)).await;
    stage.is_held_back("without a CVO that runs", two.clone(), nothing, Some("NoCvo")).await;
    let leases: kube::Api<k8s_openapi::api::coordination::v1::Lease> =
        kube::Api::namespaced(cluster.client.clone(), cvo::NAMESPACE);
    leases.delete("version", &kube::api::DeleteParams::default()).await.expect("delete the Lease");
    stage.is_held_back("without a CVO's Lease", two.clone(), nothing, Some("NoCvo")).await;
    stage.show(Value::Null, nothing).await;
    cvo::leave_lease(&cluster, Duration::from_secs(137), Duration::ZERO).await;

    // A last request that is refused, so that what came before it is done with; then the one that is forced.
    stage.show(by_version("4.22.0"), reports("4.22.0", &three, &[OVERRIDES_ITEM])).await;
    let writes = cluster.operator_writes().await;
    assert!(writes.is_empty(), "{writes:#?}");
    stage.show(two.clone(), nothing).await;
    let seen = cluster.wait_for("force", |cv| cv["spec"]["desiredUpdate"]["force"] == true).await;
    assert_eq!(seen["spec"]["desiredUpdate"], with("force", json!(true)));
    cluster.wait_until_operator_is_idle().await;
    assert_eq!(cluster.operator_writes().await.len(), 1);
    loosened.restore().await;
}

#[tokio::test]
async fn a_force_is_set_once_for_each_generation() {
    let cluster = support::cluster_as(cvo::MANAGER, refused()).await;
    cluster.install_policy().await;
    cvo::leave_lease(&cluster, Duration::from_secs(137), Duration::ZERO).await;
    let _operator = Operator::start(&cluster, Options::mode("bridge")).await;
    // A CVO that does not react: its refusal stays, and the force stays without further writes.
    let forced = |cv: &Value| cv["spec"]["desiredUpdate"]["force"] == true;
    cluster.wait_for("force", forced).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), 1);
    // Asked for again, without it.
    cluster.request("4.21.2", &fixtures::image("4.21.2")).await;
    cluster.wait_for("force", forced).await;
    cluster.wait_until_operator_is_idle().await;
    cluster.assert_operator_writes_nothing_for(Duration::from_secs(1)).await;
    assert_eq!(cluster.operator_writes().await.len(), 2);
}

#[tokio::test]
async fn a_write_based_on_a_stale_read_is_rejected() {
    let cluster = support::cluster_as(cvo::MANAGER, refused()).await;
    let client = cluster.control_plane.operator_client().await;
    let api: kube::Api<kube::api::DynamicObject> =
        kube::Api::all_with(client, &upgrade_gate::controller::cluster_versions());
    let write = async |force_patch: ForcePatch| {
        let patch = Patch::<()>::Json(force_patch.patch());
        match api.patch("version", &PatchParams::default(), &patch).await {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(error) => panic!("{error}"),
        }
    };
    let read = async || {
        let cluster_version = ClusterVersion::from_value(cluster.cluster_version().await).unwrap();
        let snapshot = Snapshot {
            now: jiff::Timestamp::now(),
            targets: Target::requested(&cluster_version).into_iter().collect(),
            cluster_version,
            cluster_operators: Source::Read(Vec::new()),
            admin_gates: Source::Read(Some([].into())),
            admin_acks: Source::Read(Some([].into())),
            authority: Authority::Shared,
        };
        let checks = ClusterChecks {
            policy_installed: true,
            cvo: CvoLease::Fresh,
            record: RecordWait::Settled,
            record_missing_for: Duration::ZERO,
        };
        confirm(candidate(&snapshot).unwrap(), &checks).unwrap()
    };
    let two = json!({"version": "4.21.2", "image": fixtures::image("4.21.2"), "force": false});
    for (field, value) in [
        ("version", json!("4.22.0")),
        ("image", json!(fixtures::image("4.22.0"))),
        ("force", json!(true)),
        ("architecture", json!(null)),
    ] {
        cluster.patch(json!({"spec": {"desiredUpdate": two}})).await;
        let force_patch = read().await;
        let before = cluster.patch(json!({"spec": {"desiredUpdate": {field: value}}})).await;
        let code = write(force_patch).await;
        if before["spec"]["desiredUpdate"][field] != two[field] {
            assert!(code == 409 || code == 422, "{field}: {code}");
            assert_eq!(cluster.cluster_version().await["spec"], before["spec"]);
        }
        cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    }
    // The CVO may have changed its mind.
    cluster.patch(json!({"spec": {"desiredUpdate": two}})).await;
    let force_patch = read().await;
    cluster.put_status(cvo::MANAGER, |status| status["versionHash"] = json!("other")).await;
    assert_eq!(write(force_patch).await, 409);
    // And with nothing in between.
    assert_eq!(write(read().await).await, 200);
    assert!(condition(&cluster.cluster_version().await, "ReleaseAccepted")["status"] == "False");
}
