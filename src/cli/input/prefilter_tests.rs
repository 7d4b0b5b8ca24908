//! The prefilter against the parser: what the prefilter returns for an object has to be what the parser reads.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::cli::input::{
    Inputs, ObjectCollector,
    node::{Content, Node},
    origin::Origin,
    prefilter::{Head, Outline, Slice, documents, outline},
};

fn whole(text: &str) -> Slice<'_> {
    Slice { text, line: 1 }
}

fn config_map(name: &str) -> Head<'_> {
    Head { api_version: Some("v1"), kind: Some("ConfigMap"), namespace: Some("ns"), name: Some(name) }
}

fn heads<'a>(outline: &Outline<'a>) -> Vec<Option<Head<'a>>> {
    outline.items.iter().flatten().map(|(_, head)| *head).collect()
}

#[rstest]
#[case::none("# nothing\n\n", &[])]
#[case::one("a: 1\n", &[("a: 1\n", 1)])]
#[case::two("a: 1\n---\nb: 1\n", &[("a: 1\n", 1), ("---\nb: 1\n", 2)])]
#[case::marker_first("# c\n---\na: 1\n---\n", &[("---\na: 1\n", 2)])]
#[case::end_marker("a: 1\n...\nb: 1\n", &[("a: 1\n", 1), ("b: 1\n", 3)])]
#[case::marker_with_content("--- {a: 1}\n--- b\n", &[("--- {a: 1}\n", 1), ("--- b\n", 2)])]
#[case::directive("%YAML 1.2\n---\na: 1\n", &[("%YAML 1.2\n---\na: 1\n", 1)])]
#[case::directive_of_the_second("a: 1\n...\n%YAML 1.2\n---\nb: 1\n", &[("a: 1\n", 1), ("%YAML 1.2\n---\nb: 1\n", 3)])]
#[case::no_marker("a: |\n  ---\nb: ---\n----\n", &[("a: |\n  ---\nb: ---\n----\n", 1)])]
#[case::windows("a: 1\r\n---\r\nb: 1", &[("a: 1\r\n", 1), ("---\r\nb: 1", 2)])]
fn documents_are_cut_at_their_markers(#[case] text: &str, #[case] expected: &[(&str, usize)]) {
    let found: Vec<(&str, usize)> = documents(text).into_iter().map(|slice| (slice.text, slice.line)).collect();
    assert_eq!(found, expected);
}

const LIST: &str = "\
apiVersion: v1
items:
- apiVersion: v1
  data:
    a: |
      apiVersion: config.openshift.io/v1
      kind: ClusterVersion
      - kind: ClusterVersion
    b: \"quoted

      kind: ClusterVersion\"
    c: plain
      kind ClusterVersion
    d: >-

        folded
      # no comment
    e: {kind: ClusterVersion}
  kind: ConfigMap
  metadata:
    managedFields:
    - apiVersion: v9
      name: other
    name: one # a comment
    namespace: 'ns'
    ownerReferences:
    - kind: ClusterVersion
      name: version
# a comment
- apiVersion: v1
  kind: \"ConfigMap\"
  metadata:
    name: two
    namespace: ns
kind: ConfigMapList
metadata:
  resourceVersion: \"\"
";

#[test]
fn entries_are_recognised_by_the_keys_at_their_own_indentation() {
    let outline = outline(whole(LIST)).unwrap();
    assert_eq!((outline.head.kind, outline.head.api_version), (Some("ConfigMapList"), Some("v1")));
    assert_eq!(heads(&outline), [Some(config_map("one")), Some(config_map("two"))]);
    let lines: Vec<usize> = outline.items.unwrap().iter().map(|(slice, _)| slice.line).collect();
    assert_eq!(lines, [3, 30]);
}

#[test]
fn indented_dashes_and_windows_line_ends_are_cut_alike() {
    let indented = "items:\n  - apiVersion: v1\n    kind: A\n    metadata: {}\n  -\n    apiVersion: v1\n    kind: B\nkind: List\napiVersion: v1\n";
    for text in [indented.to_owned(), indented.replace('\n', "\r\n")] {
        let outline = outline(whole(&text)).unwrap();
        let kinds: Vec<Option<&str>> = heads(&outline).into_iter().map(|head| head.unwrap().kind).collect();
        assert_eq!(kinds, [Some("A"), Some("B")]);
    }
}

#[rstest]
#[case::flow("- {apiVersion: v1, kind: A}\n")]
#[case::kind_by_anchor("- apiVersion: v1\n  kind: &k A\n")]
#[case::kind_by_alias("- apiVersion: v1\n  kind: *k\n")]
#[case::kind_by_tag("- apiVersion: v1\n  kind: !!str A\n")]
#[case::kind_on_the_next_line("- apiVersion: v1\n  kind:\n    A\n")]
#[case::kind_folded("- apiVersion: v1\n  kind: >-\n    A\n")]
#[case::kind_escaped("- apiVersion: v1\n  kind: \"\\u0041\"\n")]
#[case::kind_null("- apiVersion: v1\n  kind: null\n")]
#[case::kind_twice("- apiVersion: v1\n  kind: A\n  kind: B\n")]
#[case::merge_key("- <<: *base\n  apiVersion: v1\n")]
#[case::quoted_key("- apiVersion: v1\n  \"kind\": A\n")]
#[case::explicit_key("- ? kind\n  : A\n")]
#[case::tab("- apiVersion: v1\n  kind:\tA\n")]
#[case::anchor_on_the_entry("- &a\n  apiVersion: v1\n  kind: A\n")]
#[case::list_in_a_list("- - kind: A\n")]
#[case::text("- kind\n")]
fn an_entry_that_is_not_plain_is_left_to_the_parser(#[case] entry: &str) {
    let text = format!("items:\n- apiVersion: v1\n  kind: B\n{entry}- apiVersion: v1\n  kind: C\nkind: List\n");
    let heads = heads(&outline(whole(&text)).unwrap());
    assert_eq!(heads.len(), 3, "{heads:?}");
    assert!(heads[0].is_some() && heads[1].is_none() && heads[2].is_some(), "{heads:?}");
}

#[rstest]
#[case::flow("{kind: A}\n")]
#[case::list("- kind: A\n")]
#[case::text("text\n")]
#[case::items_in_flow("kind: List\nitems: [{kind: A}]\n")]
#[case::items_by_alias("kind: List\nitems: *x\n")]
#[case::items_a_mapping("kind: List\nitems:\n  a: 1\n")]
#[case::items_twice("items:\n- kind: A\nitems:\n- kind: B\n")]
#[case::quoted_key("\"kind\": A\n")]
#[case::merge_key("<<: {kind: A}\n")]
#[case::directive("%YAML 1.2\n---\nkind: A\n")]
#[case::content_behind_the_marker("--- !!map\nkind: A\n")]
#[case::old_mac("kind: A\rkind: B\n")]
#[case::indented("  kind: A\n")]
#[case::between_the_dashes("items:\n  - kind: A\n b: 1\n")]
fn a_document_that_is_not_plain_is_left_to_the_parser(#[case] text: &str) {
    assert_eq!(outline(whole(text)), None);
}

#[test]
fn metadata_that_is_not_plain_has_no_name() {
    for metadata in
        ["{name: a, namespace: b}", "\n  name: a\n  name: b", "\n  <<: *x\n  name: a", "\n    name: a\n  namespace: b"]
    {
        let text = format!("apiVersion: v1\nkind: A\nmetadata: {metadata}\n");
        let head = outline(whole(&text)).unwrap().head;
        assert_eq!((head.kind, head.name), (Some("A"), None), "{text}");
    }
}

/// Lines that would be misread out of their context.
fn hostile_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("kind: ClusterVersion".to_owned()),
        Just("- apiVersion: config.openshift.io/v1".to_owned()),
        Just("---".to_owned()),
        Just("# comment".to_owned()),
        Just("items:".to_owned()),
        Just("metadata:".to_owned()),
        Just("\tname: x".to_owned()),
        Just("\"".to_owned()),
        Just("{[|>&*!%@`'".to_owned()),
        "[ a-z:'\"#-]{0,12}",
        "\\PC{0,8}",
    ]
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop::collection::vec(hostile_line(), 0..5).prop_map(|lines| lines.join("\n"))
}

fn object() -> impl Strategy<Value = Value> {
    let word =
        prop_oneof![Just("ConfigMap"), Just("Pod"), Just("ClusterOperator"), Just("null"), Just("List"), Just("")];
    (word, "[a-z]{1,3}", prop::collection::btree_map(hostile_text(), hostile_text(), 0..3), hostile_text()).prop_map(
        |(kind, name, data, annotation)| {
            json!({"apiVersion": "v1", "data": data, "kind": kind,
                   "metadata": {"annotations": {"a": annotation}, "name": name, "namespace": "ns"}, "z": [annotation]})
        },
    )
}

proptest! {
    #[test]
    fn the_prefilter_returns_what_the_parser_reads(
        objects in prop::collection::vec(object(), 0..4), compact in any::<bool>(), step in 1_usize..5,
    ) {
        let list = json!({"apiVersion": "v1", "items": objects, "kind": "ConfigMapList"});
        let options = serde_saphyr::ser_options! { compact_list_indent: compact, indent_step: step };
        let text = serde_saphyr::to_string_with_options(&list, options).unwrap();
        let parsed = Node::from_yaml(&text, 1).unwrap();
        let parsed = parsed.get("items").unwrap();
        let Content::List(parsed) = &parsed.content else { panic!("{text}") };
        // Cut at the wrong places, the text would show a different number of entries, or entries that differ.
        let outline = outline(whole(&text));
        prop_assert!(outline.is_some(), "{}", text);
        let items = outline.and_then(|outline| outline.items).unwrap();
        prop_assert_eq!(items.len(), parsed.len(), "{}", text);
        for ((slice, head), object) in items.iter().zip(parsed) {
            let read = Node::from_yaml(slice.text, slice.line).unwrap();
            let Content::List(entries) = &read.content else { panic!("{text}") };
            let values: Vec<Value> = entries.iter().map(|entry| entry.read().unwrap()).collect();
            prop_assert_eq!(values, vec![object.read::<Value>().unwrap()], "{}", text);
            if let Some(head) = head {
                let text_of = |node: Option<&Node>| node.and_then(Node::text).map(str::to_owned);
                prop_assert_eq!(head.kind.map(str::to_owned), text_of(object.get("kind")), "{}", text);
                prop_assert_eq!(head.name.map(str::to_owned), text_of(object.get("metadata").unwrap().get("name")), "{}", text);
            }
        }
    }
}

/// The input in a text, parsed completely as a file that is given by name, or prefiltered as one in a folder.
fn read(text: &str, by_name: bool) -> Result<Inputs, crate::cli::error::Error> {
    let mut collector = ObjectCollector::default();
    let origin = Origin { name: "a.yaml".to_owned(), by_name };
    super::read_bytes(text.as_bytes(), &origin, &mut collector)?;
    collector.finish("a.yaml")
}

/// Objects that matter, between others, in a text of several documents.
fn cluster() -> impl Strategy<Value = String> {
    let is_relevant = (hostile_text(), hostile_text(), any::<bool>()).prop_map(|(message, gate, in_list)| {
        let items = json!([
            {"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "metadata": {"name": "version"},
             "status": {"desired": {"version": "4.21.1"},
                        "conditions": [{"message": message, "status": "False", "type": "Upgradeable"}]}},
            {"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": "dns"}},
            {"apiVersion": "v1", "data": {"ack-4.21-a": gate}, "kind": "ConfigMap",
             "metadata": {"name": "admin-gates", "namespace": "openshift-config-managed"}},
        ]);
        if in_list { vec![items] } else { items.as_array().cloned().unwrap_or_default() }
    });
    (is_relevant, prop::collection::vec(object(), 0..3)).prop_map(|(is_relevant, others)| {
        let mut text = String::new();
        for object in is_relevant.into_iter().chain(others) {
            let object = match object {
                Value::Array(items) => json!({"apiVersion": "v1", "items": items, "kind": "List"}),
                object => object,
            };
            text += "---\n";
            text += &serde_saphyr::to_string(&object).unwrap();
        }
        text
    })
}

proptest! {
    /// If the parser reads a damaged text, the prefilter leads to the same input, and nothing panics.
    #[test]
    fn a_damaged_text_is_prefiltered_as_it_is_parsed(
        text in cluster(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4, 0_usize..9, hostile_line()), 0..3),
    ) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (position, edit, indent, line) in edits {
            let position = position.index(lines.len());
            let indented = format!("{}{line}", " ".repeat(indent));
            match edit {
                0 => lines.insert(position, indented),
                1 if lines.len() > 1 => drop(lines.remove(position)),
                2 => lines[position] = format!("{}{}", " ".repeat(indent), lines[position].trim_start()),
                _ => lines[position] += &line,
            }
        }
        let text = lines.join("\n") + "\n";
        let prefiltered = read(&text, false);
        if let Ok(parsed) = read(&text, true) {
            match prefiltered {
                Ok(prefiltered) => prop_assert_eq!(prefiltered, parsed, "{}", text),
                Err(error) => prop_assert!(false, "{}\n{}", error, text),
            }
        }
    }
}
