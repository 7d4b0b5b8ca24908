//! What the operator has asked of the API servers, in all of the control-plane tests together, against what
//! `deploy/base/rbac.yaml` lets it do. hack/test-controlplane collects their audit logs in a folder and then runs this.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects by panicking")]
#![allow(clippy::disallowed_methods, reason = "where the audit logs are is in the environment")]

use std::{collections::BTreeSet, fmt, fs, path::Path};

use k8s_openapi::api::rbac::v1::PolicyRule;
use rstest::rstest;
use serde_json::{Value, json};

const OPERATOR: &str = "system:serviceaccount:openshift-upgrade-gate:upgrade-gate";

/// One verb on one resource: what was asked for, or what a rule grants, where no name or namespace means any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: String,
    group: String,
    resource: String,
    name: String,
    namespace: String,
}

impl Right {
    fn covers(&self, asked: &Self) -> bool {
        let same = |right: &Self| (right.verb.clone(), right.group.clone(), right.resource.clone());
        same(self) == same(asked)
            && (self.name.is_empty() || self.name == asked.name)
            && (self.namespace.is_empty() || self.namespace == asked.namespace)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, name, namespace } = self;
        write!(f, "{verb} {group}/{resource} '{name}' in '{namespace}'")
    }
}

/// What came of the operator's requests.
#[derive(Debug, Default)]
struct Record {
    allowed: BTreeSet<Right>,
    refused: BTreeSet<Right>,
    /// Why admission turned something away with a 403, unless a test did it.
    denied: BTreeSet<String>,
}

impl Record {
    /// From the lines of audit logs.
    fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut record = Self::default();
        let operators = lines.into_iter().filter(|line| line.contains(OPERATOR));
        for event in operators.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        {
            // Tests also authenticate as the operator, and `check` may run as any user.
            let agent = event["userAgent"].as_str().unwrap_or_default();
            let is_the_operators = agent.starts_with("upgrade-gate/") && agent.ends_with(" (run)");
            if event["user"]["username"] == OPERATOR && is_the_operators {
                record.add(&event);
            }
        }
        record
    }

    fn add(&mut self, event: &Value) {
        let right = asked(event);
        // Any authenticated user may read which APIs are served (system:discovery).
        if right.verb == "get" && right.resource.starts_with("/apis") {
            return;
        }
        let message = event["responseStatus"]["message"].as_str().unwrap_or_default();
        if event["annotations"]["authorization.k8s.io/decision"] != "allow" {
            self.refused.insert(right);
            return;
        }
        // An apply is a patch, and where there is no object yet, a create by name as well.
        let create = || Right { verb: "create".to_owned(), ..right.clone() };
        match event["responseStatus"]["code"].as_u64() {
            Some(201) if right.verb == "patch" => drop(self.allowed.insert(create())),
            Some(403) if message.contains("cannot create resource") => drop(self.refused.insert(create())),
            Some(403) if !message.contains("denied by a test") => drop(self.denied.insert(message.to_owned())),
            _ => {}
        }
        self.allowed.insert(right);
    }

    /// What was refused that none of these grants. What one of them grants was refused because a test had taken it away.
    fn refused_for_good(&self, granted: &[Right]) -> Vec<String> {
        let refused = self.refused.iter().filter(|asked| !granted.iter().any(|right| right.covers(asked)));
        refused.map(Right::to_string).chain(self.denied.iter().cloned()).collect()
    }

    /// What was allowed, but by none of these.
    fn allowed_by_others(&self, granted: &[Right]) -> Vec<String> {
        let allowed = self.allowed.iter().filter(|asked| !granted.iter().any(|right| right.covers(asked)));
        allowed.map(Right::to_string).collect()
    }

    /// Those without which everything would have been allowed all the same.
    fn granted_but_unused(&self, granted: &[Right]) -> Vec<String> {
        let needed = |right: &Right| {
            let alone = |asked: &Right| granted.iter().filter(|other| other.covers(asked)).count() == 1;
            self.allowed.iter().any(|asked| right.covers(asked) && alone(asked))
        };
        granted.iter().filter(|right| !needed(right)).map(Right::to_string).collect()
    }
}

fn asked(event: &Value) -> Right {
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verb = text(&event["verb"]);
    // The log knows the name that a POST has in its body; who authorises it doesn't.
    let name = if verb == "create" { String::new() } else { text(&object["name"]) };
    let resource = match (&object["resource"], &object["subresource"]) {
        (Value::String(resource), Value::String(subresource)) => format!("{resource}/{subresource}"),
        (Value::String(resource), _) => resource.clone(),
        _ => text(&event["requestURI"]), // as in /version
    };
    Right { verb, group: text(&object["apiGroup"]), resource, name, namespace: text(&object["namespace"]) }
}

/// Each verb of each rule, for each resource and name in it.
fn granted(rbac: &str) -> Vec<Right> {
    let mut granted = Vec::new();
    for role in serde_saphyr::from_multiple::<Value>(rbac).unwrap().iter().filter(|object| object["rules"].is_array()) {
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
        let rules: Vec<PolicyRule> = serde_json::from_value(role["rules"].clone()).unwrap();
        for rule in rules {
            let names = rule.resource_names.filter(|names| !names.is_empty()).unwrap_or_else(|| vec![String::new()]);
            for (group, resource) in product(&rule.api_groups.unwrap(), &rule.resources.unwrap()) {
                granted.extend(product(&rule.verbs, &names).map(|(verb, name)| Right {
                    verb,
                    group: group.clone(),
                    resource: resource.clone(),
                    name,
                    namespace: namespace.to_owned(),
                }));
            }
        }
    }
    granted
}

fn product<'a>(some: &'a [String], others: &'a [String]) -> impl Iterator<Item = (String, String)> + 'a {
    some.iter().flat_map(|one| others.iter().map(|other| (one.clone(), other.clone())))
}

#[test]
#[ignore = "compares what all control-plane tests have recorded: run hack/test-controlplane"]
fn the_granted_permissions_are_exactly_those_used() {
    let folder = std::env::var("UPGRADE_GATE_AUDIT").unwrap_or_default();
    assert!(!folder.is_empty(), "UPGRADE_GATE_AUDIT names no folder of audit logs: run hack/test-controlplane");
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<String> = paths.map(|path| fs::read_to_string(path).unwrap()).collect();
    let record = Record::of(logs.iter().flat_map(|log| log.lines()));
    let rbac = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base/rbac.yaml")).unwrap();
    let granted = granted(&rbac);

    let none: [String; 0] = [];
    assert_eq!(
        record.refused_for_good(&granted),
        none,
        "the operator asks for this, and rbac.yaml grants it to nobody"
    );
    assert_eq!(record.allowed_by_others(&granted), none, "the operator does this, and has the right from elsewhere");
    assert_eq!(
        record.granted_but_unused(&granted),
        none,
        "rbac.yaml grants this, but no request of the operator used it"
    );
}

const RBAC: &str = "
kind: ClusterRole
rules:
- apiGroups: [g]
  resources: [things]
  resourceNames: [mine]
  verbs: [list, create, patch]
---
kind: ClusterRoleBinding
---
kind: Role
metadata: {namespace: here}
rules:
- apiGroups: ['']
  resources: [maps]
  verbs: [create]
";

/// One line of an audit log: `VERB RESOURCE NAME NAMESPACE`, the dash for none, and what came of it.
fn line(request: &str, (decision, code, message): (&str, u16, &str)) -> String {
    let words: Vec<&str> = request.split(' ').map(|word| word.trim_matches('-')).collect();
    let [verb, resource, name, namespace] = words[..] else { panic!("{request}") };
    let group = if resource == "maps" { Value::Null } else { json!("g") };
    json!({
        "verb": verb,
        "user": {"username": OPERATOR},
        "userAgent": "upgrade-gate/1.2.3 (run)",
        "objectRef": {"apiGroup": group, "resource": resource, "name": name, "namespace": namespace},
        "responseStatus": {"code": code, "message": message},
        "annotations": {"authorization.k8s.io/decision": decision},
    })
    .to_string()
}

const DONE: (&str, u16, &str) = ("allow", 200, "");
const CREATED: (&str, u16, &str) = ("allow", 201, "");
const FORBIDDEN: (&str, u16, &str) = ("forbid", 403, "is forbidden: User cannot");
const UNMADE: (&str, u16, &str) = ("allow", 403, "is forbidden: User cannot create resource");
const BY_TEST: (&str, u16, &str) = ("allow", 403, "is forbidden: denied by a test");
const BY_OTHERS: (&str, u16, &str) = ("allow", 403, "denied by others");

#[rstest]
#[case::what_is_granted("list things mine -", DONE, &[], &[])]
#[case::a_right_that_a_test_took_away("list things mine -", FORBIDDEN, &[], &[])]
#[case::another_name("list things other -", FORBIDDEN, &["list g/things 'other' in ''"], &[])]
#[case::all_names("list things - -", FORBIDDEN, &["list g/things '' in ''"], &[])]
#[case::another_verb("watch things mine -", FORBIDDEN, &["watch g/things 'mine' in ''"], &[])]
#[case::a_post_whose_name_is_in_its_body("create maps some here", CREATED, &[], &[])]
#[case::a_post_that_only_an_apply_could_be("create things mine -", FORBIDDEN, &["create g/things '' in ''"], &[])]
#[case::another_namespace("create maps some there", FORBIDDEN, &["create /maps '' in 'there'"], &[])]
#[case::an_apply_that_creates("patch things mine -", CREATED, &[], &[])]
#[case::an_apply_that_may_not_create("patch things other -", UNMADE,
    &["create g/things 'other' in ''"], &["patch g/things 'other' in ''"])]
#[case::what_a_test_denies("patch things mine -", BY_TEST, &[], &[])]
#[case::what_others_deny("patch things mine -", BY_OTHERS, &["denied by others"], &[])]
#[case::a_right_from_elsewhere("delete things mine -", DONE, &[], &["delete g/things 'mine' in ''"])]
fn what_was_asked_for_is_granted_here(
    #[case] request: &str,
    #[case] answer: (&str, u16, &str),
    #[case] refused: &[&str],
    #[case] from_elsewhere: &[&str],
) {
    let record = Record::of([&*line(request, answer)]);
    assert_eq!(record.refused_for_good(&granted(RBAC)), refused);
    assert_eq!(record.allowed_by_others(&granted(RBAC)), from_elsewhere);
}

#[test]
fn discovery_is_allowed_for_everyone() {
    let mut event: Value = serde_json::from_str(&line("get things - -", DONE)).unwrap();
    event["objectRef"] = Value::Null;
    for (url, counts) in [("/apis/g/v1", false), ("/metrics", true)] {
        event["requestURI"] = json!(url);
        assert_eq!(Record::of([&*event.to_string()]).allowed.len(), usize::from(counts), "{url}");
    }
}

const CREATE_MAPS: &str = "create /maps '' in 'here'";
const CREATE: &str = "create g/things 'mine' in ''";
const LIST: &str = "list g/things 'mine' in ''";
const PATCH: &str = "patch g/things 'mine' in ''";

#[rstest]
#[case::nothing_was_asked(&[], &[LIST, CREATE, PATCH, CREATE_MAPS])]
#[case::all_was_needed(&[("list things mine -", DONE), ("patch things mine -", CREATED), ("create maps a here", DONE)], &[])]
#[case::what_is_not_there_needs_the_right_too(&[("list things mine -", ("allow", 404, ""))], &[CREATE, PATCH, CREATE_MAPS])]
#[case::what_was_refused_was_not_needed(&[("list things mine -", FORBIDDEN)], &[LIST, CREATE, PATCH, CREATE_MAPS])]
#[case::a_patch_of_what_is_there(&[("patch things mine -", DONE)], &[LIST, CREATE, CREATE_MAPS])]
#[case::what_admission_denies_needs_the_right(&[("patch things mine -", BY_TEST)], &[LIST, CREATE, CREATE_MAPS])]
fn a_permission_that_no_request_used_is_reported_as_unused(
    #[case] requests: &[(&str, (&str, u16, &str))],
    #[case] unused: &[&str],
) {
    let lines: Vec<String> = requests.iter().map(|(request, answer)| line(request, *answer)).collect();
    let record = Record::of(lines.iter().map(String::as_str));
    assert_eq!(record.granted_but_unused(&granted(RBAC)), unused);
}

#[test]
fn of_two_permissions_for_the_same_request_neither_counts_as_used() {
    let record = Record::of([&*line("list things mine -", DONE)]);
    let wider = "
kind: ClusterRole
rules:
- {apiGroups: [g], resources: [things], verbs: [list]}
- {apiGroups: [g], resources: [things], resourceNames: [mine], verbs: [list]}
";
    assert_eq!(record.granted_but_unused(&granted(wider)), ["list g/things '' in ''", LIST]);
}

#[rstest]
#[case(OPERATOR, "upgrade-gate/1.2.3 (run)", true)]
#[case(OPERATOR, "upgrade-gate/1.2.3 (check)", false)]
#[case(OPERATOR, "", false)]
#[case("admin", "upgrade-gate/1.2.3 (run)", false)]
fn only_the_operators_own_requests_count(#[case] user: &str, #[case] agent: &str, #[case] counts: bool) {
    let mut event: Value = serde_json::from_str(&line("list things mine -", DONE)).unwrap();
    event["user"]["username"] = json!(user);
    event["userAgent"] = json!(agent);
    event["requestURI"] = json!(format!("/impersonating/{OPERATOR}"));
    assert_eq!(Record::of([&*event.to_string()]).allowed.len(), usize::from(counts));
}
