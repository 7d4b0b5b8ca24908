//! The sentences of the risks: what prevents a minor or major update, and how to remove it.

use crate::{
    api::{ClusterVersion, Condition, names},
    escape::is_unprintable,
    gate::{
        Risk,
        message::{MESSAGE_LIMIT, URL_LIMIT, lines, list, overrides, reason_and_message, sanitize, sanitize_name},
    },
};

pub(in crate::gate) fn overrides_risk(cluster_version: &ClusterVersion) -> String {
    format!(
        "Overrides in spec.overrides keep the cluster-version operator from managing: {}. This prevents minor and \
         major updates; patch updates stay allowed. Before a minor or major update, remove these overrides or set \
         unmanaged: false.",
        overrides(cluster_version)
    )
}

pub(in crate::gate) fn cluster_operator(name: &str, condition: &Condition) -> String {
    format!(
        "ClusterOperator {} prevents minor and major updates: {}",
        sanitize_name(name),
        reason_and_message(condition)
    )
}

/// Reasons of `Upgradeable=False` that do not hold any more.
pub(in crate::gate) fn no_longer_so<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    format!(
        "Upgradeable is still False because of {}, which no longer applies. The cluster-version operator refuses minor and \
         major updates until it publishes Upgradeable again, which can take 4 minutes up to release 4.22.",
        list(reasons.map(sanitize_name))
    )
}

/// The message of a risk that is named by the condition's type.
pub(in crate::gate) fn veto(condition: &Condition) -> String {
    reason_and_message(condition)
}

pub(in crate::gate) fn config_map_missing(namespace: &str, name: &str) -> String {
    let remedy = if (namespace, name) == names::ADMIN_GATES {
        "It is part of the release, and the cluster-version operator creates it again unless that fails."
    } else {
        "Create it; it may be empty."
    };
    format!(
        "ConfigMap {namespace}/{name} does not exist, so it is not known which administrator acknowledgements a minor \
         update needs. {remedy}"
    )
}

pub(in crate::gate) fn gates_without_current(current: &str, error: &semver::Error) -> String {
    format!(
        "The current version \"{}\" is not a semantic version ({error}), so it is not known which administrator \
         acknowledgements a minor update needs.",
        sanitize_name(current)
    )
}

pub(in crate::gate) fn gate_without_minor(key: &str) -> String {
    let (namespace, name) = names::ADMIN_GATES;
    format!(
        "Gate \"{}\" in ConfigMap {namespace}/{name} does not name a minor version: a key must have the form ack-4.21-something.",
        sanitize_name(key)
    )
}

pub(in crate::gate) fn gate_without_text(key: &str) -> String {
    let (namespace, name) = names::ADMIN_GATES;
    format!(
        "Gate \"{}\" in ConfigMap {namespace}/{name} has an empty value, so it does not say what to acknowledge.",
        sanitize_name(key)
    )
}

/// The gate's own text comes last: it may end in a URL.
pub(in crate::gate) fn gate(key: &str, text: &str, ack: Option<&str>) -> String {
    let (namespace, name) = names::ADMIN_ACKS;
    let (key, text) = (sanitize_name(key), sanitize(text));
    match ack {
        None => format!(
            "Minor and major updates need an acknowledgement: when the following is settled, set \"{key}\" to \"true\" in \
             ConfigMap {namespace}/{name}. {text}"
        ),
        Some(ack) => format!(
            "Minor and major updates need an acknowledgement: \"{key}\" is present in ConfigMap {namespace}/{name}, but its \
             value is \"{}\", which is not exactly \"true\". When the following is settled, set it to \"true\". {text}",
            sanitize_name(ack)
        ),
    }
}

/// As [`gate`], if the acknowledgement has another key.
pub(in crate::gate) fn gate_with_another_key(key: &str, text: &str, given: &str) -> String {
    let (namespace, name) = names::ADMIN_ACKS;
    format!(
        "Minor and major updates need an acknowledgement: ConfigMap {namespace}/{name} has the key \"{}\", but it has to be \
         exactly \"{}\". When the following is settled, set that key to \"true\". {}",
        sanitize_name(given),
        sanitize_name(key),
        sanitize(text)
    )
}

/// The first https URL of a text, without the punctuation that ends a sentence.
pub(in crate::gate) fn first_https_url(text: &str) -> Option<&str> {
    let start = text.find("https://")?;
    let url = text[start..].split(|c: char| c.is_whitespace() || is_unprintable(c) || "<>\"'`".contains(c)).next()?;
    let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}']);
    ("https://".len() + 1..=URL_LIMIT).contains(&url.len()).then_some(url)
}

pub(in crate::gate) fn updating(progressing: &Condition) -> String {
    let wait = "An update is in progress; wait until it has completed before a minor or major update";
    if progressing.message.is_empty() {
        return format!("{wait}.");
    }
    format!("{wait}: {}", sanitize(&progressing.message))
}

pub(in crate::gate) fn multiple_risks(risks: &[Risk]) -> String {
    let head = format!("{} reasons prevent minor and major updates:\n", risks.len());
    let bullets = risks.iter().map(|risk| format!("* {}: {}", risk.name, risk.message));
    let bullets = lines(bullets, MESSAGE_LIMIT - head.len());
    head + &bullets
}
