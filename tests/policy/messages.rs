//! The messages of the two policies: short, on one line, without repetition.

use rstest::rstest;
use serde_json::{Value, json};
use upgrade_gate::escape;

use super::{answer, asking, is_fit_to_show, status, upgradeable};

/// The one message about this request under an override.
fn said(status: &Value, request: &Value) -> String {
    let messages = answer(&asking(status, request)).1;
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.concat()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message})
}

const MINOR: &str = "The minor update from 4.21.1 to 4.22.0 is not allowed. Overrides prevent minor and major updates: \
                     ClusterImagePolicy.config.openshift.io openshift. Remove them from spec.overrides or set unmanaged: \
                     false, then request the update again; patch updates stay allowed.";

/// `Upgradeable` as releases up to 4.22 write it for our ClusterOperator and another one.
fn with_parts(others: &str) -> Value {
    let overrides = "Not everything is managed: cluster version overrides are set.";
    let whole = format!("Several reasons: A,B\n* {overrides}\n* {others}");
    json!([
        condition("UpgradeableClusterVersionOverrides", "False", "ClusterVersionOverridesSet", overrides),
        condition("UpgradeableClusterOperators", "False", "Theirs", others),
        condition("Upgradeable", "False", "MultipleReasons", &whole),
        condition("UpgradeableUpgradeInProgress", "False", "No", "no"),
        condition("UpgradeableOfSomebody", "False", "Else", "else"),
    ])
}

const OURS: &str = "Cluster operator upgrade-gate holds minor updates back: Overrides prevent it.";
const ETCD: &str = "Cluster operator etcd holds minor updates back: Quorum: no";

#[rstest]
#[case::nothing_published(json!([]), "")]
#[case::by_a_cvo_up_to_4_22(json!([condition("Upgradeable", "False", "ClusterVersionOverridesSet", "text")]), "")]
#[case::by_a_later_cvo(json!([condition("Upgradeable", "False", "ClusterVersionOverrides", "text")]), "")]
#[case::and_by_our_cluster_operator(with_parts(OURS), "")]
#[case::one_of_several_cluster_operators(
    with_parts(&format!("Several cluster operators:\n* {ETCD}\n* {OURS}")),
    " Upgradeable is False for other reasons as well: Cluster operator etcd holds minor updates back: \
     Quorum: no"
)]
#[case::another_cluster_operator(
    with_parts(ETCD),
    " Upgradeable is False for other reasons as well: Theirs: Cluster operator etcd holds minor updates back: \
     Quorum: no"
)]
#[case::updating(
    json!([
        condition("UpgradeableClusterVersionOverrides", "False", "ClusterVersionOverridesSet", "text"),
        condition("UpgradeableUpgradeInProgress", "True", "UpdateInProgress", "An update is running."),
        condition("Upgradeable", "False", "MultipleReasons", "text\n* text\n* An update is running."),
    ]),
    " Upgradeable is False for other reasons as well: UpdateInProgress: An update is running."
)]
#[case::several_of_a_later_cvo(
    json!([condition("Upgradeable", "False", "MultipleReasons", "Several reasons: A,B,C\n* There are \
        cluster version overrides.\n* First.\n* Second.")]),
    " Upgradeable is False for other reasons as well: First.; Second."
)]
#[case::several_of_our_own(
    json!([condition("Upgradeable", "False", "MultipleReasons", "* ClusterVersionOverrides: Overrides in spec.overrides \
        keep it.\n* AdminAck-x: Read this.")]),
    " Upgradeable is False for other reasons as well: AdminAck-x: Read this."
)]
#[case::several_without_overrides(
    json!([condition("Upgradeable", "False", "MultipleReasons", "Two of them:\n* first\r\n\t* second\n")]),
    " Upgradeable is False for other reasons as well: Two of them: * first * second"
)]
#[case::a_reason_without_a_message(
    json!([condition("Upgradeable", "False", "Theirs", "")]),
    " Upgradeable is False for other reasons as well: Theirs"
)]
#[case::a_reason_that_says_nothing(
    json!([condition("Upgradeable", "False", "RiskNameNotCompatibleWithReasonProperty", ETCD)]),
    " Upgradeable is False for other reasons as well: Cluster operator etcd holds minor updates back: Quorum: no"
)]
#[case::neither(json!([condition("Upgradeable", "False", "", "")]), "")]
fn a_denied_minor_under_overrides_says_each_reason_once(#[case] conditions: Value, #[case] others: &str) {
    let mut status = status();
    status["conditions"] = conditions;
    let message = said(&status, &json!({"version": "4.22.0"}));
    assert_eq!(message, format!("{MINOR}{others}"));
    assert!(message.len() < 400);
}

const LATE: &str = "again once oc adm upgrade no longer shows Upgradeable=False; CVOs up to 4.22 publish a change up to 4 \
                    minutes late.";

#[rstest]
#[case::of_overrides(json!([condition("Upgradeable", "False", "ClusterVersionOverridesSet", "text")]), "")]
#[case::and_our_cluster_operator(with_parts(OURS), "")]
#[case::and_another(
    with_parts(ETCD),
    " The reason: Theirs: Cluster operator etcd holds minor updates back: Quorum: no"
)]
#[case::of_another(json!([condition("Upgradeable", "False", "AdminAckRequired", "Read x.")]), " The reason: AdminAckRequired: Read x.")]
fn a_denied_minor_without_overrides_says_how_late_upgradeable_can_be(#[case] conditions: Value, #[case] others: &str) {
    let mut status = status();
    status["conditions"] = conditions;
    let mut edit = asking(&status, &json!({"version": "4.22.0"}));
    edit.after["spec"]["overrides"] = json!([]);
    let start = "The minor update from 4.21.1 to 4.22.0 is not allowed while Upgradeable is False.";
    let separately =
        format!("{start} Change spec.overrides without this request, and request the update {LATE}{others}");
    assert_eq!(answer(&edit).1, [separately]);
    edit.before["spec"]["overrides"] = json!([]);
    assert_eq!(answer(&edit).1, [format!("{start} Request it {LATE}{others}")]);
}

#[test]
fn a_version_found_by_its_digest_is_named_with_the_image() {
    let message = said(&status(), &json!({"image": "mirror@sha256:EE"}));
    assert!(
        message.starts_with("The minor update from 4.21.1 to 4.22.0 (mirror@sha256:EE) is not allowed."),
        "{message}"
    );
}

const UNTIL: &str =
    "again once oc adm upgrade shows Upgradeable=False; CVOs up to 4.22 take up to 4 minutes to publish it.";

#[rstest]
#[case::image(status(), json!({"image": "r:1"}), "This cluster does not know yet which version r:1 is")]
#[case::version(
    status(),
    json!({"version": "4.22"}),
    "Version \"4.22\" cannot be compared with the current version \"4.21.1\""
)]
#[case::no_status(json!({}), json!({"version": "4.22.0"}), "The status does not contain the version that this cluster runs")]
#[case::current(
    json!({"desired": {"version": "latest"}}),
    json!({"version": "4.22.0"}),
    "Version \"4.22.0\" cannot be compared with the current version \"latest\""
)]
fn a_denied_unknown_update_says_when_to_ask_again(#[case] status: Value, #[case] request: Value, #[case] what: &str) {
    let mut edit = asking(&status, &request);
    let start = format!(
        "{what}, so this may be a minor or major update, which overrides prevent: ClusterImagePolicy.config.openshift.io \
         openshift."
    );
    assert_eq!(answer(&edit).1, [format!("{start} Request it {UNTIL}")]);
    edit.before["spec"]["overrides"] = json!([{"kind": "A", "unmanaged": false}]);
    assert_eq!(
        answer(&edit).1,
        [format!("{start} Set spec.overrides without this request, and request the update {UNTIL}")]
    );
}

#[rstest]
#[case::image("4.21.1", json!({"image": "r:1"}), "This cluster does not know yet which version r:1 is, so the \
    type of this update (patch, minor or major) is not known. upgrade-gate decides once it is known: see the condition \
    ReleaseAccepted, for instance with oc adm upgrade.")]
#[case::current("latest", json!({"version": "4.22.0"}), "Version \"4.22.0\" cannot be compared with the current version \
    \"latest\", so the type of this update (patch, minor or major) is not known. The current version is not SemVer, \
    so neither upgrade-gate nor the cluster-version operator blocks the update for that.")]
fn an_unknown_update_is_warned_of_once_upgradeable_is_false(
    #[case] current: &str,
    #[case] request: Value,
    #[case] expected: &str,
) {
    let mut status = upgradeable("", "");
    status["desired"]["version"] = json!(current);
    assert_eq!(said(&status, &request), expected);
}

#[rstest]
#[case::minor("4.22.0", "the minor update from 4.21.1 to 4.22.0")]
#[case::patch("4.21.3", "the update from 4.21.1 to 4.21.3")]
#[case::older("4.20.0", "the update from 4.21.1 to 4.20.0")]
#[case::unknown("latest", "an update that may be minor or major: latest")]
fn the_command_to_clear_a_leftover_force_is_shown(#[case] version: &str, #[case] what: &str) {
    let mut edit = asking(&status(), &json!({"version": version, "force": true}));
    edit.before["spec"]["desiredUpdate"] = json!({"version": "4.21.2", "force": true});
    let expected = format!(
        "force: true of an earlier request is still set and would force {what}. Once the earlier update has completed, \
         clear the request (oc adm upgrade --clear), then request the update again, with force only if it is meant for this one."
    );
    assert_eq!(answer(&edit).1, [expected]);
}

#[rstest]
#[case::new(json!(null), "")]
#[case::pinned(json!({"version": "4.21.2", "image": "r@sha256:dd"}), "The image is that of an earlier request. ")]
fn a_version_with_the_image_of_another_is_distinguished(#[case] before: Value, #[case] left_over: &str) {
    let mut edit = asking(&status(), &json!({"version": "4.21.3", "image": "r@sha256:dd"}));
    edit.before["spec"]["desiredUpdate"] = before;
    let expected = format!(
        "The request names version 4.21.3, but this cluster knows its image as version 4.21.2: r@sha256:dd. {left_over}No \
         cluster-version operator accepts that, forced or not. Request the version without this image, for instance with \
         oc adm upgrade --to, or the image without a version."
    );
    assert_eq!(answer(&edit).1, [expected]);
}

const PATCH: &str = "Overrides do not block this patch update from 4.21.1 to 4.21.2. It does not change what they name: \
                     ClusterImagePolicy.config.openshift.io openshift. They block minor and major updates until they are \
                     removed. With a cluster-version operator up to 4.21, upgrade-gate must be running, the operator or its \
                     command update";

#[rstest]
#[case::completed(json!([["Completed", "4.21.1"], ["Completed", "4.20.9"]]), false)]
#[case::a_patch_is_under_way(json!([["Partial", "4.21.1"], ["Completed", "4.21.0"], ["Completed", "4.20.9"]]), false)]
#[case::a_minor_is_under_way(json!([["Partial", "4.21.1"], ["Partial", "4.21.0"], ["Completed", "4.20.9"]]), true)]
#[case::nothing_completed(json!([["Partial", "4.21.1"]]), true)]
#[case::no_history(json!([]), true)]
fn a_patch_is_said_to_wait_where_a_minor_is_unfinished(#[case] history: Value, #[case] waits: bool) {
    let mut status = status();
    let entry = |entry: &Value| json!({"state": entry[0], "version": entry[1]});
    status["history"] = history.as_array().unwrap().iter().map(entry).collect();
    let wait = ", and the update waits until the one to 4.21.1 has completed.";
    let expected = format!("{PATCH}{}", if waits { wait } else { "." });
    assert_eq!(said(&status, &json!({"version": "4.21.2"})), expected);
}

#[test]
fn of_many_overrides_the_message_names_five() {
    let mut edit = asking(&status(), &json!({"version": "4.21.2"}));
    let entry = |n: u8| {
        let name = format!("d{n}");
        json!({"kind": "Deployment", "group": "apps", "namespace": "ns", "name": name, "unmanaged": n != 2})
    };
    edit.after["spec"]["overrides"] = (0..9).map(entry).collect();
    let expected = "Overrides do not block this patch update from 4.21.1 to 4.21.2. It does not change what they name: \
        Deployment.apps ns/d0, Deployment.apps ns/d1, Deployment.apps ns/d3, Deployment.apps ns/d4, Deployment.apps ns/d5 \
        and 3 more. They block minor and major updates until they are removed. With a cluster-version operator up to 4.21, \
        upgrade-gate must be running, the operator or its command update.";
    assert_eq!(answer(&edit).1, [expected]);
}

#[test]
fn messages_quote_printable_text_only() {
    let hidden: Vec<char> = (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| escape::is_unprintable(*c)).collect();
    let shown = "é e\u{301} 中 עברית 🦀 … \\ \"";
    for hidden in hidden.chunks(200) {
        let hidden: String = hidden.iter().collect();
        let status = upgradeable("Operators", &format!("{shown}{hidden}{shown}"));
        let message = said(&status, &json!({"version": "4.22.0"}));
        assert!(is_fit_to_show(&message), "{}", message.escape_unicode());
        assert!(message.ends_with(&format!("Operators: {shown} {shown}")), "{message}");
    }
}

/// Whatever is quoted, from wherever.
#[rstest]
fn a_message_fits_the_limit_with_any_quoted_text(
    #[values(
        "a",
        "é",
        "字",
        "🙂",
        "\n",
        "\u{0}a",
        "\u{200b}",
        "\u{fe0f}",
        "\u{e0100}a",
        "\n* a",
        "\n* upgrade-gate: \u{1}"
    )]
    unit: &str,
) {
    let text = unit.repeat(50_000);
    let mut status = upgradeable(&text, &text);
    let name = unit.repeat(1000);
    let entry = json!({"kind": name, "group": name, "namespace": name, "name": name, "unmanaged": true});
    let overrides: Value = (0..7).map(|_| entry.clone()).collect();
    let long_minor = format!("4.22.0-{}", "a".repeat(40_000));
    let mut messages = Vec::new();
    for conditions in [status["conditions"].clone(), json!([])] {
        status["conditions"] = conditions;
        for request in
            [json!({"version": long_minor}), json!({"version": "4.21.2"}), json!({"version": text, "image": text})]
        {
            let mut edit = asking(&status, &request);
            edit.after["spec"]["overrides"] = overrides.clone();
            messages.push(answer(&edit).1);
            edit.after["spec"]["desiredUpdate"]["force"] = json!(true);
            edit.before["spec"]["desiredUpdate"] = json!({"version": text, "image": "r", "force": true});
            messages.push(answer(&edit).1);
        }
        let parts = [
            "Upgradeable",
            "UpgradeableAdminAckRequired",
            "UpgradeableClusterOperators",
            "UpgradeableDeletesInProgress",
        ];
        let mut parts: Value = parts.iter().map(|kind| condition(kind, "False", &text, &text)).collect();
        parts[0]["reason"] = json!("MultipleReasons");
        let several = json!({"desired": {"version": "4.21.1"}, "conditions": parts});
        messages.push(answer(&asking(&several, &json!({"version": "4.22.0"}))).1);
    }
    status["availableUpdates"] = json!([{"version": text, "image": "r@sha256:bb"}]);
    messages.push(answer(&asking(&status, &json!({"version": "4.21.2", "image": "r@sha256:bb"}))).1);
    for message in messages {
        assert!(message.len() == 1 && is_fit_to_show(&message[0]), "{message:?}");
    }
}
