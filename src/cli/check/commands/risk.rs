//! The commands that end a risk, or that explain one which no write ends.

use serde::Serialize;
use serde_json::json;

use crate::{
    api::{ClusterVersion, names::ADMIN_ACKS, owners_of_override},
    cli::check::commands::Caller,
    escape::escape_json,
    gate::{Remedy, Risk, message::override_name, publication::COMMANDS},
};

/// The field manager by which the installer creates what it was given.
pub const INSTALLER: &str = "cluster-bootstrap";

/// One command about a risk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskCommand {
    /// What to type.
    pub command: String,
    /// Whether it ends the risk, or this override's part in it; otherwise it only explains it.
    pub removes: bool,
    /// The override that it is about, as `Kind.group namespace/name`.
    #[serde(rename = "override")]
    pub of_override: Option<String>,
    /// The field managers that set this override; empty if managedFields do not show them.
    pub set_by: Vec<String>,
    /// What a person reads above it, if it isn't about an override.
    #[serde(skip)]
    pub title: &'static str,
}

/// What ends a risk; for overrides, each of them.
#[must_use]
pub fn commands(caller: &Caller, cluster_version: &ClusterVersion, risk: &Risk) -> Vec<RiskCommand> {
    let title = match &risk.remedy {
        Remedy::Acknowledge(_) => "When that is settled:",
        Remedy::CreateAcks => "To create it, empty:",
        Remedy::Publish => "To make it publish at once:",
        Remedy::ManageOverrides
        | Remedy::ReadClusterOperator(_)
        | Remedy::ReadClusterOperators
        | Remedy::ReadConfigMap(..)
        | Remedy::ReadProgress
        | Remedy::ReadClusterVersion => "To read more:",
    };
    let removes = risk.remedy.removes();
    let of_risk = |command| RiskCommand { command, removes, of_override: None, set_by: Vec::new(), title };
    let words = match &risk.remedy {
        Remedy::Publish => return vec![of_risk(COMMANDS.map(|words| caller.oc(words)).join(" && "))],
        Remedy::ManageOverrides => return manage_overrides(caller, cluster_version),
        Remedy::Acknowledge(key) if is_config_map_key(key) => {
            let (namespace, name) = ADMIN_ACKS;
            let patch = one_word(&json!({"data": {key: "true"}}));
            format!("-n {namespace} patch configmap {name} --type merge -p {patch}")
        }
        Remedy::CreateAcks => {
            let (namespace, name) = ADMIN_ACKS;
            format!("-n {namespace} create configmap {name}")
        }
        Remedy::ReadClusterOperator(name) if is_object_name(name) => format!("describe clusteroperator {name}"),
        // No API server admits such a name, and it is not safe to paste.
        Remedy::Acknowledge(_) | Remedy::ReadClusterOperator(_) => return Vec::new(),
        Remedy::ReadClusterOperators => "get clusteroperators -o yaml".to_owned(),
        Remedy::ReadConfigMap(namespace, name) => format!("-n {namespace} get configmap {name} -o yaml"),
        Remedy::ReadProgress => "adm upgrade".to_owned(),
        Remedy::ReadClusterVersion => "get clusterversion version -o yaml --show-managed-fields".to_owned(),
    };
    vec![of_risk(caller.oc(&words))]
}

/// One patch for each unmanaged override. Entries are found by their place in the list, and tested whole: if the list
/// has changed since, the patch fails.
fn manage_overrides(caller: &Caller, cluster_version: &ClusterVersion) -> Vec<RiskCommand> {
    let overrides = cluster_version.spec.overrides.iter().enumerate().filter(|(_, entry)| entry.unmanaged);
    overrides
        .map(|(index, entry)| {
            let patch = json!([
                {"op": "test", "path": format!("/spec/overrides/{index}"), "value": {
                    "group": entry.group, "kind": entry.kind, "namespace": entry.namespace, "name": entry.name,
                    "unmanaged": true}},
                {"op": "replace", "path": format!("/spec/overrides/{index}/unmanaged"), "value": false},
            ]);
            let owners = owners_of_override(&cluster_version.metadata.managed_fields, entry);
            RiskCommand {
                command: caller.oc(&format!("patch clusterversion version --type json -p {}", one_word(&patch))),
                removes: true,
                of_override: Some(override_name(entry)),
                set_by: owners.map(ToOwned::to_owned).collect(),
                title: "",
            }
        })
        .collect()
}

/// JSON as one word of a shell, with any content: quotes and unprintable characters are escaped.
pub(in crate::cli::check) fn one_word(value: &serde_json::Value) -> String {
    format!("'{}'", escape_json(&value.to_string()).replace('\'', "\\u0027"))
}

fn is_config_map_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_object_name(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_inside)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    fn of(remedy: Remedy, cluster_version: &Value) -> Vec<RiskCommand> {
        let risk = Risk { name: String::new(), message: String::new(), url: None, remedy };
        let cluster_version = ClusterVersion::from_value(cluster_version.clone()).unwrap();
        commands(&Caller::new("upgrade-gate", None), &cluster_version, &risk)
    }

    #[rstest]
    #[case::ack(Remedy::Acknowledge("ack-4.21-a".into()), true,
        r#"oc -n openshift-config patch configmap admin-acks --type merge -p '{"data":{"ack-4.21-a":"true"}}'"#)]
    #[case::no_acks(Remedy::CreateAcks, true, "oc -n openshift-config create configmap admin-acks")]
    #[case::operator(Remedy::ReadClusterOperator("network".into()), false, "oc describe clusteroperator network")]
    #[case::operators(Remedy::ReadClusterOperators, false, "oc get clusteroperators -o yaml")]
    #[case::gates(Remedy::ReadConfigMap("a", "b"), false, "oc -n a get configmap b -o yaml")]
    #[case::updating(Remedy::ReadProgress, false, "oc adm upgrade")]
    #[case::stale(
        Remedy::Publish,
        true,
        "oc -n openshift-config annotate cm admin-acks touched=$(date +%s) --overwrite && oc annotate clusterversion version touched=$(date +%s) --overwrite"
    )]
    #[case::condition(Remedy::ReadClusterVersion, false, "oc get clusterversion version -o yaml --show-managed-fields")]
    fn each_risk_has_its_command(#[case] remedy: Remedy, #[case] removes: bool, #[case] expected: &str) {
        let found = of(remedy, &json!({}));
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((found.command.as_str(), found.removes), (expected, removes));
        assert_eq!((&found.of_override, found.set_by.len()), (&None, 0));
    }

    #[rstest]
    #[case(Remedy::Acknowledge("ack-4.21-a\": \"b".into()))]
    #[case(Remedy::Acknowledge("ack-4.21-a'; reboot".into()))]
    #[case(Remedy::Acknowledge(String::new()))]
    #[case(Remedy::ReadClusterOperator("dns; reboot".into()))]
    #[case(Remedy::ReadClusterOperator("--all".into()))]
    #[case(Remedy::ReadClusterOperator("dns\u{202e}".into()))]
    fn a_name_that_no_object_has_is_in_no_command(#[case] remedy: Remedy) {
        assert_eq!(of(remedy, &json!({})), []);
    }

    #[test]
    fn each_unmanaged_override_has_a_patch_of_its_own() {
        let entry = |name: &str, unmanaged: bool| json!({"group": "g", "kind": "K", "namespace": "n", "name": name, "unmanaged": unmanaged});
        let fields = json!({"f:spec": {"f:overrides": {
            "k:{\"group\":\"g\",\"kind\":\"K\",\"name\":\"b\",\"namespace\":\"n\"}": {".": {}, "f:unmanaged": {}}}}});
        let cluster_version = json!({
            "metadata": {"managedFields": [{"manager": "cluster-bootstrap", "fieldsV1": fields}]},
            "spec": {"overrides": [entry("a", false), entry("b", true), entry("it's", true)]},
        });
        let found = of(Remedy::ManageOverrides, &cluster_version);
        let shown: Vec<_> =
            found.iter().map(|found| (found.of_override.as_deref().unwrap(), found.set_by.as_slice())).collect();
        assert_eq!(shown, [("K.g n/b", &["cluster-bootstrap".to_owned()][..]), ("K.g n/it's", &[])]);
        assert_eq!(
            found[0].command,
            r#"oc patch clusterversion version --type json -p '[{"op":"test","path":"/spec/overrides/1","value":{"group":"g","kind":"K","name":"b","namespace":"n","unmanaged":true}},{"op":"replace","path":"/spec/overrides/1/unmanaged","value":false}]'"#
        );
        assert!(found[1].command.contains(r#""name":"it\u0027s""#), "{}", found[1].command);

        for (number, change) in found.iter().zip([1, 2]) {
            let (_, patch) = number.command.split_once(" -p ").unwrap();
            let patch: json_patch::Patch = serde_json::from_str(patch.trim_matches('\'')).unwrap();
            let mut patched = cluster_version.clone();
            json_patch::patch(&mut patched, &patch).unwrap();
            let mut expected = cluster_version.clone();
            expected["spec"]["overrides"][change]["unmanaged"] = json!(false);
            assert_eq!(patched, expected);
            expected["spec"]["overrides"].as_array_mut().unwrap().remove(0);
            assert!(json_patch::patch(&mut expected, &patch).is_err(), "another list");
        }
    }

    #[test]
    fn nothing_ends_the_quotes_and_nothing_hides() {
        let text = "'; reboot; '\n\u{1b}[2J\u{202e}`reboot`$(reboot)!!\"";
        let entry = json!({"group": text, "kind": text, "namespace": text, "name": text, "unmanaged": true});
        let command = &of(Remedy::ManageOverrides, &json!({"spec": {"overrides": [entry]}}))[0].command;
        assert_eq!(command.matches('\'').count(), 2, "{command}");
        assert!(!command.chars().any(crate::escape::is_unprintable), "{command}");
        let (_, patch) = command.split_once(" -p ").unwrap();
        let patch: Value = serde_json::from_str(patch.trim_matches('\'')).unwrap();
        assert_eq!(patch[0]["value"]["name"], text);
    }
}
