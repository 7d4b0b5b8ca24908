//! The command that asks for an update, as `oc` needs it for that very release on that cluster.

use crate::{
    api::{ClusterVersion, ConditionStatus, find, names::condition},
    gate::{
        Decision, Origin, TargetVerdict,
        release::{is_pinned, same_image},
    },
};

/// `None` where the update is blocked, where it is asked for or running already, or where no image is known by digest.
#[must_use]
pub fn command(cluster_version: &ClusterVersion, target_verdict: &TargetVerdict) -> Option<String> {
    if target_verdict.decision() == Decision::Blocked
        || target_verdict.is_current
        || target_verdict.target.origin == Origin::Requested
        || !target_verdict.target.architecture.is_empty()
    {
        return None;
    }
    let (version, image) = (target_verdict.release.version.as_str(), target_verdict.release.image.as_str());
    let status = cluster_version.status.as_ref()?;
    let by_image = is_pinned(image).then(|| format!("--to-image {image}"));
    let available: Vec<_> = status.available_updates.iter().filter(|release| release.version == version).collect();
    let conditional = status.conditional_updates.iter().find(|update| update.release.version == version);
    // A mirror's name of a listed digest has to be asked for as it is.
    let is_named_by_another_image =
        |listed: &str| !target_verdict.target.image.is_empty() && listed != image && same_image(listed, image);
    let what = match (available.as_slice(), conditional) {
        ([one], _) if one.image == image || target_verdict.target.image.is_empty() => format!("--to {version}"),
        ([_, _, ..], _) if available.iter().any(|release| release.image == image) => by_image?,
        ([], Some(update)) if !is_named_by_another_image(&update.release.image) => {
            let is_recommended = find(&update.conditions, condition::RECOMMENDED)
                .is_some_and(|found| found.status == ConditionStatus::True);
            let flag = if is_recommended { "" } else { " --allow-not-recommended" };
            format!("--to {version}{flag}")
        }
        _ => by_image? + " --allow-explicit-upgrade",
    };
    let holds = |kind| cluster_version.condition(kind).is_some_and(|found| found.status == ConditionStatus::True);
    let flag =
        if holds(condition::PROGRESSING) || holds(condition::FAILING) { " --allow-upgrade-with-warnings" } else { "" };
    let command = format!("oc adm upgrade {what}{flag}");
    // Versions and images come from the cluster, and the command goes into a shell.
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b" ._:/@+-".contains(&byte);
    command.bytes().all(is_safe).then_some(command)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::gate::{Authority, Snapshot, Source, Target, evaluate};

    const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
    const MIRROR: &str = "mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
    const FIVE: &str = "r.example/ocp@sha256:5555555555555555555555555555555555555555555555555555555555555555";
    const ZERO: &str = "r.example/ocp@sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn commands(changes: &[(&str, Value)], argument: &str) -> Option<String> {
        let mut object = json!({
            "spec": {"channel": "c"},
            "status": {
                "desired": {"version": "4.21.1", "image": "one"},
                "history": [{"state": "Completed", "version": "4.21.1", "image": "one"},
                            {"state": "Completed", "version": "4.21.0", "image": ZERO}],
                "availableUpdates": [{"version": "4.21.2", "image": TWO}],
                "conditionalUpdates": [{"release": {"version": "4.21.5", "image": FIVE}, "conditions": []}],
                "conditions": [],
            },
        });
        for (path, value) in changes {
            *object.pointer_mut(path).unwrap() = value.clone();
        }
        let cluster_version = ClusterVersion::from_value(object).unwrap();
        let snapshot = Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            targets: vec![Target::named(argument)],
            cluster_version,
            cluster_operators: Source::NotGiven,
            admin_gates: Source::NotGiven,
            admin_acks: Source::NotGiven,
            authority: Authority::Shared,
        };
        command(&snapshot.cluster_version, &evaluate(&snapshot).targets[0])
    }

    #[rstest]
    #[case::available("4.21.2", Some("--to 4.21.2"))]
    #[case::by_its_image(TWO, Some("--to 4.21.2"))]
    #[case::by_a_mirrors_image(
        MIRROR,
        Some(
            "--to-image mirror.lan/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222 --allow-explicit-upgrade"
        )
    )]
    #[case::conditional("4.21.5", Some("--to 4.21.5 --allow-not-recommended"))]
    #[case::the_previous(
        "4.21.0",
        Some(
            "--to-image r.example/ocp@sha256:0000000000000000000000000000000000000000000000000000000000000000 --allow-explicit-upgrade"
        )
    )]
    #[case::runs_already("4.21.1", None)]
    #[case::no_image_is_known("4.21.9", None)]
    #[case::blocked("4.20.0", None)]
    fn what_asks_for_a_release(#[case] argument: &str, #[case] expected: Option<&str>) {
        let expected = expected.map(|flags| format!("oc adm upgrade {flags}"));
        assert_eq!(commands(&[], argument), expected);
    }

    #[test]
    fn one_of_two_releases_of_a_version_is_asked_for_by_its_image() {
        let both = json!([{"version": "4.21.2", "image": TWO}, {"version": "4.21.2", "image": FIVE}]);
        let command = commands(&[("/status/availableUpdates", both)], FIVE);
        assert_eq!(command.unwrap(), format!("oc adm upgrade --to-image {FIVE}"));
    }

    #[test]
    fn a_conditional_update_that_is_recommended_needs_no_flag() {
        let recommended = json!([{"release": {"version": "4.21.5", "image": FIVE},
            "conditions": [{"type": "Recommended", "status": "True"}]}]);
        let command = commands(&[("/status/conditionalUpdates", recommended)], "4.21.5");
        assert_eq!(command.unwrap(), "oc adm upgrade --to 4.21.5");
    }

    #[rstest]
    #[case("Progressing")]
    #[case("Failing")]
    fn oc_refuses_beside_a_warning(#[case] kind: &str) {
        let conditions = json!([{"type": kind, "status": "True"}]);
        let command = commands(&[("/status/conditions", conditions)], "4.21.2");
        assert_eq!(command.unwrap(), "oc adm upgrade --to 4.21.2 --allow-upgrade-with-warnings");
    }

    #[test]
    fn what_a_shell_would_act_on_is_in_no_command() {
        let listed = json!([{"version": "4.21.2", "image": "r/a;reboot@sha256:22"}]);
        assert_eq!(commands(&[("/status/availableUpdates", listed)], "4.21.2").unwrap(), "oc adm upgrade --to 4.21.2");
        let history = json!([{"state": "Completed", "version": "4.21.0", "image": "r/$(reboot)"}]);
        assert_eq!(commands(&[("/status/history", history)], "4.21.0"), None);
    }
}
