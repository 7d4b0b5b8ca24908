//! Why the cluster offers no update: `RetrievedUpdates`, or that no channel is set.

use crate::{
    api::{
        ClusterVersion, ConditionStatus,
        names::{condition, reason},
    },
    gate::{message, release::updates},
};

/// Why no update is offered, or why those that are listed may be out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// A reason for programs, if there is one.
    pub reason: Option<String>,
    /// Sentences for people.
    pub message: String,
    /// Updates are listed nevertheless.
    pub lists_updates: bool,
}

/// `None` if updates are listed and no condition reports a failed lookup.
#[must_use]
pub fn availability(cluster_version: &ClusterVersion) -> Option<Availability> {
    let lists_updates = updates(cluster_version).next().is_some();
    let because = |reason: &str, message: String| Some(Availability { reason: given(reason), message, lists_updates });
    let retrieved = cluster_version.condition(condition::RETRIEVED_UPDATES);
    if let Some(failed) = retrieved.filter(|found| found.status == ConditionStatus::False) {
        return because(&failed.reason, message::not_retrieved(failed));
    }
    if lists_updates {
        return None;
    }
    let channel = &cluster_version.spec.channel;
    if channel.is_empty() {
        return because(reason::NO_CHANNEL, message::NO_CHANNEL_SET.to_owned());
    }
    match retrieved {
        Some(found) if found.status == ConditionStatus::True => because("", message::nothing_offered(channel)),
        Some(_) | None => because("", message::RETRIEVAL_UNKNOWN.to_owned()),
    }
}

fn given(reason: &str) -> Option<String> {
    (!reason.is_empty()).then(|| message::sanitize_name(reason))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::testing::cluster_version_from;

    fn retrieved(status: &str, reason: &str, message: &str) -> Value {
        json!([{"type": "RetrievedUpdates", "status": status, "reason": reason, "message": message}])
    }

    #[rstest]
    #[case::failed("c", retrieved("False", "RemoteFailed", "timeout"), json!(null), Some((Some("RemoteFailed"), "timeout", false)))]
    #[case::failed_but_listed("c", retrieved("False", "RemoteFailed", "timeout"), json!([{"version": "4.21.2"}]), Some((Some("RemoteFailed"), "timeout", true)))]
    #[case::failed_without_a_word("c", retrieved("False", "", ""), json!([]), Some((None, "The updates could not be looked up; RetrievedUpdates=False does not say why.", false)))]
    #[case::no_channel("", json!([]), json!(null), Some((Some("NoChannel"), "No channel is set in spec.channel, so no updates are looked up. `oc adm upgrade channel CHANNEL` sets one.", false)))]
    #[case::the_condition_comes_first("", retrieved("False", "NoChannel", "text"), json!(null), Some((Some("NoChannel"), "text", false)))]
    #[case::nothing_there("c", retrieved("True", "", ""), json!([]), Some((None, "Channel c offers no update from this version.", false)))]
    #[case::nobody_says("c", json!([]), json!(null), Some((None, "No update is listed, and RetrievedUpdates does not say whether updates were looked up.", false)))]
    #[case::unknown("c", retrieved("Unknown", "", ""), json!(null), Some((None, "No update is listed, and RetrievedUpdates does not say whether updates were looked up.", false)))]
    #[case::fine("c", retrieved("True", "", ""), json!([{"version": "4.21.2"}]), None)]
    #[case::listed_and_nobody_says("", json!([]), json!([{"version": "4.21.2"}]), None)]
    fn rows(
        #[case] channel: &str,
        #[case] conditions: Value,
        #[case] listed: Value,
        #[case] expected: Option<(Option<&str>, &str, bool)>,
    ) {
        let cluster_version = cluster_version_from(json!({
            "spec": {"channel": channel},
            "status": {"conditions": conditions, "availableUpdates": listed},
        }));
        let found = availability(&cluster_version);
        let found = found.as_ref().map(|found| (found.reason.as_deref(), found.message.as_str(), found.lists_updates));
        assert_eq!(found, expected);
    }

    #[test]
    fn conditional_updates_are_updates() {
        let conditional = json!([{"release": {"version": "4.21.5"}}]);
        let cluster_version = cluster_version_from(json!({"status": {"conditionalUpdates": conditional}}));
        assert_eq!(availability(&cluster_version), None);
    }
}
