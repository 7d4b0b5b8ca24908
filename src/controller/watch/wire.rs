//! Objects as they come off the wire, cut down to what is read.
//!
//! kube's `DynamicObject` isn't used: it keeps the whole of each object, and one that it cannot parse fails the list and
//! the watch for all.

use std::{borrow::Cow, collections::BTreeMap};

use kube::{
    Resource,
    api::{ApiResource, ObjectMeta},
    core::DynamicResourceScope,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::api::{ClusterOperator, OwnOperator, names::SELF};

/// An object off the wire: enough metadata for the watch, and what `T` keeps of the rest.
#[derive(Clone, Debug)]
pub struct Wire<T> {
    meta: ObjectMeta,
    /// What is kept.
    pub kept: T,
}

impl<T> Wire<T> {
    /// Its `resourceVersion`, where that is a number, as in every Kubernetes so far.
    pub(super) fn version(&self) -> Option<u64> {
        self.meta.resource_version.as_ref()?.parse().ok()
    }

    /// Its name.
    pub(super) fn into_name(self) -> String {
        self.meta.name.unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

#[derive(Deserialize)]
struct WireObject {
    metadata: WireMeta,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Wire<T> {
    /// Parses the text twice, for the metadata and for what is kept; the rest of the object is skipped.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let custom = serde::de::Error::custom;
        let WireObject { metadata } = serde_json::from_str(text.get()).map_err(custom)?;
        let WireMeta { name, namespace, uid, resource_version } = metadata;
        let meta = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Ok(Self { meta, kept: serde_json::from_str(text.get()).map_err(custom)? })
    }
}

impl<T> Resource for Wire<T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// A ConfigMap's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ConfigMap {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

impl ConfigMap {
    /// The data; a ConfigMap without any has none.
    #[must_use]
    pub fn into_data(self) -> BTreeMap<String, String> {
        self.data.unwrap_or_default()
    }
}

/// A ClusterOperator, also as our own where it is that.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// What the gate reads.
    pub read: ClusterOperator,
    /// The same, if it is ours to write.
    pub own: Option<Box<OwnOperator>>,
}

impl<'de> Deserialize<'de> for Operator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let read: ClusterOperator = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let own =
            if read.name == SELF { serde_json::from_str(text.get()).map_err(serde::de::Error::custom)? } else { None };
        Ok(Self { read, own })
    }
}
