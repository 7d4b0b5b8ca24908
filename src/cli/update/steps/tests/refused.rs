//! While the CVO refuses the request for overrides.

use super::*;

#[rstest]
#[case::no_policy(MISSING, pending(), "InstallPolicy")]
#[case::a_part_of_the_policy(PolicyState::Missing { leftover: true }, pending(), "InstallPolicy")]
#[case::not_enforced_yet(PolicyState::Settling { created_here: true }, pending(), "Wait(Policy)")]
#[case::of_somebody_else(PolicyState::Foreign, pending(), "End(NotForced(NoPolicy))")]
#[case::not_readable(PolicyState::Unreadable("no".to_owned()), pending(), "End(NotForced(NoPolicy))")]
#[case::no_record(GUARDED, Source::Read(Vec::new()), "Record Bridge 4.21.2")]
#[case::records_not_readable(GUARDED, Source::Unreadable("no".to_owned()), "Wait(Record)")]
#[case::records_not_served(GUARDED, Source::NotServed, "Force Patch true")]
#[case::all_there(GUARDED, pending(), "Force Patch true")]
#[case::policy_of_this_command(CREATED, pending(), "Force Patch true")]
fn a_patch_refused_for_overrides_alone_is_forced_once_it_is_guarded_and_recorded(
    #[case] policy: PolicyState,
    #[case] records: Source<Vec<UpdateRecord>>,
    #[case] expected: &str,
) {
    let object = refused();
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence(&object, policy, records)), expected);
}

#[test]
fn without_policy_is_said_on_purpose() {
    let object = refused();
    let goal = Goal { without_policy: true, ..goal() };
    assert_eq!(
        next_shown(&goal, &asked_before(0), &object, &evidence(&object, MISSING, pending())),
        "Force Patch true"
    );
}

#[rstest]
#[case::fails(true, 59, "Wait(Record)")]
#[case::is_tried_again(false, 59, "Record Bridge 4.21.2")]
#[case::fails_for_a_minute(true, 60, "Force Patch true")]
fn a_record_that_cannot_be_written_holds_the_update_back_for_a_minute(
    #[case] record_fails: bool,
    #[case] seconds: u64,
    #[case] expected: &str,
) {
    let object = refused();
    let memory = Memory { record_fails, record_missing_for: Duration::from_secs(seconds), ..asked_before(0) };
    let evidence = evidence(&object, GUARDED, Source::Read(Vec::new()));
    assert_eq!(next_shown(&goal(), &memory, &object, &evidence), expected);
}

#[rstest]
#[case::a_cvo_that_is_gone(CvoLease::Stale)]
#[case::no_cvo(CvoLease::Absent)]
#[case::not_known(CvoLease::Unknown)]
fn nothing_is_forced_without_a_cvo(#[case] cvo: CvoLease) {
    let object = refused();
    let evidence = Evidence { cvo, ..evidence(&object, GUARDED, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(44), &object, &evidence), "Wait(Cvo)");
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), format!("End(NoCvo({cvo:?}))"));
}

#[test]
fn what_blocks_beside_overrides_is_the_answer() {
    let overrides = ("ClusterVersionUpgradeable", "ClusterVersionOverridesSet");
    let object = refused_for(&[overrides, ("ClusterVersionRollback", "LowDesiredVersion")]);
    let shown = next_shown(&goal(), &asked_before(0), &object, &evidence(&object, GUARDED, pending()));
    assert_eq!(shown, "End Refused PreconditionChecks");
    let object = refused_for(&[overrides, ("ClusterVersionRecommendedUpdate", "NoChannel")]);
    let shown = next_shown(&goal(), &asked_before(0), &object, &evidence(&object, GUARDED, pending()));
    assert_eq!(shown, "Force Patch true", "what only warns doesn't block");
}

#[test]
fn without_an_override_the_cvo_decides_again_by_itself() {
    let mut object = refused();
    object["spec"]["overrides"] = json!([]);
    let evidence = evidence(&object, GUARDED, pending());
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &evidence), "Wait(Answer)");
    assert_eq!(next_shown(&goal(), &asked_before(45), &object, &evidence), "End(NotForced(NoOverrides))");
}

#[test]
fn a_running_operator_does_the_forcing() {
    let object = refused();
    let with = |policy| Evidence { operator: Operator::Forces, ..evidence(&object, policy, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &with(GUARDED)), "Wait(Operator)");
    assert_eq!(next_shown(&goal(), &asked_before(119), &object, &with(MISSING)), "Wait(Operator)");
    assert_eq!(next_shown(&goal(), &asked_before(120), &object, &with(MISSING)), "End(NotForced(NoPolicy))");
    assert_eq!(next_shown(&goal(), &asked_before(120), &object, &with(GUARDED)), "End(OperatorIdle)");
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let evidence = Evidence { operator: Operator::Forces, ..evidence(&object, GUARDED, completed()) };
    assert_eq!(
        next_shown(&goal(), &asked_before(0), &object, &evidence),
        "Wait(Operator)",
        "it removes the force as well"
    );
    assert_eq!(next_shown(&goal(), &asked_before(120), &object, &evidence), "End(OperatorIdle)");
}

#[test]
fn an_operator_that_only_observes_is_none() {
    let object = refused();
    let seen = |policy, records| Evidence { operator: Operator::Observes, ..evidence(&object, policy, records) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen(MISSING, pending())), "InstallPolicy");
    let unrecorded = seen(GUARDED, Source::Read(Vec::new()));
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &unrecorded), "Record Bridge 4.21.2");
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen(GUARDED, pending())), "Force Patch true");
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let seen = Evidence { operator: Operator::Observes, ..evidence(&object, GUARDED, completed()) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen), "Unforce, image false");
}

/// In the place of a CVO it writes `ReleaseAccepted` and the records, and no force.
#[test]
fn an_operator_that_decides_itself_leaves_a_force_to_this_command() {
    let object = begun(asked(true, "upgrade-gate"), "Completed");
    let seen = |records| Evidence { operator: Operator::Decides, ..evidence(&object, GUARDED, records) };
    assert_eq!(next_shown(&goal(), &asked_before(0), &object, &seen(completed())), "Unforce, image false");
    let object = refused();
    let seen = Evidence { operator: Operator::Decides, ..evidence(&object, MISSING, pending()) };
    assert_eq!(next_shown(&goal(), &asked_before(119), &object, &seen), "Wait(Operator)");
    assert_eq!(next_shown(&goal(), &asked_before(120), &object, &seen), "End(OperatorIdle)");
}

#[test]
fn what_is_forced_is_never_a_minor() {
    let minor = "r.example/ocp@sha256:3333333333333333333333333333333333333333333333333333333333333333";
    let mut object = refused();
    object["status"]["availableUpdates"] = json!([{"version": "4.22.0", "image": minor}]);
    object["spec"]["desiredUpdate"] = json!({"version": "4.22.0", "image": minor, "force": false});
    let message = object["status"]["conditions"][2]["message"].as_str().unwrap();
    object["status"]["conditions"][2]["message"] = json!(message.replace("4.21.2", "4.22.0").replace(TWO, minor));
    let allowed = Allowed { explicit: true, not_recommended: true, warnings: true };
    let request = request(&cluster(&object), &named(Some("4.22.0"), None).unwrap(), allowed).unwrap();
    let goal = Goal { request, wait: true, without_policy: true };
    let step = next(&goal, &asked_before(0), &cluster(&object), Some(&evidence(&object, GUARDED, pending())));
    assert!(matches!(step, Step::End(Ending::NotForced(SkipReason::NotPatch(_)))), "{step:?}");
}
