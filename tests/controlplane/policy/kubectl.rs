//! What a person at a terminal sees, in each of the ways that kubectl and `oc` write; and in a trial.

use std::path::{Path, PathBuf};
use std::process::Output;

use rstest::rstest;
use serde_json::json;

use super::{cluster_with, overrides};
use crate::support::{Cluster, cluster_with_policy, eventually, fixtures, repository};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The commands that request a version.
#[derive(Clone, Copy, Debug)]
enum Way {
    MergePatch,
    JsonPatch,
    /// `oc adm upgrade --to`: a merge patch of the whole value.
    Oc,
    /// A PUT.
    Replace,
    Apply,
}

const WAYS: [Way; 5] = [Way::MergePatch, Way::JsonPatch, Way::Oc, Way::Replace, Way::Apply];

/// Asks for a version in that way.
async fn ask(cluster: &Cluster, way: Way, version: &str, dry_run: bool) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({"version": version});
    let whole = json!({"architecture": "", "force": false, "image": fixtures::image(version), "version": version});
    let (words, content) = match way {
        Way::MergePatch => (vec!["patch", "--type=merge"], json!({"spec": {"desiredUpdate": request}})),
        Way::JsonPatch => {
            (vec!["patch", "--type=json"], json!([{"op": "add", "path": "/spec/desiredUpdate", "value": request}]))
        }
        Way::Oc => (vec!["patch", "--type=merge"], json!({"spec": {"desiredUpdate": whole}})),
        Way::Replace => {
            let mut object = cluster.cluster_version().await;
            object["spec"]["desiredUpdate"] = request;
            (vec!["replace"], object)
        }
        Way::Apply => {
            let id = "00000000-0000-4000-8000-000000000000";
            let intent = json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion",
                "metadata": {"name": "version"}, "spec": {"clusterID": id, "desiredUpdate": request}});
            (vec!["apply", "--server-side"], intent)
        }
    };
    let path = dir.path().join("content.json");
    std::fs::write(&path, content.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let target = match words[0] {
        "patch" => vec!["clusterversion", "version", "--patch-file", path],
        _ => vec!["--filename", path],
    };
    let dry_run = dry_run.then_some("--dry-run=server");
    let args: Vec<&str> = words.into_iter().chain(target).chain(dry_run).collect();
    cluster.control_plane.kubectl_command().args(args).output().unwrap()
}

#[rstest]
#[tokio::test]
async fn a_minor_is_denied_in_every_form_of_request_with_the_reason(#[values(true, false)] dry_run: bool) {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    let before = cluster.cluster_version().await;
    for way in WAYS {
        let output = ask(&cluster, way, "4.22.0", dry_run).await;
        let said = said(&output);
        assert!(!output.status.success(), "{way:?}: {said}");
        assert!(said.contains("The minor update from 4.21.1 to 4.22.0 is not allowed."), "{way:?}: {said}");
        assert!(said.contains("ClusterImagePolicy.config.openshift.io openshift"), "{way:?}: {said}");
    }
    assert_eq!(cluster.cluster_version().await, before);
}

#[tokio::test]
async fn an_edit_is_denied_with_the_reason() {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    let before = cluster.cluster_version().await;
    let editor = "sed -i 's/^spec:/spec:\\n  desiredUpdate: {version: 4.22.0}/'";
    let dir = tempfile::tempdir().unwrap(); // where kubectl leaves what it couldn't save
    let mut kubectl = cluster.control_plane.kubectl_command();
    kubectl.args(["edit", "clusterversion", "version"]).env("KUBE_EDITOR", editor).env("TMPDIR", dir.path());
    let output = kubectl.output().unwrap();
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("The minor update from 4.21.1 to 4.22.0 is not allowed."), "{said}");
    assert_eq!(cluster.cluster_version().await, before);
}

#[rstest]
#[tokio::test]
async fn a_patch_is_allowed_in_every_form_of_request_with_a_warning(#[values(true, false)] dry_run: bool) {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    for way in WAYS {
        let output = ask(&cluster, way, "4.21.2", dry_run).await;
        let said = said(&output);
        assert!(output.status.success(), "{way:?}: {said}");
        assert!(said.starts_with("Warning: Validation failed for ValidatingAdmissionPolicy"), "{way:?}: {said}");
        assert!(said.contains("Overrides do not block this patch update from 4.21.1 to 4.21.2."), "{way:?}: {said}");
        cluster.patch(json!({"spec": {"desiredUpdate": null}})).await;
    }
}

#[tokio::test]
async fn with_action_warn_every_request_is_allowed_with_a_warning() {
    let cluster = cluster_with_policy(cluster_with(&overrides(), None)).await;
    let dir = tempfile::tempdir().unwrap();
    let kustomization = json!({
        "resources": [from(dir.path(), &repository("deploy/base/policy"))],
        "components": [from(dir.path(), &repository("deploy/components/policy-trial"))],
    });
    std::fs::write(dir.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    cluster.control_plane.kubectl(&["apply", "--server-side", "-k", dir.path().to_str().unwrap()]);

    let minor = json!({"spec": {"desiredUpdate": {"version": "4.22.0"}}});
    let warnings = eventually("the trial to begin", async || {
        let reply = cluster.dry_run(&minor).await;
        if reply.is_denied() { Err(reply.message) } else { Ok(reply.warnings) }
    })
    .await;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("The minor update from 4.21.1 to 4.22.0 is not allowed. Overrides prevent"),
        "{warnings:?}"
    );
    cluster.patch(minor).await;
    // The next test finds no bindings rather than these.
    cluster.remove_policy().await;
}

/// The way from one folder to another: kustomize takes no absolute paths.
fn from(folder: &Path, to: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap();
    let up: PathBuf = folder.components().skip(1).map(|_| "..").collect();
    up.join(to.canonicalize().unwrap().strip_prefix("/").unwrap())
}
