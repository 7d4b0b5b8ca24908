//! Our ClusterOperator: the health of this operator. In the role of the bridge also a condition `Upgradeable=False`,
//! whose message the CVO passes on, so that `oc adm upgrade` shows what overrides really prevent.

use crate::{
    api::{
        ClusterVersion, Condition, ConditionStatus, HistoryState,
        names::{condition, reason, risk},
    },
    gate::{Source, message},
    plan::{
        degraded,
        input::PlanInput,
        patch::{operator_versions, related_objects},
        pending,
        role::Role,
        update_records,
        write::OperatorWrite,
    },
};

/// The write that is missing, if any. If the API is not served, there is none.
#[must_use]
pub fn write(input: &PlanInput<'_>, now: &str) -> Option<OperatorWrite> {
    let existing = match input.operator {
        Source::Read(Some(existing)) => existing,
        Source::Read(None) => {
            return Some(OperatorWrite::Create);
        }
        Source::NotServed | Source::Unreadable(_) | Source::NotGiven => return None,
    };
    let before = &existing.conditions;
    let conditions = conditions(input, before).map(|wanted| {
        let last_transition_time = crate::api::find(before, &wanted.kind)
            .filter(|before| before.status == wanted.status && !before.last_transition_time.is_empty())
            .map_or_else(|| now.to_owned(), |before| before.last_transition_time.clone());
        Condition { last_transition_time, ..wanted }
    });
    let same = conditions.iter().all(|wanted| crate::api::find(before, &wanted.kind) == Some(wanted))
        && existing.versions == operator_versions()
        && existing.related_objects == related_objects();
    (!same).then(|| OperatorWrite::Status {
        resource_version: existing.resource_version.clone(),
        conditions: conditions.into(),
    })
}

fn conditions(input: &PlanInput<'_>, before: &[Condition]) -> [Condition; 4] {
    let said = |kind: &str, status: bool, reason: &str, message: String| Condition {
        kind: kind.to_owned(),
        status: status.into(),
        reason: reason.to_owned(),
        message,
        last_transition_time: String::new(),
    };
    let (status, reason, message) =
        degraded::degraded(input.problems, input.degraded_after, crate::api::find(before, "Degraded"));
    let degraded = said("Degraded", status == ConditionStatus::True, reason, message);
    [
        said("Available", true, reason::AS_EXPECTED, availability(input)),
        said("Progressing", false, reason::AS_EXPECTED, "There is nothing to roll out.".into()),
        degraded,
        upgradeable(input),
    ]
}

fn availability(input: &PlanInput<'_>) -> String {
    let cluster_version = &input.snapshot.cluster_version;
    let role = match input.role {
        Role::Replace => "Gates updates on ClusterVersion itself",
        Role::Guard => "Guards minor and major updates while no cluster-version operator is running",
        Role::Bridge if lets_patches_through(cluster_version) => {
            "Has nothing to do but record updates: from 4.22 on, the cluster-version operator itself lets patch updates \
             through while overrides are set"
        }
        Role::Bridge => "Lets patch updates through that the cluster-version operator refuses for overrides alone",
        Role::Undecided | Role::Observe => "Looks on",
    };
    let mut text = format!("{role} ({}: {}).", input.role.as_str(), input.why);
    if let Some(removal) = input.removal {
        text.push_str(unrecorded(input));
        text.push_str(" spec.desiredUpdate.force is still set by upgrade-gate. ");
        match (input.role, removal) {
            (Role::Bridge, Ok(_)) => text.push_str("It is removed now, as the update has completed."),
            (Role::Bridge, Err(reason)) => {
                text.push_str(
                    "It is removed once the update has completed and the cluster is healthy, and stays for now: ",
                );
                text.push_str(&reason.message());
            }
            (Role::Undecided | Role::Observe | Role::Replace | Role::Guard, _) => text.push_str(
                "In this mode it is not removed; once the update has completed, oc adm upgrade --clear removes it.",
            ),
        }
    }
    // Not in the message of `Upgradeable`: the CVO passes it on, which would change the CVO's message, and so this one
    // again.
    text.push_str(&pending::why(input));
    text
}

/// A sentence about a forced update whose record is missing.
fn unrecorded(input: &PlanInput<'_>) -> &'static str {
    match input.records {
        Source::NotServed => "",
        Source::Read(records) if update_records::is_requested(records, &input.snapshot.cluster_version) => "",
        Source::Read(_) => {
            " The requested update was forced and has no UpdateRecord: for 60 seconds none could be written or read, or it \
             was deleted since."
        }
        Source::Unreadable(_) | Source::NotGiven => {
            " The requested update was forced, and UpdateRecords cannot be read, so it is not known whether it has one."
        }
    }
}

/// The CVO passes on the message of every ClusterOperator with `Upgradeable=False`. Up to 4.21 its own message is that
/// overrides prevent all updates, so the message of this one states what they prevent. Later releases state it
/// themselves, and in every other role ClusterVersion does; a second message would only repeat it.
fn upgradeable(input: &PlanInput<'_>) -> Condition {
    let cluster_version = &input.snapshot.cluster_version;
    let (status, reason, message) = if input.role == Role::Bridge
        && cluster_version.unmanaged_overrides().next().is_some()
        && !lets_patches_through(cluster_version)
    {
        let text = message::overrides_in_bridge(cluster_version);
        (ConditionStatus::False, risk::OVERRIDES, text)
    } else {
        (ConditionStatus::True, reason::AS_EXPECTED, "upgrade-gate does not block updates itself.".to_owned())
    };
    Condition {
        kind: condition::UPGRADEABLE.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: String::new(),
    }
}

/// Whether the CVO that runs is of 4.22 or later. `status.desired` names the new release while the CVO of the old one
/// still runs, so every release back to the newest completed one has to be. A version that can't be read, or none, may
/// be an older one.
fn lets_patches_through(cluster_version: &ClusterVersion) -> bool {
    const FIRST: (u64, u64) = (4, 22);
    let is_later =
        |version: &str| semver::Version::parse(version).is_ok_and(|version| (version.major, version.minor) >= FIRST);
    let history = cluster_version.history();
    let completed = history.iter().position(|entry| entry.state == HistoryState::Completed);
    let may_run = &history[..completed.map_or(history.len(), |newest| newest + 1)];
    is_later(&cluster_version.desired().version) && may_run.iter().all(|entry| is_later(&entry.version))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::an_older_release("4.21.9", json!([["Completed", "4.21.9"]]), false)]
    #[case::the_first_that_does("4.22.0", json!([["Completed", "4.22.0"], ["Completed", "4.21.9"]]), true)]
    #[case::its_prerelease("4.22.0-rc.1", json!([["Completed", "4.22.0-rc.1"]]), true)]
    #[case::a_major("5.0.0", json!([["Completed", "5.0.0"]]), true)]
    #[case::numbers_not_letters("4.9.0", json!([["Completed", "4.9.0"]]), false)]
    #[case::the_old_one_still_runs("4.22.0", json!([["Partial", "4.22.0"], ["Completed", "4.21.9"]]), false)]
    #[case::or_may("4.22.1", json!([["Partial", "4.22.1"], ["Partial", "4.22.0"], ["Completed", "4.21.9"]]), false)]
    #[case::within_the_release("4.22.1", json!([["Partial", "4.22.1"], ["Completed", "4.22.0"]]), true)]
    #[case::back_to_an_older_one("4.21.9", json!([["Partial", "4.21.9"], ["Completed", "4.22.0"]]), false)]
    #[case::an_installation("4.22.0", json!([["Partial", "4.22.0"]]), true)]
    #[case::no_history("4.22.0", json!([]), true)]
    #[case::no_version("", json!([["Completed", "4.22.0"]]), false)]
    #[case::not_semver("latest", json!([["Completed", "latest"]]), false)]
    #[case::came_from_no_version("4.22.0", json!([["Partial", "4.22.0"], ["Completed", ""]]), false)]
    fn a_cvo_from_4_22_on_lets_patch_updates_through(
        #[case] desired: &str,
        #[case] history: Value,
        #[case] expected: bool,
    ) {
        let entries = history.as_array().unwrap().iter().map(|row| json!({"state": row[0], "version": row[1]}));
        let status = json!({"desired": {"version": desired}, "history": entries.collect::<Vec<_>>()});
        let cluster_version = ClusterVersion::from_value(json!({"status": status})).unwrap();
        assert_eq!(lets_patches_through(&cluster_version), expected);
    }
}
