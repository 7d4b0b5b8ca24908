//! Once the update has completed.

use super::*;

#[rstest]
#[case::no_record(Source::Read(Vec::new()), MISSING, true, "Unforce, image false")]
#[case::force(completed(), CREATED, true, "Unforce, image false")]
#[case::policy(completed(), CREATED, false, "RemovePolicy")]
#[case::a_part_of_the_policy(completed(), PolicyState::Missing { leftover: true }, false, "RemovePolicy")]
#[case::policy_of_somebody_else(completed(), GUARDED, false, "End(Completed)")]
#[case::nothing(completed(), MISSING, false, "End(Completed)")]
#[case::records_not_served(Source::NotServed, MISSING, true, "Show Some(Completed)")]
fn once_completed_the_force_goes_first_and_then_the_policy(
    #[case] records: Source<Vec<UpdateRecord>>,
    #[case] policy: PolicyState,
    #[case] forced: bool,
    #[case] expected: &str,
) {
    let object = begun(asked(forced, if forced { "upgrade-gate" } else { "oc" }), "Completed");
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence(&object, policy, records)), expected);
}

#[test]
fn a_record_is_closed_before_the_force_goes() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let endings = vec![("a".to_owned(), json!({}))];
    let evidence = Evidence { endings, ..evidence(&object, CREATED, completed()) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence), "Close");
}

#[test]
fn a_record_that_cannot_be_written_is_tried_again_for_a_minute_and_then_printed() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let endings = vec![("a".to_owned(), json!({}))];
    let seen = Evidence { endings, ..evidence(&object, CREATED, pending()) };
    let failed =
        |seconds| Memory { record_fails: true, record_missing_for: Duration::from_secs(seconds), ..asked_before(0) };
    assert_eq!(next_shown(&goal(), &failed(59), &object, &seen), "Close");
    assert_eq!(next_shown(&goal(), &failed(60), &object, &seen), "Show Some(Completed)");
    let shown = Memory { shown: true, ..failed(60) };
    assert_eq!(next_shown(&goal(), &shown, &object, &seen), "Unforce, image false", "the force does not wait longer");
    // It may have failed before the force as well, and since then the update has taken an hour.
    assert!(Wait::Complete.is_for_record());

    let unreadable = evidence(&object, CREATED, Source::Unreadable("no".to_owned()));
    let waits = "Wait(Unforce(RecordsUnreadable))";
    assert_eq!(next_shown(&goal(), &failed(59), &object, &unreadable), waits);
    assert_eq!(next_shown(&goal(), &failed(60), &object, &unreadable), "Show Some(Completed)");
    assert_eq!(next_shown(&goal(), &shown, &object, &unreadable), "Unforce, image false");
}

#[test]
fn a_printed_record_is_printed_once() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let memory = Memory { shown: true, ..asked_before(0) };
    let shown = next_shown(&goal(), &memory, &object, &evidence(&object, MISSING, Source::NotServed));
    assert_eq!(shown, "Unforce, image false");
}

#[test]
fn a_force_that_has_to_stay_is_waited_for_or_reported() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let mut seen = evidence(&object, GUARDED, completed());
    let unhealthy =
        |name: &str| ClusterOperator { name: name.to_owned(), upgradeable: Ok(None), health: Health::Degraded };
    seen.snapshot.cluster_operators = Source::Read(vec![unhealthy("upgrade-gate")]);
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen), "Unforce, image false");
    seen.snapshot.cluster_operators = Source::Read(vec![unhealthy("etcd")]);
    let shown = next_shown(&goal(), &asked_before(0), &object, &seen);
    assert_eq!(shown, "Wait(Unforce(OperatorUnhealthy(\"etcd\")))");
    let hasty = Goal { wait: false, ..goal() };
    assert_eq!(next_shown(&hasty, &asked_before(0), &object, &seen), "End(Left { forced: true })");

    let mut object = object;
    object["metadata"]["managedFields"] = json!([owner("upgrade-gate"), owner("argocd")]);
    let seen = evidence(&object, GUARDED, completed());
    let shown = next_shown(&goal(), &asked_before(0), &object, &seen);
    assert_eq!(shown, "End(Kept(SharedForce(\"argocd\")))");
}

#[test]
fn a_force_of_a_person_is_watched_and_stays() {
    let object = begun(asked(true, "oc"), "Completed");
    let shown = next_shown(&goal(), &asked_before(0), &object, &evidence(&object, GUARDED, completed()));
    assert_eq!(shown, "End(Completed)");
}

#[test]
fn a_force_that_stays_under_a_changed_request_is_reported() {
    let mut object = begun(asked(true, "upgrade-gate"), "Completed");
    object["spec"]["desiredUpdate"]["version"] = json!("4.21.3");
    let seen = evidence(&object, GUARDED, completed());
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen), "End(Kept(RequestChanged))");
}
