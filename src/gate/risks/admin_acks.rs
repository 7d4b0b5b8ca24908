//! `AdminAck-<key>`: an admin gate of the current minor version has not been acknowledged.
//!
//! # Why this is a risk
//!
//! A release adds a key to ConfigMap `openshift-config-managed/admin-gates` when the next minor version removes something
//! that workloads may depend on. A key such as `ack-4.21-topic` applies to clusters at 4.21. It is also a risk if a
//! ConfigMap is missing or cannot be read, or if a key or value is malformed.
//!
//! # What to do
//!
//! Read the gate's text and check your workloads. Then write the same key with the exact value `true` to ConfigMap
//! `openshift-config/admin-acks`; `True` or `yes` do not count.
//!
//! # Example
//!
//! ```sh
//! oc -n openshift-config-managed get configmap admin-gates -o yaml
//! oc -n openshift-config patch configmap admin-acks --type merge -p '{"data": {"ack-4.21-topic": "true"}}'
//! ```

use semver::Version;

use crate::{
    api::names::{ADMIN_ACKS, ADMIN_GATES, risk},
    gate::{ConfigMapData, Remedy, Snapshot, Source, message, risks::Risk},
};

const READ_GATES: Remedy = Remedy::ReadConfigMap(ADMIN_GATES.0, ADMIN_GATES.1);
const READ_ACKS: Remedy = Remedy::ReadConfigMap(ADMIN_ACKS.0, ADMIN_ACKS.1);

pub(super) fn risks(snapshot: &Snapshot) -> Vec<Risk> {
    // In `check`, both count as given if one is: a dump of only one of them comes from a cluster without the other.
    if matches!((&snapshot.admin_gates, &snapshot.admin_acks), (Source::NotGiven, Source::NotGiven)) {
        return Vec::new();
    }
    let unknown = |message, remedy| vec![Risk::new(risk::ADMIN_ACK_UNKNOWN, message, remedy)];
    let gates = match data(&snapshot.admin_gates, ADMIN_GATES) {
        Ok(gates) => gates,
        // An empty one would say that there is nothing to acknowledge, which only the release knows.
        Err(message) => {
            let is_missing = matches!(snapshot.admin_gates, Source::Read(None));
            return unknown(message, if is_missing { Remedy::ReadProgress } else { READ_GATES });
        }
    };
    let acks = match data(&snapshot.admin_acks, ADMIN_ACKS) {
        Ok(acks) => acks,
        Err(message) => {
            let is_missing = matches!(snapshot.admin_acks, Source::Read(None));
            return unknown(message, if is_missing { Remedy::CreateAcks } else { READ_ACKS });
        }
    };
    if gates.is_empty() {
        return Vec::new();
    }
    let current = &snapshot.cluster_version.desired().version;
    let current = match Version::parse(current) {
        Ok(version) => version,
        Err(error) => {
            return unknown(message::risk::gates_without_current(current, &error), Remedy::ReadClusterVersion);
        }
    };
    gates
        .iter()
        .filter_map(|(key, text)| {
            let name = || format!("{}-{key}", risk::ADMIN_ACK);
            let Some(minor) = minor_of_gate(key) else {
                return Some(Risk::new(&name(), message::risk::gate_without_minor(key), READ_GATES));
            };
            if minor != format!("{}.{}", current.major, current.minor) {
                return None;
            }
            if text.is_empty() {
                return Some(Risk::new(&name(), message::risk::gate_without_text(key), READ_GATES));
            }
            let ack = acks.get(key).map(String::as_str);
            if ack == Some("true") {
                return None;
            }
            let url = message::risk::first_https_url(text).map_or(message::DOCUMENTATION, |url| url).to_owned();
            let remedy = Remedy::Acknowledge(key.clone());
            let message = match acks.keys().find(|given| ack.is_none() && are_alike(given, key)) {
                Some(given) => message::risk::gate_with_another_key(key, text, given),
                None => message::risk::gate(key, text, ack),
            };
            Some(Risk { url: Some(url), ..Risk::new(&name(), message, remedy) })
        })
        .collect()
}

/// Whether two keys differ in case and punctuation only, so that one was probably meant to be the other.
fn are_alike(a: &str, b: &str) -> bool {
    let letters = |text: &str| {
        text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    letters(a) == letters(b)
}

type Data = std::collections::BTreeMap<String, String>;

/// The ConfigMap's data, or why it cannot be read.
fn data<'a>(source: &'a Source<ConfigMapData>, (namespace, name): (&str, &str)) -> Result<&'a Data, String> {
    match source {
        Source::Read(Some(data)) => Ok(data),
        Source::Read(None) | Source::NotServed | Source::NotGiven => {
            Err(message::risk::config_map_missing(namespace, name))
        }
        Source::Unreadable(why) => Err(message::unreadable(&format!("ConfigMap {namespace}/{name}"), why)),
    }
}

/// The minor that a gate is for, as it is written: keys match `^ack-([4-5][.][0-9]{1,})-[^-]`.
pub(super) fn minor_of_gate(key: &str) -> Option<&str> {
    let (version, rest) = key.strip_prefix("ack-")?.split_once('-')?;
    let (major, minor) = version.split_once('.')?;
    let well_formed = matches!(major, "4" | "5")
        && !minor.is_empty()
        && minor.bytes().all(|byte| byte.is_ascii_digit())
        && rest.chars().next().is_some_and(|first| first != '-');
    well_formed.then_some(version)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::testing::{cluster_version, risk_names, snapshot};

    fn read(data: Value) -> Source<ConfigMapData> {
        Source::Read(serde_json::from_value(data).unwrap())
    }

    #[rstest]
    #[case::no_gates(json!({}), json!({}), &[])]
    #[case::not_acknowledged(json!({"ack-4.21-api": "text"}), json!({}), &["AdminAck-ack-4.21-api"])]
    #[case::acknowledged(json!({"ack-4.21-api": "text"}), json!({"ack-4.21-api": "true"}), &[])]
    #[case::not_exactly_true(json!({"ack-4.21-api": "text"}), json!({"ack-4.21-api": "True"}), &["AdminAck-ack-4.21-api"])]
    #[case::true_with_a_blank(json!({"ack-4.21-api": "text"}), json!({"ack-4.21-api": "true "}), &["AdminAck-ack-4.21-api"])]
    #[case::another_key(json!({"ack-4.21-api": "text"}), json!({"ack-4.21-other": "true"}), &["AdminAck-ack-4.21-api"])]
    #[case::another_minor(json!({"ack-4.20-api": "text", "ack-4.22-api": "text"}), json!({}), &[])]
    #[case::not_a_prefix_of_the_minor(json!({"ack-4.2-api": "text", "ack-4.211-api": "text"}), json!({}), &[])]
    #[case::written_otherwise(json!({"ack-4.021-api": "text"}), json!({}), &[])]
    #[case::huge_minor(json!({"ack-4.99999999999999999999-api": "text"}), json!({}), &[])]
    #[case::same_minor_other_major(json!({"ack-5.21-api": "text"}), json!({}), &[])]
    #[case::by_key(json!({"ack-4.21-b": "t", "ack-4.21-a": "t"}), json!({}), &["AdminAck-ack-4.21-a", "AdminAck-ack-4.21-b"])]
    #[case::odd_key(json!({"note": "text"}), json!({"note": "true"}), &["AdminAck-note"])]
    #[case::odd_major(json!({"ack-6.0-api": "text"}), json!({}), &["AdminAck-ack-6.0-api"])]
    #[case::no_name(json!({"ack-4.21-": "text"}), json!({}), &["AdminAck-ack-4.21-"])]
    #[case::two_hyphens(json!({"ack-4.21--api": "text"}), json!({}), &["AdminAck-ack-4.21--api"])]
    #[case::no_text(json!({"ack-4.21-api": ""}), json!({"ack-4.21-api": "true"}), &["AdminAck-ack-4.21-api"])]
    #[case::no_gates_configmap(json!(null), json!({}), &["AdminAckUnknown"])]
    #[case::no_acks_configmap(json!({}), json!(null), &["AdminAckUnknown"])]
    fn rows(#[case] gates: Value, #[case] acks: Value, #[case] expected: &[&str]) {
        let mut snapshot = snapshot(cluster_version("4.21.1", &[]));
        (snapshot.admin_gates, snapshot.admin_acks) = (read(gates), read(acks));
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }

    #[rstest]
    #[case::unreadable_gates(Source::Unreadable("forbidden".into()), read(json!({})), &["AdminAckUnknown"])]
    #[case::unreadable_acks(read(json!({})), Source::Unreadable("forbidden".into()), &["AdminAckUnknown"])]
    #[case::neither_given(Source::NotGiven, Source::NotGiven, &[])]
    #[case::one_given(read(json!({})), Source::NotGiven, &["AdminAckUnknown"])]
    fn a_source_that_is_not_read(
        #[case] gates: Source<ConfigMapData>,
        #[case] acks: Source<ConfigMapData>,
        #[case] expected: &[&str],
    ) {
        let mut snapshot = snapshot(cluster_version("4.21.1", &[]));
        (snapshot.admin_gates, snapshot.admin_acks) = (gates, acks);
        assert_eq!(risk_names(&super::risks(&snapshot)), expected);
    }

    #[test]
    fn gates_that_cannot_be_compared_are_a_risk() {
        let mut snapshot = snapshot(cluster_version("latest", &[]));
        (snapshot.admin_gates, snapshot.admin_acks) = (read(json!({"ack-4.21-api": "text"})), read(json!({})));
        assert_eq!(risk_names(&super::risks(&snapshot)), ["AdminAckUnknown"]);
    }

    #[rstest]
    #[case::capital("True")]
    #[case::blank_before(" true")]
    #[case::yes("yes")]
    #[case::empty("")]
    fn an_ack_that_is_not_exactly_true_is_named(#[case] ack: &str) {
        let mut snapshot = snapshot(cluster_version("4.21.1", &[]));
        (snapshot.admin_gates, snapshot.admin_acks) =
            (read(json!({"ack-4.21-api": "See https://example.com/a"})), read(json!({"ack-4.21-api": ack})));
        let message = &super::risks(&snapshot)[0].message;
        let value = format!(
            "\"ack-4.21-api\" is present in ConfigMap openshift-config/admin-acks, but its value is \"{ack}\", which is not \
             exactly \"true\"."
        );
        assert!(message.contains(&value) && message.ends_with(" https://example.com/a"), "{message}");
        snapshot.admin_acks = read(json!({}));
        let message = &super::risks(&snapshot)[0].message;
        assert!(!message.contains("is present") && message.ends_with(" https://example.com/a"), "{message}");
    }

    #[rstest]
    #[case::capitals("ACK-4.21-api")]
    #[case::underscores("ack_4.21_api")]
    #[case::a_dot_too_many("ack-4.21-api.")]
    fn an_ack_under_a_similar_key_is_named(#[case] given: &str) {
        let mut snapshot = snapshot(cluster_version("4.21.1", &[]));
        (snapshot.admin_gates, snapshot.admin_acks) =
            (read(json!({"ack-4.21-api": "Read it."})), read(json!({given: "true"})));
        assert_eq!(
            super::risks(&snapshot)[0].message,
            format!(
                "Minor and major updates need an acknowledgement: ConfigMap openshift-config/admin-acks has the key \
                 \"{given}\", but it has to be exactly \"ack-4.21-api\". When the following is settled, set that key to \
                 \"true\". Read it."
            )
        );
    }

    #[rstest]
    #[case("Read https://example.com/a, then act.", "https://example.com/a")]
    #[case("(https://example.com/b)", "https://example.com/b")]
    #[case("http://example.com only", message::DOCUMENTATION)]
    fn the_first_https_url_of_the_text_is_the_link(#[case] text: &str, #[case] expected: &str) {
        let mut snapshot = snapshot(cluster_version("4.21.1", &[]));
        (snapshot.admin_gates, snapshot.admin_acks) = (read(json!({"ack-4.21-api": text})), read(json!({})));
        assert_eq!(super::risks(&snapshot)[0].url.as_deref(), Some(expected));
    }
}
