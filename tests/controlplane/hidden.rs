//! Texts on a cluster that would act on a terminal: nothing that the operator writes or logs passes them on as they are.

use kube::config::Kubeconfig;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    self, ControlPlane, Operator, Options, condition, entries,
    faults::{Fault, Kind, Proxy},
    fixtures,
};

/// A colour, a window's title, a bell, a line drawn over, C1, a text turned around, no width.
const HOSTILE: &str = "a\u{1b}[31m\u{1b}]0;x\u{7}\r\u{9b}2J\u{202e}\u{200b}b";

fn assert_shown(what: &str, text: &Value) {
    let text = text.as_str().unwrap_or_else(|| panic!("{what} is no text: {text}"));
    let hides = |character: char| character.is_control() || "\u{202e}\u{200b}".contains(character);
    let hidden = text.chars().find(|character| *character != '\n' && hides(*character));
    assert_eq!(hidden, None, "{what}: {text:?}");
}

#[rstest]
#[case::replace("replace", "text")]
#[case::bridge("bridge", "json")]
#[tokio::test]
async fn unprintable_text_of_the_cluster_is_escaped_in_every_output(#[case] mode: &'static str, #[case] format: &str) {
    let mut fixture = fixtures::cluster();
    let entry = json!({"group": HOSTILE, "kind": HOSTILE, "namespace": HOSTILE, "name": HOSTILE, "unmanaged": true});
    fixture["spec"]["overrides"] = json!([entry]);
    let veto = fixtures::condition(&format!("Upgradeable{HOSTILE}"), "False", HOSTILE, HOSTILE);
    fixture["status"]["conditions"].as_array_mut().unwrap().push(veto);
    let cluster = support::cluster(fixture).await;
    let blocked = json!([fixtures::condition("Upgradeable", "False", HOSTILE, HOSTILE)]);
    cluster.put_cluster_operator("dns", blocked).await;
    let operator = Operator::start(&cluster, Options::mode(mode).arg(&format!("--log-format={format}"))).await;

    let mut said: Vec<(String, Value)> = Vec::new();
    if mode == "replace" {
        let refused = cluster.request_blocked("4.22.0", &["\\u{1b}[31m"]).await;
        let accepted = cluster.request_accepted("4.21.2").await;
        for (seen, kind) in [(&refused, "ReleaseAccepted"), (&accepted, "Upgradeable"), (&accepted, "ReleaseAccepted")]
        {
            said.push((kind.to_owned(), condition(seen, kind)["message"].clone()));
            said.push((kind.to_owned(), condition(seen, kind)["reason"].clone()));
        }
        said.push(("the history".to_owned(), entries(&accepted, "4.21.2")[0]["acceptedRisks"].clone()));
        let record = cluster.record_is("of the patch", |record| record["spec"]["to"] == "4.21.2").await;
        said.push(("the record".to_owned(), record["spec"]["acceptedRisks"].clone()));
    } else {
        let image = fixtures::image("4.22.0");
        cluster.request("4.22.0", &image).await;
        // Beside a CVO, it decides.
        let item = format!(
            "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": {HOSTILE}"
        );
        let refused = fixtures::refusal("4.22.0", &image, &[&item]);
        let refuse = |status: &mut Value| status["conditions"].as_array_mut().unwrap().push(refused.clone());
        cluster.put_status("cluster-version-operator", refuse).await;
        let word = cluster.own_condition("Upgradeable", "False", "ClusterVersionOverrides").await;
        said.push(("our ClusterOperator".to_owned(), word["message"].clone()));
    }
    let events = support::eventually("an event on the refusal", async || {
        let events = cluster.events().await;
        if events.iter().any(|event| event["reason"] == "UpdateBlocked") {
            Ok(events)
        } else {
            Err(format!("{events:#?}"))
        }
    })
    .await;
    said.extend(events.iter().map(|event| ("an event".to_owned(), event["message"].clone())));
    for (what, text) in said {
        assert_shown(&what, &text);
    }
    let log = operator.log();
    assert!(log.contains("4.22.0"), "{log}");
    assert_shown("the log", &json!(log));
    if format == "json" {
        for line in log.lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
    }
}

#[rstest]
#[case::text("text")]
#[case::json("json")]
#[tokio::test]
async fn the_token_is_in_no_log_at_any_level_under_any_fault(#[case] format: &str) {
    let cluster = support::cluster(fixtures::cluster_with_override()).await;
    let file = Kubeconfig::read_from(ControlPlane::get().operator_kubeconfig()).unwrap();
    let secret = |user: kube::config::NamedAuthInfo| serde_json::to_value(user.auth_info.unwrap()).unwrap();
    let user = file.auth_infos.into_iter().map(secret).find(|user| user["token"].is_string()).unwrap();
    let (claims, signature) = user["token"].as_str().unwrap().rsplit_once('.').unwrap();
    let proxy = Proxy::start(&cluster).await;
    let options = Options::mode("replace").arg("--log-level=trace").arg(&format!("--log-format={format}"));
    let operator = Operator::start(&cluster, proxy.route(options)).await;
    cluster.upgradeable("False", "ClusterVersionOverrides").await;
    for fault in [Fault::Answer(401), Fault::Answer(403), Fault::Answer(500), Fault::DropBefore, Fault::DropAfter] {
        proxy.inject(fault, Kind::writes(), 2);
        cluster.set_overrides(json!([])).await;
        cluster.upgradeable("True", "AsExpected").await;
        cluster.set_overrides(json!([fixtures::policy_override()])).await;
        cluster.upgradeable("False", "ClusterVersionOverrides").await;
    }
    let log = operator.log();
    assert!(log.lines().count() > 10, "{log}");
    assert!(!log.contains(claims) && !log.contains(signature), "the log holds the token");
}
