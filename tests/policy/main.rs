//! The policy of `deploy/base/policy` against the core: on every edit the two agree. In process, on many cases; what
//! only an API server can tell is in tests/controlplane/policy.rs.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]

mod cel;
#[path = "../support/requests.rs"]
mod requests;

use std::cell::Cell;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use rstest::rstest;
use serde_json::{Value, json};

use upgrade_gate::text;

use cel::Policy;
use requests::{Answer, Edit};

thread_local! {
    static DENY: Policy = Policy::deployed("deny.yaml");
    static WARN: Policy = Policy::deployed("warn.yaml");
}

/// What the two policies say, and in which words.
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
/// character it drops, and one of more than 4096 characters it cuts to 256. What hides in a text is for nobody.
fn is_fit_to_show(message: &str) -> bool {
    message.len() <= 5 << 10 && message.chars().count() <= 4000 && !message.chars().any(text::is_hidden)
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

/// Under an override, at a cluster of this status, somebody asks for this.
fn asking(status: &Value, request: &Value) -> Edit {
    let overrides = json!([{"kind": "ClusterImagePolicy", "group": "config.openshift.io", "namespace": "",
        "name": "openshift", "unmanaged": true}]);
    let before = json!({"spec": {"overrides": overrides}, "status": status});
    let mut after = before.clone();
    after["spec"]["desiredUpdate"] = request.clone();
    Edit { before, after }
}

fn upgradeable(reason: &str, message: &str) -> Value {
    let condition = json!({"type": "Upgradeable", "status": "False", "reason": reason, "message": message});
    json!({"desired": {"version": "4.21.1", "image": "r@sha256:aa"}, "conditions": [condition]})
}

#[test]
fn the_denial_says_what_was_asked_what_stands_against_it_and_what_to_do() {
    let status = upgradeable("MultipleReasons", "Two of them:\n* first\r\n\t* second\n");
    let (_, messages) = answer(&asking(&status, &json!({"version": "4.22.0"})));
    assert_eq!(
        messages,
        ["The minor update from 4.21.1 to 4.22.0 is not allowed. Overrides prevent minor and major updates: \
          ClusterImagePolicy.config.openshift.io openshift. Remove them from spec.overrides or set unmanaged: false, \
          then ask again; patch updates stay allowed. The cluster says Upgradeable=False (MultipleReasons); ask again \
          once it no longer does. Its reason: Two of them: * first * second"]
    );
}

#[test]
fn a_version_found_by_its_digest_is_named_with_the_image() {
    let mut status = upgradeable("Operators", "wait");
    status["availableUpdates"] = json!([{"version": "5.0.0", "image": "r@sha256:bb"}]);
    let mut edit = asking(&status, &json!({"image": "mirror@sha256:BB"}));
    edit.after["spec"]["overrides"] = json!(null);
    let expected = "The major update from 4.21.1 to 5.0.0 (mirror@sha256:BB) is not allowed. The cluster says \
        Upgradeable=False (Operators); ask again once it no longer does. Its reason: wait";
    assert_eq!(answer(&edit).1, [expected]);
}

#[test]
fn of_many_overrides_five_are_named() {
    let mut edit = asking(&json!({"desired": {"version": "4.21.1"}}), &json!({"version": "4.21.2"}));
    let entry = |n: u8| {
        let name = format!("d{n}");
        json!({"kind": "Deployment", "group": "apps", "namespace": "ns", "name": name, "unmanaged": n != 2})
    };
    edit.after["spec"]["overrides"] = (0..9).map(entry).collect();
    let expected = "Overrides don't stop this patch update from 4.21.1 to 4.21.2. That it leaves alone what they name is \
        recorded as an accepted risk: Deployment.apps ns/d0, Deployment.apps ns/d1, Deployment.apps ns/d3, \
        Deployment.apps ns/d4, Deployment.apps ns/d5 and 3 more. Minor and major updates stay prevented until they are \
        removed.";
    assert_eq!(answer(&edit).1, [expected]);
}

#[rstest]
#[case::minor("4.22.0", "the minor update from 4.21.1 to 4.22.0")]
#[case::unknown("latest", "one of which nothing tells whether it is a minor or major update: latest")]
fn a_left_over_force_is_told_how_to_clear(#[case] version: &str, #[case] what: &str) {
    let mut edit = asking(&upgradeable("", ""), &json!({"version": version, "force": true}));
    edit.before["spec"]["desiredUpdate"] = json!({"version": "4.21.2", "force": true});
    let expected = format!(
        "force: true is left over from an earlier request and would force {what}. Clear the request first \
         (oc adm upgrade --clear), then ask again, with force only if you mean it for this one."
    );
    assert_eq!(answer(&edit).1, [expected]);
}

#[test]
fn of_what_hides_nothing_is_repeated_and_everything_else_is() {
    let hidden: Vec<char> = (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| text::is_hidden(*c)).collect();
    let shown = "é e\u{301} 中 עברית 🦀 … \\ \"";
    for hidden in hidden.chunks(200) {
        let hidden: String = hidden.iter().collect();
        let status = upgradeable("Operators", &format!("{shown}{hidden}{shown}"));
        let told = &answer(&asking(&status, &json!({"version": "4.22.0"}))).1[0];
        assert!(is_fit_to_show(told), "{}", told.escape_unicode());
        assert!(told.ends_with(&format!("Its reason: {shown} {shown}")), "{told}");
    }
}

#[rstest]
fn a_message_fits_whatever_it_quotes(
    #[values("a", "é", "字", "🙂", "\n", "\u{0}a", "\u{200b}", "\u{fe0f}", "\u{e0100}a")] unit: &str,
) {
    let text = unit.repeat(50_000);
    let mut edit = asking(&upgradeable(&text, &text), &json!({"version": format!("4.22.0-{}", "a".repeat(40_000))}));
    let entry = json!({"kind": text, "group": text, "namespace": text, "name": text, "unmanaged": true});
    edit.after["spec"]["overrides"] = (0..7).map(|_| entry.clone()).collect();
    let denied = answer(&edit).1;
    assert!(denied.len() == 1 && is_fit_to_show(&denied[0]), "{denied:?}");

    edit.after["spec"]["desiredUpdate"] = json!({"version": "4.21.2"});
    let patch = answer(&edit).1;
    assert!(patch.len() == 1 && is_fit_to_show(&patch[0]), "{patch:?}");

    edit.after["spec"]["desiredUpdate"] = json!({"version": text, "image": text});
    let unknown = answer(&edit).1;
    assert!(unknown.len() == 1 && is_fit_to_show(&unknown[0]), "{unknown:?}");
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
    let unknown = Answer { warned_as_unknown: true, ..Answer::default() };
    assert_eq!(answer(&asking(&status, request)).0, unknown);
}

fn a_minor() -> Value {
    json!({"version": "4.22.0", "image": "r@sha256:bb"})
}

#[test]
fn both_policies_read_an_edit_alike() {
    let [deny, warn] = ["deny.yaml", "warn.yaml"].map(cel::document);
    let shared = |policy: &Value| {
        let variables = policy["spec"]["variables"].as_array().unwrap();
        let last = variables.iter().position(|variable| variable["name"] == "overridesShown").unwrap();
        let spec = &policy["spec"];
        json!([spec["failurePolicy"], spec["matchConstraints"], spec["matchConditions"], variables[..=last]])
    };
    assert_eq!(shared(&deny), shared(&warn));
}
