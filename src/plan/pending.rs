//! Why the requested update does not go ahead, with the message of the component that prevents it: pure.

use crate::{
    api::{
        ConditionStatus,
        names::{CVO_LEASE, condition},
    },
    gate::{
        Decision, TargetVerdict, message,
        release::is_unfinished,
        request::{self, Standing},
    },
    plan::{
        bridge::skip_reason::SkipReason,
        input::PlanInput,
        record_state::RecordState,
        role::{CvoLease, Role},
    },
};

/// Bytes of the reasons of one request.
const LIMIT: usize = message::MESSAGE_LIMIT / 4;

/// Sentences for the ClusterOperator, each after a space; empty if no update is requested, or it is going ahead.
#[must_use]
pub fn why(input: &PlanInput<'_>) -> String {
    let cluster_version = &input.snapshot.cluster_version;
    let Some(target_verdict) = input.verdict.request() else { return String::new() };
    let mut text = String::new();
    if !target_verdict.is_current {
        for sentence in kept_back(input, target_verdict) {
            text.push(' ');
            text.push_str(&sentence);
        }
    } else if !is_unfinished(cluster_version) {
        return text;
    }
    let is_said = matches!(input.force, Some(Err(SkipReason::NoCvo)));
    if let Some(sentence) = without_cvo(input).filter(|_| !is_said) {
        text.push(' ');
        text.push_str(&sentence);
    }
    let failing = cluster_version.condition(condition::FAILING);
    if let Some(failing) = failing.filter(|failing| failing.status == ConditionStatus::True) {
        text.push_str(" ClusterVersion says Failing=True: ");
        text.push_str(&message::reason_and_message(failing));
    }
    text
}

/// Why a request has not begun.
fn kept_back(input: &PlanInput<'_>, target_verdict: &TargetVerdict) -> Vec<String> {
    let failures = (target_verdict.decision() == Decision::Blocked).then(|| {
        let items = target_verdict.failures.iter().map(|failure| format!("{}: {}", failure.reason, failure.message));
        message::lines(items.collect::<Vec<_>>().into_iter(), LIMIT)
    });
    let skip_reason = match input.force {
        Some(Err(skip_reason)) if skip_reason.holds_back() => Some(skip_reason.message()),
        Some(Ok(_) | Err(_)) | None => None,
    };
    if let Some(skip_reason) = skip_reason {
        let skip_reason = format!("The requested update is not forced: {skip_reason}");
        return std::iter::once(skip_reason).chain(failures).collect();
    }
    if let Some(failures) = failures {
        return vec![format!("The requested update does not go ahead: {failures}")];
    }
    match input.role {
        Role::Bridge => not_taken_up(input).into_iter().collect(),
        Role::Replace if input.record_state == RecordState::Failing => {
            vec!["The requested update waits until its accepted risks are recorded.".to_owned()]
        }
        Role::Replace | Role::Guard | Role::Undecided | Role::Observe => Vec::new(),
    }
}

/// Whether a CVO has looked at a request that nothing blocks.
fn not_taken_up(input: &PlanInput<'_>) -> Option<String> {
    if matches!(input.force, Some(Ok(_))) || runs_no_cvo(input) {
        return None;
    }
    let word = request::word(&input.snapshot.cluster_version);
    match word.map(|word| (request::standing(word), word)) {
        Some((Standing::Undecided, word)) => {
            Some(format!("The requested update is not accepted yet: {}", message::reason_and_message(word)))
        }
        // The force has been set, or the override is gone, and the CVO tries again by itself.
        Some((Standing::RefusedForOverrides | Standing::Refused(_), word)) => Some(format!(
            "The cluster-version operator still refuses the requested update, and retries it: {}",
            message::reason_and_message(word)
        )),
        // Its last message is about another release.
        Some((Standing::Accepted, _)) | None => Some(
            "The cluster-version operator has not taken up the update that is asked for. If this lasts for more than a \
             minute, ask for it by image: oc adm upgrade --to-image=IMAGE@sha256:… --allow-explicit-upgrade"
                .to_owned(),
        ),
    }
}

fn runs_no_cvo(input: &PlanInput<'_>) -> bool {
    match input.role {
        Role::Bridge => matches!(input.cvo, CvoLease::Stale | CvoLease::Absent),
        Role::Guard => true,
        Role::Replace | Role::Undecided | Role::Observe => false,
    }
}

fn without_cvo(input: &PlanInput<'_>) -> Option<String> {
    let (namespace, name) = CVO_LEASE;
    runs_no_cvo(input).then(|| {
        format!(
            "No cluster-version operator is running: nobody renews its Lease {namespace}/{name}. Without it no update goes \
             ahead."
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        gate::{
            Snapshot, Source, evaluate,
            testing::{self, TWO, asked},
        },
        plan::{bridge, newest_entry::EntryStart},
    };

    fn said(object: &Value, role: Role, cvo: CvoLease) -> String {
        let snapshot = Snapshot { authority: role.authority(), ..testing::requested(object) };
        let verdict = evaluate(&snapshot);
        let force = (role == Role::Bridge).then(|| {
            bridge::candidate(&snapshot).and_then(|candidate| bridge::confirm(candidate, &bridge::testing::CONFIRMED))
        });
        why(&PlanInput {
            snapshot: &snapshot,
            verdict: &verdict,
            role,
            why: "",
            operator: &Source::NotServed,
            records: &Source::NotServed,
            force: force.as_ref(),
            removal: None,
            start: EntryStart::default(),
            record_state: RecordState::Possible,
            problems: &[],
            degraded_after: Duration::ZERO,
            cvo,
            is_restored: false,
        })
    }

    fn two() -> Value {
        json!({"version": "4.21.2", "image": TWO})
    }

    fn accepted(status: &str, reason: &str, message: &str) -> Value {
        json!({"type": "ReleaseAccepted", "status": status, "reason": reason, "message": message})
    }

    fn unverified() -> Value {
        accepted(
            "False",
            "RetrievePayload",
            &format!("Retrieving payload failed version=\"4.21.2\" image=\"{TWO}\" failure=no signature\u{1b}[31m"),
        )
    }

    fn loaded(version: &str) -> Value {
        accepted("True", "PayloadLoaded", &format!("Payload loaded version=\"{version}\" image=\"one\""))
    }

    const NO_CVO: &str = " No cluster-version operator is running: nobody renews its Lease \
                          openshift-cluster-version/version. Without it no update goes ahead.";
    const NOT_TAKEN_UP: &str = " The cluster-version operator has not taken up the update that is asked for. If this lasts \
                                for more than a minute, ask for it by image: oc adm upgrade \
                                --to-image=IMAGE@sha256:… --allow-explicit-upgrade";

    #[rstest]
    #[case::nothing_asked(asked(&json!(null), &json!([loaded("4.21.1")])), CvoLease::Unknown, "")]
    #[case::what_runs(asked(&json!({"version": "4.21.1"}), &json!([loaded("4.21.1")])), CvoLease::Unknown, "")]
    #[case::not_looked_at(asked(&two(), &json!([loaded("4.21.1")])), CvoLease::Fresh, NOT_TAKEN_UP)]
    #[case::nobody_there_to_look(asked(&two(), &json!([loaded("4.21.1")])), CvoLease::Stale, NO_CVO)]
    #[case::nobody_was_ever_there(asked(&two(), &json!([])), CvoLease::Absent, NO_CVO)]
    fn a_request_that_nobody_has_answered(#[case] object: Value, #[case] cvo: CvoLease, #[case] expected: &str) {
        assert_eq!(said(&object, Role::Bridge, cvo), expected);
    }

    #[rstest]
    #[case::not_verified(asked(&two(), &json!([unverified()])), &["does not go ahead: RetrievePayload: ", "no signature\\u{1b}[31m"])]
    #[case::being_verified(
        asked(&two(), &json!([accepted("Unknown", "RetrievePayload", &format!("Retrieving version=\"4.21.2\" image=\"{TWO}\""))])),
        &["is not accepted yet: RetrievePayload: Retrieving version"])]
    #[case::invalid(
        asked(&json!({"version": "4.21.9"}), &json!([{"type": "Invalid", "status": "True", "reason": "InvalidClusterVersion",
            "message": "spec.desiredUpdate.version: Invalid value: \"4.21.9\": not available"}])),
        &["is not forced: ", "InvalidClusterVersion: "])]
    #[case::failing(
        asked(&two(), &json!([unverified(), {"type": "Failing", "status": "True", "reason": "ClusterOperatorDegraded", "message": "dns is degraded"}])),
        &["does not go ahead: RetrievePayload: ", " ClusterVersion says Failing=True: ClusterOperatorDegraded: dns is degraded"])]
    fn a_request_that_is_refused(#[case] object: Value, #[case] expected: &[&str]) {
        let text = said(&object, Role::Bridge, CvoLease::Fresh);
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains(NOT_TAKEN_UP) & !text.contains(NO_CVO), "{text}");
    }

    #[test]
    fn an_update_that_runs_and_fails_says_so() {
        let mut object =
            asked(&two(), &json!([{"type": "Failing", "status": "True", "reason": "Why", "message": "text"}]));
        object["status"]["desired"] = two();
        let front = json!({"state": "Partial", "version": "4.21.2", "image": TWO});
        object["status"]["history"].as_array_mut().unwrap().insert(0, front);
        assert_eq!(said(&object, Role::Bridge, CvoLease::Fresh), " ClusterVersion says Failing=True: Why: text");
        let text = said(&object, Role::Bridge, CvoLease::Stale);
        assert_eq!(text, format!("{NO_CVO} ClusterVersion says Failing=True: Why: text"));
        object["status"]["history"][0]["state"] = json!("Completed");
        assert_eq!(said(&object, Role::Bridge, CvoLease::Unknown), "", "it has gone ahead");
    }

    #[test]
    fn where_nobody_else_gates_the_verdict_says_it() {
        let minor = asked(&json!({"version": "4.22.0", "image": "three"}), &json!([]));
        let text = said(&minor, Role::Replace, CvoLease::Unknown);
        assert!(text.starts_with(" The requested update does not go ahead: ClusterVersionOverrides: "), "{text}");
        assert_eq!(said(&asked(&two(), &json!([])), Role::Replace, CvoLease::Unknown), "");
        assert_eq!(said(&asked(&two(), &json!([])), Role::Guard, CvoLease::Unknown), NO_CVO);
    }

    #[test]
    fn a_huge_text_is_cut() {
        let huge = accepted(
            "False",
            "RetrievePayload",
            &format!("Retrieving payload failed version=\"4.21.2\" image=\"{TWO}\" failure={}", "x".repeat(1 << 20)),
        );
        assert!(said(&asked(&two(), &json!([huge])), Role::Bridge, CvoLease::Fresh).len() < 16 << 10);
    }
}
