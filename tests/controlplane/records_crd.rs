//! The CRD of UpdateRecord: what is admitted, that it never changes, and how it reads.

use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use upgrade_gate::api::UpdateRecord;

use crate::support::{self, Cluster, ControlPlane, fixtures};

fn record(name: &str) -> Value {
    json!({
        "apiVersion": "upgrade-gate.openshift.io/v1alpha1",
        "kind": "UpdateRecord",
        "metadata": {"name": name},
        "spec": {
            "from": "4.21.1",
            "to": "4.21.2",
            "type": "patch",
            "image": fixtures::image("4.21.2"),
            "overrides": [{"group": "config.openshift.io", "kind": "ClusterImagePolicy", "namespace": "",
                "name": "openshift"}],
            "acceptedRisks": "Precondition \"ClusterVersionUpgradeable\" warned: overrides are set.",
            "by": "Bridge",
            "acceptedTime": fixtures::LONG_AGO,
        },
    })
}

/// This test's turn, without records; no operator runs that would follow them up.
async fn turn() -> (Cluster, Api<UpdateRecord>) {
    let cluster = support::cluster(fixtures::cluster()).await;
    let api = Api::<UpdateRecord>::all(cluster.client.clone());
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    (cluster, api)
}

async fn create(api: &Api<UpdateRecord>, record: Value) -> Result<UpdateRecord, kube::Error> {
    api.create(&PostParams::default(), &serde_json::from_value(record).unwrap()).await
}

fn refused(result: Result<UpdateRecord, kube::Error>, part: &str) {
    match result {
        Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains(part) => {}
        outcome => panic!("expected a refusal that says {part:?}, got {outcome:?}"),
    }
}

#[tokio::test]
async fn the_printer_columns_are_the_expected_ones() {
    let (cluster, api) = turn().await;
    create(&api, record("4.21.2-of-a-test")).await.unwrap();
    let table = |args: &[&str]| -> Vec<Vec<String>> {
        let text = cluster.control_plane.kubectl(args);
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let shown = table(&["get", "updaterecords"]);
    assert_eq!(shown[0], ["NAME", "VERSION", "FROM", "TYPE", "BY", "VERIFIED", "COMPLETED", "AGE"]);
    assert_eq!(shown[1][..5], ["4.21.2-of-a-test", "4.21.2", "4.21.1", "patch", "Bridge"]);

    let status = json!({"status": {"outcome": "Completed", "verified": true, "inHistory": false,
        "startedTime": fixtures::LONG_AGO, "completedTime": fixtures::LONG_AGO}});
    api.patch_status("4.21.2-of-a-test", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let shown = table(&["get", "urec", "--output=wide"]);
    assert_eq!(shown[0][5..], ["VERIFIED", "COMPLETED", "AGE", "OUTCOME", "IMAGE"]);
    assert_eq!(shown[1][5], "true");
    assert!(shown[1][6].ends_with(['d', 'h', 'y']), "how long ago: {}", shown[1][6]);
    assert_eq!(shown[1][8..], ["Completed", &fixtures::image("4.21.2")]);
}

#[rstest]
#[case::version(json!({"to": "4.22.0"}))]
#[case::text(json!({"acceptedRisks": ""}))]
#[case::overrides(json!({"overrides": []}))]
#[case::author(json!({"by": "Gate"}))]
#[case::time(json!({"acceptedTime": "2026-01-01T00:00:01Z"}))]
#[tokio::test]
async fn the_spec_of_a_record_is_immutable(#[case] change: Value) {
    let (_cluster, api) = turn().await;
    let written = create(&api, record("of-a-test")).await.unwrap();
    let patched = api.patch("of-a-test", &PatchParams::default(), &Patch::Merge(json!({"spec": change.clone()}))).await;
    refused(patched, "a record does not change");

    let mut replaced = serde_json::to_value(&written).unwrap();
    for (field, value) in change.as_object().unwrap() {
        replaced["spec"][field] = value.clone();
    }
    let replaced = serde_json::from_value(replaced).unwrap();
    refused(api.replace("of-a-test", &PostParams::default(), &replaced).await, "a record does not change");

    // As a user who may write only the status.
    let status = json!({"spec": change, "status": {"outcome": "Abandoned"}});
    let followed = api.patch_status("of-a-test", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!(followed.spec, written.spec);
    let kept = serde_json::to_value(followed.status).unwrap();
    assert_eq!(kept, json!({"outcome": "Abandoned"}));
}

#[tokio::test]
async fn a_record_may_be_labelled_and_created_without_an_outcome() {
    let (_cluster, api) = turn().await;
    let mut early = record("of-a-test");
    early["status"] = json!({"outcome": "Completed", "verified": true});
    let written = create(&api, early).await.unwrap();
    assert_eq!(written.status, None, "the status is a subresource");

    let label = json!({"metadata": {"labels": {"audited": "yes"}}});
    let labelled = api.patch("of-a-test", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    assert_eq!(labelled.spec, written.spec);
    assert_eq!(labelled.metadata.labels.unwrap()["audited"], "yes");
}

#[rstest]
#[case::as_it_is(json!({}), Ok(()))]
#[case::by_image_alone(json!({"to": "", "from": "", "type": "unknown"}), Ok(()))]
#[case::without_overrides(json!({"overrides": []}), Ok(()))]
#[case::half_an_override(json!({"overrides": [{"kind": "Deployment"}]}), Ok(()))]
#[case::nothing_accepted(json!({"acceptedRisks": ""}), Ok(()))]
#[case::no_text(json!({"acceptedRisks": null}), Err("spec.acceptedRisks: Required value"))]
#[case::no_overrides(json!({"overrides": null}), Err("spec.overrides: Required value"))]
#[case::odd_type(json!({"type": "z-stream"}), Err("spec.type: Unsupported value"))]
#[case::odd_author(json!({"by": "Somebody"}), Err("spec.by: Unsupported value"))]
#[case::odd_time(json!({"acceptedTime": "yesterday"}), Err("spec.acceptedTime"))]
#[case::long_version(json!({"to": "4".repeat(257)}), Err("spec.to: Too long"))]
#[case::long_former_version(json!({"from": "4".repeat(257)}), Err("spec.from: Too long"))]
#[case::long_image(json!({"image": "x".repeat(1025)}), Err("spec.image: Too long"))]
#[case::long_text(json!({"acceptedRisks": "x".repeat(65537)}), Err("spec.acceptedRisks: Too long"))]
#[case::many_overrides(json!({"overrides": vec![json!({}); 129]}), Err("spec.overrides: Too many"))]
#[case::long_override(json!({"overrides": [{"name": "x".repeat(513)}]}), Err("spec.overrides[0].name: Too long"))]
#[tokio::test]
async fn a_record_is_admitted(#[case] change: Value, #[case] expected: Result<(), &str>) {
    let mut record = record("of-a-test");
    for (field, value) in change.as_object().unwrap() {
        record["spec"][field] = value.clone();
    }
    let (cluster, _) = turn().await;
    let request = http::Request::post("/apis/upgrade-gate.openshift.io/v1alpha1/updaterecords?dryRun=All")
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&record).unwrap())
        .unwrap();
    match (cluster.client.request::<UpdateRecord>(request).await, expected) {
        (Ok(_), Ok(())) => {}
        (outcome, Err(part)) => refused(outcome, part),
        (outcome, Ok(())) => panic!("{outcome:?}"),
    }
}

#[rstest]
#[case::odd_outcome(json!({"outcome": "Lost"}), "status.outcome: Unsupported value")]
#[case::odd_time(json!({"completedTime": "soon"}), "status.completedTime")]
#[case::odd_verified(json!({"verified": "yes"}), "status.verified")]
#[tokio::test]
async fn a_status_at_creation_is_rejected(#[case] status: Value, #[case] part: &str) {
    let (_cluster, api) = turn().await;
    create(&api, record("of-a-test")).await.unwrap();
    let patch = Patch::Merge(json!({"status": status}));
    refused(api.patch_status("of-a-test", &PatchParams::default(), &patch).await, part);
}

#[tokio::test]
async fn the_longest_record_is_admitted_and_compared_within_the_budget() {
    let (_cluster, api) = turn().await;
    let long = |limit: usize| "ä".repeat(limit);
    let entry = json!({"group": long(512), "kind": long(512), "namespace": long(512), "name": long(512)});
    let mut longest = record("of-a-test");
    longest["spec"]["overrides"] = json!(vec![entry; 128]);
    longest["spec"]["acceptedRisks"] = json!(long(65536));
    for (field, limit) in [("from", 256), ("to", 256), ("image", 1024)] {
        longest["spec"][field] = json!(long(limit));
    }
    create(&api, longest).await.unwrap();
    let label = json!({"metadata": {"labels": {"audited": "yes"}}});
    api.patch("of-a-test", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    let change = json!({"spec": {"image": long(1023)}});
    let changed = api.patch("of-a-test", &PatchParams::default(), &Patch::Merge(change)).await;
    refused(changed, "a record does not change; a later update has its own record");
}

#[test]
fn the_crd_is_structural_and_every_field_has_a_description() {
    let control_plane = ControlPlane::get();
    let crd = control_plane.kubectl(&["get", "crd", "updaterecords.upgrade-gate.openshift.io", "--output=json"]);
    let crd: Value = serde_json::from_str(&crd).unwrap();
    let bad = |condition: &&Value| condition["type"] == "NonStructuralSchema" || condition["status"] == "False";
    assert_eq!(crd["status"]["conditions"].as_array().unwrap().iter().find(bad), None);

    for part in ["updaterecords", "updaterecords.spec", "updaterecords.spec.overrides", "updaterecords.status"] {
        let explained = control_plane.kubectl(&["explain", part]);
        assert!(!explained.contains("<no description>"), "{part}: {explained}");
        assert!(!explained.contains('`'), "kubectl knows no Markdown: {explained}");
    }
}

#[tokio::test]
async fn kubectl_describe_shows_the_record_as_expected() {
    let (cluster, api) = turn().await;
    create(&api, record("of-a-test")).await.unwrap();
    let described = cluster.control_plane.kubectl(&["describe", "updaterecord", "of-a-test"]);
    let spec: Vec<&str> = described.lines().skip_while(|line| *line != "Spec:").collect();
    let image = format!("  Image:  {}", fixtures::image("4.21.2"));
    assert_eq!(
        spec,
        [
            "Spec:",
            "  Accepted Risks:  Precondition \"ClusterVersionUpgradeable\" warned: overrides are set.",
            "  Accepted Time:   2026-01-01T00:00:00Z",
            "  By:              Bridge",
            "  From:            4.21.1",
            &image.replace("Image:  ", "Image:           "),
            "  Overrides:",
            "    Group:      config.openshift.io",
            "    Kind:       ClusterImagePolicy",
            "    Name:       openshift",
            "    Namespace:  ",
            "  To:           4.21.2",
            "  Type:         patch",
            "Events:         <none>",
        ]
    );
}
