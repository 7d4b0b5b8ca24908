//! `ClusterVersionRecommendedUpdate`: the update service does not recommend the target. This only warns.
//!
//! # Why it is checked
//!
//! A release may have a known issue on this cluster; then the reason is that of the condition `Recommended`. Other reasons
//! are `UnknownUpdate` (the channel does not offer the target), `NoChannel` and `UnknownConditionType`. The check never
//! blocks, because a disconnected cluster has no update service.
//!
//! # What to do
//!
//! Read the issue that the message links, or choose a release that is recommended.
//!
//! # Example
//!
//! ```sh
//! oc adm upgrade --include-not-recommended
//! ```

use crate::{
    api::{
        ConditionStatus, find,
        names::{condition, reason},
    },
    gate::{
        message,
        preconditions::{Context, PreconditionFinding},
    },
};

pub(super) fn check(context: &Context<'_>) -> Option<PreconditionFinding> {
    let cluster_version = context.cluster_version;
    let target = &context.target.version;
    let status = cluster_version.status.as_ref();
    let listed = status.map_or(&[][..], |status| &status.available_updates);
    if listed.iter().any(|release| release.version == *target) {
        return None;
    }
    let conditional = status.map_or(&[][..], |status| &status.conditional_updates);
    if let Some(update) = conditional.iter().find(|update| update.release.version == *target) {
        let Some(recommended) = find(&update.conditions, condition::RECOMMENDED) else {
            return Some(PreconditionFinding::warns(
                reason::UNKNOWN_CONDITION_TYPE,
                message::target::recommendation_missing(target),
            ));
        };
        return match recommended.status {
            ConditionStatus::True => None,
            ConditionStatus::False | ConditionStatus::Unknown => Some(PreconditionFinding::warns(
                &recommended.reason,
                message::target::not_recommended(target, recommended),
            )),
        };
    }
    if cluster_version.spec.channel.is_empty() {
        return Some(PreconditionFinding::warns(reason::NO_CHANNEL, message::target::no_channel(target)));
    }
    let retrieved = cluster_version.condition(condition::RETRIEVED_UPDATES);
    Some(PreconditionFinding::warns(reason::UNKNOWN_UPDATE, message::target::unknown_update(target, retrieved)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::gate::testing::{cluster_version_from, finding};

    #[rstest]
    #[case::available("4.21.2", "stable-4.21", None)]
    #[case::conditional_and_recommended("4.21.3", "stable-4.21", None)]
    #[case::conditional_and_not("4.21.4", "stable-4.21", Some("warns SomeIssue"))]
    #[case::conditional_and_unknown("4.21.5", "stable-4.21", Some("warns EvaluationFailed"))]
    #[case::conditional_unevaluated("4.21.6", "stable-4.21", Some("warns UnknownConditionType"))]
    #[case::in_no_list("4.21.7", "stable-4.21", Some("warns UnknownUpdate"))]
    #[case::in_no_list_without_channel("4.21.7", "", Some("warns NoChannel"))]
    #[case::available_without_channel("4.21.2", "", None)]
    #[case::not_semver("nonsense", "", Some("warns NoChannel"))]
    fn rows(#[case] target: &str, #[case] channel: &str, #[case] expected: Option<&str>) {
        let conditional = |version: &str, conditions: serde_json::Value| json!({"release": {"version": version, "image": "image"}, "conditions": conditions});
        let recommended = |status: &str, reason: &str| json!([{"type": "Recommended", "status": status, "reason": reason, "message": "text"}]);
        let cluster_version = cluster_version_from(json!({
            "spec": {"channel": channel},
            "status": {
                "desired": {"version": "4.21.1", "image": "current"},
                "availableUpdates": [{"version": "4.21.2", "image": "image"}],
                "conditionalUpdates": [
                    conditional("4.21.3", recommended("True", "AsExpected")),
                    conditional("4.21.4", recommended("False", "SomeIssue")),
                    conditional("4.21.5", recommended("Unknown", "EvaluationFailed")),
                    conditional("4.21.6", json!([])),
                ],
            },
        }));
        assert_eq!(finding(super::check, &cluster_version, target).as_deref(), expected);
    }
}
