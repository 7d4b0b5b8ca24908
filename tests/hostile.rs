//! Hostile input: with any content of a cluster, a file or its name, no output has terminal control characters, no write is
//! too large, and every input gets a report or an error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use upgrade_gate::{
    api::ClusterVersion,
    gate::{
        Authority, Snapshot, Source, Target, evaluate,
        message::{self, MESSAGE_LIMIT, RECORD_LIMIT},
    },
};

/// Colours, a window's title, a bell, a line drawn over, C1, a text turned around, no width, a tag.
const HOSTILE: &str = "a\u{1b}[31m\u{1b}]0;x\u{7}\r\u{9b}2J\u{202e}\u{2066}\u{200b}\u{e0041}\u{85}\tb";

fn gate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gate")).args(arguments).current_dir(folder).output().unwrap()
}

/// What must not be shown as it is: control characters, and the others of [`HOSTILE`].
fn hidden(text: &str) -> Option<char> {
    let hides = |character: char| character.is_control() || "\u{202e}\u{2066}\u{200b}\u{e0041}".contains(character);
    text.chars().find(|character| *character != '\n' && hides(*character))
}

/// A cluster of which every text is this one, as far as a text may stand there.
fn cluster(text: &str) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "False", "reason": text, "message": text});
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterVersion",
        "metadata": {"name": "version", "uid": text, "resourceVersion": text},
        "spec": {
            "channel": text,
            "desiredUpdate": {"version": "4.22.0", "image": ""},
            "overrides": [{"group": text, "kind": text, "namespace": text, "name": text, "unmanaged": true}],
        },
        "status": {
            "desired": {"version": "4.21.1", "image": text},
            "history": [{"state": "Partial", "version": "4.21.1", "image": text, "startedTime": text, "acceptedRisks": text}],
            "availableUpdates": [{"version": text, "image": text}, {"version": "4.21.2", "image": "r@sha256:a"}],
            "conditionalUpdates": [
                {"release": {"version": "4.21.3", "image": text}, "conditions": [condition("Recommended")]}],
            "conditions": [condition("Upgradeable"), condition(&format!("Upgradeable{text}")), condition("RetrievedUpdates")],
        },
    })
}

fn input(text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": [
        cluster(text),
        {"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": text},
         "status": {"conditions": [{"type": "Upgradeable", "status": "False", "reason": text, "message": text}]}},
        {"apiVersion": "v1", "kind": "ConfigMap",
         "metadata": {"name": "admin-gates", "namespace": "openshift-config-managed"},
         "data": {text: format!("https://example.com/{text}"), "ack-4.21-a": format!("https://example.com/{text}")}},
        {"apiVersion": "upgrade-gate.openshift.io/v1alpha1", "kind": "UpdateRecord", "metadata": {"name": text},
         "spec": {"from": text, "to": text, "type": text, "image": text, "acceptedRisks": text, "by": "Gate",
                  "acceptedTime": text, "overrides": []}},
    ]})
}

#[rstest]
#[case::check("check", &[])]
#[case::check_of_an_image("check", &["--to", "r/\u{202e}@sha256:a"])]
#[case::history("history", &[])]
fn reports_have_no_unprintable_text_and_json_equals_yaml(#[case] command: &str, #[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), input(HOSTILE).to_string()).unwrap();
    let answer = |format: &str| {
        let arguments = [&[command, "--from", "a.json", "-o", format], arguments].concat();
        let output = gate(folder.path(), &arguments);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(hidden(&text), None, "{format}: {text:?}");
        text
    };
    assert!(answer("table").contains("\\u{1b}") && answer("markdown").contains("\\u{1b}"));
    let json: Value = serde_json::from_str(&answer("json")).unwrap();
    let yaml: Value = serde_saphyr::from_str(&answer("yaml")).unwrap();
    assert_eq!(json, yaml);
    assert!(json.to_string().contains('\u{202e}'), "what it means is still there");
}

/// The texts that may have several lines.
fn without_messages(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(without_messages),
        Value::Object(fields) => {
            for (key, value) in fields {
                if ["message", "acceptedRisks"].contains(&key.as_str()) {
                    *value = json!("fine");
                } else {
                    without_messages(value);
                }
            }
        }
        _ => {}
    }
}

#[rstest]
#[case::check("check", &[])]
#[case::check_of_an_image("check", &["--to", "r/a@sha256:a"])]
#[case::history("history", &[])]
fn no_name_starts_its_own_line(#[case] command: &str, #[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut input = input("a\nFORGED");
    without_messages(&mut input);
    fs::write(folder.path().join("a.json"), input.to_string()).unwrap();
    for format in ["table", "markdown"] {
        let output = gate(folder.path(), &[&[command, "--from", "a.json", "-o", format], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("FORGED"), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{text}");
    }
}

#[rstest]
#[case::no_such_file(&["check", "--from", HOSTILE])]
#[case::no_such_kubeconfig(&["check", "--kubeconfig", HOSTILE])]
#[case::cleanup_without_a_kubeconfig(&["cleanup", "--kubeconfig", HOSTILE])]
#[case::an_argument_too_many(&["check", HOSTILE])]
#[case::a_word_that_is_none(&["check", "-o", HOSTILE])]
#[case::a_value_of_a_field(&["check", "--from", "field.yaml"])]
#[case::a_name(&["check", "--from", "name.yaml"])]
#[case::a_kind(&["check", "--from", "kind.yaml"])]
#[case::what_is_no_yaml(&["check", "--from", "broken.yaml"])]
fn errors_have_no_unprintable_text(#[case] arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, object: &Value| fs::write(folder.path().join(name), object.to_string()).unwrap();
    let object = |kind: &str, name: &str| json!({"apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": name}, "spec": {"overrides": HOSTILE}});
    write("field.yaml", &object("ClusterVersion", "version"));
    write("name.yaml", &object("ClusterVersion", HOSTILE));
    write("kind.yaml", &object(HOSTILE, "a"));
    fs::write(folder.path().join("broken.yaml"), "a: b\n\u{202e}\u{200b}: [\u{202e}\n&\u{202e}b *\u{202e}").unwrap();
    let output = gate(folder.path(), arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{error}");
    assert_eq!(hidden(&error), None, "{error:?}");
    assert!(!error.is_empty());
}

#[rstest]
#[case::a_word_that_is_none("UPGRADE_GATE_MODE", &["run"], 2)]
#[case::no_address("UPGRADE_GATE_METRICS_BIND_ADDRESS", &["run"], 2)]
#[case::in_the_help("UPGRADE_GATE_CONTEXT", &["run", "--help"], 0)]
#[case::in_the_help_of_cleanup("UPGRADE_GATE_KUBECONFIG", &["cleanup", "-h"], 0)]
fn errors_about_the_environment_have_no_unprintable_text(
    #[case] variable: &str,
    #[case] arguments: &[&str],
    #[case] code: i32,
) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_upgrade-gate"));
    let output = process.args(arguments).env(variable, HOSTILE).output().unwrap();
    let (said, silent) = if code == 0 { (output.stdout, output.stderr) } else { (output.stderr, output.stdout) };
    let said = String::from_utf8(said).unwrap();
    assert_eq!((output.status.code(), silent.as_slice()), (Some(code), &b""[..]), "{said}");
    assert!(said.contains("\\u{1b}"), "{said:?}");
    assert_eq!(hidden(&said), None, "{said:?}");
}

#[rstest]
#[case::json(format!("{}{}", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[".repeat(100_000), "]}".repeat(100_000)))]
#[case::json_without_an_end("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[".repeat(100_000))]
#[case::flow(format!("{}{}", "{apiVersion: v1, kind: List, items: [".repeat(100_000), "]}".repeat(100_000)))]
fn nested_lists_are_rejected_before_the_stack_overflows(#[case] content: String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), content).unwrap();
    let output = gate(folder.path(), &["check", "--from", "a.json"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: a.json:1: found text that is not"), "{error}");
    assert!(error.len() < 500, "{error}");
}

#[rstest]
#[case::json(
    "{\"apiVersion\":\"config.openshift.io/v1\",\"kind\":\"ClusterVersion\",\"status\":[",
    "{\"a\":[1]},",
    "0]}"
)]
#[case::flow("{apiVersion: config.openshift.io/v1, kind: ClusterVersion, status: [", "{a: [1]},", "0]}")]
fn too_many_values_are_rejected_before_they_fill_the_memory(
    #[case] start: &str,
    #[case] value: &str,
    #[case] end: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), [start, &value.repeat(400_000), end].concat()).unwrap();
    let error = String::from_utf8(gate(folder.path(), &["check", "--from", "a.json"]).stderr).unwrap();
    assert!(error.starts_with("error: a.json:1: found text that is not"), "{error}");
}

#[test]
fn a_text_repeated_by_aliases_is_rejected_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let write = |aliases: usize| {
        // The reader itself wants an anchor for every few aliases, and counts them when it is through.
        let anchors: Vec<String> = (0..aliases / 5).map(|number| format!("&b{number} b, ")).collect();
        let (anchors, aliases, text) = (anchors.concat(), "*a, ".repeat(aliases), "a".repeat(21_000));
        let content = format!(
            "apiVersion: config.openshift.io/v1\nkind: ClusterVersion\nmetadata: {{name: version}}\n\
             a: &a {text}\nb: [{anchors}{aliases}]\nstatus: {{desired: {{version: 4.21.1}}}}\n"
        );
        fs::write(folder.path().join("a.yaml"), content).unwrap();
    };
    write(50);
    let output = gate(folder.path(), &["check", "--from", "a.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    write(50_000);
    let output = gate(folder.path(), &["check", "--from", "a.yaml"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: a.yaml:5: found text that is not YAML"), "{error}");
}

#[test]
fn commas_in_strings_do_not_count_as_values() {
    let folder = tempfile::tempdir().unwrap();
    let mut object = cluster("a");
    object["spec"]["desiredUpdate"] = json!(null);
    object["metadata"]["annotations"] = json!({"text": "\\\",{[".repeat(400_000)});
    fs::write(folder.path().join("a.json"), object.to_string()).unwrap();
    let output = gate(folder.path(), &["check", "--from", "a.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn nested_json_lists_are_read_and_keep_line_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let operator = |name: &str, overrides: &str| {
        format!(
            "{{\"apiVersion\":\"config.openshift.io/v1\",\"kind\":\"ClusterOperator\",\n\"metadata\":{{{name}}}{overrides}}}"
        )
    };
    let list =
        |items: &[String]| format!("{{\"apiVersion\":\"v1\",\n\"kind\":\"List\",\"items\":[\n{}]}}", items.join(",\n"));
    let (dns, odd) = (operator("\"name\":\"dns\"", ""), operator("\"name\":\"etcd\"", ",\n\"apiVersion\":3"));
    let inner = list(&[dns.clone(), cluster("a").to_string()]);
    fs::write(folder.path().join("a.json"), list(&[dns.clone(), inner.clone()])).unwrap();
    let output = gate(folder.path(), &["check", "--from", "a.json", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));

    let nameless = operator("\"labels\":{}", "");
    fs::write(folder.path().join("a.json"), list(&[dns, inner, odd, nameless])).unwrap();
    let error = String::from_utf8(gate(folder.path(), &["check", "--from", "a.json"]).stderr).unwrap();
    assert!(error.starts_with("error: a.json:"), "{error}");
}

/// A cluster whose every list is longer and whose every text is larger than any real one's.
fn crowd() -> Value {
    let mut object = cluster(&"long ".repeat(1000));
    object["spec"]["channel"] = json!("stable");
    let release = |number: usize, minor: usize| json!({"version": format!("4.{minor}.{number}"), "image": format!("r@sha256:{:064}", 100 * number + minor)});
    let update = |number: usize| {
        let recommended = json!({"type": "Recommended", "status": "False", "reason": "R", "message": format!("{number} {}", "c".repeat(3000))});
        json!({"release": release(number + 10, 21 + number % 2), "conditions": [recommended]})
    };
    object["status"]["conditionalUpdates"] = (0..500).map(update).collect();
    object["status"]["availableUpdates"] = json!([release(2, 21), release(0, 22)]);
    object["status"]["conditions"] = json!([{"type": "Progressing", "status": "True", "message": "p".repeat(1 << 20)}]);
    let operator = |number: usize| {
        let size = if number == 7 { 1 << 20 } else { 2000 };
        json!({"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": format!("o{number:04}")},
               "status": {"conditions": [{"type": "Upgradeable", "status": "False", "reason": "R", "message": "m".repeat(size)}]}})
    };
    let mut items: Vec<Value> = (0..1000).map(operator).collect();
    items.push(object);
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

#[test]
fn a_large_cluster_gets_a_correct_report_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), crowd().to_string()).unwrap();
    let text = |format: &str| {
        let output = gate(folder.path(), &["check", "--from", "a.json", "-o", format]);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let answer: Value = serde_json::from_str(&text("json")).unwrap();
    // The override, the operators, and the update in progress.
    assert_eq!(answer["upgradeable"]["risks"].as_array().unwrap().len(), 1002);
    let message = answer["upgradeable"]["message"].as_str().unwrap();
    assert!(message.starts_with("1002 reasons prevent minor and major updates:\n* ClusterVersionOverrides: "));
    let counted: usize = message.rsplit_once("\nand ").unwrap().1.strip_suffix(" more").unwrap().parse().unwrap();
    assert_eq!(message.matches("\n* ").count() + counted, 1002);
    assert!(message.len() <= MESSAGE_LIMIT);
    for target in answer["targets"].as_array().unwrap() {
        let (version, decision) = (target["version"].as_str().unwrap(), &target["decision"]);
        assert_eq!(decision, if version.starts_with("4.21.") { "allowed" } else { "blocked" }, "{version}");
    }
    assert_eq!(answer["targets"].as_array().unwrap().len(), 502);
    for format in ["table", "markdown"] {
        let text = text(format);
        assert!(text.len() < 8 << 20, "{format}: {} bytes", text.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_status_written_is_printable_and_fits_the_limits(
        text in prop_oneof![any::<String>(), "[a\u{1b}\u{9b}\u{202e}\n\"中*]{0,60}".prop_map(|part| part.repeat(100))],
        entries in 0..16_usize,
        force in any::<bool>(),
        sole in any::<bool>(),
    ) {
        let mut object = cluster(&text);
        let entry = object["spec"]["overrides"][0].clone();
        object["spec"]["overrides"] = Value::Array(vec![entry; entries]);
        object["spec"]["desiredUpdate"]["force"] = json!(force);
        let veto = |number: usize| json!({"type": format!("Upgradeable{number}"), "status": "False", "message": text});
        object["status"]["conditions"] = (0..entries).map(veto).collect();
        let cluster_version = ClusterVersion::from_value(object).unwrap();
        let snapshot = Snapshot {
            now: jiff::Timestamp::UNIX_EPOCH,
            targets: Target::requested(&cluster_version).into_iter().chain(Target::listed(&cluster_version)).collect(),
            cluster_version,
            cluster_operators: Source::Unreadable(text.clone()),
            admin_gates: Source::Read(Some([(format!("ack-4.21-{text}"), text.clone())].into())),
            admin_acks: Source::Read(Some([].into())),
            authority: if sole { Authority::Sole } else { Authority::Shared },
        };
        let verdict = evaluate(&snapshot);
        let mut written = vec![
            (verdict.upgradeable.message().to_owned(), MESSAGE_LIMIT),
            (verdict.upgradeable.reason().to_owned(), 1 << 10),
            (message::overrides_in_bridge(&snapshot.cluster_version), MESSAGE_LIMIT),
        ];
        for judgement in &verdict.targets {
            written.push((message::release_accepted(judgement), MESSAGE_LIMIT));
            written.push((message::accepted_risks(judgement), RECORD_LIMIT));
        }
        for risk in &verdict.risks {
            written.push((risk.name.clone(), 1 << 10));
            written.push((risk.url.clone().unwrap_or_default(), 2 << 10));
        }
        for (text, limit) in written {
            prop_assert!(text.len() <= limit, "{} bytes of {limit}: {text}", text.len());
            prop_assert_eq!(hidden(&text), None, "{:?}", text);
        }
    }
}
