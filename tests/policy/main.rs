//! Compares the policy of `deploy/base/policy` with the core on many edits, in process. tests/controlplane/policy.rs tests
//! what needs an API server.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod cel;
mod messages;
#[path = "../support/requests.rs"]
mod requests;

use std::cell::Cell;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use rstest::rstest;
use serde_json::{Value, json};

use upgrade_gate::escape;

use cel::Policy;
use requests::{Answer, Edit};

thread_local! {
    static DENY: Policy = Policy::deployed("deny.yaml");
    static WARN: Policy = Policy::deployed("warn.yaml");
}

/// The messages of the two policies.
fn answer(edit: &Edit) -> (Answer, Vec<String>) {
    let denials = DENY.with(|policy| policy.objections(&edit.before, &edit.after));
    let warnings = WARN.with(|policy| policy.objections(&edit.before, &edit.after));
    let answer = Answer {
        denied: denials.iter().any(Option::is_some),
        warned_as_unknown: warnings[0].is_some(),
        warned_as_patch: warnings[1].is_some(),
    };
    (answer, denials.into_iter().chain(warnings).flatten().collect())
}

fn agree(edit: &Edit) -> Result<Answer, TestCaseError> {
    let (answer, messages) = answer(edit);
    prop_assert_eq!(answer, requests::expected(edit));
    for message in messages {
        prop_assert!(is_fit_to_show(&message), "{:?}", message);
    }
    Ok(answer)
}

/// Of a longer message, or one of several lines, the API server shows the expression instead; a warning with a control
/// character it drops, and one of more than 4096 characters it cuts to 256. Unprintable characters are never shown.
fn is_fit_to_show(message: &str) -> bool {
    message.len() <= 5 << 10 && message.chars().count() <= 4000 && !message.chars().any(escape::is_unprintable)
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() })
}

#[test]
fn policy_and_core_agree_on_every_edit() {
    let tally = Cell::new([0_u32; 4]);
    let checked = runner().run(&requests::edits(), |edit| {
        let answer = agree(&edit)?;
        let seen = [answer.denied, answer.warned_as_unknown, answer.warned_as_patch, answer == Answer::default()];
        let mut counts = tally.get();
        std::iter::zip(&mut counts, seen).for_each(|(count, seen)| *count += u32::from(seen));
        tally.set(counts);
        Ok(())
    });
    checked.unwrap();
    assert!(tally.get().iter().all(|&count| count > 50), "too few of some answer: {:?}", tally.get());
}

#[test]
fn policy_and_core_compare_versions_alike() {
    let any = || proptest::prop_oneof![requests::neighbours(), requests::version()];
    let checked = runner().run(&(any(), any()), |(current, target)| {
        agree(&asking(&json!({"desired": {"version": current}}), &json!({"version": target}))).map(drop)
    });
    checked.unwrap();
}

/// A request on a cluster with an override and this status.
fn asking(status: &Value, request: &Value) -> Edit {
    let overrides = json!([{"kind": "ClusterImagePolicy", "group": "config.openshift.io", "namespace": "",
        "name": "openshift", "unmanaged": true}]);
    let before = json!({"spec": {"overrides": overrides}, "status": status});
    let mut after = before.clone();
    after["spec"]["desiredUpdate"] = request.clone();
    Edit { before, after }
}

const PASSES: Answer = Answer { denied: false, warned_as_unknown: false, warned_as_patch: false };
const DENIED: Answer = Answer { denied: true, ..PASSES };
const UNKNOWN: Answer = Answer { warned_as_unknown: true, ..PASSES };
const PATCH: Answer = Answer { warned_as_patch: true, ..PASSES };

/// The cluster is at 4.21.1 and knows the digest `dd` as 4.21.2 and `ee` as 4.22.0.
fn status() -> Value {
    let release = |version: &str, image: &str| json!({"version": version, "image": image});
    json!({
        "desired": release("4.21.1", "r@sha256:cc"),
        "availableUpdates": [release("4.21.2", "r@sha256:dd")],
        "conditionalUpdates": [{"release": release("4.22.0", "r@sha256:ee")}],
        "history": [{"state": "Completed", "version": "4.21.1", "image": "r@sha256:cc"}],
    })
}

#[rstest]
#[case::image(json!({"image": "r@sha256:ff"}), DENIED)]
#[case::image_with_a_mode(json!({"image": "r@sha256:ff", "mode": "Preflight"}), DENIED)]
#[case::tag(json!({"image": "r:4.21"}), DENIED)]
#[case::not_semver(json!({"version": "4.21"}), DENIED)]
#[case::not_semver_with_an_image(json!({"version": "latest", "image": "r@sha256:ff"}), DENIED)]
#[case::forced(json!({"image": "r@sha256:ff", "force": true}), PASSES)]
#[case::a_known_patch(json!({"image": "mirror@sha256:dd"}), PATCH)]
#[case::a_known_minor(json!({"image": "mirror@sha256:ee"}), DENIED)]
#[case::what_runs(json!({"image": "mirror@sha256:cc"}), PASSES)]
#[case::a_version_that_is_not_listed(json!({"version": "4.21.9", "image": "r@sha256:ff"}), PATCH)]
fn an_unknown_update_under_overrides_waits_for_upgradeable(#[case] request: Value, #[case] expected: Answer) {
    assert_eq!(answer(&asking(&status(), &request)).0, expected);
    let mut published = status();
    published["conditions"] = json!([{"type": "Upgradeable", "status": "False"}]);
    let minor = request["image"] == "mirror@sha256:ee";
    let then = if expected == DENIED && !minor { UNKNOWN } else { expected };
    assert_eq!(answer(&asking(&published, &request)).0, then);
}

#[rstest]
#[case::published(json!([{"type": "Upgradeable", "status": "False"}]), UNKNOWN)]
#[case::true_(json!([{"type": "Upgradeable", "status": "True"}]), DENIED)]
#[case::status_unknown(json!([{"type": "Upgradeable", "status": "Unknown"}]), DENIED)]
#[case::a_part_alone(json!([{"type": "UpgradeableClusterVersionOverrides", "status": "False"}]), DENIED)]
#[case::null(json!(null), DENIED)]
fn only_upgradeable_false_is_published(#[case] conditions: Value, #[case] expected: Answer) {
    let mut status = status();
    status["conditions"] = conditions;
    let mut edit = asking(&status, &json!({"image": "r@sha256:ff"}));
    assert_eq!(answer(&edit).0, expected);
    // The override in what is written counts, and not the one before.
    edit.before["spec"]["overrides"] = json!(null);
    assert_eq!(answer(&edit).0, expected);
    edit.after["spec"]["overrides"][0]["unmanaged"] = json!(false);
    assert_eq!(answer(&edit).0, UNKNOWN);
}

/// An image-only request and a version are of unknown kind here, as nothing compares with the current version.
#[rstest]
fn a_current_version_that_is_not_semver_makes_every_update_unknown(
    #[values(json!({}), json!({"desired": {"version": ""}}), json!({"desired": {"version": "latest"}}))] status: Value,
    #[values(json!({"version": "4.21.2"}), json!({"version": "4.22.0"}))] request: Value,
) {
    assert_eq!(answer(&asking(&status, &request)).0, DENIED);
    let mut published = status;
    published["conditions"] = json!([{"type": "Upgradeable", "status": "False"}]);
    assert_eq!(answer(&asking(&published, &request)).0, UNKNOWN);
}

/// Before, 4.21.2 under the digest `dd` was forced.
#[rstest]
#[case::minor(json!({"version": "4.22.0", "force": true}), DENIED)]
#[case::major(json!({"version": "5.0.0", "force": true}), DENIED)]
#[case::unknown(json!({"image": "r@sha256:ff", "force": true}), DENIED)]
#[case::another_patch(json!({"version": "4.21.3", "force": true}), DENIED)]
#[case::older(json!({"version": "4.21.0", "force": true}), DENIED)]
#[case::what_runs(json!({"version": "4.21.1", "force": true}), DENIED)]
#[case::another_image(json!({"version": "4.21.2", "image": "r@sha256:ff", "force": true}), DENIED)]
#[case::another_architecture(json!({"version": "4.21.2", "architecture": "Multi", "force": true}), DENIED)]
#[case::without_the_image(json!({"version": "4.21.2", "force": true}), DENIED)]
#[case::with_a_mode(json!({"version": "4.21.3", "force": true, "mode": "Preflight"}), DENIED)]
#[case::the_same(json!({"version": "4.21.2", "image": "r@sha256:dd", "architecture": "", "force": true}), PASSES)]
#[case::a_mode_more(json!({"version": "4.21.2", "image": "r@sha256:dd", "mode": "Preflight", "force": true}), PASSES)]
#[case::risks_more(json!({"version": "4.21.2", "image": "r@sha256:dd", "acceptRisks": [{"name": "A"}], "force": true}), PASSES)]
#[case::no_longer_forced(json!({"version": "4.21.2", "image": "r@sha256:dd", "force": false}), PASSES)]
#[case::reverted(json!({"version": "4.21.2"}), PATCH)]
#[case::another_that_is_not_forced(json!({"version": "4.21.3"}), PATCH)]
#[case::a_minor_that_is_not_forced(json!({"version": "4.22.0", "force": false}), DENIED)]
#[case::emptied(json!({"version": "", "force": true}), PASSES)]
#[case::cleared(json!(null), PASSES)]
fn a_force_is_for_one_target(#[case] request: Value, #[case] expected: Answer) {
    let mut edit = asking(&status(), &request);
    edit.before["spec"]["desiredUpdate"] = json!({"version": "4.21.2", "image": "r@sha256:dd", "force": true});
    assert_eq!(answer(&edit).0, expected);
}

#[rstest]
fn a_new_force_may_request_any_target(
    #[values(json!(null), json!({}), json!({"version": "4.21.2"}), json!({"image": "r@sha256:dd", "force": false}))]
    before: Value,
    #[values("4.22.0", "5.0.0", "latest", "4.20.0", "4.21.3")] version: &str,
) {
    let mut edit = asking(&status(), &json!({"version": version, "force": true}));
    edit.before["spec"]["desiredUpdate"] = before;
    assert!(!answer(&edit).0.denied);
}

/// As `oc patch --type=merge` does under a pinned image.
#[rstest]
#[case::another(json!({"version": "4.21.3", "image": "mirror@sha256:DD"}), DENIED)]
#[case::another_forced(json!({"version": "4.21.3", "image": "mirror@sha256:dd", "force": true}), DENIED)]
#[case::what_runs(json!({"version": "4.21.3", "image": "r@sha256:cc"}), DENIED)]
#[case::not_semver(json!({"version": "v4.21.2", "image": "r@sha256:dd", "force": true}), DENIED)]
#[case::its_own(json!({"version": "4.21.2", "image": "mirror@sha256:DD"}), PATCH)]
#[case::none(json!({"version": "", "image": "mirror@sha256:DD"}), PATCH)]
#[case::of_an_unknown_image(json!({"version": "4.21.3", "image": "r@sha256:ff"}), PATCH)]
fn a_version_is_not_asked_for_under_the_image_of_another(#[case] request: Value, #[case] expected: Answer) {
    assert_eq!(answer(&asking(&status(), &request)).0, expected);
    // Known as that version as well, and not first.
    let mut status = status();
    for version in ["4.21.3", "v4.21.2"] {
        let history = status["history"].as_array_mut().unwrap();
        history.extend(["cc", "dd"].map(|hex| json!({"version": version, "image": format!("r@sha256:{hex}")})));
    }
    let (now, _) = answer(&asking(&status, &request));
    assert!(!now.denied, "{request}");
}

fn upgradeable(reason: &str, message: &str) -> Value {
    let condition = json!({"type": "Upgradeable", "status": "False", "reason": reason, "message": message});
    json!({"desired": {"version": "4.21.1", "image": "r@sha256:aa"}, "conditions": [condition]})
}

/// The API server bounds what an expression may cost, and denies what goes beyond: so what would cost too much isn't
/// looked at, and the gate has the only word.
#[rstest]
#[case::version(&json!({}), &json!({"version": format!("4.22.0-{}", "a".repeat(50_000))}))]
#[case::image(&json!({}), &json!({"image": format!("{}@sha256:bb", "a".repeat(600))}))]
#[case::available(&json!({"availableUpdates": vec![a_minor(); 2001]}), &json!({"image": "r@sha256:bb"}))]
#[case::conditional(
    &json!({"conditionalUpdates": vec![json!({"release": a_minor()}); 2001]}),
    &json!({"image": "r@sha256:bb"})
)]
#[case::history(&json!({"history": vec![a_minor(); 2001]}), &json!({"image": "r@sha256:bb"}))]
fn what_is_too_large_to_search_counts_as_unknown(#[case] large: &Value, #[case] request: &Value) {
    let mut status = large.clone();
    status["desired"] = json!({"version": "4.21.1"});
    assert_eq!(answer(&asking(&status, request)).0, DENIED);
    status["conditions"] = json!([{"type": "Upgradeable", "status": "False"}]);
    assert_eq!(answer(&asking(&status, request)).0, UNKNOWN);
}

fn a_minor() -> Value {
    json!({"version": "4.22.0", "image": "r@sha256:bb"})
}

#[test]
fn both_policies_interpret_an_edit_the_same_way() {
    let [deny, warn] = ["deny.yaml", "warn.yaml"].map(cel::document);
    let shared = |policy: &Value| {
        let variables = policy["spec"]["variables"].as_array().unwrap();
        let last = variables.iter().position(|variable| variable["name"] == "overridesShown").unwrap();
        let spec = &policy["spec"];
        json!([spec["failurePolicy"], spec["matchConstraints"], spec["matchConditions"], variables[..=last]])
    };
    assert_eq!(shared(&deny), shared(&warn));
}
