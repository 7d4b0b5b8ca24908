//! The CRDs that we ship, generated from Rust types: what `upgrade-gate crd` prints, and what `crds/` holds.
//!
//! `cargo test crd` compares the two; `UPDATE=1 cargo test crd` writes the files anew.

mod cluster_version;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use crate::api::UpdateRecord;

/// A CRD, and the folder of `crds/` that it lives in.
#[derive(Clone, Debug)]
pub struct Crd {
    /// The folder's name, which is also the file's: `crds/NAME/NAME.crd.yaml`.
    pub name: &'static str,
    /// What is applied to the cluster.
    pub definition: CustomResourceDefinition,
}

/// Every CRD that we ship.
///
/// `updaterecord` is our own, and part of `deploy/base`. `clusterversion` is for clusters that aren't OpenShift: where there is a cluster-version operator, OpenShift's own is
/// in place and has to stay.
#[must_use]
pub fn crds() -> Vec<Crd> {
    vec![
        Crd { name: "updaterecord", definition: definition::<UpdateRecord>() },
        Crd { name: "clusterversion", definition: definition::<cluster_version::ClusterVersion>() },
    ]
}

/// The CRDs as YAML documents, one after the other.
///
/// # Errors
///
/// If one of them can't be written as YAML, which would be a mistake in its types.
pub fn to_yaml(crds: &[Crd]) -> Result<String, serde_saphyr::ser::Error> {
    crds.iter().map(|crd| Ok(format!("---\n{}", serde_saphyr::to_string(&crd.definition)?))).collect()
}

fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut definition = K::crd();
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            schema.title = None;
            optional_is_absent(schema);
        }
    }
    definition
}

/// An optional field may be absent, but not null, as everywhere in Kubernetes; only a required one may be null, if its
/// type is an `Option`. The generator would let every optional field be null.
fn optional_is_absent(schema: &mut JSONSchemaProps) {
    let required = schema.required.clone().unwrap_or_default();
    for (name, property) in schema.properties.iter_mut().flatten() {
        if !required.contains(name) {
            property.nullable = None;
            property.enum_.iter_mut().for_each(|values| values.retain(|JSON(value)| !value.is_null()));
        }
        optional_is_absent(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => optional_is_absent(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            items.iter_mut().for_each(optional_is_absent);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    #[test]
    fn the_files_are_what_the_types_say() {
        for crd in crds() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{0}/{0}.crd.yaml", crd.name));
            let generated = to_yaml(&[crd]).unwrap();
            if env::var_os("UPDATE").is_some() {
                fs::write(&path, &generated).unwrap();
            }
            let file = fs::read_to_string(&path).unwrap_or_default();
            assert!(file == generated, "{} isn't fresh: run UPDATE=1 cargo test crd", path.display());
        }
    }
}
