//! Collects the relevant objects from the inputs, by apiVersion, kind and name, not by the name of their file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    api::{
        ClusterOperator, ClusterVersion, UpdateRecord,
        names::{ADMIN_ACKS, ADMIN_GATES, CLUSTER_VERSION, CONFIG_API_VERSION, RECORD_API_VERSION},
    },
    cli::{
        error::{Error, Location},
        input::{
            Inputs, Past,
            evidence::with_current,
            field_error::FieldError,
            node::{Content, Node},
            origin::Origin,
            prefilter::Head,
        },
    },
    escape::escape,
    gate::{ConfigMapData, Source},
};

const CLUSTER_VERSION_KIND: &str = "ClusterVersion";
const CLUSTER_OPERATOR_KIND: &str = "ClusterOperator";
const CONFIG_MAP_KIND: &str = "ConfigMap";
const UPDATE_RECORD_KIND: &str = "UpdateRecord";

/// What the inputs are read for. Objects that are not relevant to it may be malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputKind {
    /// The input of the gate.
    #[default]
    Verdict,
    /// UpdateRecords and history: the accepted updates.
    History,
}

impl InputKind {
    /// A relevant file contains at least one of these: kinds, and names of `ConfigMap`s.
    pub fn search_terms(self) -> &'static [&'static str] {
        match self {
            Self::Verdict => &[CLUSTER_VERSION_KIND, CLUSTER_OPERATOR_KIND, ADMIN_GATES.1, ADMIN_ACKS.1],
            Self::History => &[CLUSTER_VERSION_KIND, UPDATE_RECORD_KIND],
        }
    }

    /// Whether an object with that head can be relevant. A field that is not known may have any value.
    pub fn is_relevant(self, head: &Head<'_>) -> bool {
        match (head.kind, self) {
            (None | Some(CLUSTER_VERSION_KIND), _)
            | (Some(CLUSTER_OPERATOR_KIND), Self::Verdict)
            | (Some(UPDATE_RECORD_KIND), Self::History) => true,
            (Some(CONFIG_MAP_KIND), Self::Verdict) => [ADMIN_GATES, ADMIN_ACKS].iter().any(|(namespace, name)| {
                head.namespace.is_none_or(|given| given == *namespace) && head.name.is_none_or(|given| given == *name)
            }),
            (Some(kind), _) => kind.ends_with("List"),
        }
    }
}

/// What every document is expected to be.
pub const AN_OBJECT: &str = "a ClusterVersion, or another Kubernetes object, with apiVersion and kind; \
    `oc get clusterversion version -o yaml` prints one";

/// The relevant objects read so far, and their locations.
#[derive(Default)]
pub struct ObjectCollector {
    /// Which objects are relevant.
    pub kind: InputKind,
    /// With the whole object, because two clusters may look the same to the gate.
    cluster_version: Option<((ClusterVersion, Value), Location)>,
    cluster_operators: BTreeMap<String, (ClusterOperator, Location)>,
    cluster_operators_given: bool,
    admin_gates: Option<(BTreeMap<String, String>, Location)>,
    admin_acks: Option<(BTreeMap<String, String>, Location)>,
    update_records: BTreeMap<String, (UpdateRecord, Location)>,
    /// How often a relevant object was given, the same one or another.
    taken: usize,
    /// The first object of another kind, for the error that names what was found instead.
    other: Option<(String, Location)>,
}

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

impl ObjectCollector {
    /// Nothing yet.
    pub fn new(kind: InputKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// How often a relevant object was given.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the relevant objects of an object or a List. Entries of a typed List may omit apiVersion and kind, which
    /// are then those of `inherited`. A file in a folder need not be an object at all.
    pub fn take(&mut self, node: &Node, inherited: Option<(&str, &str)>, origin: &Origin) -> Result<(), Error> {
        let place = Location::new(&origin.name, node.line);
        let shape = |found: String| Error::Shape { place: place.clone(), found, expected: AN_OBJECT.to_owned() };
        let text = |key: &str| node.get(key).and_then(Node::text);
        let Some(kind) = text("kind").or(inherited.map(|(_, kind)| kind)) else {
            let is_mapping = matches!(node.content, Content::Mapping(_));
            let found = if is_mapping { "a mapping without a kind".to_owned() } else { node.describe() };
            return if origin.by_name { Err(shape(found)) } else { Ok(()) };
        };
        let Some(api_version) = text("apiVersion").or(inherited.map(|(api_version, _)| api_version)) else {
            let head = Head { kind: Some(kind), ..Head::default() };
            let needed = origin.by_name || self.kind.is_relevant(&head);
            return if needed { Err(shape(format!("a {} without an apiVersion", escape(kind)))) } else { Ok(()) };
        };
        let metadata = |key: &str| node.get("metadata")?.get(key)?.text();
        let head = Head { kind: Some(kind), ..Head::default() };
        if !self.kind.is_relevant(&head) {
            self.pass_over(Some(kind), || place);
            return Ok(());
        }
        self.taken += 1;
        match (api_version, kind) {
            (CONFIG_API_VERSION, CLUSTER_VERSION_KIND) => self.take_cluster_version(node, place),
            (RECORD_API_VERSION, UPDATE_RECORD_KIND) => self.take_update_record(node, place),
            (CONFIG_API_VERSION, CLUSTER_OPERATOR_KIND) => self.take_cluster_operator(node, place),
            ("v1", CONFIG_MAP_KIND) => match (metadata("namespace"), metadata("name")) {
                (Some(namespace), Some(name)) if (namespace, name) == ADMIN_GATES => {
                    take_config_map(&mut self.admin_gates, node, ADMIN_GATES, place)
                }
                (Some(namespace), Some(name)) if (namespace, name) == ADMIN_ACKS => {
                    take_config_map(&mut self.admin_acks, node, ADMIN_ACKS, place)
                }
                _ => Ok(()),
            },
            (_, list) if list.ends_with("List") => match node.get("items").map(|items| &items.content) {
                Some(Content::List(items)) => {
                    let inherited = self.enter_list(api_version, list);
                    items.iter().try_for_each(|item| self.take(item, inherited, origin))
                }
                _ => Ok(()),
            },
            _ => {
                self.pass_over(Some(kind), || place);
                Ok(())
            }
        }
    }

    /// Notes that a List was given, and returns the apiVersion and kind of entries that do not have their own.
    pub fn enter_list<'a>(&mut self, api_version: &'a str, kind: &'a str) -> Option<(&'a str, &'a str)> {
        let inherited = kind.strip_suffix("List").filter(|kind| !kind.is_empty()).map(|kind| (api_version, kind));
        self.cluster_operators_given |= inherited == Some((CONFIG_API_VERSION, CLUSTER_OPERATOR_KIND));
        inherited
    }

    /// Notes an object that was skipped without parsing it.
    pub fn pass_over(&mut self, kind: Option<&str>, place: impl FnOnce() -> Location) {
        self.other.get_or_insert_with(|| (format!("a {}", escape(kind.unwrap_or("mapping"))), place()));
    }

    fn take_cluster_version(&mut self, node: &Node, place: Location) -> Result<(), Error> {
        let object = CLUSTER_VERSION_KIND.to_owned();
        let error = |error: FieldError| field_error(&error, &place, object.clone(), "clusterversion");
        let read: ClusterVersion = node.read().map_err(error)?;
        let mut whole: Value = node.read().map_err(error)?;
        let name = &read.metadata.name;
        if !name.is_empty() && name != CLUSTER_VERSION {
            let found = format!("a ClusterVersion named {}", escape(name));
            let expected = "the one that every cluster has, named version".to_owned();
            return Err(Error::Shape { place, found, expected });
        }
        // Two reads moments apart differ in it, and nothing here depends on it.
        if let Some(Value::Object(metadata)) = whole.get_mut("metadata") {
            metadata.remove("resourceVersion");
        }
        once(&mut self.cluster_version, (read, whole), object, place)
    }

    fn take_cluster_operator(&mut self, node: &Node, place: Location) -> Result<(), Error> {
        let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::text);
        let object = format!("{CLUSTER_OPERATOR_KIND} {}", escape(name.unwrap_or_default()));
        let object = object.trim_end().to_owned();
        let read: ClusterOperator =
            node.read().map_err(|error| field_error(&error, &place, object.clone(), "clusteroperator"))?;
        self.cluster_operators_given = true;
        let mut slot = self.cluster_operators.remove(&read.name);
        let name = read.name.clone();
        once(&mut slot, read, object, place)?;
        self.cluster_operators.extend(slot.map(|slot| (name, slot)));
        Ok(())
    }

    fn take_update_record(&mut self, node: &Node, place: Location) -> Result<(), Error> {
        let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::text);
        let name = name.unwrap_or_default().to_owned();
        let object = format!("{UPDATE_RECORD_KIND} {}", escape(&name)).trim_end().to_owned();
        let mut read: UpdateRecord =
            node.read().map_err(|error| field_error(&error, &place, object.clone(), "updaterecord"))?;
        // Two dumps may differ in fields that only the API server uses.
        (read.metadata.resource_version, read.metadata.managed_fields) = (None, None);
        let mut slot = self.update_records.remove(&name);
        once(&mut slot, read, object, place)?;
        self.update_records.extend(slot.map(|slot| (name, slot)));
        Ok(())
    }

    /// The input of `history`. `whole` names the input in errors that are about no single line.
    pub fn finish_past(self, whole: &str) -> Result<Past, Error> {
        if self.cluster_version.is_none() && self.update_records.is_empty() {
            let (found, place) = match self.other {
                Some((found, place)) => (found, place.to_string()),
                None => ("no Kubernetes object".to_owned(), whole.to_owned()),
            };
            return Err(Error::NoHistory { place, found });
        }
        Ok(Past {
            cluster_version: self.cluster_version.map(|((cluster_version, _), _)| cluster_version),
            records: self.update_records.into_values().map(|(record, _)| record).collect(),
            from_files: true,
        })
    }

    /// The input of the gate. `whole` names the input in errors that are about no single line.
    pub fn finish(self, whole: &str) -> Result<Inputs, Error> {
        let Some(((cluster_version, _), at)) = self.cluster_version else {
            let (place, found) = match (self.cluster_operators.into_values().next(), self.other) {
                (_, Some((found, place))) => (place.to_string(), found),
                (Some((_, place)), None) => (place.to_string(), "a ClusterOperator".to_owned()),
                (None, None) => match self.admin_gates.or(self.admin_acks) {
                    Some((_, place)) => (place.to_string(), "a ConfigMap".to_owned()),
                    None => (whole.to_owned(), "no Kubernetes object".to_owned()),
                },
            };
            return Err(Error::NoClusterVersion { place, found });
        };
        let cluster_version = with_current(cluster_version).map_err(|found| Error::NoCurrentVersion {
            place: at.to_string(),
            found,
            advice: "get the object as the cluster has it, with `oc get clusterversion version -o yaml`",
        })?;
        let config_maps_given = self.admin_gates.is_some() || self.admin_acks.is_some();
        let config_map = |found: Option<(BTreeMap<String, String>, Location)>| -> Source<ConfigMapData> {
            if config_maps_given { Source::Read(found.map(|(data, _)| data)) } else { Source::NotGiven }
        };
        Ok(Inputs {
            cluster_version,
            cluster_operators: if self.cluster_operators_given {
                Source::Read(self.cluster_operators.into_values().map(|(operator, _)| operator).collect())
            } else {
                Source::NotGiven
            },
            admin_gates: config_map(self.admin_gates),
            admin_acks: config_map(self.admin_acks),
        })
    }
}

fn take_config_map(
    slot: &mut Option<(BTreeMap<String, String>, Location)>,
    node: &Node,
    (namespace, name): (&str, &str),
    place: Location,
) -> Result<(), Error> {
    let object = format!("{CONFIG_MAP_KIND} {namespace}/{name}");
    let read: ConfigMap = node.read().map_err(|error| field_error(&error, &place, object.clone(), "configmap"))?;
    once(slot, read.data.unwrap_or_default(), object, place)
}

/// The same object may be given twice; two different versions of it are an error.
fn once<T: PartialEq>(slot: &mut Option<(T, Location)>, read: T, object: String, place: Location) -> Result<(), Error> {
    match slot {
        Some((before, first)) if *before != read => Err(Error::Two { object, first: first.clone(), second: place }),
        Some(_) => Ok(()),
        None => {
            *slot = Some((read, place));
            Ok(())
        }
    }
}

fn field_error(error: &FieldError, place: &Location, object: String, explain: &'static str) -> Error {
    let place = Location { line: error.line.unwrap_or(place.line), ..place.clone() };
    Error::Field { place: place.to_string(), object, problem: escape(&error.to_string()), explain }
}
