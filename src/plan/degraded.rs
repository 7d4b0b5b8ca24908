//! The problems of this operator, and since when they exist. Only a lasting problem makes it `Degraded`: after a
//! conflict, a timeout or one refused write, the next try usually succeeds.

use std::time::Duration;

use crate::{
    api::{Condition, ConditionStatus, UpdateRecord, names::reason},
    gate::{Snapshot, Source, message},
    plan::{
        bridge::{ForceDecision, skip_reason::SkipReason},
        moment::Moment,
        write::Kind,
    },
};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason of the condition.
    pub reason: &'static str,
    /// What it is about, where several may have one reason.
    pub subject: &'static str,
    /// Sentences for people.
    pub message: String,
}

/// Everything that problems are derived from.
#[derive(Clone, Copy, Debug)]
pub struct Health<'a> {
    /// The sources.
    pub snapshot: &'a Snapshot,
    /// All UpdateRecords.
    pub records: &'a Source<Vec<UpdateRecord>>,
    /// Kinds of write whose last try has failed, and why.
    pub failed: &'a [(Kind, String)],
    /// Another writer reverts what is written.
    pub contended: bool,
    /// The bridge's decision on the request.
    pub force: Option<&'a ForceDecision>,
}

/// The present problems.
#[must_use]
pub fn problems(health: &Health<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |reason, subject, message| problems.push(Problem { reason, subject, message });
    match health.records {
        Source::Read(_) => {}
        Source::NotServed | Source::NotGiven => add(
            "UpdateRecordsNotServed",
            "",
            "The API of UpdateRecords isn't there, so what is let through is recorded in status.history alone. Apply \
             crds/updaterecord."
                .to_owned(),
        ),
        Source::Unreadable(why) => {
            add("UpdateRecordsUnreadable", "", format!("UpdateRecords cannot be read: {}", message::sanitize(why)));
        }
    }
    let snapshot = health.snapshot;
    for (subject, unreadable) in [
        ("ClusterOperators", unreadable(&snapshot.cluster_operators)),
        ("ConfigMap openshift-config-managed/admin-gates", unreadable(&snapshot.admin_gates)),
        ("ConfigMap openshift-config/admin-acks", unreadable(&snapshot.admin_acks)),
    ] {
        if let Some(why) = unreadable {
            add("SourceUnreadable", subject, format!("{subject}: {}", message::sanitize(why)));
        }
    }
    for (kind, why) in health.failed {
        let reason = match kind {
            Kind::History | Kind::Restore => "HistoryNotWritten",
            Kind::Conditions | Kind::Withdraw => "ConditionsNotWritten",
            Kind::Force => "ForceNotWritten",
            Kind::Unforce => "ForceNotRemoved",
            Kind::Record => "UpdateRecordNotWritten",
            Kind::Operator => "ClusterOperatorNotWritten",
        };
        add(reason, kind.as_str(), message::sanitize(why));
    }
    if health.contended {
        add("GateContention", "", message::CONTENTION.to_owned());
    }
    if let Some(Err(SkipReason::NoPolicy)) = health.force {
        add("PolicyMissing", "", SkipReason::NoPolicy.message().to_owned());
    }
    problems
}

fn unreadable<T>(source: &Source<T>) -> Option<&str> {
    match source {
        Source::Unreadable(why) => Some(why),
        Source::Read(_) | Source::NotServed | Source::NotGiven => None,
    }
}

/// Since when each problem lasts, by this machine's monotonic clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lasting(Vec<((&'static str, &'static str), Moment)>);

impl Lasting {
    /// How long each of the present problems has lasted. One that is gone for a moment starts again at zero.
    pub fn observe(&mut self, problems: Vec<Problem>, now: Moment) -> Vec<(Problem, Duration)> {
        let before = std::mem::take(&mut self.0);
        let since = |key: (&str, &str)| before.iter().find(|(known, _)| *known == key).map_or(now, |(_, since)| *since);
        self.0 =
            problems.iter().map(|problem| (problem.reason, problem.subject)).map(|key| (key, since(key))).collect();
        problems.into_iter().zip(&self.0).map(|(problem, (_, since))| (problem, now.since(*since))).collect()
    }
}

/// The condition `Degraded`: each problem that has lasted for as long as `after`, and each that the condition names
/// already: another replica has waited for that one, so it is not delayed again.
#[must_use]
pub fn degraded(
    problems: &[(Problem, Duration)],
    after: Duration,
    before: Option<&Condition>,
) -> (ConditionStatus, &'static str, String) {
    let is_named = |reason: &str| {
        before.is_some_and(|before| {
            let bullet = format!("* {reason}: ");
            before.status == ConditionStatus::True
                && (before.reason == reason
                    || before.reason == reason::MULTIPLE_REASONS
                        && before.message.lines().any(|line| line.starts_with(&bullet)))
        })
    };
    let mut lasting = problems.iter().filter(|(problem, age)| *age >= after || is_named(problem.reason));
    let count = lasting.clone().count();
    match (lasting.next(), count) {
        (None, _) => {
            let text = format!("No problem has lasted for {} seconds.", after.as_secs());
            (ConditionStatus::False, reason::AS_EXPECTED, text)
        }
        (Some((problem, _)), 1) => (ConditionStatus::True, problem.reason, problem.message.clone()),
        (Some(first), _) => {
            let all: Vec<String> = std::iter::once(first)
                .chain(lasting)
                .map(|(problem, _)| format!("* {}: {}", problem.reason, problem.message))
                .collect();
            let text = message::lines(all.into_iter(), message::MESSAGE_LIMIT);
            (ConditionStatus::True, reason::MULTIPLE_REASONS, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{api::ClusterVersion, gate::testing};

    const AFTER: Duration = Duration::from_mins(2);

    fn problem(reason: &'static str) -> Problem {
        Problem { reason, subject: "", message: format!("about {reason}") }
    }

    fn said(status: ConditionStatus, reason: &str, message: &str) -> Condition {
        Condition { status, reason: reason.to_owned(), message: message.to_owned(), ..Condition::default() }
    }

    #[rstest]
    #[case::none(&[], None, (ConditionStatus::False, "AsExpected", "No problem has lasted for 120 seconds."))]
    #[case::too_short(&[("A", 119)], None, (ConditionStatus::False, "AsExpected", "No problem has lasted for 120 seconds."))]
    #[case::long_enough(&[("A", 120)], None, (ConditionStatus::True, "A", "about A"))]
    #[case::only_what_lasts(&[("A", 120), ("B", 119)], None, (ConditionStatus::True, "A", "about A"))]
    #[case::several(&[("A", 500), ("B", 120)], None, (ConditionStatus::True, "MultipleReasons", "* A: about A\n* B: about B"))]
    #[case::said_by_another_replica(&[("A", 0)], Some(said(ConditionStatus::True, "A", "x")), (ConditionStatus::True, "A", "about A"))]
    #[case::said_among_several(
        &[("B", 0)], Some(said(ConditionStatus::True, "MultipleReasons", "* A: x\n* B: y")), (ConditionStatus::True, "B", "about B"))]
    #[case::said_of_something_else(
        &[("C", 0)], Some(said(ConditionStatus::True, "MultipleReasons", "* A: x\n* B: * C: y")),
        (ConditionStatus::False, "AsExpected", "No problem has lasted for 120 seconds."))]
    #[case::said_and_over(
        &[], Some(said(ConditionStatus::True, "A", "x")), (ConditionStatus::False, "AsExpected", "No problem has lasted for 120 seconds."))]
    #[case::a_reason_of_another_status(
        &[("A", 0)], Some(said(ConditionStatus::False, "A", "x")), (ConditionStatus::False, "AsExpected", "No problem has lasted for 120 seconds."))]
    fn only_what_lasts_is_reported(
        #[case] problems: &[(&'static str, u64)],
        #[case] before: Option<Condition>,
        #[case] expected: (ConditionStatus, &str, &str),
    ) {
        let problems: Vec<_> =
            problems.iter().map(|(reason, age)| (problem(reason), Duration::from_secs(*age))).collect();
        let (status, reason, message) = degraded(&problems, AFTER, before.as_ref());
        assert_eq!((status, reason, message.as_str()), expected);
    }

    #[test]
    fn a_problem_that_is_gone_for_a_moment_starts_again() {
        let start = Moment::default();
        let mut lasting = Lasting::default();
        let mut ages = |seconds: u64, reasons: &[&'static str]| -> Vec<u64> {
            let problems = reasons.iter().map(|reason| problem(reason)).collect();
            let looked = lasting.observe(problems, start + Duration::from_secs(seconds));
            looked.iter().map(|(_, age)| age.as_secs()).collect()
        };
        assert_eq!(ages(0, &["A"]), [0]);
        assert_eq!(ages(60, &["B", "A"]), [0, 60]);
        assert_eq!(ages(119, &["B", "A"]), [59, 119]);
        assert_eq!(ages(120, &["B"]), [60]);
        assert_eq!(ages(121, &["B", "A"]), [61, 0]);
        assert_eq!(ages(241, &["A"]), [120]);
    }

    #[test]
    fn each_problem_has_a_reason_of_its_own() {
        let mut snapshot = testing::snapshot(ClusterVersion::default());
        snapshot.cluster_operators = Source::Unreadable("no\u{1b}[31m".to_owned());
        snapshot.admin_acks = Source::Unreadable("neither".to_owned());
        let failed = [(Kind::Record, "refused".to_owned()), (Kind::Restore, "too".to_owned())];
        let force = Err(SkipReason::NoPolicy);
        let health = Health {
            snapshot: &snapshot,
            records: &Source::NotServed,
            failed: &failed,
            contended: true,
            force: Some(&force),
        };
        let found: Vec<_> = problems(&health).iter().map(|problem| (problem.reason, problem.subject)).collect();
        assert_eq!(
            found,
            [
                ("UpdateRecordsNotServed", ""),
                ("SourceUnreadable", "ClusterOperators"),
                ("SourceUnreadable", "ConfigMap openshift-config/admin-acks"),
                ("UpdateRecordNotWritten", "record"),
                ("HistoryNotWritten", "restore"),
                ("GateContention", ""),
                ("PolicyMissing", ""),
            ]
        );
        assert_eq!(problems(&health)[1].message, "ClusterOperators: no\\u{1b}[31m");
    }
}
