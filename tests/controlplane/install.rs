//! The files of a release: each installs in one apply on a cluster that has never seen upgrade-gate, what it installs is
//! what kustomize gives for `deploy/`, and every image in it is listed with its digest.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{self, ControlPlane};

const IMAGE: &str = "registry.example.com:5000/platform/upgrade-gate@sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn kubectl() -> PathBuf {
    Path::new(&support::provide(&[]).unwrap()).join("kubectl")
}

/// Runs `hack/dist manifests` with that image.
fn make_manifests(dist: &Path, image: &str) -> Output {
    let mut command = Command::new(support::repository("hack/dist"));
    command.args(["manifests", image]).env("DIST", dist).env("KUBECTL", kubectl()).output().unwrap()
}

/// A folder with the files that `hack/dist manifests` writes.
fn manifests() -> tempfile::TempDir {
    let dist = tempfile::tempdir().unwrap();
    let output = make_manifests(dist.path(), IMAGE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dist
}

/// The objects of a file, in its order.
fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

fn read(dist: &tempfile::TempDir, file: &str) -> String {
    std::fs::read_to_string(dist.path().join(file)).unwrap()
}

/// The file that installs an overlay.
fn install_file(overlay: &str) -> String {
    format!("install-{overlay}.yaml")
}

#[rstest]
#[case("openshift")]
#[case("kubernetes")]
fn an_install_file_is_kustomizes_output_with_the_image_by_digest(#[case] overlay: &str) {
    let folder = support::repository("deploy/overlays").join(overlay);
    let output = Command::new(kubectl()).arg("kustomize").arg(folder).output().unwrap();
    let mut expected = objects(&String::from_utf8(output.stdout).unwrap());
    let mut named = 0;
    for object in expected.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(IMAGE);
        named += 1;
    }
    assert_eq!(named, 1);

    let actual = objects(&read(&manifests(), &install_file(overlay)));
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(&expected) {
        assert_eq!(actual, expected);
    }
}

#[rstest]
#[case("openshift")]
#[case("kubernetes")]
fn one_apply_of_an_install_file_installs_all_of_it(#[case] overlay: &str) {
    let control_plane = ControlPlane::bare().unwrap();
    if overlay == "openshift" {
        for namespace in ["openshift-config", "openshift-config-managed", "openshift-cluster-version"] {
            control_plane.kubectl(&["create", "namespace", namespace]);
        }
        let monitoring = support::repository("tests/controlplane/monitoring.crd.yaml");
        control_plane.kubectl(&["apply", "--server-side", "-f", &monitoring.to_string_lossy()]);
        control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    }
    let dist = manifests();
    let file = dist.path().join(install_file(overlay)).to_string_lossy().into_owned();
    control_plane.kubectl(&["apply", "--server-side", "-f", &file]);

    let live: Value = serde_json::from_str(&control_plane.kubectl(&["get", "-f", &file, "--output=json"])).unwrap();
    let live = live["items"].as_array().unwrap();
    let expected = objects(&read(&dist, &install_file(overlay)));
    assert_eq!(live.len(), expected.len());
    for (live, expected) in live.iter().zip(&expected) {
        let name = format!("{} {}", expected["kind"], expected["metadata"]["name"]);
        assert_eq!(missing(live, expected, &name), None, "not as in the file: {live:#}");
    }
    control_plane.kubectl(&["diff", "--server-side", "-f", &file]); // fails if another apply would change something
}

/// The path of the first value of `expected` that `live` lacks or has otherwise. The API server only adds defaults.
fn missing(live: &Value, expected: &Value, path: &str) -> Option<String> {
    match (live, expected) {
        (Value::Object(live), Value::Object(expected)) => expected.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            live.get(key).map_or_else(|| Some(path.clone()), |live| missing(live, value, &path))
        }),
        (Value::Array(live), Value::Array(expected)) if live.len() == expected.len() => live
            .iter()
            .zip(expected)
            .enumerate()
            .find_map(|(at, (live, expected))| missing(live, expected, &format!("{path}[{at}]"))),
        _ => (live != expected).then(|| path.to_owned()),
    }
}

#[test]
fn every_image_is_listed_with_its_digest() {
    let dist = manifests();
    let mut found: Vec<String> = Vec::new();
    for overlay in ["openshift", "kubernetes"] {
        for object in objects(&read(&dist, &install_file(overlay))) {
            collect_images(&object, &mut found);
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found, [IMAGE]);
    let related: Value = serde_saphyr::from_str(&read(&dist, "related-images.yaml")).unwrap();
    assert_eq!(related, json!({"relatedImages": [{"name": "upgrade-gate", "image": IMAGE}]}));
    let image_set: Value = serde_saphyr::from_str(&read(&dist, "imageset-config.yaml")).unwrap();
    let expected = json!({
        "apiVersion": "mirror.openshift.io/v2alpha1", "kind": "ImageSetConfiguration",
        "mirror": {"additionalImages": [{"name": IMAGE}]},
    });
    assert_eq!(image_set, expected);
}

/// Every string under a key `image`: the containers of objects of any kind.
fn collect_images(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(image) if key == "image" => found.push(image.clone()),
                    _ => collect_images(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_images(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[rstest]
#[case::a_tag("registry.example.com/upgrade-gate:0.1.0")]
#[case::no_tag("registry.example.com/upgrade-gate")]
#[case::a_short_digest("registry.example.com/upgrade-gate@sha256:0f1e")]
#[case::upper_case(&IMAGE.replace("0f1e", "0F1E"))]
#[case::more_than_an_image(&format!("{IMAGE} and"))]
#[case::nothing("")]
fn an_image_without_a_digest_makes_no_file(#[case] image: &str) {
    let dist = tempfile::tempdir().unwrap();
    let output = make_manifests(dist.path(), image);
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(std::fs::read_dir(dist.path()).unwrap().count(), 0);
}

/// The kustomization.yaml of docs/gitops.md, with this repository in the place of the remote base.
#[test]
fn the_kustomization_for_gitops_keeps_the_records_and_names_the_image_by_digest() {
    let page = std::fs::read_to_string(support::repository("docs/gitops.md")).unwrap();
    let (_, yaml) = page.split_once("```yaml\n").unwrap();
    let (yaml, _) = yaml.split_once("```").unwrap();
    let folder = tempfile::tempdir_in(support::repository("target")).unwrap();
    let yaml = yaml
        .replace("https://HOST/OWNER/NAME//deploy/overlays/openshift?ref=v0.1.0", "../../deploy/overlays/openshift");
    std::fs::write(folder.path().join("kustomization.yaml"), yaml).unwrap();
    let output = Command::new(kubectl()).arg("kustomize").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let annotated: Vec<String> = objects(&String::from_utf8(output.stdout.clone()).unwrap())
        .into_iter()
        .filter(|object| object["metadata"]["annotations"].to_string().contains("argocd"))
        .map(|object| {
            format!("{} {} {}", object["kind"], object["metadata"]["name"], object["metadata"]["annotations"])
                .replace('"', "")
        })
        .collect();
    let wave = "{argocd.argoproj.io/sync-wave:1}";
    let kept = "{argocd.argoproj.io/sync-options:Prune=false,Delete=false,kustomize.toolkit.fluxcd.io/prune:disabled}";
    assert_eq!(
        annotated,
        [
            format!("CustomResourceDefinition updaterecords.upgrade-gate.openshift.io {kept}"),
            format!("ValidatingAdmissionPolicy upgrade-gate {wave}"),
            format!("ValidatingAdmissionPolicy upgrade-gate-warnings {wave}"),
            format!("ValidatingAdmissionPolicyBinding upgrade-gate {wave}"),
            format!("ValidatingAdmissionPolicyBinding upgrade-gate-warnings {wave}"),
        ]
    );
    let mut images = Vec::new();
    for object in objects(&String::from_utf8(output.stdout).unwrap()) {
        collect_images(&object, &mut images);
    }
    let digest = "sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    assert_eq!(images, [format!("ghcr.io/OWNER/NAME@{digest}")]);
}
