//! Bad input: exit code 2, nothing on standard output, and one message on standard error with the location, what was found
//! and what was expected.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use rstest::rstest;

mod command_line;
mod history;

const CLUSTER: &str = "\
apiVersion: config.openshift.io/v1
kind: ClusterVersion
metadata:
  name: version
spec:
  channel: stable-4.21
status:
  desired:
    version: 4.21.1
";

fn gate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gate"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The message of a failed run, after what all of them have in common.
fn error(output: &Output) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(output.stdout, b"", "{message}");
    message.strip_prefix("error: ").unwrap_or_else(|| panic!("{message}")).to_owned()
}

/// The message of a run on one file, which has to be a single line.
fn error_on(name: &str, content: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    let message = error(&gate(folder.path(), &["check", "--from", name]));
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[rstest]
#[case::text("just text\n", "a.yaml:1: found the string \"just text\", expected a ClusterVersion")]
#[case::list("# a comment\n- a\n", "a.yaml:2: found a list, expected a ClusterVersion")]
#[case::number("---\n\n4\n", "a.yaml:3: found the number 4, expected a ClusterVersion")]
#[case::empty("", "a.yaml:1: found no object, expected a ClusterVersion")]
#[case::comments("# nothing\n---\n", "a.yaml:1: found no object, expected a ClusterVersion")]
#[case::no_kind("a: 1\nb: 2\n", "a.yaml:1: found a mapping without a kind, expected a ClusterVersion")]
#[case::no_api_version("kind: ClusterVersion\n", "a.yaml:1: found a ClusterVersion without an apiVersion, expected")]
#[case::another_kind(
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
    "a.yaml:2: found a Pod, expected a ClusterVersion"
)]
#[case::another_group(
    "apiVersion: example.com/v1\nkind: ClusterVersion\n",
    "a.yaml:1: found a ClusterVersion, expected a ClusterVersion (config.openshift.io/v1)"
)]
#[case::only_operators(
    "apiVersion: config.openshift.io/v1\nkind: ClusterOperator\nmetadata: {name: dns}\n",
    "a.yaml:1: found a ClusterOperator, expected a ClusterVersion"
)]
#[case::empty_list("apiVersion: v1\nkind: List\nitems: []\n", "a.yaml: found no Kubernetes object, expected")]
#[case::list_of_texts("apiVersion: v1\nkind: List\nitems:\n- a\n", "a.yaml:4: found the string \"a\", expected")]
#[case::second_document_broken(
    "apiVersion: v1\nkind: Pod\n---\na: [\n",
    "a.yaml:4: found text that is not YAML (unclosed bracket"
)]
#[case::tab("apiVersion: v1\nkind: Pod\nmetadata:\n\tname: a\n", "a.yaml:4: found text that is not YAML")]
#[case::key_twice("kind: Pod\nkind: Pod\n", "a.yaml:2: found text that is not YAML (duplicate mapping key `kind`")]
#[case::unknown_anchor("kind: *k\n", "a.yaml:1: found text that is not YAML")]
#[case::control_character(
    "kind: \u{1b}[31m\n",
    "a.yaml:1: found text that is not YAML (unexpected character: `\\u{1b}')"
)]
#[case::flow_that_is_not_json("{kind: Pod,\n a: [}\n", "a.yaml:2: found text that is not YAML")]
fn a_file_without_a_cluster_version(#[case] content: &str, #[case] expected: &str) {
    let message = error_on("a.yaml", content);
    assert!(message.starts_with(expected), "{message}");
}

/// What was copied along with the object is named on its own line, not on the one behind it.
#[rstest]
#[case::command(
    "oc get clusterversion version -o yaml\n",
    "",
    1,
    "a pasted command, oc get clusterversion version -o yaml;"
)]
#[case::prompt("$ oc get clusterversion version -o yaml\n", "", 1, "a pasted prompt, $ oc get clusterversion")]
#[case::prompt_of_root(
    "[root@host ~]# oc get clusterversion version -o yaml\n",
    "",
    1,
    "a pasted prompt, [root@host ~]# oc"
)]
#[case::prompt_of_zsh("% oc get clusterversion version -o yaml\n", "", 1, "a pasted prompt, % oc get")]
#[case::prompt_of_debian(
    "me@host:~$ oc get clusterversion version -o yaml\n",
    "",
    1,
    "a pasted prompt, me@host:~$ oc get"
)]
#[case::prompt_before_a_marker("$ oc get clusterversion version -o yaml\n---\n", "", 1, "a pasted prompt, $ oc get")]
#[case::behind_blanks_and_comments(
    "\n# the cluster\noc get clusterversion version -o yaml\n",
    "",
    3,
    "a pasted command, oc get"
)]
#[case::table(
    "NAME      VERSION   AVAILABLE\nversion   4.21.1    True\n",
    "",
    1,
    "a pasted table, NAME      VERSION   AVAILABLE;"
)]
#[case::warning("Warning: short names: use the full one\n", "", 1, "a pasted log line or warning, Warning: short")]
#[case::klog(
    "W0110 10:00:00.000000   12345 warnings.go:70] deprecated\n",
    "",
    1,
    "a pasted log line or warning, W0110"
)]
#[case::prompt_at_the_end("", "[root@host ~]# \n", 10, "a pasted prompt, [root@host ~]#;")]
#[case::command_between(
    "",
    "oc get clusteroperators -o yaml\napiVersion: v1\nkind: List\n",
    10,
    "a pasted command, oc get"
)]
fn pasted_output_of_another_command_is_named(
    #[case] before: &str,
    #[case] after: &str,
    #[case] line: usize,
    #[case] expected: &str,
) {
    let message = error_on("a.yaml", format!("{before}{CLUSTER}{after}"));
    assert!(message.starts_with(&format!("a.yaml:{line}: found {expected}")), "{message}");
}

#[rstest]
#[case::table("NAME      VERSION   AVAILABLE\nversion   4.21.1    True\n", "a pasted table, NAME")]
#[case::error(
    "error: You must be logged in to the server (Unauthorized)\n",
    "a pasted log line or warning, error: You must"
)]
#[case::no_answer("Error from server (NotFound): nothing\n", "a pasted log line or warning, Error from server")]
#[case::json("$ oc get cv version -o json\n{\"kind\": \"ClusterVersion\"}\n", "a pasted prompt, $ oc get cv")]
fn pasted_output_instead_of_an_object_is_named(#[case] content: &str, #[case] expected: &str) {
    let message = error_on("a.yaml", content);
    assert!(message.starts_with(&format!("a.yaml:1: found {expected}")), "{message}");
}

#[test]
fn pasted_output_of_another_command_is_named_in_folders_and_large_files_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), format!("oc get cv -o yaml\n{CLUSTER}")).unwrap();
    let message = error(&gate(folder.path(), &["check", "--from", "."]));
    assert!(message.contains("a.yaml:1: found a pasted command, oc get cv -o yaml;"), "{message}");
    let comments = "# a comment\n".repeat(30_000);
    let message = error_on("a.yaml", format!("$ oc get cv -o yaml\n{CLUSTER}{comments}"));
    assert!(message.starts_with("a.yaml:1: found a pasted prompt, $ oc get cv -o yaml;"), "{message}");
}

#[rstest]
#[case::overrides_as_text(
    "spec:",
    "spec:\n  overrides: none",
    "a.yaml:6: ClusterVersion: spec.overrides: found the string \"none\", expected a list"
)]
#[case::unmanaged_as_text(
    "spec:",
    "spec:\n  overrides:\n  - kind: A\n    unmanaged: \"true\"",
    "a.yaml:8: ClusterVersion: spec.overrides[0].unmanaged: found the string \"true\", expected a boolean"
)]
#[case::version_as_number(
    "4.21.1",
    "4.21",
    "a.yaml:9: ClusterVersion: status.desired.version: found the number 4.21, expected a string (put it in quotes)"
)]
#[case::status_as_list(
    "status:\n  desired:\n    version: 4.21.1",
    "status:\n- desired",
    "a.yaml:8: ClusterVersion: status: found a list, expected a mapping"
)]
#[case::metadata_as_text(
    "metadata:\n  name: version",
    "metadata: version",
    "a.yaml:3: ClusterVersion: metadata: found the string \"version\", expected a mapping"
)]
#[case::another_name(
    "name: version",
    "name: other",
    "a.yaml:1: found a ClusterVersion named other, expected the one that every cluster has"
)]
fn a_cluster_version_that_cannot_be_read(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    let message = error_on("a.yaml", CLUSTER.replacen(from, to, 1));
    assert!(message.starts_with(expected), "{message}");
}

#[rstest]
#[case::truncated("{\"apiVersion\": \"v1\",\n \"kind\":", "a.json:2: found text that is not JSON")]
#[case::comma("{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\",,}", "a.json:2: found text that is not JSON")]
#[case::rubbish_behind("{\"apiVersion\": \"v1\",\n \"kind\": \"Pod\"}\n]", "a.json:3: found text that is not JSON")]
#[case::field(
    "{\"apiVersion\": \"config.openshift.io/v1\", \"kind\": \"ClusterVersion\",\n \"spec\":\n {\"overrides\": 1}}",
    "a.json:3: ClusterVersion: spec.overrides: found the number 1, expected a list"
)]
#[case::field_in_a_list(
    "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\"},\n\
     {\"apiVersion\": \"config.openshift.io/v1\",\n \"kind\": \"ClusterVersion\", \"status\":\n \"none\"}]}",
    "a.json:5: ClusterVersion: status: found the string \"none\", expected a mapping"
)]
#[case::pod("{\n\"apiVersion\": \"v1\", \"kind\": \"Pod\"}", "a.json:1: found a Pod, expected a ClusterVersion")]
#[case::no_kind("\n\n{}", "a.json:3: found a mapping without a kind, expected")]
#[case::json_list("[{\"kind\": \"ClusterVersion\"}]", "a.json:1: found a list, expected")]
fn json_errors_have_line_numbers_too(#[case] content: &str, #[case] expected: &str) {
    let message = error_on("a.json", content);
    assert!(message.starts_with(expected), "{message}");
}

#[rstest]
#[case::utf_16(CLUSTER.encode_utf16().flat_map(u16::to_le_bytes).collect(), "a.yaml:1: found UTF-16 text")]
#[case::nul(format!("{CLUSTER}\0").into_bytes(), "a.yaml:10: found binary data")]
#[case::latin_1(b"# caf\xe9\n".to_vec(), "a.yaml:1: found bytes that are not UTF-8")]
#[case::gzip(b"\x1f\x8b\x08\0\0\0".to_vec(), "a.yaml: found an archive that is cut off")]
fn what_is_not_text(#[case] content: Vec<u8>, #[case] expected: &str) {
    let message = error_on("a.yaml", content);
    assert!(message.starts_with(expected), "{message}");
}

#[rstest]
#[case::flow(format!("a: {}", "[".repeat(100_000)))]
#[case::block((0..1_000).map(|level| " ".repeat(level) + "a:\n").collect())]
#[case::dashes("- ".repeat(10_000))]
#[case::json("{\"a\":".repeat(100_000))]
#[case::closed_json(format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)))]
#[case::alias_bomb({
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{aliases}]");
    }
    text
})]
#[case::deep_alias_bomb(format!("a: &a {{b: {}{}}}\nkind: *a\n", "{c: ".repeat(60), "}".repeat(60)))]
fn a_text_that_would_take_for_ever_is_refused(#[case] content: String) {
    let message = error_on("a.yaml", content);
    assert!(message.starts_with("a.yaml:"), "{message}");
}

#[test]
fn two_different_clusters_are_reported_with_both_locations() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), CLUSTER).unwrap();
    fs::write(folder.path().join("b.yaml"), format!("# another\n{}", CLUSTER.replace("4.21.1", "4.21.2"))).unwrap();
    for arguments in [vec!["check", "--from", "a.yaml", "--from", "b.yaml"], vec!["check", "--from", "."]] {
        let message = error(&gate(folder.path(), &arguments));
        assert!(message.contains("b.yaml:2: found another ClusterVersion"), "{message}");
        assert!(message.contains("a.yaml:1"), "{message}");
    }
    let one_file = format!("{CLUSTER}---\n{}", CLUSTER.replace("stable", "fast"));
    assert!(error_on("c.yaml", one_file).starts_with("c.yaml:11: found another ClusterVersion"));
    let same_to_the_gate = format!("{CLUSTER}---\n{}", CLUSTER.replace("spec:", "spec:\n  clusterID: other"));
    assert!(error_on("c.yaml", same_to_the_gate).starts_with("c.yaml:11: found another ClusterVersion"));
}

#[test]
fn one_object_with_two_contents_is_reported_with_both_locations() {
    let acks = |value| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{namespace: openshift-config, name: admin-acks}}\ndata: {{a: {value}}}\n---\n"
        )
    };
    let message = error_on("a.yaml", format!("{}{}{CLUSTER}", acks("\"true\""), acks("\"false\"")));
    assert!(message.starts_with("a.yaml:6: found another ConfigMap openshift-config/admin-acks"), "{message}");
    let message = error_on("a.yaml", format!("{}{CLUSTER}", acks("true")));
    assert!(
        message.starts_with("a.yaml:4: ConfigMap openshift-config/admin-acks: data.a: found the boolean true"),
        "{message}"
    );
}

#[test]
fn missing_and_empty_paths_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/current.log"), CLUSTER).unwrap();
    let message = |path: &str| error(&gate(folder.path(), &["check", "--from", path]));
    assert!(message("missing.yaml").starts_with("missing.yaml: cannot be read: No such file or directory"));
    assert!(message("empty").starts_with("empty: found no .yaml, .yml or .json file"));
    assert!(message("logs").starts_with("logs: found no .yaml, .yml or .json file"));
    assert!(message("a\u{1b}[31m").starts_with("a\\u{1b}[31m: cannot be read"));
}

#[rstest]
#[case::broken("apiVersion: config.openshift.io/v1\nkind: ClusterOperator\nmetadata: {name: \"dns\n", "is not YAML")]
#[case::broken_json("{\"kind\": \"ClusterOperator\", \"metadata\": {", "is not")]
#[case::no_api_version("kind: ClusterOperator\nmetadata: {name: dns}\n", "without an apiVersion")]
#[case::field("apiVersion: config.openshift.io/v1\nkind: ClusterOperator\nmetadata: {}\n", "found no name")]
fn a_file_in_a_folder_fails_if_it_holds_what_matters(#[case] content: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    fs::write(folder.path().join("other.yaml"), content).unwrap();
    let message = error(&gate(folder.path(), &["check", "--from", "."]));
    assert!(message.contains("other.yaml:") && message.contains(expected), "{message}");
}

#[rstest]
#[case::broken("a: [\n")]
#[case::text("ClusterVersion\n")]
#[case::list("- kind: ClusterVersion\n")]
#[case::binary("\0\u{1}\0")]
#[case::nothing("")]
#[case::event("apiVersion: v1\ninvolvedObject:\n  kind: ClusterVersion\nkind: Event\nmessage: \"cut\n")]
#[case::mention("apiVersion: v1\nkind: Event\nmessage: the ClusterOperator [\n  cut: [\n")]
#[case::another_name("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: admin-acks\n  namespace: mine\ndata: [\n")]
fn a_file_in_a_folder_that_cannot_matter_is_passed_over(#[case] content: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    fs::write(folder.path().join("other.yaml"), content).unwrap();
    let output = gate(folder.path(), &["check", "--from", "."]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Bytes that aren't text may hold by chance what in a text could be an escape.
#[rstest]
#[case::binary(b"\x7fELF\0\x01\\x43\\u0043\0")]
#[case::latin_1(b"caf\xe9 C:\\Users\n")]
#[case::gzip(b"\x1f\x8b\x08\\\n")]
fn bytes_in_a_folder_that_are_no_text_are_passed_over_unless_they_name_what_matters(#[case] content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    fs::write(folder.path().join("other.yaml"), content).unwrap();
    let output = gate(folder.path(), &["check", "--from", "."]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    error(&gate(folder.path(), &["check", "--from", "other.yaml"]));

    fs::write(folder.path().join("other.yaml"), [content, b"kind: ClusterOperator"].concat()).unwrap();
    let message = error(&gate(folder.path(), &["check", "--from", "."]));
    assert!(message.contains("other.yaml:1: found ") && message.contains("as UTF-8 text"), "{message}");
    let wide: Vec<u8> = CLUSTER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path().join("other.yaml"), wide).unwrap();
    let message = error(&gate(folder.path(), &["check", "--from", "."]));
    assert!(message.contains("other.yaml:1: found UTF-16 text"), "{message}");
}

#[rstest]
#[case::empty_target(&["check", "--from", "a.yaml", "--to", ""])]
#[case::blank_target(&["check", "--from", "a.yaml", "--to", " "])]
#[case::control_character_in_a_target(&["check", "--from", "a.yaml", "--to", "4.21.2\u{7}"])]
#[case::empty_path(&["check", "--from", ""])]
#[case::file_and_cluster(&["check", "--from", "a.yaml", "--context", "b"])]
#[case::file_and_kubeconfig(&["check", "--from", "a.yaml", "--kubeconfig", "b"])]
#[case::unknown_format(&["check", "--from", "a.yaml", "-o", "xml"])]
#[case::unknown_argument(&["check", "a.yaml"])]
#[case::unknown_command(&["chek"])]
#[case::unknown_shell(&["completion", "cmd"])]
fn invalid_arguments(#[case] arguments: &[&str]) {
    error(&gate(Path::new("."), arguments));
}

/// Blanks make no version, and no mistake in the arguments either.
#[rstest]
#[case::behind("4.21.1 ", "; did you mean 4.21.1?")]
#[case::before(" 4.21.1", "; did you mean 4.21.1?")]
#[case::a_line_break("4.21.1\n", "; did you mean 4.21.1?")]
#[case::two("4.21.1 4.21.2", "; did you mean 4.21.1?")]
#[case::words("the newest one", "compared with the current one.")]
fn a_target_with_blanks_is_blocked(#[case] target: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), CLUSTER).unwrap();
    let output = gate(folder.path(), &["check", "--from", "a.yaml", "--to", target, "-o", "json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b""[..]), "{text}");
    assert!(text.contains(expected), "{text}");
}
