use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::gate::{Authority, Source, Target, evaluate};

const TWO: &str = "r.example/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const MIRROR: &str = "mirror.lan:5000/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222";
const FIVE: &str = "r.example/ocp@sha256:5555555555555555555555555555555555555555555555555555555555555555";
const NINE: &str = "r.example/ocp@sha256:9999999999999999999999999999999999999999999999999999999999999999";
const ZERO: &str = "r.example/ocp@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// At 4.21.1, coming from 4.21.0; 4.21.2 is available, 4.21.5 not recommended.
fn object(changes: &[(&str, Value)]) -> Value {
    let mut object = json!({
        "spec": {"channel": "c", "desiredUpdate": null, "overrides": []},
        "status": {
            "desired": {"version": "4.21.1", "image": "one"},
            "history": [{"state": "Completed", "version": "4.21.1", "image": "one"},
                        {"state": "Completed", "version": "4.21.0", "image": ZERO}],
            "availableUpdates": [{"version": "4.21.2", "image": TWO}],
            "conditionalUpdates": [{"release": {"version": "4.21.5", "image": FIVE}, "conditions": recommended("False")}],
            "conditions": [],
        },
    });
    for (path, value) in changes {
        *object.pointer_mut(path).unwrap() = value.clone();
    }
    object
}

fn recommended(status: &str) -> Value {
    json!([{"type": "Recommended", "status": status, "reason": "R"}])
}

fn snapshot(object: Value, argument: Option<&str>) -> Snapshot {
    let cluster_version = ClusterVersion::from_value(object).unwrap();
    let requested = Target::requested(&cluster_version);
    Snapshot {
        now: jiff::Timestamp::UNIX_EPOCH,
        targets: argument.map(Target::named).or(requested).into_iter().collect(),
        cluster_version,
        cluster_operators: Source::NotGiven,
        admin_gates: Source::NotGiven,
        admin_acks: Source::NotGiven,
        authority: Authority::Shared,
    }
}

fn command_of(snapshot: &Snapshot, gate: Option<&GateReport>) -> Option<String> {
    let verdict = evaluate(snapshot);
    let under_overrides = UnderOverrides::new(snapshot, &verdict, gate);
    let caller = Caller::new("upgrade-gate", None);
    command(&caller, &snapshot.cluster_version, &verdict.targets[0], under_overrides)
}

fn commands(changes: &[(&str, Value)], argument: &str) -> Option<String> {
    command_of(&snapshot(object(changes), Some(argument)), None)
}

fn adm_upgrade(flags: &str) -> String {
    format!("oc adm upgrade {flags}")
}

#[rstest]
#[case::available("4.21.2", Some(adm_upgrade("--to 4.21.2")))]
#[case::by_its_image(TWO, Some(adm_upgrade("--to 4.21.2")))]
#[case::by_a_mirrors_image(MIRROR, Some(adm_upgrade(&format!("--to-image {MIRROR}"))))]
#[case::conditional("4.21.5", Some(adm_upgrade("--to 4.21.5 --allow-not-recommended")))]
#[case::conditional_by_a_mirrors_image(
    "mirror.lan/ocp@sha256:5555555555555555555555555555555555555555555555555555555555555555",
    Some(adm_upgrade(
        "--to-image mirror.lan/ocp@sha256:5555555555555555555555555555555555555555555555555555555555555555 --allow-not-recommended"
    ))
)]
#[case::the_previous("4.21.0", Some(adm_upgrade(&format!("--to-image {ZERO} --allow-explicit-upgrade"))))]
#[case::runs_already("4.21.1", None)]
#[case::no_image_is_known("4.21.9", None)]
#[case::blocked("4.20.0", None)]
fn what_asks_for_a_release(#[case] argument: &str, #[case] expected: Option<String>) {
    assert_eq!(commands(&[], argument), expected);
}

#[test]
fn one_of_two_releases_of_a_version_is_asked_for_by_its_image() {
    let both = json!([{"version": "4.21.2", "image": TWO}, {"version": "4.21.2", "image": FIVE}]);
    let command = commands(&[("/status/availableUpdates", both)], FIVE);
    assert_eq!(command, Some(adm_upgrade(&format!("--to-image {FIVE}"))));
}

/// `oc` looks for it among the available ones, where the CVO lists it as well; where it doesn't, only the image is left.
#[rstest]
#[case::recommended(recommended("True"))]
#[case::not_evaluated(json!([]))]
fn a_conditional_update_that_is_not_refused_is_none_to_oc(#[case] conditions: Value) {
    let conditional = json!([{"release": {"version": "4.21.5", "image": FIVE}, "conditions": conditions}]);
    let changes = [("/status/conditionalUpdates", conditional)];
    let by_image = Some(adm_upgrade(&format!("--to-image {FIVE} --allow-explicit-upgrade")));
    assert_eq!(commands(&changes, "4.21.5"), by_image);

    let listed = ("/status/availableUpdates", json!([{"version": "4.21.5", "image": FIVE}]));
    assert_eq!(commands(&[changes[0].clone(), listed], "4.21.5"), Some(adm_upgrade("--to 4.21.5")));
}

#[test]
fn another_image_of_the_current_version_is_asked_for_by_its_image() {
    let listed = ("/status/availableUpdates", json!([{"version": "4.21.1", "image": NINE}]));
    assert_eq!(commands(&[listed], NINE), Some(adm_upgrade(&format!("--to-image {NINE}"))));
}

#[rstest]
#[case("Progressing")]
#[case("Failing")]
#[case("Invalid")]
fn oc_refuses_beside_a_warning(#[case] kind: &str) {
    let conditions = json!([{"type": kind, "status": "True"}]);
    let command = commands(&[("/status/conditions", conditions)], "4.21.2");
    assert_eq!(command, Some(adm_upgrade("--to 4.21.2 --allow-upgrade-with-warnings")));
}

const HEX: &str = "@sha256:9999999999999999999999999999999999999999999999999999999999999999";

#[rstest]
#[case::plain("r.example:5000/org/ocp-release", Some("r.example:5000/org/ocp-release"))]
#[case::a_tag_beside_the_digest("r.example:5000/ocp:4.21.9", Some("r.example:5000/ocp"))]
#[case::no_registry("ocp", None)]
#[case::only_a_tag("ocp:4.21.9", None)]
#[case::an_option("-x/ocp", None)]
#[case::an_option_in_the_path("r/-x", None)]
#[case::upper_case_in_the_path("r.example/OCP", None)]
#[case::globs("[r]/ocp", None)]
#[case::an_empty_part("r.example//ocp", None)]
#[case::substitution("r/$(reboot)", None)]
#[case::a_second_command("r/a;reboot", None)]
fn an_image_is_written_as_oc_takes_it(#[case] name: &str, #[case] expected: Option<&str>) {
    assert_eq!(pull_spec(&format!("{name}{HEX}")), expected.map(|name| format!("{name}{HEX}")));
}

#[test]
fn what_a_shell_would_act_on_is_in_no_command() {
    let listed = json!([{"version": "4.21.2", "image": format!("r/a;reboot{HEX}")}]);
    assert_eq!(commands(&[("/status/availableUpdates", listed)], "4.21.2"), None);
    let listed = json!([{"version": "4.21.2;reboot", "image": NINE}]);
    let changes = [("/status/availableUpdates", listed), ("/status/desired/version", json!("latest"))];
    assert_eq!(commands(&changes, "4.21.2;reboot"), Some(adm_upgrade(&format!("--to-image {NINE}"))));
    let history = json!([{"state": "Completed", "version": "4.21.0", "image": "r/$(reboot)"}]);
    assert_eq!(commands(&[("/status/history", history)], "4.21.0"), None);
}

fn overridden() -> (&'static str, Value) {
    ("/spec/overrides", json!([{"kind": "A", "name": "a", "unmanaged": true}]))
}

fn gate(mode: &'static str, operator: Option<Mode>, policy: Option<bool>) -> GateReport {
    GateReport {
        mode,
        why: "",
        policy_installed: policy,
        operator_installed: None,
        operator_running: Some(operator.is_some()),
        operator_mode: operator,
        bridge: None,
    }
}

#[rstest]
#[case::from_files(None, "upgrade-gate update")]
#[case::nothing_deployed(Some(gate("bridge", None, Some(false))), "upgrade-gate update")]
#[case::the_operator_runs(Some(gate("bridge", Some(Mode::Auto), Some(true))), "oc adm upgrade")]
#[case::the_operator_is_the_bridge(Some(gate("bridge", Some(Mode::Bridge), Some(true))), "oc adm upgrade")]
#[case::the_operator_observes(Some(gate("bridge", Some(Mode::Observe), Some(true))), "upgrade-gate update")]
#[case::the_operator_observes_where_no_cvo_is(Some(gate("replace", Some(Mode::Observe), Some(true))), "oc adm upgrade")]
#[case::without_the_policy(Some(gate("bridge", Some(Mode::Auto), Some(false))), "upgrade-gate update")]
#[case::not_known(Some(gate("bridge", None, None)), "upgrade-gate update")]
#[case::undecided(Some(gate("undecided", None, None)), "upgrade-gate update")]
#[case::no_cvo(Some(gate("replace", Some(Mode::Auto), Some(true))), "oc adm upgrade")]
#[case::a_cvo_that_is_gone(Some(gate("guard", Some(Mode::Auto), Some(true))), "oc adm upgrade")]
fn under_overrides_the_command_is_the_one_that_works(#[case] gate: Option<GateReport>, #[case] expected: &str) {
    let of = |argument: &str| command_of(&snapshot(object(&[overridden()]), Some(argument)), gate.as_ref());
    assert_eq!(of("4.21.2"), Some(format!("{expected} --to 4.21.2")));
    assert_eq!(of("4.21.5"), Some(format!("{expected} --to 4.21.5 --allow-not-recommended")));
    // `oc` accepts an image alone; `update` needs the version too.
    let version = if expected == "upgrade-gate update" { " --to 4.21.0" } else { "" };
    assert_eq!(of("4.21.0"), Some(format!("{expected}{version} --to-image {ZERO} --allow-explicit-upgrade")));
    assert_eq!(of("4.22.0"), None, "it is blocked");
}

/// Neither command works: the CVO refuses what `oc` requests, and `upgrade-gate update` ends.
#[test]
fn under_overrides_there_is_no_command_while_a_cvo_and_the_operator_both_decide() {
    let snapshot = snapshot(object(&[overridden()]), Some("4.21.2"));
    assert_eq!(command_of(&snapshot, Some(&gate("bridge", Some(Mode::Replace), Some(true)))), None);
}

/// `oc` has no flag for the version beside an image; `upgrade-gate update` cannot judge the image without it.
#[rstest]
#[case::by_oc("4.22.1", "4.22.2", "oc adm upgrade --to-image")]
#[case::by_update("4.21.1", "4.21.9", "upgrade-gate update --to 4.21.9 --to-image")]
fn a_version_and_a_digest_are_asked_for_together(
    #[case] current: &str,
    #[case] version: &str,
    #[case] expected: &str,
    #[values(("9", "r.example/ocp"), ("0", "REPOSITORY"))] digit_and_repository: (&str, &str),
) {
    let (digit, repository) = digit_and_repository;
    let changes = [
        overridden(),
        ("/status/desired/version", json!(current)),
        ("/status/history", json!([{"state": "Completed", "version": current, "image": "one"}])),
        // Of a request that was made before.
        ("/spec/desiredUpdate", json!({"image": NINE})),
    ];
    let mut snapshot = snapshot(object(&changes), None);
    let argument = format!("{version}@sha256:{}", digit.repeat(64));
    snapshot.targets = vec![crate::gate::suggest::pair(&snapshot.cluster_version, &argument).unwrap()];
    let image = format!("{repository}@sha256:{}", digit.repeat(64));
    assert_eq!(command_of(&snapshot, None), Some(format!("{expected} {image} --allow-explicit-upgrade")));
}

#[rstest]
#[case::fixed("4.22.1", "oc adm upgrade", "")]
#[case::of_the_next_major("5.0.1", "oc adm upgrade", "")]
#[case::old("4.20.1", "upgrade-gate update", "")]
#[case::the_first_with_policies("4.17.1", "upgrade-gate update", "")]
#[case::the_last_without_policies("4.16.1", "upgrade-gate update", " --without-policy")]
#[case::one_digit("4.9.1", "upgrade-gate update", " --without-policy")]
fn only_a_cvo_up_to_4_21_refuses_a_patch(#[case] current: &str, #[case] expected: &str, #[case] flag: &str) {
    let next = current.trim_end_matches('1').to_owned() + "2";
    let changes = [
        overridden(),
        ("/status/desired/version", json!(current)),
        ("/status/history", json!([{"state": "Completed", "version": current, "image": "one"}])),
        ("/status/availableUpdates", json!([{"version": next, "image": TWO}])),
    ];
    assert_eq!(commands(&changes, &next), Some(format!("{expected} --to {next}{flag}")));
}

/// The bridge leaves these alone, so there is no command that works.
#[rstest]
#[case::another_image_of_the_current_version(NINE, ("/status/availableUpdates", json!([{"version": "4.21.1", "image": NINE}])))]
#[case::during_a_minor_update("4.21.2", ("/status/history", json!([{"state": "Partial", "version": "4.21.1", "image": "one"}, {"state": "Completed", "version": "4.20.9"}])))]
#[case::an_image_that_is_not_listed("4.21.9", ("/status/availableUpdates", json!([])))]
fn what_stays_refused_has_no_command(#[case] argument: &str, #[case] change: (&str, Value)) {
    let snapshot = snapshot(object(&[overridden(), change]), Some(argument));
    assert_eq!(evaluate(&snapshot).targets[0].decision(), Decision::Allowed);
    for gate in [None, Some(gate("bridge", Some(Mode::Auto), Some(true)))] {
        assert_eq!(command_of(&snapshot, gate.as_ref()), None);
    }
}

fn refused() -> Value {
    json!([{"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks",
            "message": cvo_message::refusal_for_overrides("4.21.2", TWO)}])
}

#[rstest]
#[case::refused(json!({"version": "4.21.2", "image": TWO}), refused(), Some("--to 4.21.2"))]
#[case::by_version(json!({"version": "4.21.2"}), refused(), Some("--to 4.21.2"))]
#[case::by_a_mirrors_image(json!({"image": MIRROR}), refused(), Some(
    "--to 4.21.2 --to-image mirror.lan:5000/ocp@sha256:2222222222222222222222222222222222222222222222222222222222222222"))]
#[case::not_answered(json!({"version": "4.21.2"}), json!([]), Some("--to 4.21.2"))]
#[case::accepted(json!({"version": "4.21.2"}), json!([{"type": "ReleaseAccepted", "status": "True"}]), None)]
#[case::forced(json!({"version": "4.21.2", "force": true}), refused(), None)]
fn what_is_asked_for_and_refused_is_asked_for_in_another_way(
    #[case] request: Value,
    #[case] conditions: Value,
    #[case] expected: Option<&str>,
) {
    let changes = [overridden(), ("/spec/desiredUpdate", request), ("/status/conditions", conditions)];
    let snapshot = snapshot(object(&changes), None);
    let expected = expected.map(|flags| format!("upgrade-gate update {flags}"));
    assert_eq!(command_of(&snapshot, None), expected);
    // The operator does it by itself.
    assert_eq!(command_of(&snapshot, Some(&gate("bridge", Some(Mode::Auto), Some(true)))), None);
}

#[test]
fn a_newer_release_that_refuses_all_the_same_is_taken_at_its_word() {
    let message = cvo_message::refusal_for_overrides("4.22.2", TWO);
    let changes = [
        overridden(),
        ("/status/desired/version", json!("4.22.1")),
        ("/status/history", json!([{"state": "Completed", "version": "4.22.1", "image": "one"}])),
        ("/status/availableUpdates", json!([{"version": "4.22.2", "image": TWO}])),
        ("/spec/desiredUpdate", json!({"version": "4.22.2"})),
        (
            "/status/conditions",
            json!([{"type": "ReleaseAccepted", "status": "False", "reason": "PreconditionChecks", "message": message}]),
        ),
    ];
    let snapshot = snapshot(object(&changes), None);
    assert_eq!(command_of(&snapshot, None).as_deref(), Some("upgrade-gate update --to 4.22.2"));
}
