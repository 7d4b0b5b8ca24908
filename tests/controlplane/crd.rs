//! Our ClusterVersion and OpenShift's are interchangeable. `UPGRADE_GATE_CRDS=ours` runs all of this binary on ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{self, ControlPlane};

#[test]
fn the_schema_equals_openshift_s_except_for_listed_differences() {
    let folder = PathBuf::from(support::provide(&["crds"]).unwrap());
    let theirs = leaves(&folder.join("0000_00_cluster-version-operator_01_clusterversions-Default.crd.yaml"));
    let ours = leaves(&support::repository("crds/clusterversion/clusterversion.crd.yaml"));

    let schema = "/versions/0/schema/openAPIV3Schema/properties";
    let added = format!("{schema}/spec/properties/desiredUpdate/properties");
    assert_eq!(
        Vec::from_iter(&theirs - &ours),
        [
            r#"/names/listKind="ClusterVersionList""#.to_owned(), // the default
            format!(r#"{schema}/apiVersion/type="string""#),      // implied
            format!(r#"{schema}/kind/type="string""#),
            format!(r#"{schema}/metadata/type="object""#),
        ]
    );
    assert_eq!(
        Vec::from_iter(&ours - &theirs),
        [
            format!("{added}/acceptRisks/items/properties/name/maxLength=256"),
            format!("{added}/acceptRisks/items/properties/name/minLength=1"),
            format!(r#"{added}/acceptRisks/items/properties/name/type="string""#),
            format!(r#"{added}/acceptRisks/items/required/0="name""#),
            format!(r#"{added}/acceptRisks/items/type="object""#),
            format!("{added}/acceptRisks/maxItems=1000"),
            format!("{added}/acceptRisks/minItems=1"),
            format!(r#"{added}/acceptRisks/type="array""#),
            format!(r#"{added}/acceptRisks/x-kubernetes-list-map-keys/0="name""#),
            format!(r#"{added}/acceptRisks/x-kubernetes-list-type="map""#),
            format!(r#"{added}/mode/enum/0="Preflight""#),
            format!(r#"{added}/mode/type="string""#),
        ]
    );
}

/// Every leaf of a CRD's spec as a line, without descriptions. Validation rules are left out, since ours are written
/// differently: the cases below show that they are equivalent.
fn leaves(file: &Path) -> BTreeSet<String> {
    let crd: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut leaves = BTreeSet::new();
    let mut rest = vec![(String::new(), crd["spec"].clone())];
    while let Some((path, value)) = rest.pop() {
        match value {
            Value::Object(fields) => {
                let of_the_schema = fields.into_iter().filter(|(name, value)| {
                    name != "x-kubernetes-validations" && !(name == "description" && value.is_string())
                });
                rest.extend(of_the_schema.map(|(name, value)| (format!("{path}/{name}"), value)));
            }
            Value::Array(items) => {
                rest.extend(items.into_iter().enumerate().map(|(n, value)| (format!("{path}/{n}"), value)));
            }
            // One generator writes 0.0 where another writes 0.
            Value::Number(number) => _ = leaves.insert(format!("{path}={}", number.as_f64().unwrap())),
            leaf => _ = leaves.insert(format!("{path}={leaf}")),
        }
    }
    leaves
}

#[rstest]
#[case::nothing(json!({}), Ok(()))]
#[case::by_version(json!({"version": "4.21.2"}), Ok(()))]
#[case::by_image(json!({"image": "example.com/release@sha256:abc"}), Ok(()))]
#[case::as_oc_writes_it(json!({"architecture": "", "version": "4.21.2", "image": "x", "force": false}), Ok(()))]
#[case::multi(json!({"architecture": "Multi", "version": "4.21.2"}), Ok(()))]
#[case::multi_without_version(json!({"architecture": "Multi"}), Err("spec.desiredUpdate"))]
#[case::multi_with_empty_version(json!({"architecture": "Multi", "version": ""}), Err("spec.desiredUpdate"))]
#[case::multi_with_image(json!({"architecture": "Multi", "version": "4.21.2", "image": "x"}), Err("spec.desiredUpdate"))]
#[case::multi_with_empty_image(json!({"architecture": "Multi", "version": "4.21.2", "image": ""}), Ok(()))]
#[case::unknown_architecture(json!({"architecture": "arm64", "version": "4.21.2"}), Err("spec.desiredUpdate.architecture"))]
#[case::accepted_risks(json!({"version": "4.21.2", "acceptRisks": [{"name": "SomethingKnown"}]}), Ok(()))]
#[case::preflight(json!({"version": "4.22.0", "mode": "Preflight"}), Ok(()))]
#[case::force_is_no_word(json!({"version": "4.21.2", "force": "true"}), Err("spec.desiredUpdate.force"))]
#[tokio::test]
async fn a_request_is_admitted(#[case] update: Value, #[case] expected: Result<(), &str>) {
    admitted(json!({"clusterID": "some-id", "desiredUpdate": update}), expected).await;
}

#[rstest]
#[case::none(json!({}), Ok(()))]
#[case::without_marketplace(json!({"additionalEnabledCapabilities": ["Build"]}), Ok(()))]
#[case::marketplace_alone(json!({"baselineCapabilitySet": "None", "additionalEnabledCapabilities": ["marketplace"]}),
    Err("OperatorLifecycleManager"))]
#[case::marketplace_with_olm(json!({"baselineCapabilitySet": "None",
    "additionalEnabledCapabilities": ["marketplace", "OperatorLifecycleManager"]}), Ok(()))]
#[case::marketplace_on_a_set(json!({"baselineCapabilitySet": "vCurrent",
    "additionalEnabledCapabilities": ["marketplace"]}), Ok(()))]
#[case::marketplace_on_an_unsaid_set(json!({"additionalEnabledCapabilities": ["marketplace",
    "OperatorLifecycleManager"]}), Err("baselineCapabilitySet"))]
#[case::an_unknown_one(json!({"additionalEnabledCapabilities": ["Teleport"]}), Err("Teleport"))]
#[tokio::test]
async fn a_choice_of_capabilities_is_admitted(#[case] capabilities: Value, #[case] expected: Result<(), &str>) {
    admitted(json!({"clusterID": "some-id", "capabilities": capabilities}), expected).await;
}

#[rstest]
#[case::no_id(json!({}), Err("clusterID"))]
#[case::half_an_override(json!({"clusterID": "some-id", "overrides": [{"kind": "Deployment", "name": "x"}]}),
    Err("spec.overrides[0].unmanaged"))]
#[case::an_override_twice(json!({"clusterID": "some-id", "overrides": [
    {"kind": "K", "group": "", "namespace": "", "name": "x", "unmanaged": true},
    {"kind": "K", "group": "", "namespace": "", "name": "x", "unmanaged": false}]}), Err("Duplicate value"))]
#[case::nulls(json!({"clusterID": "some-id", "channel": null, "overrides": null, "desiredUpdate": null}), Ok(()))]
#[tokio::test]
async fn a_spec_is_admitted(#[case] spec: Value, #[case] expected: Result<(), &str>) {
    admitted(spec, expected).await;
}

/// Asks the API server whether it would take a ClusterVersion with this spec; if not, its message holds `expected`.
async fn admitted(spec: Value, expected: Result<(), &str>) {
    let client = ControlPlane::get().client().await;
    let kind = GroupVersionKind::gvk("config.openshift.io", "v1", "ClusterVersion");
    let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    let object = json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion",
        "metadata": {"name": "of-a-test"}, "spec": spec});
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match (api.create(&dry_run, &serde_json::from_value(object).unwrap()).await, expected) {
        (Ok(_), Ok(())) => {}
        (Err(kube::Error::Api(status)), Err(part)) if status.code == 422 && status.message.contains(part) => {}
        (outcome, expected) => panic!("expected {expected:?}, got {outcome:?}"),
    }
}
